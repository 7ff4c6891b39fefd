"""A process that was stopped with mails in hand wakes up, or never does: what it says counts only with its lease."""

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
from services.alerting.tables import incidents, inputs, outbox
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


async def _claim(shell: Shell) -> Mail:
    (mail,) = await in_transaction(shell.database, lambda tx: mails.claim(tx, 10))
    return mail


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
