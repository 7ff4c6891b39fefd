"""What is read is applied, however much it is, however slow the database, and whatever ended the process before."""

import asyncio

import pytest
import sqlalchemy as sa

from services.alerting.reading.applying import Applier
from services.alerting.reading.breaker import Breaker
from services.alerting.reading.leases import Position
from services.alerting.reading.waiting import Read
from services.alerting.tables import incidents, suspects
from services.common.outage import Outage
from tests.alerting.conftest import TOPIC, Shell, limited_engine
from tests.alerting.records import record_of
from tests.core.office import report

SLOW = """
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.03); RETURN NEW; END';
    CREATE TRIGGER slow BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION slow();
"""
PRESSES = 40


async def test_what_is_too_much_for_one_transaction_is_applied_in_parts(shell: Shell, database_url: str) -> None:
    async with shell.database.begin() as tx:
        for statement in SLOW.strip().split(";\n"):
            await tx.execute(sa.text(statement))
    engine = limited_engine(database_url, transaction_timeout="400ms")
    hurried = Shell(engine)
    moved: list[Position] = []
    applier = Applier(hurried.engine, hurried.owner, Outage("database"), Breaker(accept=False), moved.append)
    events = [report(shell.now, id=f"press-{n}", location=f"Zimmer {n}") for n in range(PRESSES)]
    try:
        async with asyncio.timeout(60):
            await applier.apply(Position(TOPIC, 0, 0), [Read.of(record_of(event, n)) for n, event in enumerate(events)])
    finally:
        await engine.dispose()
    assert {row.id for row in await shell.rows(incidents)} == {event.id for event in events}
    assert len(moved) > 1
    assert moved[-1].next_offset == PRESSES


@pytest.mark.parametrize(
    ("ended_before", "ends"),
    [
        (0, [3, 4]),  # nearly always it was no record that ended the process
        (1, [1, 2, 3, 4]),
        (2, [1, 2, 3, 4]),
        (3, [1, 2, 3, 4]),
    ],
)
async def test_what_a_dead_process_had_in_hand_is_tried_together_once(
    shell: Shell, ended_before: int, ends: list[int]
) -> None:
    """`ended_before`: counted attempts that ended a process at the first record."""
    moved: list[Position] = []
    applier = Applier(shell.engine, shell.owner, Outage("database"), Breaker(accept=False), moved.append)
    applier.inherit(0)
    if ended_before:
        row = {"kind": "record", "key": f"{TOPIC}/0", "place": 0, "attempts": ended_before}
        async with shell.database.begin() as tx:
            await tx.execute(sa.insert(suspects).values(row))
    events = [report(shell.now, id=f"press-{n}", location=f"Zimmer {n}") for n in range(4)]
    records = [Read.of(record_of(event, n)) for n, event in enumerate(events)]
    await applier.apply(Position(TOPIC, 0, 0), records[:3])
    assert [one.attempts for one in await shell.rows(suspects)] == [1], "of the last one that was tried"
    applier.absolve(0)
    await applier.apply(moved[-1], records[3:])
    assert [position.next_offset for position in moved] == ends
    kept = {f"press-{n}" for n in range(1 if ended_before == 3 else 0, 4)}
    assert {row.id for row in await shell.rows(incidents)} == kept
