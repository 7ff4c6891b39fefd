"""An incident: what people deal with. Opened by a report, may absorb more of them."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from schemas.configuration import PoliceFlag, Policy
from schemas.events import Category, Kind, Mode, Outcome, PoliceWish
from services.alerting.core.codes import code_of

UNKNOWN_LEVEL_COUNTS_AS = 2


class Status(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Again(StrEnum):
    """Why escalation began anew; the mail says it."""

    RAN_OUT = "ran_out"
    PRESSED = "pressed"
    GRAVER = "graver"
    RAISED = "raised"
    REAL = "real"
    """What looked like an announced test is more than that."""
    JOINED = "joined"
    """A person found that a graver incident is the same matter."""


class LevelFrom(StrEnum):
    """Where the danger level comes from; the mail says it."""

    PANIC = "panic"
    FORM = "form"
    MANUAL = "manual"
    CATEGORY = "category"
    SOURCE = "source"
    PERSON = "person"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was reported: a configured site and the id of its location, or texts as they came."""

    site: str | None
    site_text: str | None
    location: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """One report of the incident. `emergency_mailed_at`: when ingest itself mailed the emergency contacts about it."""

    event_id: str
    source: str
    kind: Kind
    at: datetime
    received_at: datetime
    device_id: str | None = None
    danger_level: int | None = None
    category: Category | None = None
    description: str | None = None
    reported_by: str | None = None
    police: PoliceWish = PoliceWish.NONE
    reference: str | None = None
    occurred_at: datetime | None = None
    warnings: tuple[str, ...] = ()
    announced_test: str | None = None
    """Id of the announced test that the press belongs to."""
    place: Place | None = None
    """None: the incident's own, in what versions without this field have stored."""
    acute: bool = True
    keys: tuple[str, ...] = ()
    """See `reporting.merge_keys`; they go with the report when it is split off."""
    emergency_mailed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who is told, in the role for which they are told."""

    email: str
    role: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """Somebody took the incident over; it stops escalation until `until` (None: an imported one, which has none).

    `email` is the recipient whose link was used, if one was: they are reminded before it runs out.
    """

    by: str
    at: datetime
    until: datetime | None
    email: str | None = None
    reminded: bool = False


@dataclass(frozen=True, slots=True)
class PoliceCall:
    """A named person says that 110 was called."""

    by: str
    at: datetime
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class HandOver:
    """A named person passed the matter to the police; `on` is a local date."""

    by: str
    at: datetime
    on: date
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """How it ended."""

    by: str
    at: datetime
    outcome: Outcome
    note: str | None = None
    measures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """A planned silence kept back the mails of a harmless report; texts as they were then."""

    silence_id: str
    until: datetime
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class HeldBack:
    """One incident in the summary of a silence that ended: where, how bad, what, when, how many reports."""

    incident_id: str
    site: str | None
    location: str | None
    danger_level: int | None
    level_from: LevelFrom
    category: Category | None
    at: datetime
    reports: int


@dataclass(frozen=True, slots=True)
class Target:
    """The incident that another one joined, as it was then: `called_at` is its first confirmed call to the police."""

    id: str
    place: Place
    police: PoliceFlag
    called_at: datetime | None = None
    taken_by: str | None = None


@dataclass(frozen=True, slots=True)
class Joining:
    """A person made the incident part of another one; it lives on there."""

    by: str
    at: datetime
    reason: str
    into: Target


@dataclass(frozen=True)  # without slots, because `replacing` copies all fields at once
class Incident:
    """The state; changed only by `decide`. All instants are aware and in UTC.

    `cycle` rises with each restart of escalation, `repetition` with each repeat of the last step; `step` is the
    index of the step taken last (-1: none). `awaited` are recipients of that step whose mail has no result yet,
    `reached` says whether any mail of that step was accepted, `emergency` that the emergency contacts were told
    instead. `told` is everyone mailed an alarm, in order. `reopened_at`: when a press opened again what was closed.
    """

    id: str
    site: str | None
    site_text: str | None
    location: str | None
    """Id of a configured location, or the text as it came."""
    device_id: str | None
    place_key: str | None
    mode: Mode
    kind: Kind
    source: str
    acute: bool
    danger_level: int | None
    level_from: LevelFrom
    category: Category | None
    reports: tuple[Report, ...]
    opened_at: datetime
    rule: str
    policy_name: str
    policy: Policy
    police: PoliceFlag
    status: Status = Status.OPEN
    revision: int = 0
    cycle: int = 0
    cycle_started_at: datetime | None = None
    again: Again | None = None
    step: int = -1
    repetition: int = 0
    due_at: datetime | None = None
    awaited: tuple[str, ...] = ()
    reached: bool = False
    emergency: bool = False
    told: tuple[Recipient, ...] = ()
    notified: bool = False
    taken: Taken | None = None
    calls: tuple[PoliceCall, ...] = ()
    hand_overs: tuple[HandOver, ...] = ()
    closing: Closing | None = None
    reopened_at: datetime | None = None
    imported: bool = False
    learning: bool = False
    """Of a source in learning mode: only its test address was told, and it was over at once."""
    keys: tuple[str, ...] = ()
    """What a later report may share with it: see `reporting.merge_keys`."""
    hold: Hold | None = None
    """The silence under which it was opened, if one was; it stays when the silence is over."""
    summary: tuple[HeldBack, ...] = ()
    """What a silence held back altogether; kept by the first of these incidents, whose mail tells it."""
    joined: Joining | None = None
    """Set while it is part of another incident; it is closed then, without an outcome of its own."""
    absorbed: tuple[str, ...] = ()
    """Ids of the incidents that people made part of this one."""
    places: tuple[str, ...] = ()
    """Place keys of those: a press there is one here."""
    split: tuple[str, ...] = ()
    """Ids of the incidents that people split off this one."""
    split_from: str | None = None

    @property
    def ended_at(self) -> datetime | None:
        """When nothing more was to be done about it: closed, or made part of another one."""
        if self.learning:
            return self.reports[0].received_at
        ending = self.closing or self.joined
        return ending.at if ending is not None else None

    @property
    def place(self) -> Place:
        """Where it was reported first."""
        return Place(self.site, self.site_text, self.location)

    @property
    def level(self) -> int:
        """The level that rules and order go by: unknown counts as 2."""
        return UNKNOWN_LEVEL_COUNTS_AS if self.danger_level is None else self.danger_level

    @property
    def held(self) -> bool:
        """Whether a silence still keeps its mails back: nobody was told, and nobody answered."""
        return self.hold is not None and self.status is Status.OPEN and self.step < 0

    @property
    def nobody_reached(self) -> bool:
        """Whether every mail about it was refused so far, and nobody is left to be told now."""
        return self.status is Status.OPEN and bool(self.told) and not (self.awaited or self.reached or self.notified)

    @property
    def under_test(self) -> bool:
        """Whether all of it belongs to an announced test; one report beside the test makes it real."""
        return all(report.announced_test is not None for report in self.reports)

    @property
    def event_ids(self) -> tuple[str, ...]:
        """The events it absorbed."""
        return tuple(report.event_id for report in self.reports)

    @property
    def code(self) -> str:
        """Four characters to say on the phone, see `codes.py`."""
        return code_of(self.id)

    @property
    def urgency(self) -> int:
        """Order of mails, lower first: acute by level, then what is not acute, then exercises and what is learning."""
        if self.mode is Mode.EXERCISE or self.learning:
            return 9
        return 3 - self.level + (0 if self.acute else 4)
