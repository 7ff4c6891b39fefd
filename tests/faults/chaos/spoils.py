"""Changes of a small good run, for the tests of the rules: each makes one thing of it wrong, or merely unusual."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from schemas.lifecycle import Change
from tests.faults.chaos.history import Attempt, History, Mail, Stored, watch_sender
from tests.faults.chaos.made_up import a_good_run
from tests.faults.chaos.schedule import Fault, Span

Spoil = Callable[[History], History]
GOOD = a_good_run()


def holder(history: History, said: str) -> Stored:
    return history.holders[history.by_place[said].event_id]


def of_incident(history: History, said: str) -> Callable[[Mail], bool]:
    incident_id = holder(history, said).state.id
    return lambda mail: mail.incident_id == incident_id


def is_emergency(mail: Mail) -> bool:
    return mail.emergency_id is not None


def without_mails(said: str) -> Spoil:
    return lambda h: replace(h, mails=[mail for mail in h.mails if not of_incident(h, said)(mail)])


def mails(which: Callable[[Mail], bool], **what: Any) -> Spoil:
    """Every such mail as something else."""
    return lambda h: replace(h, mails=[replace(mail, **what) if which(mail) else mail for mail in h.mails])


def first_mail(which: Callable[[Mail], bool] = lambda _: True, **what: Any) -> Spoil:
    """The first such mail came once more, changed."""
    return lambda h: replace(h, mails=[*h.mails, replace(next(filter(which, h.mails)), **what)])


def reports(said: str, **what: Any) -> Spoil:
    return lambda h: replace(h, reports=[replace(r, **what) if r.said == said else r for r in h.reports])


def state(said: str, **what: Any) -> Spoil:
    """The stored state of an incident is another one than its inputs make."""

    def spoil(history: History) -> History:
        stored = holder(history, said)
        changed = {stored.state.id: replace(stored, state=replace(stored.state, **what))}
        return replace(history, incidents={**history.incidents, **changed})

    return spoil


def inputs(said: str, count: int) -> Spoil:
    """Only so many rows of the timeline are left."""

    def spoil(history: History) -> History:
        stored = holder(history, said)
        return replace(
            history, incidents={**history.incidents, stored.state.id: replace(stored, inputs=stored.inputs[:count])}
        )

    return spoil


def a_second_incident(said: str) -> Spoil:
    """The last report of an incident has one of its own."""

    def spoil(history: History) -> History:
        stored = holder(history, said)
        *first, last = stored.state.reports
        other = replace(stored.state, id=last.event_id, reports=(last,))
        kept = replace(stored, state=replace(stored.state, reports=tuple(first)))
        incidents = {**history.incidents, stored.state.id: kept, other.id: Stored(other, ())}
        return replace(history, incidents=incidents)

    return spoil


def attempt_at(h: History, mail: Mail) -> Attempt:
    return next(one for one in h.attempts if one.mail_id == mail.id)


def again(
    which: Callable[[Mail], bool], *, at: float = 130.0, attempt: int = 2, heard: str | None, **what: Any
) -> Spoil:
    """The first such mail, taken at 100.1, comes again in another attempt, which is recorded.

    `heard`: what the log says of the attempt before; None: nothing.
    """

    def spoil(history: History) -> History:
        mail = next(filter(which, history.mails))
        first = attempt_at(history, mail)
        attempts = [one for one in history.attempts if one is not first]
        if heard is not None:
            attempts.append(replace(first, outcome=heard))
        attempts.append(replace(first, number=attempt, began_at=at - 0.1, ended_at=at))
        outbox = [replace(row, answered_at=at + 0.1) if row.id == mail.id else row for row in history.outbox]
        copy = replace(mail, at=at, attempt=attempt, **what)
        return replace(history, attempts=attempts, outbox=outbox, mails=[*history.mails, copy])

    return spoil


def is_alarm(mail: Mail) -> bool:
    return mail.purpose == "alarm"


def late_alarm(at: float) -> Spoil:
    return lambda h: first_mail(lambda m: of_incident(h, "Raum 00000000000b")(m) and m.purpose == "alarm", at=at)(h)


def begun(at: float, cycle: int = 0) -> Spoil:
    """An attempt at an alarm mail about an incident that is closed at 210."""

    def spoil(history: History) -> History:
        mail = next(filter(of_incident(history, "Raum 00000000000b"), history.mails))
        attempt = replace(attempt_at(history, mail), number=9, cycle=cycle, began_at=at, ended_at=at + 1)
        return replace(history, attempts=[*history.attempts, attempt])

    return spoil


def hung(began_at: float, ended_at: float, what: Any = "hang alerting", which: int | str = 0) -> Spoil:
    return lambda h: replace(h, spans=[*h.spans, Span(Fault(0, what, 0, which), began_at, ended_at)])


def woke_up(history: History) -> History:
    """A process was stopped with the first mail in hand, which another one sent; then it made its attempt too."""
    mail = next(filter(is_alarm, history.mails))
    first = attempt_at(history, mail)
    late = replace(first, began_at=130.1, ended_at=130.2)
    attempts = [one for one in history.attempts if one is not first]
    attempts += [late, replace(first, number=2, process="alerting 1", began_at=125.9, ended_at=126.0)]
    outbox = [replace(row, answered_at=126.1) if row.id == mail.id else row for row in history.outbox]
    mails = [one for one in history.mails if one is not mail]
    mails += [replace(mail, at=130.2), replace(mail, at=126.0, attempt=2)]
    return replace(history, attempts=attempts, outbox=outbox, mails=mails)


def over_both_servers(history: History) -> History:
    """In its first attempt a mail went over the other server too, as no answer came from the normal one."""
    mail = next(filter(is_alarm, history.mails))
    first = attempt_at(history, mail)
    attempts = [replace(one, via="fallback", ended_at=105.2) if one is first else one for one in history.attempts]
    copy = replace(mail, via="fallback", at=105.2)
    return replace(history, attempts=attempts, mails=[*history.mails, copy])


def acts(**what: Any) -> Spoil:
    """Only the first act is left, as something else."""
    return lambda h: replace(h, acts=[replace(h.acts[0], **what)])


def both(*spoils: Spoil) -> Spoil:
    def spoil(history: History) -> History:
        for one in spoils:
            history = one(history)
        return history

    return spoil


def emergency_after(seconds: float, ingest: int = 0) -> Spoil:
    """Another mail of the watch about the same site."""
    sender = watch_sender(ingest)
    return first_mail(is_emergency, at=307 + seconds, sender=sender, emergency_id="other", message_id="<other>")


def alerting_was_not_told(history: History) -> History:
    report = replace(holder(history, "Raum 00000000000d").state.reports[0], emergency_mailed_at=None)
    return state("Raum 00000000000d", reports=(report,))(history)


def said_again(revision: int) -> Spoil:
    """The first report was published again, and alerting said where it is, as of that revision."""

    def spoil(history: History) -> History:
        merged = next(told for told in history.lifecycle if told.change is Change.MERGED)
        incident_id = merged.data.incident_id
        data = merged.data.model_copy(update={"revision": revision, "event_ids": (incident_id,)})
        return replace(history, lifecycle=[*history.lifecycle, replace(merged, data=data)])

    return spoil


def said_too_much(history: History) -> History:
    first = history.lifecycle[0]
    more = replace(first, data=first.data.model_copy(update={"revision": 9}))
    return replace(history, lifecycle=[*history.lifecycle, more])


def reversed_lifecycle(history: History) -> History:
    return replace(history, lifecycle=tuple(reversed(history.lifecycle)))


def drop(name: str, index: int = 0) -> Spoil:
    """One element of a list is missing."""

    def spoil(history: History) -> History:
        left: dict[str, Any] = {name: [one for n, one in enumerate(getattr(history, name)) if n != index]}
        return replace(history, **left)

    return spoil
