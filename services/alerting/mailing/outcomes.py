"""What becomes of a mail after an attempt at it. No clock, no I/O."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from services.alerting.changes import Mail
from services.alerting.core.effects import Answer, Purpose
from services.common.mail.lane import Via
from services.common.mail.route import Try
from services.common.mail.session import Blame, Verdict

LONGEST_DELAY: Final = 60.0
MOST_FAULTS: Final = 3
"""So many attempts that failed for the mail's own sake, then it is set aside."""
MOST_CRASHES: Final = 5
"""So many processes that ended while they had the mail in hand, then it is set aside."""

EXPIRES: Final = {
    Purpose.TAKEN_OVER: timedelta(days=1),
    Purpose.REMINDER: timedelta(hours=1),  # it speaks of the next few minutes
    Purpose.CLOSED: timedelta(days=3),  # over a weekend
    Purpose.JOINED: timedelta(days=1),
    Purpose.SILENCE_ENDED: timedelta(days=7),
}
"""After these times a mail that only informs is old news. What is not here asks somebody to act, and never expires."""


class State(StrEnum):
    """Of a row in the outbox. The store writes two more: `withdrawn`, and `recalled` while a mailer has it in hand."""

    DUE = "due"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    SET_ASIDE = "set_aside"
    """It fails for its own sake, whoever gets it."""
    EXPIRED = "expired"


_ANSWERS: Final = {
    State.ACCEPTED: Answer.ACCEPTED,
    State.REFUSED: Answer.REFUSED,
    State.SET_ASIDE: Answer.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """`text` begins with stage and code, as an `SmtpAnswer` does; `failed` are other answers worth keeping.

    `delay`: seconds until it is tried again, where it is still due. `own_fault`: it failed for the mail's own sake.
    """

    mail: Mail
    state: State
    text: str
    via: Via | None = None
    delay: float = 0.0
    failed: Sequence[Try] = ()
    own_fault: bool = False

    @property
    def stage(self) -> str:
        """Where it ended: CONNECT, AUTH, MAIL, RCPT, DATA, or BUG, CRASH, EXPIRED before anything was sent."""
        return self.text.partition(" ")[0]

    @property
    def code(self) -> int | None:
        """The mail server's, if it gave one."""
        code = self.text.split(" ", 2)[1]
        return int(code) if code.isdecimal() else None

    @property
    def answer(self) -> Answer | None:
        """What the core hears of it: for a step it is the same whether the address or the mail is bad."""
        return _ANSWERS.get(self.state)


def weigh(tries: Sequence[Try], faults: int) -> tuple[State, Try]:
    """What the servers' answers mean for a mail, and which of them says so.

    `faults`: earlier attempts that failed for the mail's own sake.
    """
    last = tries[-1]
    if last.answer.verdict is Verdict.ACCEPTED:
        return State.ACCEPTED, last
    for one in tries:
        if one.answer.verdict is Verdict.REFUSED and one.answer.blames is Blame.RECIPIENT:
            return State.REFUSED, one
    blames = [one.answer.blames for one in tries]
    hopeless = all(blame is Blame.MESSAGE for blame in blames)
    if hopeless or (Blame.MESSAGE in blames and faults + 1 >= MOST_FAULTS):
        return State.SET_ASIDE, last
    return State.DUE, last


def judge(mail: Mail, tries: Sequence[Try], faults: int) -> Outcome:
    """What becomes of a mail after these answers; `faults` as for `weigh`."""
    state, by = weigh(tries, faults)
    if state is not State.DUE:
        return Outcome(mail, state, str(by.answer), by.via, failed=tuple(one for one in tries if one is not by))
    own_fault = any(one.answer.blames is Blame.MESSAGE for one in tries)
    return Outcome(mail, state, str(by.answer), by.via, delay_after(mail.attempt), tries, own_fault=own_fault)


def after_a_bug(mail: Mail, error: Exception, faults: int) -> Outcome:
    """Our own code failed over this mail; a bug that passes (a configuration just read anew) gets some chances."""
    text = f"BUG - {type(error).__name__}"
    if faults + 1 >= MOST_FAULTS:
        return Outcome(mail, State.SET_ASIDE, text)
    return Outcome(mail, State.DUE, text, delay=delay_after(mail.attempt), own_fault=True)


def without_trying(mail: Mail, clock: Callable[[], datetime]) -> Outcome | None:
    """What is decided before any attempt: too old, or too dangerous."""
    age = EXPIRES.get(mail.notify.purpose)
    if age is not None and clock() - mail.created_at > age:
        return Outcome(mail, State.EXPIRED, "EXPIRED - too old to be of use")
    if mail.crashes >= MOST_CRASHES:
        return Outcome(mail, State.SET_ASIDE, "CRASH - processes ended over it")
    return None


def delay_after(attempt: int, longest: float = LONGEST_DELAY) -> float:
    """Seconds before the next attempt: 1, 2, 4 … with jitter so that a recovering server is not stormed."""
    return min(longest, 2.0 ** min(attempt - 1, 20)) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
