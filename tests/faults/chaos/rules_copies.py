"""Rules about mails that come twice: as one mail, each attempt once, and only where one was open at a fault."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from tests.faults.chaos.history import Attempt, History, Mail
from tests.faults.chaos.schedule import ON_THE_WAY, TO
from tests.faults.chaos.timing import CONVERSATION, MOMENT, QUICK_COMMIT, RECORDED

_ENDS: Final = ("kill", "ended by itself")
_FINAL: Final = ("accepted", "refused", "set_aside")


def one_name_one_mail(history: History) -> Iterator[str]:
    """Recipient, incident and step name one mail, and one Message-ID, however often it came."""
    by_name: dict[tuple[str | None, ...], set[str]] = defaultdict(set)
    by_id: dict[str, set[tuple[str | None, ...]]] = defaultdict(set)
    for mail in chain(history.mails, history.unanswered):
        by_name[mail.name].add(mail.message_id)
        by_id[mail.message_id].add(mail.name)
    for message_id, names in by_id.items():
        if len(names) > 1:
            yield f"{message_id} is the Message-ID of {len(names)} mails"
    for name, ids in by_name.items():
        if len(ids) > 1:
            yield f"{name} was sent under several Message-IDs"


def each_attempt_is_made_once(history: History) -> Iterator[str]:
    """Whatever fails, copies of a mail of alerting tell each other apart: an attempt reaches each mail server once."""
    seen: set[tuple[str, int, str]] = set()
    for mail in chain(history.mails, history.unanswered):
        key = mail.id, mail.attempt, mail.via
        if mail.purpose != "emergency" and key in seen:
            yield f"attempt {mail.attempt} at {mail.id} reached the {mail.via} server more than once"
        seen.add(key)
    tried: set[tuple[str, int]] = set()
    for attempt in history.attempts:
        if (attempt.mail_id, attempt.number) in tried:
            yield f"attempt {attempt.number} at {attempt.mail_id} was made more than once"
        tried.add((attempt.mail_id, attempt.number))


def copies_come_of_open_attempts(history: History) -> Iterator[str]:
    """What a server took of alerting is sent again only if something kept its answer from being heard or recorded.

    Something that can: on the way to that very server, in that very process, or on the way to the database.
    """
    lines = {(attempt.mail_id, attempt.number): attempt for attempt in history.attempts}
    for copies in _copies(history).values():
        for copy in _in_order(copies, lines)[:-1]:
            line = lines.get((copy.id, copy.attempt))
            if line is None:
                excused, why = _ended(history, copy), "no process ended over it"
            elif line.outcome != "accepted" or line.via != copy.via:
                excused, why = _unheard(history, copy, line), "nothing kept its answer away"
            else:
                excused, why = _unrecorded(history, line), "nothing kept it from being recorded"
            if not excused:
                yield f"{copy.name} was taken in attempt {copy.attempt} and sent again, though {why}"


def _copies(history: History) -> Mapping[str, Sequence[Mail]]:
    found: dict[str, list[Mail]] = defaultdict(list)
    for mail in history.mails:
        if mail.purpose != "emergency":
            found[mail.id].append(mail)
    return found


def _in_order(copies: Sequence[Mail], lines: Mapping[tuple[str, int], Attempt]) -> Sequence[Mail]:
    """By attempt; of one that reached both servers, the copy that the sender heard of last.

    Not by time: a process that was stopped makes its attempt when it wakes up, after the one that took its place.
    """

    def place(copy: Mail) -> tuple[int, bool, float]:
        line = lines.get((copy.id, copy.attempt))
        return copy.attempt, line is not None and line.outcome == "accepted" and line.via == copy.via, copy.at

    return sorted(copies, key=place)


def _ended(history: History, copy: Mail) -> bool:
    """Whether a process may have ended with the mail in hand.

    As it was taken; later, as it waited for an answer that something held up; or earlier, as what it had written did.
    """
    link, way = f"link both {TO[copy.via]}", ON_THE_WAY[copy.via]
    for span in history.spans:
        if not span.fault.what.startswith(_ENDS) or "alerting" not in span.fault.name:
            continue
        process = f"alerting{span.fault.name.partition('alerting')[2]}"
        later = span.began_at - copy.at
        if abs(later) <= MOMENT:
            return True
        around = copy.at - MOMENT, copy.at + MOMENT
        if 0 < later <= CONVERSATION + history.held(*around, f"hang {process}") and history.failing(
            *around, *way, f"hang {process}"
        ):
            return True
        if later < 0 and -later <= history.held(*around, link) + MOMENT:
            return True
    return False


def _unheard(history: History, copy: Mail, line: Attempt) -> bool:
    """Whether that server's answer may have got lost, or have come too late, in the attempt."""
    return history.failing(line.began_at, line.ended_at, *ON_THE_WAY[copy.via], f"hang {line.process}")


def _unrecorded(history: History, line: Attempt) -> bool:
    """Whether the process knew of the answer and could not record it, or others took it for dead before."""
    process, until = line.process, line.ended_at + RECORDED
    return history.failing(line.ended_at, until, f"kill {process}", f"itself {process}") or history.failing(
        line.began_at - MOMENT, until, f"hang {process}", "PostgreSQL"
    )


def what_has_its_answer_is_not_tried_again(history: History) -> Iterator[str]:
    """No attempt at a mail begins once its end is recorded, but by a process that stood still or was cut off before."""
    ends = {row.id: row.answered_at for row in history.outbox if row.state in _FINAL}
    for attempt in history.attempts:
        end = ends.get(attempt.mail_id)
        if end is None:
            continue
        held = history.held(end - CONVERSATION, attempt.began_at, f"hang {attempt.process}", "PostgreSQL")
        if attempt.began_at > end + QUICK_COMMIT + held:
            late = attempt.began_at - end
            yield f"attempt {attempt.number} at {attempt.mail_id} began {late:.1f} s after the mail's end was recorded"
