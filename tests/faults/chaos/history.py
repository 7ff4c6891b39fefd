"""All that is known of a run when it is over: plain data, so that rules over it can be tried on made-up histories.

Instants are `time.monotonic()` of the run, unless they say otherwise.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from schemas.events import Kind, Mode
from schemas.lifecycle import Change, Lifecycle
from services.alerting import store
from services.alerting.core.effects import Decision
from services.alerting.core.incident import Incident
from services.alerting.core.policy import Rules
from tests.faults.chaos.schedule import Span

_LISTED = re.compile(r"^(?:• )?(\S+ [0-9a-f]{12}), ", re.MULTILINE)


def watch_sender(number: int) -> str:
    """Whose mails of the watch are from: each ingest has an address of its own, so that they can be told apart."""
    return f"ingest-{number}@example.org"


def watch_number(sender: str) -> int:
    """The ingest whose address this is."""
    return int(sender.partition("@")[0].rpartition("-")[2])


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was answered 202. `said` is its place as it was sent; no two reports of a run say the same.

    Spellings of one `room` mean one place. `began_at` is before the first attempt to send it, `at` the answer.
    """

    event_id: str
    site: str
    said: str
    mode: Mode
    kind: Kind
    level: int | None
    began_at: float
    at: float
    status: str
    source: str = "buttons"

    @property
    def room(self) -> str:
        """The part that all spellings share."""
        return self.said.split()[1]


@dataclass(frozen=True, slots=True)
class Act:
    """What a person did at a page; `answered_at` is None when no answer came, `said` what the page says was done."""

    incident_id: str
    action: str
    by: str
    answered_at: float | None
    said: str = ""


@dataclass(frozen=True)
class Mail:
    """A mail that a mail server took."""

    at: float
    sender: str
    recipient: str
    subject: str
    text: str
    message_id: str
    level: str = ""
    attempt: int = 1
    via: str = "normal"
    incident_id: str | None = None
    step: str | None = None
    emergency_id: str | None = None

    @property
    def id(self) -> str:
        """Of its row in the outbox."""
        return self.message_id.strip("<>").partition("@")[0]

    @property
    def name(self) -> tuple[str | None, ...]:
        """What names exactly one mail."""
        return self.emergency_id, self.incident_id, self.step, self.recipient

    @property
    def purpose(self) -> str:
        """`alarm`, `taken_over` …; `emergency` for the watch's."""
        return "emergency" if self.emergency_id is not None else (self.step or "").partition("-")[0]

    @property
    def cycle(self) -> int:
        """Of escalation."""
        return int((self.step or "-0").split("-")[1])

    @cached_property
    def places(self) -> tuple[str, ...]:
        """The places of the first line, and of a list."""
        return tuple(dict.fromkeys(_LISTED.findall(self.text)))


@dataclass(frozen=True, slots=True)
class Input:
    """One row of the timeline. `at` is the instant of its decision, `now` the same by the wall clock."""

    revision: int
    at: float
    now: datetime
    body: str
    plans: str | None = None

    @property
    def by(self) -> str | None:
        """Who did it, where a person did."""
        found = json.loads(self.body).get("by")
        return None if found is None else str(found)


@dataclass(frozen=True, slots=True)
class Stored:
    """An incident with its timeline as the database holds it."""

    state: Incident
    inputs: Sequence[Input]


@dataclass(frozen=True, slots=True)
class Queued:
    """One row of the outbox; `age` in seconds since it was decided, `answered_at` when its end was recorded."""

    id: str
    recipient: str
    state: str
    age: float
    answered_at: float | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at a mail, as the log of that alerting process tells it; those that it did not survive are not there.

    `outcome`: accepted, deferred, refused or set_aside; `via`: the mail server that said so.
    """

    mail_id: str
    number: int
    process: str
    outcome: str
    via: str | None
    incident_id: str
    purpose: str
    cycle: int
    began_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class Told:
    """A record of `incidents.lifecycle`, in the topic's order; `at` is when it was published."""

    change: Change
    data: Lifecycle
    at: float = 0.0

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from other changes of the same incident."""
        return self.data.incident_id, self.data.revision, self.change, self.data.failure, self.data.event_ids


@dataclass(frozen=True)
class History:
    """See the module. `unanswered`: mails that a mail server has, and whose sender did not hear so; `journals`: how
    many events each ingest still answers for; `ended`: services that ended by themselves, with their exit codes.
    """

    rules: Rules
    reports: Sequence[Report] = ()
    acts: Sequence[Act] = ()
    mails: Sequence[Mail] = ()
    unanswered: Sequence[Mail] = ()
    spans: Sequence[Span] = ()
    incidents: Mapping[str, Stored] = field(default_factory=dict)
    outbox: Sequence[Queued] = ()
    attempts: Sequence[Attempt] = ()
    lifecycle: Sequence[Told] = ()
    statuses: Mapping[str, str] = field(default_factory=dict)
    journals: Mapping[str, int] = field(default_factory=dict)
    ended: Sequence[tuple[str, int]] = ()
    stray_lines: Sequence[str] = ()

    @cached_property
    def by_place(self) -> Mapping[str, Report]:
        """Reports by the place that they alone say."""
        return {report.said: report for report in self.reports}

    @cached_property
    def holders(self) -> Mapping[str, Stored]:
        """The incident that each report is part of, by event id."""
        return {id_: stored for stored in self.incidents.values() for id_ in stored.state.event_ids}

    @cached_property
    def decisions(self) -> Mapping[str, Sequence[Decision]]:
        """What deciding each incident's stored inputs again gives, in their order."""
        return {id_: tuple(_replayed(stored.inputs, self.rules)) for id_, stored in self.incidents.items()}

    def alarms(self, incident_id: str) -> Iterator[Mail]:
        """The alarm mails about an incident, oldest first."""
        return (mail for mail in self._alarms.get(incident_id, ()))

    @cached_property
    def _alarms(self) -> Mapping[str, Sequence[Mail]]:
        found: dict[str, list[Mail]] = {}
        for mail in sorted(self.mails, key=lambda mail: mail.at):
            if mail.purpose == "alarm" and mail.incident_id is not None:
                found.setdefault(mail.incident_id, []).append(mail)
        return found

    @cached_property
    def by_the_watch(self) -> Sequence[Mail]:
        """The mails of ingest itself, oldest first."""
        return sorted((mail for mail in self.mails if mail.purpose == "emergency"), key=lambda mail: mail.at)

    def heard_at(self, report: Report) -> float | None:
        """When the first mail was taken that speaks of it, over alerting or the watch; None: none was."""
        times = [mail.at for mail in self.by_the_watch if report.said in mail.places]
        holder = self.holders.get(report.event_id)
        if holder is not None:
            times += [mail.at for mail in self.alarms(holder.state.id)]
        return min(times, default=None)

    def failing(self, began_at: float, ended_at: float, *what: str) -> bool:
        """Whether any fault (of those with one of these words in their names) was there between two instants."""
        return any(
            span.began_at <= ended_at and span.ended_at >= began_at
            for span in self.spans
            if not what or any(word in span.fault.name for word in what)
        )

    def held(self, began_at: float, ended_at: float, *what: str) -> float:
        """Seconds that such faults lasted of which anything was in between: what they held up may be as late."""
        return sum(
            span.ended_at - span.began_at
            for span in self.spans
            if span.began_at <= ended_at and span.ended_at >= began_at and any(word in span.fault.name for word in what)
        )


def _replayed(inputs: Iterable[Input], rules: Rules) -> Iterator[Decision]:
    known: list[Incident] = []
    for one in inputs:
        decision = store.replay(known, one.body, one.plans, now=one.now, rules=rules)
        known = [decision.incident] if decision.incident is not None else known
        yield decision
