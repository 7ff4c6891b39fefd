"""What one transaction decides and will write, gathered decision by decision."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, assert_never

from pydantic import TypeAdapter
from pydantic_core import to_json

from schemas import codec, topics
from schemas.events import Acknowledged, Closed, Event, HandedOver, PoliceRequested
from schemas.ids import named_id
from services.alerting.core.decide import decide
from services.alerting.core.devices import Sign
from services.alerting.core.effects import (
    Answer,
    Click,
    Decision,
    DeliveryResult,
    Input,
    Joined,
    JoinedInto,
    Notify,
    Purpose,
    Relay,
    SplitFrom,
    SplitOff,
    Withdraw,
)
from services.alerting.core.incident import Incident
from services.alerting.core.plans import Plans
from services.alerting.core.policy import Rules
from services.alerting.mailing.holder import new_lease
from services.common.mail.wire import OnTheWire

MAIL_COLUMNS = (
    "id", "incident_id", "cycle", "step", "repetition", "recipient", "role", "name", "purpose", "urgency", "created_at",
    "lease",
)  # fmt: skip
Row = dict[str, Any]
"""Values by the names of columns."""
INPUT: TypeAdapter[Input] = TypeAdapter(Input)
PLANS: TypeAdapter[Plans] = TypeAdapter(Plans)
_AT_ONCE = 50
"""Decisions that are made and written down one after the other: work that is repeated is faster, but all else waits."""
_DONE_BY_PEOPLE = (Click, Joined, JoinedInto, SplitOff, SplitFrom)
_TOLD_OF_PEOPLE = (Acknowledged, PoliceRequested, HandedOver, Closed)


def _by(cause: Input) -> str | None:
    """The name of who did it, where a person did something."""
    if isinstance(cause, _DONE_BY_PEOPLE):
        return cause.by
    if isinstance(cause, Event) and isinstance(cause.data, _TOLD_OF_PEOPLE):
        return cause.data.by
    return None


def outbox_id(incident_id: str, notify: Notify) -> uuid.UUID:
    """Names exactly one mail: the same decision made again is the same row, and the same Message-ID."""
    parts = (incident_id, notify.cycle, notify.step, notify.repetition, notify.recipient.email, notify.purpose.value)
    return uuid.UUID(named_id(uuid.NAMESPACE_OID, json.dumps(parts)))


@dataclass(frozen=True)
class Mail:
    """A leased mail with its incident; the result counts only with `lease`. `attempt` counts from 1.

    `crashes`: processes in a row that ended, or stood still, with the mail in hand. `message`: where it
    was put together ahead.
    """

    id: uuid.UUID
    lease: uuid.UUID
    incident: Incident
    notify: Notify
    created_at: datetime
    attempt: int
    crashes: int = 0
    message: OnTheWire | None = None

    def result(self, answer: Answer) -> DeliveryResult:
        """The input for `decide`."""
        n = self.notify
        return DeliveryResult(n.recipient.email, n.purpose, n.cycle, n.step, n.repetition, answer)


class _Change(NamedTuple):
    """One decision that changed an incident."""

    incident: Incident
    decision: Decision
    cause: Input
    now: datetime
    plans: Plans


@dataclass(slots=True)
class Changes:
    """`known` are the incidents locked in this transaction, as they are after the decisions so far."""

    now: datetime
    rules: Rules
    topic_prefix: str
    known: dict[str, Incident] = field(default_factory=dict)
    changed: dict[str, Incident] = field(default_factory=dict)
    journeys: list[tuple[Input, Decision]] = field(default_factory=list)
    signs: Sequence[Sign] = ()
    probes: Sequence[Event] = ()
    _unwritten: list[_Change] = field(default_factory=list)
    _timeline: list[Row] = field(default_factory=list)
    _mails: dict[uuid.UUID, Row] = field(default_factory=dict)
    _notifies: dict[uuid.UUID, Notify] = field(default_factory=dict)
    _withdrawn: set[str] = field(default_factory=set)
    _relayed: list[Row] = field(default_factory=list)

    def decide(self, candidates: Sequence[Incident], cause: Input) -> Decision:
        """Decide and gather; a decision that changes nothing leaves only its reason behind."""
        now = min(cause.time, self.now) if isinstance(cause, Event) and cause.imported else self.now
        decision = decide(candidates, cause, now=now, rules=self.rules)
        self.journeys.append((cause, decision))
        incident = decision.incident
        if incident is not None and not any(incident is candidate for candidate in candidates):
            self.known[incident.id] = self.changed[incident.id] = incident
            self._unwritten.append(_Change(incident, decision, cause, now, self.rules.plans))
        return decision

    async def pause(self) -> None:
        """Between decisions without a lock: others have the event loop for a moment, and may decide what is worse."""
        if len(self._unwritten) >= _AT_ONCE:
            self.write_down()
            await asyncio.sleep(0)

    def write_down(self) -> None:
        """Make rows of what was decided: of all of it kind by kind, which takes less than decision by decision."""
        unwritten, self._unwritten = self._unwritten, []
        self._timeline += [self._timeline_row(change) for change in unwritten]
        for change in unwritten:
            for effect in change.decision.effects:
                match effect:
                    case Notify():
                        self._mail(change.incident, effect)
                    case Withdraw():
                        self._withdraw(change.incident.id)
                    case Relay():
                        pass  # below
                    case _:
                        assert_never(effect)
        for change in unwritten:
            for effect in change.decision.effects:
                if isinstance(effect, Relay):
                    self._relay(change.incident, effect)

    @property
    def timeline(self) -> list[Row]:
        """Rows of `inputs`."""
        self.write_down()
        return self._timeline

    @property
    def mails(self) -> dict[uuid.UUID, Row]:
        """Rows of `outbox` by their ids."""
        self.write_down()
        return self._mails

    @property
    def notifies(self) -> dict[uuid.UUID, Notify]:
        """What asked for each of the mails."""
        self.write_down()
        return self._notifies

    @property
    def withdrawn(self) -> set[str]:
        """Incidents whose alarm mails are taken back."""
        self.write_down()
        return self._withdrawn

    @property
    def relayed(self) -> list[Row]:
        """Rows of `relay`, in their order."""
        self.write_down()
        return self._relayed

    def lease_mails(self, count: int, holder: str) -> None:
        """Lease the most urgent mails to this process from their birth: no other one will claim them."""
        urgent = sorted(self.mails.values(), key=lambda row: (row["urgency"], row["created_at"]))
        for row in urgent[:count]:
            row["lease"] = new_lease(holder)

    def leased_mails(self) -> list[Mail]:
        """The mails leased to this process."""
        return [
            Mail(id_, row["lease"], self.changed[row["incident_id"]], self.notifies[id_], row["created_at"], 1)
            for id_, row in self.mails.items()
            if row["lease"] is not None
        ]

    def publish(self, topic: str, record: codec.Record) -> None:
        """Have a record published after the commit, and after what was decided so far."""
        self.write_down()
        self._publish(topic, record)

    def _publish(self, topic: str, record: codec.Record) -> None:
        row = {
            "topic": topics.prefixed(topic, self.topic_prefix),
            "key": record.key,
            "value": record.value,
            "headers": to_json(record.headers).decode(),  # bytes become texts
        }
        self._relayed.append(row)

    def relay(self, incident: Incident, effect: Relay) -> None:
        """Have a change of the incident announced after the commit, and after what was decided so far."""
        self.write_down()
        self._relay(incident, effect)

    def _relay(self, incident: Incident, effect: Relay) -> None:
        data = effect.data
        # Several reports may join at once: one change each.
        about = f"{data.failure}/{data.source}/{','.join(data.event_ids)}"
        what = f"{incident.id}/{incident.revision}/{effect.change}/{about}"
        id_ = named_id(uuid.NAMESPACE_OID, what)
        self._publish(topics.LIFECYCLE, codec.encode_lifecycle(id_, effect.change, self.now, data))

    @staticmethod
    def _timeline_row(change: _Change) -> Row:
        return {
            "incident_id": change.incident.id,
            "revision": change.incident.revision,
            "at": change.now,
            "reason": change.decision.reason.value,
            "by": _by(change.cause),
            "body": INPUT.dump_json(change.cause).decode(),
            "plans": PLANS.dump_json(change.plans).decode() if change.plans else None,
        }

    def _mail(self, incident: Incident, notify: Notify) -> None:
        id_ = outbox_id(incident.id, notify)
        self._mails[id_] = {
            "id": id_,
            "incident_id": incident.id,
            "cycle": notify.cycle,
            "step": notify.step,
            "repetition": notify.repetition,
            "recipient": notify.recipient.email,
            "role": notify.recipient.role,
            "name": notify.recipient.name,
            "purpose": notify.purpose.value,
            "urgency": notify.urgency,
            "created_at": self.now,
            "lease": None,
        }
        self._notifies[id_] = notify

    def _withdraw(self, incident_id: str) -> None:
        """Also what this very transaction wanted to send; rows of earlier ones are withdrawn when it is saved."""
        self._withdrawn.add(incident_id)
        self._mails = {
            id_: row
            for id_, row in self._mails.items()
            if row["incident_id"] != incident_id or row["purpose"] != Purpose.ALARM.value
        }
