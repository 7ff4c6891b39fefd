"""A Kafka that lost what it had: alerting must not wait at a position that means something else now."""

import json

from schemas import topics
from tests.faults.test_bad_records import event_headers
from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.office import all_mailed, assert_nothing_lost_and_nothing_doubled, start_both
from tests.support.records import recreate, write
from tests.support.waiting import eventually


async def press(office: Chain, room: str) -> str:
    return await office.press({"site": "bernburg", "location": room, "danger_level": 2})


async def test_presses_after_the_topic_was_created_anew_are_heard(office: Chain) -> None:
    before = [await press(office, f"Raum {number}") for number in range(5)]
    await all_mailed(office, before)
    office.alerting.stop()
    office.ingest.stop()
    await recreate(office.around, topics.EVENTS)
    # Six are more than were read: from the old position on, only the last would be found.
    await office.ingest.start()
    after = [await press(office, f"Neuer Raum {number}") for number in range(6)]
    await office.alerting.start()
    await all_mailed(office, after)
    assert office.alerting.events("log.diverged")
    await assert_nothing_lost_and_nothing_doubled(office, before + after)


async def test_also_when_less_is_there_than_was_read(office: Chain) -> None:
    known = [row["id"] for row in await rows(office.database_url, "select id from incidents")]
    office.alerting.stop()
    office.ingest.stop()
    await recreate(office.around, topics.EVENTS)
    said = len(office.alerting.events("log.diverged"))
    await start_both(office)

    async def diverged() -> int:
        return len(office.alerting.events("log.diverged")) - said

    first = await press(office, "Raum danach")
    await all_mailed(office, [first])
    await eventually(diverged, lambda count: count > 0)
    await assert_nothing_lost_and_nothing_doubled(office, [*known, first])


async def test_also_while_alerting_runs(office: Chain) -> None:
    known = [row["id"] for row in await rows(office.database_url, "select id from incidents")]
    await recreate(office.around, topics.EVENTS)
    office.ingest.stop()  # only alerting is looked at here
    await office.ingest.start()
    first = [await press(office, f"Raum mittendrin {number}") for number in range(3)]
    await all_mailed(office, first, within=60)
    await assert_nothing_lost_and_nothing_doubled(office, known + first)


async def write_presses(office: Chain, name: str) -> list[str]:
    """Three presses in different rooms, as the only records of a partition or those behind what is there."""
    ids = [f"{name} {number}" for number in range(3)]
    for id_ in ids:
        place = {"kind": "panic", "site": "bernburg", "location": id_, "danger_level": 2}
        await write(office.around, json.dumps(place).encode(), event_headers(id_), partition=0)
    return ids


async def test_also_when_as_much_is_there_again_before_alerting_looks(office: Chain) -> None:
    """At the position that it waits at nothing is missing: no fetch fails."""
    await recreate(office.around, topics.EVENTS)
    await all_mailed(office, await write_presses(office, "Raum davor"))
    said = len(office.alerting.events("log.diverged"))
    office.alerting.pause()
    try:
        await recreate(office.around, topics.EVENTS)
        pressed = await write_presses(office, "Raum unbemerkt")
    finally:
        office.alerting.resume()
    await all_mailed(office, pressed)
    assert len(office.alerting.events("log.diverged")) > said
