"""What mail servers answered is recorded in one round trip, or under locks: both make the same."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from schemas.events import Acknowledged, Closed
from schemas.events import Outcome as Ending
from services.alerting import store
from services.alerting.changes import Mail
from services.alerting.core.effects import Action, Click
from services.alerting.core.incident import Incident, Recipient
from services.alerting.core.policy import Rules
from services.alerting.mailing import outbox as mails
from services.alerting.mailing import recording
from services.alerting.mailing.holder import new_holder
from services.alerting.mailing.outcomes import Outcome, State
from services.alerting.mailing.troubles import UNDECIDED
from services.alerting.tables import incidents, outbox, troubles
from tests.alerting.conftest import Shell, everything
from tests.alerting.test_mailer import at_night
from tests.alerting.test_plain_presses import follow
from tests.core.office import MONDAY, report

TAKE_OVER = Click("A. Muster", (Action.ACKNOWLEDGE,))


async def claimed(shell: Shell) -> list[Mail]:
    """All mails that are due."""
    return list((await mails.claim(shell.database, new_holder(), 100)).mails)


def accepted(given: Sequence[Mail]) -> list[Outcome]:
    return [Outcome(mail, State.ACCEPTED, "DATA 250 ok", via="normal") for mail in given]


async def unchanged(shell: Shell, given: Sequence[Mail]) -> bool:
    """Whether they could be recorded in one round trip."""
    return await shell.engine.in_one_trip(partial(recording.record_unchanged, outcomes=accepted(given)))


async def incident(shell: Shell, id_: str) -> Incident:
    return next(store.from_json(row.state) for row in await shell.rows(incidents) if row.id == id_)


async def _one(shell: Shell) -> None:
    shell.now = MONDAY
    await shell.apply(report(id="a"))


async def _several(shell: Shell) -> None:
    shell.now = MONDAY
    await shell.apply(*(report(id=name, location=name) for name in ("b", "a", "c")))


async def _next_step(shell: Shell) -> None:
    await _one(shell)
    shell.later(2)
    await shell.engine.fire()


async def _taken_over_after_a_mail(shell: Shell) -> None:
    await _one(shell)
    assert await unchanged(shell, await claimed(shell))
    await shell.apply(follow("t", Acknowledged(by="A"), "a"))


async def _ended_after_a_mail(shell: Shell) -> None:
    await _taken_over_after_a_mail(shell)
    await shell.apply(follow("c", Closed(by="A", outcome=Ending.RESOLVED), "a"))


@pytest.mark.parametrize("before", [_one, _several, _next_step, _taken_over_after_a_mail, _ended_after_a_mail])
async def test_both_ways_make_the_same(shell: Shell, beside: Shell, before: Callable[[Shell], Awaitable[None]]) -> None:
    for one in (shell, beside):
        await before(one)
        one.now += timedelta(seconds=1)
    given = await claimed(shell)
    assert given
    assert await unchanged(shell, given)
    await recording.record_under_locks(beside.engine, accepted(await claimed(beside)))
    assert {row.state for row in await shell.rows(outbox)} == {"accepted"}
    assert await everything(shell) == await everything(beside)


async def test_several_mails_about_one_incident_are_decided_one_after_the_other(shell: Shell) -> None:
    await _one(shell)
    given = await claimed(shell)
    assert len(given) > 1
    assert await unchanged(shell, given)
    found = await incident(shell, "a")
    assert (found.notified, found.reached, found.awaited) == (True, True, ())
    assert found.revision == 1 + len(given)


async def _somebody_took_over(shell: Shell) -> None:
    await shell.engine.act("a", TAKE_OVER)


async def _another_press(shell: Shell) -> None:
    await shell.apply(report(id="b", source="other"))


async def _forgotten(shell: Shell) -> None:
    """Its personal data went; the mail in hand still knows them."""
    async with shell.database.begin() as tx:
        state = sa.text("jsonb_set(state, '{reports,0,description}', 'null')")
        await tx.execute(sa.update(incidents).values(state=state, forgotten=True))


async def _in_other_hands(shell: Shell) -> None:
    async with shell.database.begin() as tx:
        await tx.execute(sa.text("UPDATE outbox SET lease_until = clock_timestamp() - interval '2 minutes'"))
    assert len(await claimed(shell)) > 0


CHANGES = [_somebody_took_over, _another_press, _forgotten, _in_other_hands]


@pytest.mark.parametrize("meanwhile", CHANGES)
async def test_what_has_changed_meanwhile_is_found_out_under_locks(
    shell: Shell, beside: Shell, meanwhile: Callable[[Shell], Awaitable[None]]
) -> None:
    for one in (shell, beside):
        one.now = MONDAY
        await one.apply(report(id="a", description="Er hat ein Messer."))
    given, theirs = await claimed(shell), await claimed(beside)
    await meanwhile(shell)
    await meanwhile(beside)
    changed = await everything(shell)
    assert not await unchanged(shell, given)
    assert await everything(shell) == changed, "it writes nothing"
    await recording.record(shell.engine, accepted(given))
    await recording.record_under_locks(beside.engine, accepted(theirs))
    assert await everything(shell) == await everything(beside)
    assert (await everything(shell) == changed) is (meanwhile is _in_other_hands)
    if meanwhile is _forgotten:
        assert (await incident(shell, "a")).reports[0].description is None


async def test_only_some_of_them_in_other_hands(shell: Shell) -> None:
    await _several(shell)
    first, *others = await claimed(shell)
    lost = replace(first, lease=others[0].lease)
    assert not await unchanged(shell, [lost, *others])
    await recording.record(shell.engine, accepted([lost, *others]))
    assert {row.id for row in await shell.rows(outbox) if row.state == "due"} == {first.id}
    assert await unchanged(shell, [first]) is not any(mail.incident.id == first.incident.id for mail in others)


async def test_the_newest_of_what_the_mails_know_counts(shell: Shell) -> None:
    """The second step was due between two mails."""
    await _one(shell)
    older = await claimed(shell)
    shell.later(2)
    await shell.engine.fire()
    newer = await claimed(shell)
    assert older[0].incident.revision < newer[0].incident.revision
    assert await unchanged(shell, [*newer, *older])
    assert (await incident(shell, "a")).notified


async def test_on_the_way_of_an_alarm_the_driver_asks_for_no_types(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would, over each new connection, for arrays of anything but text: 4 ms, while somebody waits for help."""
    asked: list[object] = []
    introspect = asyncpg.Connection._introspect_types

    async def noting(connection: Any, typeoids: Any, within: Any) -> Any:
        asked.append(typeoids)
        return await introspect(connection, typeoids, within)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", noting)
    shell.now = MONDAY
    await shell.apply(report(id="a", location="1"))
    await shell.apply(report(id="b", location="1"), report(id="c", location="2"))
    await shell.apply(follow("t", Acknowledged(by="A"), "c"))
    first, *others = await claimed(shell)
    await recording.record(shell.engine, accepted([first]))
    await recording.record(shell.engine, [Outcome(mail, State.DUE, "RCPT 450 later") for mail in others])
    assert asked == []


class _RulesWithABug(Rules):
    def people(self, *_: object) -> tuple[Recipient, ...]:
        raise KeyError("a bug")


async def _of_a_newer_version(shell: Shell) -> None:
    """Incident `b` is one that this process cannot read any more."""
    async with shell.database.begin() as tx:
        state = sa.text("jsonb_set(state, '{status}', '\"something_new\"')")
        await tx.execute(sa.update(incidents).where(incidents.c.id == "b").values(state=state, revision=9))


async def _bug(shell: Shell) -> None:
    """A next step cannot be decided."""
    sound = shell.engine.rules()
    shell.engine.rules = lambda: _RulesWithABug(sound.configuration, sound.calendar)


@pytest.mark.parametrize("what", [_of_a_newer_version, _bug])
async def test_one_that_cannot_be_decided_is_recorded_and_told_and_so_are_the_others(
    shell: Shell, what: Callable[[Shell], Awaitable[None]]
) -> None:
    at_night(shell)
    await shell.apply(*(report(id=name, location=name) for name in ("b", "a", "c")))
    given = await claimed(shell)
    await what(shell)
    (broken,) = (mail for mail in given if mail.incident.id == "b")
    answers = accepted([m for m in given if m is not broken])
    answers.insert(1, Outcome(broken, State.REFUSED, "RCPT 550 unknown"))
    for _ in range(2):  # the second time they are no longer ours
        await recording.record(shell.engine, answers)
    states = {row.incident_id: row.state for row in await shell.rows(outbox)}
    assert states == {"a": "accepted", "b": "refused", "c": "accepted"}
    assert (await incident(shell, "a")).notified
    assert (await incident(shell, "c")).notified
    told = [json.loads(str(row.about)) for row in await shell.rows(troubles)]
    assert [(one["incident_id"], one["reason"]) for one in told] == [("b", UNDECIDED)]
