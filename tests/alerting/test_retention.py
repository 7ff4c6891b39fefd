"""What retention takes and what holds spare, on a real database."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from schemas.events import Outcome
from services.alerting import regrouping
from services.alerting.core.effects import Action, Click
from services.alerting.database import in_transaction
from services.alerting.desk.board import Board
from services.alerting.retention import expiry, hold_store
from services.alerting.retention.holding import Holding
from services.alerting.retention.tables import retention_holds
from services.alerting.tables import incidents, inputs, outbox
from services.alerting.upkeep import housekeeping
from tests.alerting.conftest import Shell
from tests.core.office import report
from tests.support.waiting import eventually

WHY = {"by": "A. Muster", "reason": "Strafanzeige"}
_WAITING = sa.text("""
    SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation
    WHERE relname = 'retention_holds' AND NOT granted
""")


def retention(shell: Shell) -> tuple[timedelta, timedelta]:
    configured = shell.engine.rules().configuration.retention
    return configured.personal_data, configured.incidents


def holding(shell: Shell) -> Holding:
    return Holding(shell.database, lambda: shell.now)


async def closed(shell: Shell, *ids: str) -> None:
    for id_ in ids:
        await shell.apply(report(shell.now, id=id_, location=id_, danger_level=2, description="Herr Zorbax schreit"))
        await close(shell, id_)


async def close(shell: Shell, id_: str) -> None:
    await shell.engine.act(id_, Click("A. Muster", (Action.CLOSE,), outcome=Outcome.RESOLVED))


async def left(shell: Shell) -> dict[str, bool]:
    """The incidents that there are still, and which of them are without personal data."""
    return {row.id: row.forgotten for row in await shell.rows(incidents)}


async def written(shell: Shell) -> str:
    return "".join([str(value) for table in (incidents, inputs) for row in await shell.rows(table) for value in row])


async def pass_over(shell: Shell, span: timedelta) -> None:
    shell.now += span + timedelta(hours=1)
    await housekeeping.clean(shell.engine)


async def test_first_the_personal_data_goes_then_the_incident(shell: Shell) -> None:
    personal_data, whole = retention(shell)
    await closed(shell, "a")
    await housekeeping.clean(shell.engine)
    assert await left(shell) == {"a": False}
    assert "Zorbax" in await written(shell)
    await pass_over(shell, personal_data)
    assert await left(shell) == {"a": True}
    assert not await shell.rows(outbox)
    assert "Zorbax" not in await written(shell)
    await pass_over(shell, whole - personal_data)
    assert await left(shell) == {}
    assert not await shell.rows(inputs)


async def test_an_open_incident_is_never_too_old(shell: Shell) -> None:
    await shell.apply(report(shell.now, id="a", danger_level=2, description="Herr Zorbax"))
    await pass_over(shell, retention(shell)[1])
    assert await left(shell) == {"a": False}


async def test_a_hold_keeps_everything_until_it_ends(shell: Shell) -> None:
    await closed(shell, "kept", "gone")
    assert await holding(shell).place("kept", **WHY)
    assert not await holding(shell).place("kept", by="B. Muster", reason="noch einmal")
    await pass_over(shell, retention(shell)[1])
    assert await left(shell) == {"kept": False}
    assert (await written(shell)).count("Zorbax") == 2  # state and timeline
    (hold,) = await holding(shell).standing()
    assert (hold.incident.id, hold.reason, hold.by) == ("kept", "Strafanzeige", "A. Muster")
    assert await holding(shell).end("kept", by="C. Muster")
    assert not await holding(shell).end("kept", by="C. Muster")
    assert await holding(shell).standing() == []
    await housekeeping.clean(shell.engine)
    assert await left(shell) == {}


async def test_what_is_already_forgotten_is_at_least_not_deleted(shell: Shell) -> None:
    personal_data, whole = retention(shell)
    await closed(shell, "a")
    await pass_over(shell, personal_data)
    await holding(shell).place("a", **WHY)
    await pass_over(shell, whole)
    assert await left(shell) == {"a": True}


async def test_an_open_incident_can_be_held_before_it_is_closed(shell: Shell) -> None:
    await shell.apply(report(shell.now, id="a", danger_level=2))
    await holding(shell).place("a", **WHY)
    await close(shell, "a")
    await pass_over(shell, retention(shell)[0])
    assert await left(shell) == {"a": False}


@pytest.mark.parametrize("held", ["room", "corridor", "yard"])
async def test_a_hold_spares_whatever_is_connected_with_its_incident(shell: Shell, held: str) -> None:
    """`room` became part of `corridor`, of which `yard` was split off; `other` is another matter."""
    await shell.apply(
        report(shell.now, id="room", location="Zimmer 1", danger_level=2),
        report(shell.now, id="corridor", location="Flur", danger_level=2),
        report(shell.now, id="yard", location="Flur", danger_level=2),
        report(shell.now, id="other", location="Zimmer 9", danger_level=2),
    )
    assert set(await left(shell)) == {"room", "corridor", "other"}
    await regrouping.join(shell.engine, "room", "corridor", **WHY)
    await regrouping.split(shell.engine, "corridor", ["yard"], **WHY)
    for id_ in ("corridor", "yard", "other"):
        await close(shell, id_)
    await holding(shell).place(held, **WHY)
    await pass_over(shell, retention(shell)[1])
    assert set(await left(shell)) == {"room", "corridor", "yard"}
    assert all([await Board(shell.engine).spared(id_) for id_ in ("room", "corridor", "yard")])
    assert not await Board(shell.engine).spared("other")


async def test_no_hold_is_placed_on_what_is_not_there(shell: Shell) -> None:
    with pytest.raises(LookupError):
        await holding(shell).place("nothing", **WHY)
    assert await shell.rows(retention_holds) == []


async def test_who_ended_a_hold_long_ago_is_forgotten(shell: Shell) -> None:
    await closed(shell, "a")
    await holding(shell).place("a", **WHY)
    await holding(shell).end("a", by="A. Muster")
    await holding(shell).place("a", by="B. Muster", reason="doch")
    await pass_over(shell, retention(shell)[0])
    assert [row.by for row in await shell.rows(retention_holds)] == ["B. Muster"]


async def waiting(shell: Shell) -> int:
    async with shell.database.connect() as connection:
        return int(await connection.scalar(_WAITING) or 0)


async def test_a_hold_placed_while_retention_deletes_is_refused_or_in_time(shell: Shell) -> None:
    await closed(shell, "a")
    shell.now += retention(shell)[1] + timedelta(hours=1)
    deleting = await shell.database.connect()
    async with deleting.begin():
        assert await expiry.delete(deleting, shell.now, shell.engine.rules().configuration.retention) == 1
        placing = asyncio.create_task(holding(shell).place("a", **WHY))
        await eventually(lambda: waiting(shell), bool)
    await deleting.close()
    with pytest.raises(LookupError):
        await placing
    assert await shell.rows(retention_holds) == []


async def test_retention_waits_for_a_hold_that_is_being_placed(shell: Shell) -> None:
    await closed(shell, "a")
    shell.now += retention(shell)[1] + timedelta(hours=1)
    placing = await shell.database.connect()
    async with placing.begin():
        assert await hold_store.place(placing, "a", now=shell.now, **WHY)
        kept = shell.engine.rules().configuration.retention
        deleting = asyncio.create_task(in_transaction(shell.database, lambda tx: expiry.delete(tx, shell.now, kept)))
        await eventually(lambda: waiting(shell), bool)
    await placing.close()
    assert await deleting == 0
    assert await left(shell) == {"a": False}
