"""The same id is the same event: at once, again, and after both services were started anew."""

import asyncio

from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.mails import mails_about, wait_for_mails

PRESS = {"id": "frame-1", "site": "bernburg", "location": "Zimmer 300", "danger_level": 2}


async def test_one_id_is_one_incident_and_one_mail_each(office: Chain) -> None:
    answers = await asyncio.gather(*(office.post("/v1/incidents", PRESS, source="buttons") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    (event_id,) = {answer.json()["event_id"] for answer in answers}
    await wait_for_mails(office.sink, event_id, 2)

    for service in (office.ingest, office.alerting):
        service.stop()
        assert service.exit_code == 0
    await asyncio.gather(office.ingest.start(), office.alerting.start())
    again = await office.post("/v1/incidents", {**PRESS, "danger_level": 3}, source="buttons")
    assert (again.status_code, again.json()["event_id"]) == (202, event_id)
    # What comes after it on the same partition shows that it was read.
    after = await office.press({"site": "bernburg", "location": "Zimmer 301", "danger_level": 2})
    await wait_for_mails(office.sink, after, 2)

    assert len(mails_about(office.sink, event_id)) == 2
    found = await rows(
        office.database_url, "select state::jsonb->>'danger_level' as level from incidents where id = $1", event_id
    )
    assert [row["level"] for row in found] == ["2"]
    assert (
        await rows(
            office.database_url, "select 1 from incidents where state::text like '%frame-1%' and id <> $1", event_id
        )
        == []
    )
    assert office.alerting.events("event.duplicate", event_id=event_id, differs=True)
    # The twenty were one already in ingest.
    assert office.alerting.events("event.duplicate", event_id=event_id, differs=False) == []
