"""What is read is applied, however much it is and however slow the database."""

import asyncio

import sqlalchemy as sa

from services.alerting.reading.applying import Applier
from services.alerting.reading.breaker import Breaker
from services.alerting.reading.leases import Position
from services.alerting.tables import incidents
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
            await applier.apply(Position(TOPIC, 0, 0), [record_of(event, n) for n, event in enumerate(events)])
    finally:
        await engine.dispose()
    assert {row.id for row in await shell.rows(incidents)} == {event.id for event in events}
    assert len(moved) > 1
    assert moved[-1].next_offset == PRESSES
