"""Tests and silences on a real database."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.events import Outcome
from services.alerting import store
from services.alerting.core.effects import Action, Click, Reason
from services.alerting.core.incident import Incident
from services.alerting.core.plans import AnnouncedTest, Silence
from services.alerting.database import in_transaction
from services.alerting.plans import plan_store
from services.alerting.plans.planning import Planning
from services.alerting.tables import device_tests, incidents, inputs, outbox, silences
from services.alerting.upkeep import housekeeping
from tests.alerting.conftest import Shell
from tests.core.office import report

HARMLESS: dict[str, Any] = {"source": "forms", "kind": "form", "danger_level": 1}


def planning(shell: Shell) -> Planning:
    return Planning(shell.database, shell.engine.plans, lambda: shell.now)


def a_test(now: datetime, *devices: str, minutes: int = 30) -> AnnouncedTest:
    site = None if devices else "bernburg"
    return AnnouncedTest("t1", site, devices, now, now + timedelta(minutes=minutes), "A. Muster")


def a_silence(now: datetime, minutes: int = 60, **where: Any) -> Silence:
    place = {"site": "bernburg", "device": None} | where
    return Silence("s1", starts_at=now, ends_at=now + timedelta(minutes=minutes), reason="Umzug", by="M", **place)


async def known(shell: Shell) -> dict[str, Incident]:
    return {row.id: store.from_json(row.state) for row in await shell.rows(incidents)}


async def purposes(shell: Shell, incident_id: str) -> list[str]:
    return sorted(row.purpose for row in await shell.rows(outbox) if row.incident_id == incident_id)


async def test_a_press_within_a_test_is_marked_and_the_device_was_tested(shell: Shell) -> None:
    await shell.apply(report(shell.now, id="before", location="1", device_id="btn1"))
    await planning(shell).announce(a_test(shell.now, "btn1"))
    shell.later(1)
    await shell.apply(report(shell.now, id="e", device_id="BTN-1"))
    found = await known(shell)
    assert found["e"].under_test
    assert not found["before"].under_test
    assert await purposes(shell, "e")
    (row,) = await shell.rows(device_tests)
    assert (row.device_id, row.test_id, row.event_id, row.at) == ("btn1", "t1", "e", shell.now)
    shell.later(1)
    await shell.apply(report(shell.now, id="f", device_id="btn1", location="2"))
    (row,) = await shell.rows(device_tests)
    assert row.event_id == "f"
    assert (await planning(shell).planned()).last_tests == {"btn1": shell.now}


async def test_a_test_is_over_by_itself_or_early(shell: Shell) -> None:
    await planning(shell).announce(a_test(shell.now, minutes=10))
    assert await planning(shell).end("t1", "B. Beispiel")
    assert not await planning(shell).end("t1", "B. Beispiel")
    await shell.apply(report(shell.now, id="e"))
    assert not (await known(shell))["e"].under_test


async def test_a_form_is_held_back_and_told_when_the_silence_ends(shell: Shell) -> None:
    await planning(shell).silence(a_silence(shell.now))
    await shell.apply(report(shell.now, id="e", **HARMLESS), report(shell.now, id="f", location="113", **HARMLESS))
    assert await purposes(shell, "e") == []
    assert (await planning(shell).planned()).held_back == {"s1": ("e", "f")}
    await shell.engine.act("f", Click("A. Muster", (Action.CLOSE,), outcome=Outcome.RESOLVED))
    assert await shell.engine.end_silences() is False
    assert await purposes(shell, "e") == []
    shell.later(61)
    assert await shell.engine.end_silences() is True
    assert await shell.engine.end_silences() is False
    assert await purposes(shell, "e") == ["alarm", "silence_ended"]
    assert await purposes(shell, "f") == []
    assert [held.incident_id for held in (await known(shell))["e"].summary] == ["e", "f"]
    (row,) = await shell.rows(silences)
    assert row.told_at is not None


async def test_the_due_time_tells_even_if_nobody_ends_the_silence(shell: Shell) -> None:
    await planning(shell).silence(a_silence(shell.now))
    await shell.apply(report(shell.now, id="e", **HARMLESS))
    shell.later(61)
    assert await shell.engine.fire(grace=False) == 1
    assert await purposes(shell, "e") == ["alarm"]
    await shell.engine.end_silences()
    assert await purposes(shell, "e") == ["alarm", "silence_ended"]


async def test_ending_early_tells_at_once_and_holds_nothing_more(shell: Shell, database: AsyncEngine) -> None:
    await planning(shell).silence(a_silence(shell.now, 600))
    await shell.apply(report(shell.now, id="e", **HARMLESS))
    # Another process ends it: this one must notice although it knows that there is a silence.
    assert await Planning(database, clock=lambda: shell.now).end("s1", "B. Beispiel")
    await shell.apply(report(shell.now, id="f", location="113", **HARMLESS))
    assert await purposes(shell, "f") == ["alarm"]
    await shell.engine.end_silences()
    assert await purposes(shell, "e") == ["alarm", "silence_ended"]


async def test_a_silence_that_held_nothing_back_tells_nothing(shell: Shell) -> None:
    await planning(shell).silence(a_silence(shell.now, 1))
    shell.later(2)
    assert await shell.engine.end_silences() is True
    assert await shell.engine.end_silences() is False
    assert await shell.rows(outbox) == []


async def test_many_held_back_are_told_in_portions_with_one_summary(shell: Shell) -> None:
    await planning(shell).silence(a_silence(shell.now, 1))
    await shell.apply(*(report(shell.now, id=f"e{n:02}", location=f"room {n}", **HARMLESS) for n in range(25)))
    shell.later(2)
    rounds = 1
    while await shell.engine.end_silences(limit=10):
        rounds += 1
    assert rounds == 4  # 10, 10, 5 with the summary, and one that finds nothing
    sent = [row.purpose for row in await shell.rows(outbox)]
    assert sent.count("alarm") == 25
    assert sent.count("silence_ended") == 1
    assert len((await known(shell))["e00"].summary) == 25


async def test_two_processes_end_a_silence_once(shell: Shell, database: AsyncEngine) -> None:
    await planning(shell).silence(a_silence(shell.now, 1))
    await shell.apply(report(shell.now, id="e", **HARMLESS))
    shell.later(2)
    other = Shell(database, owner="other", now=shell.now)
    await asyncio.gather(*(engine.end_silences() for engine in (shell.engine, other.engine) * 4))
    assert await purposes(shell, "e") == ["alarm", "silence_ended"]


async def test_ending_waits_for_who_is_just_holding_back(shell: Shell, database: AsyncEngine) -> None:
    await planning(shell).silence(a_silence(shell.now))
    ending: asyncio.Task[bool]
    async with database.begin() as tx:
        assert (await shell.engine.plans.look(tx, shell.now)).silences
        ending = asyncio.create_task(Planning(database, clock=lambda: shell.now).end("s1", "B. Beispiel"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ending), 0.3)
    assert await ending


async def test_without_plans_the_database_is_asked_once_a_second(shell: Shell) -> None:
    in_force = shell.engine.plans
    async with shell.database.connect() as tx:
        assert not await in_force.look(tx, shell.now)
    await in_transaction(shell.database, lambda tx: plan_store.add_test(tx, a_test(shell.now)))  # by another process
    async with shell.database.connect() as tx:
        assert not await in_force.look(tx, shell.now + timedelta(seconds=0.9))
        assert await in_force.look(tx, shell.now + timedelta(seconds=1))
    async with shell.database.connect() as tx:
        assert not await in_force.look(tx, shell.now - timedelta(minutes=5))  # a clock set back is no reason to trust


async def test_replaying_under_the_plans_of_then_gives_the_stored_state(shell: Shell) -> None:
    await planning(shell).silence(a_silence(shell.now))
    await planning(shell).announce(a_test(shell.now, "btn1"))
    await shell.apply(report(shell.now, id="e", device_id="btn1", location="9"), report(shell.now, id="f", **HARMLESS))
    shell.later(61)
    while await shell.engine.end_silences():
        pass
    found = await known(shell)
    rows = sorted(await shell.rows(inputs), key=lambda row: (row.incident_id, row.revision))
    again: dict[str, Incident] = {}
    for row in rows:
        before = [again[row.incident_id]] if row.incident_id in again else []
        decision = store.replay(before, row.body, row.plans, now=row.at, rules=shell.engine.rules())
        assert decision.incident is not None
        again[row.incident_id] = decision.incident
    assert again == found
    assert {row.reason for row in rows} >= {Reason.OPENED, Reason.SUPPRESSED, Reason.SILENCE_ENDED}


async def test_names_in_plans_are_forgotten_in_time(shell: Shell) -> None:
    await planning(shell).silence(a_silence(shell.now, 1))
    await planning(shell).announce(a_test(shell.now, "btn1"))
    shell.later(2)
    await shell.engine.end_silences()
    shell.now += shell.engine.rules().configuration.retention.personal_data
    await housekeeping.clean(shell.engine)
    assert await shell.rows(silences) == []
    shell.later(40)
    await housekeeping.clean(shell.engine)
    assert not (await planning(shell).planned()).plans
