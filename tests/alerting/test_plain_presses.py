"""The way of plain presses: what it makes is what the way with locks makes, and whatever is otherwise goes that way."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schemas.events import Acknowledged, Closed, Event, Heartbeat, Outcome, Reported
from services.alerting import one_trip, plain_presses, store
from services.alerting.changes import Changes
from services.alerting.core.effects import Action, Click
from services.alerting.engine import Batch, Engine
from services.alerting.handover import Handover
from services.alerting.reading.leases import LeaseLostError, Move, Position
from services.alerting.tables import events, incidents, inputs, metadata, partitions
from tests.alerting.conftest import TOPIC, Shell, everything
from tests.core.office import MONDAY, report, rules


async def one_way(shell: Shell, *given: Event, owner: str = "me", guessing: bool = False) -> bool:
    """Only without locks; whether that was possible."""
    move = Move(Position(TOPIC, 0, shell.offset), owner, shell.offset + len(given), given[-1].id)
    changes, handover = Changes(shell.now, rules(), ""), Handover(None)
    apply = partial(plain_presses.apply, events=given, move=move, changes=changes, handover=handover, guessing=guessing)
    done = await one_trip.attempt(shell.database, handover, apply)
    shell.offset += len(given) if done else 0
    return done


def follow(id_: str, data: Any, subject: str | None) -> Event:
    return Event(id=id_, source="bus", time=MONDAY, data=data, subject=subject)


BATCHES: dict[str, Sequence[Sequence[Event]]] = {
    "one press": [[report(id="a")]],
    "a press at a place where one is": [[report(id="a")], [report(id="b", source="other")]],
    "several at once": [[report(id="a"), report(id="b", source="other"), report(id="c", location="Keller")]],
    "worse than before": [[report(id="a", danger_level=1)], [report(id="b", source="forms", danger_level=3)]],
    "after somebody took over": [[report(id="a")], [follow("t", Acknowledged(by="A"), "a")], [report(id="b")]],
    "after the end": [
        [report(id="a")],
        [follow("c", Closed(by="A", outcome=Outcome.RESOLVED), "a")],
        [report(id="b", danger_level=3)],
    ],
    "an unknown place": [[report(id="a", site=None, site_text="Mars")]],
}


async def with_locks(shell: Shell, given: Sequence[Event]) -> None:
    """A batch with a sign of life in it is not plain."""
    await shell.apply(follow(f"sign-{shell.offset}", Heartbeat(device_id="none"), None), *given)


@pytest.mark.parametrize("name", list(BATCHES))
async def test_both_ways_make_the_same(shell: Shell, beside: Shell, name: str) -> None:
    shell.now = beside.now = MONDAY
    ways = []
    for given in BATCHES[name]:
        if plain_presses.is_plain(given):
            ways.append(await one_way(shell, *given))
        else:
            await shell.apply(*given)
        await with_locks(beside, given)
        shell.now = beside.now = shell.now + timedelta(minutes=1)
    assert ways == [True] * len(ways)
    assert ways
    assert await everything(shell) == await everything(beside)


def test_what_is_plain() -> None:
    press = report(id="a")
    assert plain_presses.is_plain([press, report(id="b")])
    assert not plain_presses.is_plain([])
    assert not plain_presses.is_plain([press, press])
    assert not plain_presses.is_plain([press, follow("t", Acknowledged(by="A"), "a")])
    assert not plain_presses.is_plain([press.model_copy(update={"imported": True})])
    assert not plain_presses.is_plain([press.model_copy(update={"subject": "a"})])
    assert isinstance(press.data, Reported)


async def _known(shell: Shell) -> None:
    await shell.apply(report(id="a", location="Keller"))


async def _awaited(shell: Shell) -> None:
    await shell.apply(follow("t", Acknowledged(by="A"), "a"))


async def _silence(shell: Shell) -> None:
    silence = {
        "id": "s", "site": "bernburg", "device": None, "starts_at": shell.now - timedelta(hours=1),
        "ends_at": shell.now + timedelta(hours=1), "reason": "Umzug", "by": "A", "made_at": shell.now,
    }  # fmt: skip
    await _insert(shell, "silences", silence)


async def _test(shell: Shell) -> None:
    test = {
        "id": "t", "site": "bernburg", "devices": [], "starts_at": shell.now - timedelta(hours=1),
        "ends_at": shell.now + timedelta(hours=1), "by": "A", "made_at": shell.now,
    }  # fmt: skip
    await _insert(shell, "announced_tests", test)


async def _someone_at_its_place(shell: Shell) -> None:
    await shell.apply(report(id="other"))


async def _insert(shell: Shell, name: str, row: dict[str, Any]) -> None:
    table = metadata.tables[name]
    async with shell.database.begin() as connection:
        await connection.execute(table.insert().values({k: v for k, v in row.items() if k in table.c}))


@pytest.mark.parametrize(
    ("before", "guessing"),
    [(before, guessing) for before in (_known, _awaited, _silence, _test) for guessing in (False, True)]
    + [(_someone_at_its_place, True)],
)
async def test_what_is_not_plain_goes_another_way(
    shell: Shell, before: Callable[[Shell], Awaitable[None]], *, guessing: bool
) -> None:
    await before(shell)
    counted = await shell.count()
    assert not await one_way(shell, report(id="a"), guessing=guessing)
    assert await shell.count() == counted, "it writes nothing"
    await shell.apply(report(id="a"))
    assert (await shell.rows(partitions))[0].next_offset == shell.offset
    assert "a" in {id_ for row in await shell.rows(incidents) for id_ in store.from_json(row.state).event_ids}


@pytest.mark.parametrize("name", ["one press", "several at once", "an unknown place"])
async def test_a_right_guess_saves_asking(
    shell: Shell, beside: Shell, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.now = beside.now = MONDAY
    (given,) = BATCHES[name]
    with monkeypatch.context() as patch:
        patch.delattr(plain_presses, "_look")
        assert await one_way(shell, *given, guessing=True)
    await with_locks(beside, given)
    assert await everything(shell) == await everything(beside)


def test_a_wrong_guess_is_made_once_a_second() -> None:
    now = 100.0
    guess, one, many = (
        plain_presses.Guess(lambda: now),
        [report(id="a")],
        [report(id=str(number)) for number in range(51)],
    )
    assert next(guess.ways(one))
    assert list(guess.ways(many)) == [False]
    assert list(guess.ways(one)) == [True, False]
    assert list(guess.ways(one)) == [False]
    now += 1.05
    assert next(guess.ways(one))


async def test_without_the_lease_nothing_is_written(shell: Shell) -> None:
    assert not await one_way(shell, report(id="a"), owner="zombie")
    shell.offset = 5
    assert not await one_way(shell, report(id="a"))
    assert await shell.count() == dict.fromkeys(("incidents", "inputs", "outbox", "relay"), 0)
    assert await shell.rows(events) == []
    shell.offset = 0
    with pytest.raises(LeaseLostError):
        await Shell(shell.database, owner="zombie").apply(report(id="a"))


async def _waits_for_a_lock(connection: AsyncConnection) -> None:
    """Until somebody does."""
    async with asyncio.timeout(30):
        while not await connection.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            await asyncio.sleep(0.01)


async def test_an_incident_that_changes_after_it_was_seen(shell: Shell, database: AsyncEngine) -> None:
    """It changes while a press at its place is being decided: the press must not overwrite that."""
    await shell.apply(report(id="a"))
    async with database.begin() as other:
        await store.load_for_update(other, ["a"])
        press = asyncio.create_task(shell.apply(report(id="b", source="other")))
        async with database.connect() as looking:
            await _waits_for_a_lock(looking)
        await other.execute(sa.text("UPDATE incidents SET urgency = urgency WHERE id = 'a'"))
    await press
    (incident,) = [store.from_json(row.state) for row in await shell.rows(incidents)]
    assert incident.event_ids == ("a", "b")


async def test_a_click_between_two_presses_is_not_overwritten(shell: Shell) -> None:
    """Many clicks and presses at once at one place: each input is in the timeline, and in the state."""
    await shell.apply(report(id="a"))
    people = [f"P{number}" for number in range(8)]

    async def presses() -> None:
        for number in range(12):
            await shell.apply(report(id=f"b{number}", source="other"))

    async def clicks() -> None:
        for person in people:
            await shell.engine.act("a", Click(person, (Action.CALLED_POLICE,)))

    await asyncio.gather(presses(), clicks())
    (incident,) = [store.from_json(row.state) for row in await shell.rows(incidents)]
    assert len(incident.event_ids) == 13
    assert {call.by for call in incident.calls} == set(people)
    assert [row.revision for row in sorted(await shell.rows(inputs), key=lambda row: row.revision)] == list(
        range(1, incident.revision + 1)
    )


async def test_an_incident_that_opens_after_nothing_was_seen(shell: Shell, database: AsyncEngine) -> None:
    """Another partition opens one at the same place meanwhile: both are one incident."""
    first, second = report(id="a", site=None, site_text="Mars"), report(id="b", site=None, site_text="Mars")
    async with database.begin() as connection:
        await connection.execute(
            sa.text("INSERT INTO partitions (topic, partition, owner) VALUES ('incidents.events', 1, 'me')")
        )
    opened = Engine(database, rules, clock=lambda: shell.now)
    async with database.begin() as other:
        await other.execute(sa.text("LOCK TABLE events IN SHARE MODE"))  # both have looked when they come to write
        tasks = [
            asyncio.create_task(shell.apply(first)),
            asyncio.create_task(opened.apply(Batch(Position(TOPIC, 1, 0), 1, "b", [second]), "me")),
        ]
        async with database.connect() as looking, asyncio.timeout(30):
            while await looking.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")) < 2:
                await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    (incident,) = [store.from_json(row.state) for row in await shell.rows(incidents)]
    assert set(incident.event_ids) == {"a", "b"}


async def test_a_connection_that_ends_meanwhile(shell: Shell, database: AsyncEngine) -> None:
    """PostgreSQL ends every session while the press waits: nothing was written, and the other way finds it away."""
    async with database.begin() as other:
        await other.execute(sa.text("LOCK TABLE events IN SHARE MODE"))
        press = asyncio.create_task(one_way(shell, report(id="a")))
        async with database.connect() as looking:
            await _waits_for_a_lock(looking)
            await looking.execute(
                sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            )
        assert not await press
    await shell.apply(report(id="a"))
    assert (await shell.count())["incidents"] == 1


async def test_plans_are_looked_for_each_time(shell: Shell) -> None:
    """Not believed for a second to be none, as on the other way: a silence counts from the next press on."""
    assert await one_way(shell, report(id="a"))
    await _silence(shell)
    assert not await one_way(shell, report(id="b", source="forms", kind="form", danger_level=1))
