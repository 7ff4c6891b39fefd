"""The fixtures that start the real services."""

from tests.support.chain import Chain


async def test_a_press_becomes_a_mail_also_after_both_services_were_killed(chain: Chain) -> None:
    event_id = await chain.press()
    mails = await chain.sink.wait_for(2)
    assert {mail.recipients for mail in mails[:2]} == {
        ("wache.bernburg@example.org",),
        ("leitung.bernburg@example.org",),
    }
    assert await chain.ingest.wait_for_event("report.accepted", event_id=event_id)
    for service in (chain.ingest, chain.alerting):
        service.kill()
        assert service.exit_code == -9
        await service.restart()
    before = len(chain.sink.accepted)
    await chain.press({"site": "stassfurt", "location": "Empfang"})
    await chain.sink.wait_until(lambda mails: any("Empfang" in mail.subject for mail in mails[before:]))
    assert chain.ingest.stray_lines == []
    assert chain.alerting.stray_lines == []
