"""A process that was stopped with mails in hand wakes up, or never does: what it says counts only with its lease."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from services.alerting import store
from services.alerting.changes import Mail
from services.alerting.core.effects import Action, Click
from services.alerting.core.incident import Incident
from services.alerting.database import in_transaction
from services.alerting.mailing import outbox as mails
from services.alerting.mailing.outcomes import Outcome, State
from services.alerting.mailing.recording import record
from services.alerting.tables import incidents, inputs, outbox, senders
from services.alerting.upkeep import housekeeping
from tests.alerting.conftest import Shell
from tests.alerting.test_mailer import at_night
from tests.core.office import report


@pytest.fixture
async def in_hand(shell: Shell) -> Mail:
    """The only mail of incident `e`, claimed by a process."""
    at_night(shell)
    await shell.apply(report(shell.now, id="e"))
    return await _claim(shell)


async def _claim(shell: Shell, me: uuid.UUID | None = None) -> Mail:
    (mail,) = await _claim_all(shell, me)
    return mail


async def _claim_all(shell: Shell, me: uuid.UUID | None = None) -> list[Mail]:
    return await in_transaction(shell.database, lambda tx: mails.claim(tx, me or uuid.uuid4(), 10))


async def _lease_ran_out(shell: Shell) -> None:
    async with shell.database.begin() as tx:
        await tx.execute(sa.text("UPDATE outbox SET lease_until = clock_timestamp() - interval '2 minutes'"))


async def _say(shell: Shell, mail: Mail, state: State) -> None:
    outcome = Outcome(mail, state, f"DATA 250 {state.value}", via="normal")

    await record(shell.engine, [outcome])


async def _incident(shell: Shell) -> Incident:
    (row,) = await shell.rows(incidents)
    return store.from_json(row.state)


async def _only(shell: Shell) -> sa.Row[tuple[object, ...]]:
    (row,) = await shell.rows(outbox)
    return row


async def _lives(shell: Shell, sender: uuid.UUID, seconds_ago: float = 0) -> None:
    async with shell.database.begin() as tx:
        await mails.show_life(tx, sender)
        ago = sa.text("UPDATE senders SET seen_at = seen_at - :seconds * interval '1 second' WHERE id = :id")
        await tx.execute(ago, {"seconds": seconds_ago, "id": sender})


async def test_what_a_dead_process_had_in_hand_is_taken_before_its_lease_runs_out(shell: Shell) -> None:
    at_night(shell)
    await shell.apply(report(shell.now, id="e"))
    dead, living = uuid.uuid4(), uuid.uuid4()
    mail = await _claim(shell, dead)
    await _lives(shell, dead, 6)
    await _lives(shell, living)
    again = await _claim(shell, living)
    assert (again.id, again.attempt, again.crashes) == (mail.id, 2, 1)
    assert await _claim_all(shell, uuid.uuid4()) == [], "the other one lives"
    await _say(shell, mail, State.ACCEPTED)
    assert (await _only(shell)).state == "due", "it was dead, or slept"
    await _say(shell, again, State.ACCEPTED)
    row = await _only(shell)
    assert (row.state, row.sender) == ("accepted", None)


async def test_after_an_outage_of_the_database_nobody_passes_for_dead(shell: Shell) -> None:
    """For ten seconds nobody could show life; who comes back first must not take what the other one has in hand."""
    at_night(shell)
    await shell.apply(report(shell.now, id="e"))
    one, other = uuid.uuid4(), uuid.uuid4()
    await _claim(shell, one)
    await _lives(shell, one, 10.5)
    await _lives(shell, other, 10)
    assert await _claim_all(shell, other) == []


async def test_who_never_showed_life_is_waited_for(shell: Shell) -> None:
    """A process of the version before this does not show any."""
    at_night(shell)
    await shell.apply(report(shell.now, id="e"))
    await _claim(shell, uuid.uuid4())
    await _lives(shell, uuid.uuid4())
    assert await _claim_all(shell) == []
    await _lease_ran_out(shell)
    assert len(await _claim_all(shell)) == 1


async def test_whoever_goes_on_with_a_mail_has_it_in_hand(shell: Shell, in_hand: Mail) -> None:
    """It was decided and begun by a process that goes over to the second server, and dies there."""
    dead = uuid.uuid4()
    assert await in_transaction(shell.database, lambda tx: mails.renew(tx, dead, in_hand))
    await _lives(shell, dead, 6)
    await _lives(shell, uuid.uuid4())
    assert (await _claim(shell)).id == in_hand.id


async def test_processes_that_are_long_gone_are_forgotten(shell: Shell) -> None:
    gone, living = uuid.uuid4(), uuid.uuid4()
    await _lives(shell, gone, 3700)
    await _lives(shell, living, 3700)
    await _lives(shell, living)
    assert {row.id for row in await shell.rows(senders)} == {living}


@pytest.mark.parametrize("states", [(State.REFUSED, State.ACCEPTED), (State.ACCEPTED, State.REFUSED)])
async def test_only_the_answer_of_who_holds_the_lease_is_decided_on(
    shell: Shell, in_hand: Mail, states: Sequence[State]
) -> None:
    """It stood still for longer than its lease; another one sent the mail again, as the same mail. Both speak."""
    sleeper_says, other_says = states
    await _lease_ran_out(shell)
    again = await _claim(shell)
    assert (again.id, again.attempt, again.crashes) == (in_hand.id, 2, 1)
    assert again.lease != in_hand.lease
    before = await _incident(shell)
    await _say(shell, in_hand, sleeper_says)
    assert await _incident(shell) == before
    assert ((await _only(shell)).state, len(await shell.rows(inputs))) == ("due", 1)
    await _say(shell, again, other_says)
    assert (await _incident(shell)).revision > before.revision
    assert other_says.value in {row.state for row in await shell.rows(outbox)}
    after = await _incident(shell)
    await _say(shell, in_hand, sleeper_says)
    assert await _incident(shell) == after


async def test_an_answer_is_decided_on_once(shell: Shell, in_hand: Mail) -> None:
    await _say(shell, in_hand, State.ACCEPTED)
    after = await _incident(shell)
    await _say(shell, in_hand, State.REFUSED)
    await _say(shell, replace(in_hand, attempt=2), State.REFUSED)
    assert await _incident(shell) == after
    assert (await _only(shell)).state == "accepted"


async def test_of_a_recalled_mail_whose_process_ended_it_is_said_that_nobody_knows(shell: Shell, in_hand: Mail) -> None:
    await shell.engine.act("e", Click("A. Muster", (Action.ACKNOWLEDGE,)))
    await housekeeping.clean(shell.engine)
    assert await _state_of(shell, in_hand) == ("recalled", None), "it may still answer"
    await _lease_ran_out(shell)
    await housekeeping.clean(shell.engine)
    state, answer = await _state_of(shell, in_hand)
    assert state == "withdrawn"
    assert answer is not None
    assert "may have been sent" in answer
    await _say(shell, in_hand, State.ACCEPTED)
    assert (await _state_of(shell, in_hand))[0] == "withdrawn"


async def _state_of(shell: Shell, mail: Mail) -> tuple[str, str | None]:
    (row,) = [row for row in await shell.rows(outbox) if row.id == mail.id]
    return row.state, row.answer
