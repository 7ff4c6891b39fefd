"""Reading, relaying and the timers end after every single effect, are started again, and lose and double nothing.

What one process that nothing happens to makes of the same records is what has to be there in the end. The mail loop:
`test_mailer_crashes.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from schemas.events import (
    Acknowledged,
    Closed,
    EmergencyMailed,
    Event,
    Heartbeat,
    Outcome,
)
from schemas.lifecycle import Change
from services.alerting.database import create_engine
from services.alerting.engine import Engine
from services.alerting.reading.waiting import LEAP
from tests.alerting.conftest import Shell
from tests.alerting.crashes import Records, World, a_world, a_world_with_topics, announced, by_replay, differences
from tests.alerting.crashing_alerting import RULES
from tests.core.office import MONDAY, minutes, report
from tests.support.crashing import Ended, Moment, crash_after_each_effect
from tests.support.servers import PostgresServer

pytestmark = pytest.mark.timeout(400)  # dozens of processes, of which each takes longer on a busy machine
AT_ONCE = 4


def follow(id_: str, data: Any, subject: str | None = None) -> Event:
    return Event(id=id_, source="bus", time=MONDAY, data=data, subject=subject)


RECORDS: Records = {
    0: (
        report(id="a"),
        report(id="a2", source="forms", kind="form", danger_level=1),
        follow("ack-a", Acknowledged(by="A. Muster"), "a"),
        report(id="a", danger_level=1),
        b"unreadable",
        report(id="b", location="Zimmer 7", danger_level=3),
        follow("end-b", Closed(by="A. Muster", outcome=Outcome.RESOLVED), "b"),
        follow("ack-a", Acknowledged(by="B. Muster"), "a"),
    ),
    2: (report(id="refused", location="Keller"), report(id="after", location="Zimmer 8")),
    3: (
        follow("sign", Heartbeat(device_id="btn-112", battery=0.5)),
        follow("ack-k", Acknowledged(by="K. Iosk"), "k"),
        report(id="k", site="kiosk", location=None),
        follow("mailed", EmergencyMailed(event_ids=("k", "never"))),
    ),
    4: (
        *(report(id=f"quarrel {n}", location=f"Raum Q{n}", danger_level=0) for n in range(LEAP)),
        report(id="weapon", location="Zimmer 9", danger_level=3),
    ),
}
"""By partition. The database refuses one of them, as no check of ours foresaw it; the last one is let past others."""
ENDS = [len(RECORDS.get(number, ())) for number in range(6)]
TRIED_ALONE = (2, 3)
"""Partitions with records that a dead process may have had in hand."""


def set_aside(records: Sequence[Any]) -> set[tuple[str, str]]:
    about = [dict(record.headers) for record in records if record.topic.endswith(topics.REJECTED)]
    return {(one["rufkette_partition"].decode(), one["rufkette_offset"].decode()) for one in about}


def assert_told(records: Sequence[Any], undisturbed: Sequence[Any]) -> None:
    """Each change at least once, in order; besides them only where a report is that came again."""
    assert set_aside(records) == set_aside(undisturbed)
    told, expected = announced(records), announced(undisturbed)
    assert told.keys() == expected.keys()
    for incident_id, changes in told.items():
        ids = [id_ for id_, _, _ in expected[incident_id]]
        assert [id_ for id_, _, _ in changes if id_ in ids] == ids
        assert all(change is Change.MERGED for id_, change, _ in changes if id_ not in ids)
        assert [d.revision for _, _, d in changes] == sorted(d.revision for _, _, d in changes)


async def a_fresh_start(world: World) -> None:
    """Nobody has read anything."""


async def a_dead_owner(world: World) -> None:
    """Another process died with some records in hand, so each of them is tried alone, and counted before."""
    for number in range(6):
        read = 0 if number in TRIED_ALONE else ENDS[number]
        await world.looking.execute(
            "insert into partitions (topic, partition, next_offset, owner, lease_until)"
            " values ($1, $2, $3, 'dead', clock_timestamp())",
            topics.prefixed(topics.EVENTS, world.prefix), number, read,
        )  # fmt: skip


@pytest.fixture
async def reading(postgres_server: PostgresServer, kafka: str, tmp_path: Path) -> AsyncIterator[list[World]]:
    async with AsyncExitStack() as stack:
        made = (a_world_with_topics(postgres_server, kafka, tmp_path, RECORDS) for _ in range(AT_ONCE))
        yield list(await asyncio.gather(*map(stack.enter_async_context, made)))


EFFECTS = {
    "fetch", "with partitions", "insert held", "delete held", "update outbox", "with incidents",
    "commit after with incidents", "insert troubles", "commit after insert troubles", "send_batch", "delete relay",
    "commit after delete relay",
}  # fmt: skip
BY_THE_CLOCK = {
    "insert processes", "delete processes", "update partitions", "commit after update partitions",
    "delete relay", "commit after delete relay",
}  # fmt: skip
"""So that a run can have some less of them than another one."""


@pytest.mark.parametrize(
    ("before", "known", "rejected"),
    [
        (
            a_fresh_start,
            ["a", "after", "b", "k", *(f"quarrel {n}" for n in range(LEAP)), "weapon"],
            {("0", "4"), ("2", "0")},
        ),
        (a_dead_owner, ["after", "k"], {("2", "0")}),
    ],
)
async def test_reading_and_relaying(
    reading: list[World],
    before: Callable[[World], Awaitable[None]],
    known: list[str],
    rejected: set[tuple[str, str]],
) -> None:
    """`rejected` are partitions and offsets."""
    first = reading[0]
    assert first.said is not None
    await before(first)
    undisturbed = await first.read(ENDS)
    expected, told = await first.snapshot(), await first.said.read()
    by_replay(expected)
    assert [row[0] for row in expected["incidents"]] == known
    assert len(expected["held"]) == 1
    assert set_aside(told) == rejected
    assert len(undisturbed.effects) > 30
    always = EFFECTS | ({"insert suspects"} if before is a_dead_owner else set())

    async def attempt(world: World, moment: Moment) -> Ended:
        assert world.said is not None
        await world.empty()
        await before(world)
        ended = await world.read(ENDS, moment)
        reached = await world.positions()
        if ended.crashed:
            await world.let_leases_run_out()
            assert not (await world.read(ENDS)).crashed
        after = await world.positions()
        assert after == ENDS
        assert all(now >= before for now, before in zip(after, reached, strict=False))  # one that ended early has none
        assert differences(await world.snapshot(), expected) == []
        assert_told(await world.said.read(), told)
        return ended

    await crash_after_each_effect(reading, undisturbed, attempt, always=always, by_the_clock=BY_THE_CLOCK)


async def alarms(world: World, *, somebody_died: bool) -> None:
    """Three incidents whose steps come due; after somebody died each is handled alone, and counted before."""
    database = create_engine(world.database_url)
    try:
        shell = Shell(database)
        shell.engine = Engine(database, lambda: RULES, clock=lambda: MONDAY)
        await shell.lease()
        taken = follow("ack-y", Acknowledged(by="A. Muster"), "y")
        rooms = (report(id=id_, location=id_, danger_level=2) for id_ in ("x", "y"))
        await shell.apply(*rooms, taken, report(id="z", site="kiosk", location=None))
    finally:
        await database.dispose()
    await world.looking.execute("delete from processes")
    if somebody_died:
        await world.looking.execute("insert into processes values ('dead', clock_timestamp() - interval '4 seconds')")


def by_incident(relayed: Sequence[tuple[Any, ...]]) -> dict[bytes, list[tuple[Any, ...]]]:
    """What is to be announced, in its order."""
    return {key: [row for row in relayed if row[1] == key] for _, key, *_ in relayed}


@pytest.fixture
async def firing(postgres_server: PostgresServer, tmp_path: Path) -> AsyncIterator[list[World]]:
    async with AsyncExitStack() as stack:
        made = (a_world(postgres_server, tmp_path) for _ in range(AT_ONCE))
        yield [await stack.enter_async_context(one) for one in made]


STEPS = {
    "x": ["step_due", "step_due"],
    "y": ["reminded", "acknowledgement_ran_out", "step_due", "step_due"],
    "z": ["repeat_due"],
}


@pytest.mark.parametrize("somebody_died", [False, True])
async def test_timers(firing: list[World], somebody_died: bool) -> None:
    """No step is left out, none is taken twice; what a step announces and mails is there with it.

    When somebody died, it is late, and each incident takes the one step that is due to it.
    """
    until = datetime.now(UTC) if somebody_died else MONDAY + minutes(9)

    async def fire(world: World, moment: Moment | None = None) -> Ended:
        return await world.fire(until, moment, late=somebody_died)

    first = firing[0]
    await alarms(first, somebody_died=somebody_died)
    undisturbed = await fire(first)
    expected, announced = await first.snapshot(), by_incident(await first.relayed())
    by_replay(expected)
    steps = STEPS if not somebody_died else {"x": ["step_due"], "y": ["acknowledgement_ran_out"], "z": ["repeat_due"]}
    taken = [(row[0], row[3]) for row in expected["inputs"] if row[2] > MONDAY]
    assert taken == [(id_, reason) for id_, reasons in steps.items() for reason in reasons]
    written = ["with incidents", *(["insert suspects", "delete suspects"] if somebody_died else [])]
    always = {*written, *(f"commit after {one}" for one in written)}
    assert set(undisturbed.effects) == always

    async def attempt(world: World, moment: Moment) -> Ended:
        await world.empty()
        await alarms(world, somebody_died=somebody_died)
        ended = await fire(world, moment)
        if ended.crashed:
            await world.let_leases_run_out()
            assert not (await fire(world)).crashed
        assert differences(await world.snapshot(), expected) == []
        assert by_incident(await world.relayed()) == announced
        return ended

    await crash_after_each_effect(firing, undisturbed, attempt, always=always)
