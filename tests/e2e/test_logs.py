"""One press followed through the logs of both services."""

from itertools import pairwise

from tests.support.chain import Chain
from tests.support.mails import link_in, press_button, wait_for_mails

STANDARD_KEYS = {"timestamp", "level", "event", "service", "version"}


async def test_grep_for_one_id_tells_the_whole_story(office: Chain) -> None:
    event_id = await office.press({"site": "bernburg", "location": "Zimmer 400", "danger_level": 2})
    other = await office.press({"site": "bernburg", "location": "Zimmer 401", "danger_level": 2})
    alarms = await wait_for_mails(office.sink, event_id, 2)
    link = link_in(alarms[0])
    await press_button(link, name="Olga Obhut", action="acknowledge")
    await wait_for_mails(office.sink, event_id, 2, "taken_over")
    await press_button(link, name="Olga Obhut", action="close", outcome="resolved")
    await wait_for_mails(office.sink, event_id, 2, "closed")
    await office.alerting.wait_for_event("mail.accepted", incident_id=event_id, purpose="closed")
    await wait_for_mails(office.sink, other, 2)

    records = [record for s in (office.ingest, office.alerting) for record in s.logs if event_id in str(record)]
    assert not [record for record in records if other in str(record)]
    story = [r for r in sorted(records, key=lambda r: str(r["timestamp"])) if r["level"] != "debug"]
    names = [record["event"] for record in story]
    first = {name: names.index(name) for name in names}
    for earlier, later in pairwise(["incident.opened", "mail.accepted", "incident.acknowledged", "incident.closed"]):
        assert first[earlier] < first[later], names
    # The mail may be out before ingest's own disk has the press, too, and it answers.
    assert first["report.accepted"] < first["incident.acknowledged"], names
    assert names.count("report.accepted") == names.count("incident.opened") == 1
    assert [r["purpose"] for r in story if r["event"] == "mail.accepted"].count("alarm") == 2
    services = {record["event"]: record["service"] for record in story}
    assert services["report.accepted"] == "ingest"
    assert services["mail.accepted"] == "alerting"


async def test_every_line_of_both_services_is_json_with_the_standard_keys(office: Chain) -> None:
    await office.press({"site": "bernburg", "location": "Zimmer 402", "danger_level": 2})
    for service in (office.ingest, office.alerting):
        assert service.stray_lines == []
        assert [record for record in service.logs if not set(record) >= STANDARD_KEYS] == []
        assert [r for r in service.logs if r["level"] in {"error", "critical"}] == []
