"""A small run that nothing is wrong with, made up without any service: decided by the core, mailed and told at once.

For the tests of the rules, which spoil one thing in it at a time.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from schemas.events import EmergencyMailed, Event, Kind, Mode, Outcome, Reported
from services.alerting.changes import INPUT, outbox_id
from services.alerting.core.decide import decide
from services.alerting.core.effects import (
    Action,
    Answer,
    Click,
    DeliveryResult,
    Notify,
    Purpose,
    Reason,
    Relay,
)
from services.alerting.core.effects import Input as Cause
from services.alerting.core.incident import Incident
from services.alerting.core.policy import Rules
from services.alerting.core.reporting import merge_keys
from tests.core.office import MONDAY, report, rules
from tests.faults.chaos.history import Act, Attempt, History, Input, Mail, Queued, Report, Stored, Told, watch_sender
from tests.faults.chaos.schedule import Fault, Span

FAULT = Span(Fault(300, "kill alerting", 20, 0), 300.0, 320.0)
"""While it lasts the watch mails about the third press."""


@dataclass
class MadeUp:
    """`at` are seconds since the run began; a mail is taken a tenth of a second after it was decided."""

    rules: Rules = field(default_factory=rules)
    known: dict[str, Incident] = field(default_factory=dict)
    inputs: dict[str, list[Input]] = field(default_factory=lambda: defaultdict(list))
    reports: list[Report] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    outbox: list[Queued] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    decided: list[Reason] = field(default_factory=list)

    def report(self, at: float, said: str, *, decided_at: float | None = None, **what: Any) -> str:
        """A report that is answered at once; returns the incident's id."""
        event = report(MONDAY + timedelta(seconds=at), location=said, **what)
        assert isinstance(event.data, Reported)
        data = event.data
        self.reports.append(
            Report(event.id, "bernburg", said, data.mode, data.kind, data.danger_level, at - 0.1, at, "accepted")
        )
        return self._give(at if decided_at is None else decided_at, event)

    def act(self, at: float, incident_id: str, *actions: Action, **what: Any) -> None:
        """A person answers, and calls the police besides where that is one of the actions."""
        decided = len(self.decided)
        self._give(at, Click("A. Muster", actions, **what), incident_id)
        action = "acknowledge_and_called" if Action.CALLED_POLICE in actions else actions[0].value
        self.acts.append(Act(incident_id, action, "A. Muster", at + 0.1, self.decided[decided].value))

    def emergency(self, at: float, number: int, *event_ids: str) -> None:
        """The watch of an ingest mails about these reports, and says so."""
        mail_id = f"emergency {number} {at}"
        said = "\n".join(f"• {r.said}, Bernburg (Parkstraße) – 09:12" for r in self.reports if r.event_id in event_ids)
        to, sender = "notfall@example.org", watch_sender(number)
        self.mails.append(Mail(at, sender, to, "ALARM · Notbetrieb", said, f"<{mail_id}>", emergency_id=mail_id))
        now = MONDAY + timedelta(seconds=at)
        event = Event(id=mail_id, source="watch", time=now, data=EmergencyMailed(event_ids=event_ids))
        for id_ in {i.id for i in self.known.values() if not set(event_ids).isdisjoint(i.event_ids)}:
            self._give(at, event, id_)

    def _give(self, at: float, cause: Cause, about: str | None = None) -> str:
        now = MONDAY + timedelta(seconds=at)
        candidates = [self.known[about]] if about is not None else []
        if isinstance(cause, Event) and isinstance(cause.data, Reported):
            keys = merge_keys(cause.data, self.rules)
            candidates = [one for one in self.known.values() if not set(keys).isdisjoint(one.keys)]
        decision = decide(candidates, cause, now=now, rules=self.rules)
        self.decided.append(decision.reason)
        incident = decision.incident
        assert incident is not None
        if any(incident is candidate for candidate in candidates):
            return incident.id
        self.known[incident.id] = incident
        self.inputs[incident.id].append(Input(incident.revision, at, now, INPUT.dump_json(cause).decode()))
        self.told += [Told(e.change, e.data, at) for e in decision.effects if isinstance(e, Relay)]
        for effect in decision.effects:
            if isinstance(effect, Notify):
                self._mail(at + 0.1, incident, effect)
        return incident.id

    def _mail(self, at: float, incident: Incident, notify: Notify) -> None:
        id_, recipient = str(outbox_id(incident.id, notify)), notify.recipient.email
        step = f"{notify.purpose.value}-{notify.cycle}-{notify.step}-{notify.repetition}"
        text = f"{incident.location}, Bernburg (Parkstraße) – 09:12 Uhr"
        self.mails.append(
            Mail(
                at, "rufkette@example.org", recipient, "ALARM", text, f"<{id_}@example.org>",
                level=str(incident.danger_level), incident_id=incident.id, step=step,
            )
        )  # fmt: skip
        self.outbox.append(Queued(id_, recipient, "accepted", 1.0, at + 0.1))
        self.attempts.append(
            Attempt(
                id_, 1, "alerting 0", "accepted", "normal", incident.id, notify.purpose.value, notify.cycle,
                at - 0.05, at,
            )
        )  # fmt: skip
        if notify.purpose is Purpose.ALARM:
            n = notify
            self._give(
                at, DeliveryResult(recipient, n.purpose, n.cycle, n.step, n.repetition, Answer.ACCEPTED), incident.id
            )

    def history(self, *spans: Span) -> History:
        """All of it, when it is over."""
        said = {"open": "alerted", "acknowledged": "acknowledged", "closed": "closed"}
        return History(
            rules=self.rules,
            reports=tuple(self.reports),
            acts=tuple(self.acts),
            mails=tuple(self.mails),
            spans=spans,
            incidents={id_: Stored(self.known[id_], tuple(inputs)) for id_, inputs in self.inputs.items()},
            outbox=tuple(self.outbox),
            attempts=tuple(self.attempts),
            lifecycle=tuple(self.told),
            statuses={id_: said[one.status.value] for one in self.known.values() for id_ in one.event_ids},
            journals={"ingest 0": 0, "ingest 1": 0},
        )


def a_good_run() -> History:
    """A press that is taken over, one that is closed, one that the watch mailed, an open form, an exercise."""
    made = MadeUp()
    first = made.report(100, "Raum 00000000000a", danger_level=2)
    made.report(105, "Zimmer 00000000000a", danger_level=3)
    made.act(110, first, Action.ACKNOWLEDGE, Action.CALLED_POLICE)
    second = made.report(200, "Raum 00000000000b", danger_level=3)
    made.act(210, second, Action.CLOSE, outcome=Outcome.RESOLVED)
    made.report(250, "Raum 00000000000c", kind=Kind.FORM, source="forms", danger_level=1)
    made.report(260, "Zimmer 00000000000c", mode=Mode.EXERCISE)
    made.report(301, "Raum 00000000000d", danger_level=2, id="unheard", decided_at=325)
    made.emergency(307, 0, "unheard")
    return made.history(FAULT)
