"""Rules about the watch: it mails when nobody has heard, and only then, and says so."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from schemas.events import Mode
from services.ingest.watch.heard import heard
from tests.faults.chaos.history import History, Mail, Report, watch_number
from tests.faults.chaos.schedule import ON_THE_WAY
from tests.faults.chaos.timing import (
    APART,
    BACK,
    CONFIRMED,
    MOMENT,
    NOTED,
    PATIENCE,
    WATCH_AFTER,
    WATCH_ATTEMPT,
    WATCH_TRIES,
)

_UNREAD = ("kill Kafka", "restart Kafka", "of Kafka", "ingest to Kafka", "alerting to Kafka")
"""Faults in which an ingest cannot read the lifecycle, or alerting not write it; a record has the time of the try."""
_SLOWED = (*ON_THE_WAY["normal"], *ON_THE_WAY["fallback"])
"""Faults in which the watch has to wait for a mail server, or ask the other one."""


def _listed(history: History, mail: Mail) -> list[Report]:
    return [history.by_place[place] for place in mail.places if place in history.by_place]


def _first_copies(mails: Iterable[Mail]) -> Sequence[Mail]:
    first: dict[str | None, Mail] = {}
    for mail in sorted(mails, key=lambda mail: mail.at):
        first.setdefault(mail.emergency_id, mail)
    return tuple(first.values())


def _took_at_most(history: History, mail: Mail) -> float:
    """Seconds from when the watch wrote the mail until a server took it."""
    pauses = sum(WATCH_TRIES[min(n, len(WATCH_TRIES) - 1)] for n in range(mail.attempt - 1))
    if mail.attempt == 1 and not history.failing(mail.at - WATCH_ATTEMPT, mail.at, *_SLOWED, f"hang {_ingest(mail)}"):
        return 1.0
    return pauses + mail.attempt * WATCH_ATTEMPT


def _ingest(mail: Mail) -> str:
    return f"ingest {watch_number(mail.sender)}"


def the_watch_lists_real_reports(history: History) -> Iterator[str]:
    """Each mail of it is about something that was reported, of one site, and never about an exercise."""
    for mail in history.by_the_watch:
        listed = _listed(history, mail)
        if not listed or len(listed) < len(mail.places):
            yield f"{mail.subject!r} lists what nobody reported"
        if any(report.mode is Mode.EXERCISE for report in listed):
            yield f"{mail.subject!r} lists an exercise"
        if len({report.site for report in listed}) > 1:
            yield f"{mail.subject!r} lists several sites"


def the_watch_mails_once_a_minute(history: History) -> Iterator[str]:
    """One mail a minute and site at most of each ingest, as long as that ingest lives."""
    by_site: dict[tuple[str, str], list[Mail]] = defaultdict(list)
    for mail in _first_copies(history.by_the_watch):
        for site in {report.site for report in _listed(history, mail)}:
            by_site[_ingest(mail), site].append(mail)
    for (ingest, site), mails in by_site.items():
        for earlier, later in pairwise(mails):
            restarted = history.failing(earlier.at - WATCH_ATTEMPT, later.at, f"kill {ingest}", f"itself {ingest}")
            gap = later.at - earlier.at
            if not restarted and gap < APART - _took_at_most(history, earlier):
                yield f"{ingest} mailed about {site} again after {gap:.1f} s"


def the_watch_repeats_only_what_it_could_not_know(history: History) -> Iterator[str]:
    """A mail of one ingest comes again only if that did not hear the answer, or ended before it was on its disk."""
    by_name: dict[tuple[str | None, ...], list[Mail]] = defaultdict(list)
    for mail in history.by_the_watch:
        by_name[*mail.name, mail.sender].append(mail)
    for (*name, _), copies in by_name.items():
        for earlier, later in pairwise(copies):
            ingest, taken_at, noted = _ingest(earlier), earlier.at, earlier.at + NOTED
            ended = (f"kill {ingest}", f"itself {ingest}")
            in_the_way = (*ON_THE_WAY[earlier.via], f"hang {ingest}")
            unheard = history.failing(taken_at - PATIENCE, taken_at + MOMENT, *in_the_way)
            forgot = history.failing(taken_at, noted, *ended)
            diskless = history.failing(taken_at, noted, f"disk is away from {ingest}")
            if not (unheard or forgot or (diskless and history.failing(taken_at, later.at, *ended))):
                yield f"{name} was sent again after {later.at - earlier.at:.1f} s though the first was taken"


def the_watch_gives_the_chain_its_time(history: History) -> Iterator[str]:
    """It mails only when one of the reports that it lists has waited for `WATCH_AFTER`."""
    for mail in _first_copies(history.by_the_watch):
        waited = [mail.at - report.began_at for report in _listed(history, mail)]
        if waited and max(waited) < WATCH_AFTER:
            yield f"{mail.subject!r} came after {max(waited):.1f} s"


def the_watch_needs_a_fault(history: History) -> Iterator[str]:
    """Without a fault between the first report that it lists and its mail there is nothing to mail about."""
    for mail in _first_copies(history.by_the_watch):
        began = [report.began_at for report in _listed(history, mail)]
        if began and not history.failing(min(began) - BACK, mail.at):
            yield f"{mail.subject!r} came though nothing had failed"


def _heard_on_the_lifecycle(history: History) -> dict[str, float]:
    """When the lifecycle first said of each report that somebody had heard of it."""
    found: dict[str, float] = {}
    for told in sorted(history.lifecycle, key=lambda told: told.at):
        for event_id in heard(told.change, told.data, lambda _: True):
            found.setdefault(event_id, told.at)
    return found


def the_watch_is_silent_about_what_is_heard(history: History) -> Iterator[str]:
    """It lists no report of which the lifecycle had said before that somebody heard, if it could read that."""
    heard_at = _heard_on_the_lifecycle(history)
    for mail in _first_copies(history.by_the_watch):
        wrote_at = mail.at - _took_at_most(history, mail)
        for report in _listed(history, mail):
            known_at = heard_at.get(report.event_id)
            if known_at is None or known_at + CONFIRMED > wrote_at:
                continue
            # It had no time to read it after a stop that it did not notice; one that was started again reads first.
            stopped = history.failing(known_at - CONFIRMED, wrote_at, f"hang {_ingest(mail)}")
            if not stopped and not history.failing(known_at - BACK, wrote_at, *_UNREAD):
                yield f"{mail.subject!r} lists {report.event_id}, heard of {wrote_at - known_at:.1f} s before"


def the_watch_says_that_it_mailed(history: History) -> Iterator[str]:
    """Alerting knows of each report that ingest mailed, so that its own mails can say so.

    Except where ingest ended in between, or Kafka lost what it had acknowledged.
    """
    for mail in _first_copies(history.by_the_watch):
        if history.failing(mail.at - WATCH_ATTEMPT, mail.at + 5.0, f"kill {_ingest(mail)}", f"itself {_ingest(mail)}"):
            continue
        if history.failing(mail.at - BACK, float("inf"), "empty topic"):
            continue
        for report in _listed(history, mail):
            holder = history.holders.get(report.event_id)
            of_it = [r for r in holder.state.reports if r.event_id == report.event_id] if holder else []
            if any(one.emergency_mailed_at is None for one in of_it):
                yield f"alerting does not know that {report.event_id} was mailed by the watch"
