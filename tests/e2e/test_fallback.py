"""A second mail server, with the real services."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conftest import StartService
from tests.support.chain import Chain, Surroundings
from tests.support.smtp_sink import SmtpSink


@pytest.fixture
async def second() -> AsyncIterator[SmtpSink]:
    sink = SmtpSink()
    await sink.start()
    yield sink
    await sink.stop()


async def test_the_normal_mail_server_goes_away_and_comes_back(
    start_ingest: StartService,
    start_alerting: StartService,
    smtp_sink: SmtpSink,
    second: SmtpSink,
    surroundings: Surroundings,
    database_url: str,
) -> None:
    ingest = await start_ingest()
    alerting = await start_alerting(RUFKETTE_SMTP_FALLBACK_URL=second.url)
    chain = Chain(ingest, alerting, smtp_sink, surroundings, database_url)
    await smtp_sink.stop()
    event_id = await chain.press()
    mails = await second.wait_for(2)
    assert {mail.message["X-Rufkette-Incident"] for mail in mails} == {event_id}
    await alerting.wait_for_event("fallback.engaged")
    assert list(await alerting.wait_for_readiness("degraded")) == ["mail_server"]
    async with httpx.AsyncClient(base_url=alerting.url) as monitoring:
        assert "rufkette_mail_fallback_engaged 1.0" in (await monitoring.get("/metrics")).text
    await smtp_sink.start()
    await alerting.wait_for_event("fallback.released")
    await chain.press({"site": "bernburg", "location": "Zimmer 113", "danger_level": 2})
    await smtp_sink.wait_for(1)
    await alerting.wait_for_event("mail.accepted", purpose="alarm", via="normal")
    assert alerting.events("mail.accepted", purpose="alarm", via="fallback")
    assert len(alerting.events("fallback.engaged")) == len(alerting.events("fallback.released")) == 1
    await second.stop()
    await smtp_sink.stop()
    await chain.press({"site": "bernburg", "location": "Zimmer 114", "danger_level": 2})
    waiting = await alerting.wait_for_status("/readyz", 503)
    assert sorted(waiting.json()["problems"]) == ["mail_fallback", "mail_server"]
