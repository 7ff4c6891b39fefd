"""A process that was stopped with mails in hand wakes up, or never does: what it says counts only with its lease."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from services.alerting import store
from services.alerting.changes import Mail
from services.alerting.core.effects import Action, Click, Notify, Purpose
from services.alerting.core.incident import Incident, Recipient
from services.alerting.database import in_transaction
from services.alerting.mailing import outbox as mails
from services.alerting.mailing.holder import new_holder
from services.alerting.mailing.outcomes import Outcome, State
from services.alerting.mailing.recording import record
from services.alerting.tables import incidents, inputs, outbox, senders
from services.alerting.upkeep import housekeeping
from tests.alerting.conftest import Shell
from tests.alerting.test_mailer import at_night
from tests.core.office import report

ALARM = Notify(Recipient("leitung@example.org", "site_management"), Purpose.ALARM, 0, 1, 0, 0)


class Idle:
    """Takes what is decided and does nothing with it, as a process that is killed at once."""

    def __init__(self, holder: str) -> None:
        self.holder = holder

    def reserve(self, wanted: int) -> int:
        return wanted

    def write(self, given: Sequence[Mail]) -> list[Mail]:
        return list(given)

    def send(self, given: Sequence[Mail], reserved: int) -> None:
        pass


@pytest.fixture
async def in_hand(shell: Shell) -> Mail:
    """The only mail of incident `e`, claimed by a process."""
    at_night(shell)
    await shell.apply(report(shell.now, id="e"))
    return await _claim(shell)


async def _claim(shell: Shell, me: str | None = None) -> Mail:
    (mail,) = await _claim_all(shell, me)
    return mail


async def _claim_all(shell: Shell, me: str | None = None) -> list[Mail]:
    return list((await mails.claim(shell.database, me or new_holder(), 10)).mails)


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


async def _lives(shell: Shell, holder: str, seconds_ago: float = 0, lived: float = 60) -> None:
    """It last showed life so many seconds ago, and had `lived` until then."""
    async with shell.database.begin() as tx:
        await mails.show_life(tx, holder)
        ago = sa.text("""UPDATE senders SET seen_at = seen_at - :ago * interval '1 second',
                                            since = seen_at - (:ago + :lived) * interval '1 second'
                         WHERE holder = :holder""").bindparams(
            *(sa.bindparam(name, type_=sa.Double) for name in ("ago", "lived"))
        )
        await tx.execute(ago, {"ago": seconds_ago, "lived": lived, "holder": holder})


async def test_what_a_dead_process_had_in_hand_is_taken_before_its_lease_runs_out(shell: Shell) -> None:
    at_night(shell)
    await shell.apply(report(shell.now, id="e"))
    dead, living = new_holder(), new_holder()
    mail = await _claim(shell, dead)
    await _lives(shell, dead, 6)
    await _lives(shell, living)
    again = await _claim(shell, living)
    assert (again.id, again.attempt, again.crashes) == (mail.id, 2, 1)
    assert await _claim_all(shell, new_holder()) == [], "the other one lives"
    await _say(shell, mail, State.ACCEPTED)
    assert (await _only(shell)).state == "due", "it was dead, or slept"
    await _say(shell, again, State.ACCEPTED)
    row = await _only(shell)
    assert (row.state, row.lease) == ("accepted", None)


async def test_what_a_dead_process_decided_and_began_is_taken_too(shell: Shell) -> None:
    """Its lease is short, but it renewed it for a second mail server."""
    at_night(shell)
    dead = new_holder()
    shell.engine.senders = Idle(dead)
    await shell.apply(report(shell.now, id="e"))
    shell.engine.senders = None
    row = await _only(shell)
    mail = Mail(row.id, row.lease, await _incident(shell), ALARM, row.created_at, 1)
    assert await in_transaction(shell.database, lambda tx: mails.renew(tx, mail))
    await _lives(shell, dead, 6)
    await _lives(shell, new_holder())
    assert (await _claim(shell)).id == mail.id


@pytest.mark.parametrize("first_back", [False, True])
async def test_after_an_outage_of_the_database_nobody_passes_for_dead(shell: Shell, first_back: bool) -> None:
    """For ten seconds nobody could show life; who comes back first must not take what the other one has in hand."""
    at_night(shell)
    await shell.apply(report(shell.now, id="e"))
    one, other = new_holder(), new_holder()
    await _claim(shell, one)
    await _lives(shell, one, 10.5)
    await _lives(shell, other, 10)
    if first_back:
        async with shell.database.begin() as tx:
            await mails.show_life(tx, other)
    assert await _claim_all(shell, other) == []


async def test_a_break_in_showing_life_counts_from_three_seconds_on(shell: Shell) -> None:
    at_night(shell)
    dead, hasty, steady = new_holder(), new_holder(), new_holder()
    await shell.apply(report(shell.now, id="e"))
    await _claim(shell, dead)
    await _lives(shell, dead, 20)
    for holder, ago in ((hasty, 4.0), (steady, 2.0)):
        await _lives(shell, holder, ago)
        async with shell.database.begin() as tx:
            await mails.show_life(tx, holder)
        assert len(await _claim_all(shell)) == (1 if holder is steady else 0)


async def test_a_clock_that_was_set_back_makes_nobody_a_witness(shell: Shell) -> None:
    """The database moved to a machine whose clock is behind: what was seen before lies in its future."""
    at_night(shell)
    await shell.apply(report(shell.now, id="e"))
    holder = new_holder()
    await _claim(shell, holder)
    await _lives(shell, holder)
    await _lives(shell, new_holder(), -30)
    assert await _claim_all(shell) == []


async def test_nobody_takes_its_own_mails_for_those_of_a_dead_process(shell: Shell) -> None:
    """It lives, as its claim shows, although what shows its life hangs."""
    at_night(shell)
    await shell.apply(report(shell.now, id="e"))
    me = new_holder()
    await _claim(shell, me)
    await _lives(shell, me, 6)
    await _lives(shell, new_holder())
    assert await _claim_all(shell, me) == []


async def test_who_never_showed_life_is_waited_for(shell: Shell) -> None:
    """A process of the version before this does not show any."""
    at_night(shell)
    await shell.apply(report(shell.now, id="e"))
    await _claim(shell, new_holder())
    await _lives(shell, new_holder())
    assert await _claim_all(shell) == []
    await _lease_ran_out(shell)
    assert len(await _claim_all(shell)) == 1


async def test_of_two_answers_about_one_mail_only_the_one_under_its_lease_counts(shell: Shell, in_hand: Mail) -> None:
    """The process stood still, claimed the mail again, and both attempts end together."""
    await _lease_ran_out(shell)
    again = await _claim(shell)
    outcomes = [
        Outcome(in_hand, State.REFUSED, "RCPT 550 stale", via="normal"),
        Outcome(again, State.ACCEPTED, "DATA 250 ok", via="normal"),
    ]
    await record(shell.engine, outcomes)
    reasons = [row.reason for row in await shell.rows(inputs)]
    assert (await _only(shell)).state == "accepted"
    assert reasons == ["opened", "mail_accepted"]


async def test_processes_that_are_long_gone_are_forgotten(shell: Shell) -> None:
    gone, living = new_holder(), new_holder()
    await _lives(shell, gone, 3700)
    await _lives(shell, living, 3700)
    await _lives(shell, living)
    assert {row.holder for row in await shell.rows(senders)} == {living}


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
