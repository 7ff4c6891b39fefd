"""What `decide` wants done, and why. Effects are imperatives; the shell carries them out in one commit."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from schemas.events import Event, Mode, Outcome
from schemas.lifecycle import Change, Lifecycle
from services.alerting.core.incident import HandOver, HeldBack, Incident, Place, PoliceCall, Recipient, Report, Target


class Purpose(StrEnum):
    """Why a mail is sent. Alarm mails are withdrawn when somebody takes over; the others inform."""

    ALARM = "alarm"
    TAKEN_OVER = "taken_over"
    REMINDER = "reminder"
    CLOSED = "closed"
    SILENCE_ENDED = "silence_ended"
    UNSENDABLE = "unsendable"
    """To the emergency contacts: an alarm mail could not be sent. Asked for by the mailer, never by a decision."""
    JOINED = "joined"


@dataclass(frozen=True, slots=True)
class Notify:
    """Mail one recipient. (incident, cycle, step, repetition, recipient, purpose) name exactly one mail.

    `step` counts from 1; 0 stands for the emergency contacts of an alarm that can reach nobody else. A mail about
    joining carries the incident's revision as its `repetition`: an incident may be joined several times in one step.
    """

    recipient: Recipient
    purpose: Purpose
    cycle: int
    step: int
    repetition: int
    urgency: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take back the alarm mails of this incident that no mailer has claimed yet."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Tell the world on `incidents.lifecycle`."""

    change: Change
    data: Lifecycle


Effect = Notify | Withdraw | Relay


@dataclass(frozen=True, slots=True)
class Deadline:
    """An incident's due time has come."""

    due_at: datetime


class Action(StrEnum):
    """What a person can do on the page reached from a mail."""

    ACKNOWLEDGE = "acknowledge"
    CALLED_POLICE = "called_police"
    HAND_OVER = "hand_over"
    RAISE_LEVEL = "raise_level"
    ADD_MEASURES = "add_measures"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Click:
    """A person did something at the desk. `by` is the name that they gave, `email` the recipient whose link it was.

    `seen`: reports that the page showed, when they ended the incident.
    """

    by: str
    actions: tuple[Action, ...]
    email: str | None = None
    danger_level: int | None = None
    reference: str | None = None
    on: date | None = None
    outcome: Outcome | None = None
    note: str | None = None
    measures: tuple[str, ...] = ()
    seen: int | None = None


class Answer(StrEnum):
    """What became of a mail for good (passing failures are retried and never reach the core)."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """A mail server accepted or refused a mail for good."""

    recipient: str
    purpose: Purpose
    cycle: int
    step: int
    repetition: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class SilenceEnded:
    """A planned silence is over, by itself or early. `summary` is given for one of the incidents that it held back."""

    silence_id: str
    summary: tuple[HeldBack, ...] = ()


@dataclass(frozen=True, slots=True)
class Joined:
    """A person says that another incident is the same matter as this one: all of it, as it was at that moment."""

    by: str
    reason: str
    other: Incident


@dataclass(frozen=True, slots=True)
class JoinedInto:
    """The same for the other incident: this one goes on in `into`."""

    by: str
    reason: str
    into: Target


@dataclass(frozen=True, slots=True)
class SplitOff:
    """A person says that these reports are another matter.

    `calls` and `hand_overs` are those that go with them beside what the reports tell themselves: what an incident
    that is to live again had brought along when it was joined.
    """

    by: str
    reason: str
    event_ids: tuple[str, ...]
    calls: tuple[PoliceCall, ...] = ()
    hand_overs: tuple[HandOver, ...] = ()


@dataclass(frozen=True, slots=True)
class SplitFrom:
    """The same for the incident that opens: what it takes along from the incident `origin`, which is at `place`."""

    by: str
    reason: str
    origin: str
    place: Place
    mode: Mode
    imported: bool
    reports: tuple[Report, ...]
    calls: tuple[PoliceCall, ...] = ()
    hand_overs: tuple[HandOver, ...] = ()


Input = Event | Deadline | Click | DeliveryResult | SilenceEnded | Joined | JoinedInto | SplitOff | SplitFrom


class Reason(StrEnum):
    """Why the decision is what it is; every outcome has one, no-ops included."""

    OPENED = "opened"
    MERGED = "merged"
    MERGED_REALARMED = "merged_realarmed"
    REOPENED = "reopened"
    DUPLICATE = "duplicate"
    IMPORTED = "imported"
    LEARNING = "learning"
    SUPPRESSED = "suppressed"
    SILENCE_ENDED = "silence_ended"
    STEP_DUE = "step_due"
    REPEAT_DUE = "repeat_due"
    REMINDED = "reminded"
    ACKNOWLEDGEMENT_RAN_OUT = "acknowledgement_ran_out"
    NOT_DUE = "not_due"
    ACKNOWLEDGED = "acknowledged"
    ALREADY_ACKNOWLEDGED = "already_acknowledged"
    POLICE_REQUESTED = "police_requested"
    POLICE_CALLED_AGAIN = "police_called_again"
    HANDED_OVER = "handed_over"
    MEASURES_ADDED = "measures_added"
    NOT_CLOSED = "not_closed"
    LEVEL_RAISED = "level_raised"
    LEVEL_NOT_RAISED = "level_not_raised"
    CLOSED = "closed"
    ALREADY_CLOSED = "already_closed"
    PRESSED_SINCE = "pressed_since"
    HELD = "held"
    NOT_ABOUT_AN_INCIDENT = "not_about_an_incident"
    EMERGENCY_MAILED = "emergency_mailed"
    EMERGENCY_MAILED_BEFORE = "emergency_mailed_before"
    MAIL_ACCEPTED = "mail_accepted"
    MAIL_REFUSED = "mail_refused"
    NOBODY_REACHED = "nobody_reached"
    OUTCOME_REFUSED = "outcome_refused"
    OUTDATED_RESULT = "outdated_result"
    JOINED = "joined"
    JOINED_REALARMED = "joined_realarmed"
    JOINED_INTO = "joined_into"
    ALREADY_JOINED = "already_joined"
    SAME_INCIDENT = "same_incident"
    MODES_DIFFER = "modes_differ"
    SITES_DIFFER = "sites_differ"
    PAST_AND_PRESENT = "past_and_present"
    SPLIT = "split"
    SPLIT_OFF = "split_off"
    UNKNOWN_REPORT = "unknown_report"
    FIRST_REPORT = "first_report"
    SEVERAL_INCIDENTS = "several_incidents"
    NOT_SPLIT = "not_split"


WITH_A_REASON: Final = frozenset(
    {Reason.JOINED, Reason.JOINED_REALARMED, Reason.JOINED_INTO, Reason.SPLIT, Reason.SPLIT_OFF}
)
"""Outcomes of a person's regrouping, whose inputs carry why."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The incident as it is now (None: none concerned), what to do, and why."""

    incident: Incident | None
    effects: tuple[Effect, ...]
    reason: Reason
