"""Plays events through `decide` with a made-up clock: deadlines fire when they are due, mails are answered at once."""

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from schemas.events import EmergencyMailed, Event, Outcome, Reported
from services.alerting.core.decide import decide
from services.alerting.core.effects import (
    Action,
    Answer,
    Click,
    Deadline,
    Decision,
    DeliveryResult,
    Input,
    Notify,
    Reason,
)
from services.alerting.core.incident import Incident, Status
from services.alerting.core.learning import keys_of
from services.alerting.core.messages import subject
from services.alerting.core.policy import Rules
from services.simulation.happenings import happenings
from services.simulation.timeline import Entry, Happening, Mail, Plan, Timeline

MOST_MAILS: Final = 1_000_000
_HELD_FOR: Final = timedelta(hours=24)
_REPEATS_SHOWN: Final = 2
_REFERENCE: Final = ":reference/"

_EVENT, _PERSON, _DEADLINE = range(3)
"""What comes first at the same instant: as live, an alarm waits until what has already arrived is read."""


class TooMuch(ValueError):
    """The simulation would send more mails than anybody could read."""


def simulate(rules: Rules, events: Iterable[Event], plan: Plan) -> Timeline:
    """Who would be told what and when.

    Args:
        rules: the configuration and its calendar.
        events: in any order; each arrives at its own time. One with an id that came before changes nothing. Imported
            ones are taken as if they came now: what would have been told is the question.
        plan: what people do, and how far to look.

    Raises:
        TooMuch: more than `MOST_MAILS` mails.
    """
    return Replay(rules, plan).run(events)


class Replay:
    """The state of one simulation; `run` may be called once."""

    def __init__(self, rules: Rules, plan: Plan) -> None:
        self._rules = rules
        self._plan = plan
        self._incidents: dict[str, Incident] = {}
        self._agenda: list[tuple[datetime, int, int, Event | Click | Deadline, str]] = []
        self._sharing: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._touched: dict[str, datetime] = {}
        self._heard: dict[str, datetime] = {}
        self._held: defaultdict[str, list[tuple[datetime, Event]]] = defaultdict(list)
        self._holders: dict[str, str] = {}
        self._mailed_early: defaultdict[str, list[tuple[datetime, Event]]] = defaultdict(list)
        self._entries: list[Entry] = []
        self._until: dict[str, datetime] = {}
        self._number = 0
        self._mails = 0

    def run(self, events: Iterable[Event]) -> Timeline:
        """Play everything until nothing is left to follow."""
        known: set[str] = set()
        for event in events:
            if event.id not in known:
                known.add(event.id)
                live = event.model_copy(update={"imported": False}) if event.imported else event
                self._put(live.time, _EVENT, live)
        while self._agenda:
            at, _, _, cause, incident_id = heapq.heappop(self._agenda)
            if isinstance(cause, Event):
                self._take(cause, at)
            elif isinstance(cause, Deadline):
                self._fire(incident_id, cause)
            else:
                self._act(incident_id, cause, at)
        self._entries.sort(key=lambda entry: entry.at)
        waiting = (*self._held.values(), *self._mailed_early.values())
        unheard = tuple(dict.fromkeys(event.id for of_one in waiting for _, event in of_one))
        return Timeline(self._rules, self._entries, self._incidents, self._until, unheard)

    def _put(self, at: datetime, rank: int, cause: Event | Click | Deadline, incident_id: str = "") -> None:
        self._number += 1
        heapq.heappush(self._agenda, (at, rank, self._number, cause, incident_id))

    # events

    def _take(self, event: Event, now: datetime) -> None:
        if isinstance(event.data, EmergencyMailed):
            self._mailed(event, event.data.event_ids, now)
            return
        candidates = self._candidates(event, now)
        if any(candidate.due_at is not None and candidate.due_at < now for candidate in candidates):
            concerned = decide(candidates, event, now=now, rules=self._rules).incident
            if concerned is not None and concerned.id in self._incidents:
                self._catch_up(concerned.id, now)
                candidates = [self._incidents[candidate.id] for candidate in candidates]
        decision = self._decide(candidates, event, now)
        if decision.reason is Reason.HELD:
            self._held[event.subject or ""].append((now, event))
        elif decision.incident is not None:
            self._heard[decision.incident.id] = now
            if isinstance(event.data, Reported):
                self._holders[event.id] = decision.incident.id
                self._release(event.id, now)
            if decision.reason is Reason.OPENED:
                self._opened(decision.incident.id, now)
            for since, mailed in self._mailed_early.pop(event.id, ()):
                if now - since <= _HELD_FOR:
                    self._mailed(mailed, (event.id,), now)

    def _mailed(self, event: Event, about: Sequence[str], now: datetime) -> None:
        """Ingest mailed the emergency contacts: told to each incident with such a report, kept for later ones."""
        holders = {id_: i.id for i in self._incidents.values() for id_ in i.event_ids if id_ in about}
        for incident_id in dict.fromkeys(holders.values()):
            self._catch_up(incident_id, now)
            self._decide([self._incidents[incident_id]], event, now)
        for id_ in about:
            if id_ not in holders:
                self._mailed_early[id_].append((now, event))

    def _release(self, report_id: str, now: datetime) -> None:
        for since, event in self._held.pop(report_id, ()):
            if now - since <= _HELD_FOR:
                self._take(event, now)

    def _opened(self, incident_id: str, now: datetime) -> None:
        for after, actions, outcome in (
            (self._plan.acknowledge_after, (Action.ACKNOWLEDGE,), None),
            (self._plan.close_after, (Action.CLOSE,), Outcome.RESOLVED),
        ):
            if after is not None:
                self._put(now + after, _PERSON, Click("simulation", actions, outcome=outcome), incident_id)

    def _candidates(self, event: Event, now: datetime) -> list[Incident]:
        """As the engine looks them up: what shares a key with a report, or is named by a follow-up.

        Only a reference joins after `merge.within`; leaving the others out changes nothing but the time it takes.
        """
        if not isinstance(event.data, Reported):
            found = self._incidents.get(self._holders.get(event.subject or "", ""))
            return [found] if found is not None else []
        oldest = now - self._rules.configuration.merge.within
        ids: dict[str, None] = {}
        for key in keys_of(event, self._rules):
            sharing = self._sharing.get(key, {})
            if not key.startswith(_REFERENCE):
                for incident_id in [known for known in sharing if self._touched[known] < oldest]:
                    del sharing[incident_id]
            ids |= sharing
        return [self._incidents[incident_id] for incident_id in ids]

    # people

    def _act(self, incident_id: str, click: Click, now: datetime) -> None:
        if self._plan.until is not None and now > self._heard[incident_id] + self._plan.until:
            return
        self._catch_up(incident_id, now)
        incident = self._incidents[incident_id]
        reached = (p for p in incident.told if p.email.casefold() not in self._plan.undeliverable)
        person = next(reached, None)
        by = (person.name or person.role) if person else click.by
        self._decide([incident], replace(click, by=by, email=person.email if person else None), now)

    # deadlines

    def _fire(self, incident_id: str, deadline: Deadline) -> None:
        incident = self._incidents[incident_id]
        if incident.due_at != deadline.due_at:
            return  # it has moved since
        if self._is_followed(incident, deadline.due_at):
            self._decide([incident], deadline, deadline.due_at)
        else:
            self._until[incident_id] = deadline.due_at

    def _is_followed(self, incident: Incident, due_at: datetime) -> bool:
        if self._plan.until is not None:
            return due_at <= self._heard[incident.id] + self._plan.until
        awaited = (self._plan.acknowledge_after, self._plan.close_after)
        to_come = max((after for after in awaited if after is not None), default=timedelta(-1))
        if due_at <= incident.opened_at + to_come:
            return True
        return incident.status is not Status.OPEN or incident.repetition < _REPEATS_SHOWN

    def _catch_up(self, incident_id: str, now: datetime) -> None:
        """What fell due since the incident was no longer followed: it happens, but is counted and not listed."""
        listed, self._entries = self._entries, []
        while (due_at := self._incidents[incident_id].due_at) is not None and due_at < now:
            self._decide([self._incidents[incident_id]], Deadline(due_at), due_at)
        missed = sum(isinstance(entry, Mail) for entry in self._entries)
        self._entries = listed
        if missed:
            text = f"{missed} more mails were sent until now (--until lists them)"
            self._entries.append(Happening(now, incident_id, "mails_not_listed", text))
        self._until.pop(incident_id, None)

    # deciding

    def _decide(self, candidates: Sequence[Incident], cause: Input, now: datetime) -> Decision:
        """Decide, note what is to be noted, and have every mail answered before anything else happens."""
        first = self._apply(candidates, cause, now)
        answers = deque(self._answers(first))
        while answers:
            incident_id, result = answers.popleft()
            answers.extend(self._answers(self._apply([self._incidents[incident_id]], result, now)))
        return first

    def _apply(self, candidates: Sequence[Incident], cause: Input, now: datetime) -> Decision:
        decision = decide(candidates, cause, now=now, rules=self._rules)
        incident = decision.incident
        if incident is None:
            return decision
        before = self._incidents.get(incident.id)
        self._entries += happenings(before, decision, cause, now, self._rules)
        if incident is not before:
            self._keep(incident, before, cause, now)
            self._note_mails(incident, decision, now)
        return decision

    def _keep(self, incident: Incident, before: Incident | None, cause: Input, now: datetime) -> None:
        self._incidents[incident.id] = incident
        if not isinstance(cause, Deadline | DeliveryResult):
            self._touched[incident.id] = now
            for key in incident.keys:
                self._sharing[key][incident.id] = None
        if incident.due_at is not None and (before is None or before.due_at != incident.due_at):
            self._put(incident.due_at, _DEADLINE, Deadline(incident.due_at), incident.id)

    def _note_mails(self, incident: Incident, decision: Decision, now: datetime) -> None:
        subjects: dict[str, str] = {}
        for effect in decision.effects:
            if not isinstance(effect, Notify):
                continue
            self._mails += 1
            if self._mails > MOST_MAILS:
                raise TooMuch(f"more than {MOST_MAILS:,} mails; choose fewer events or a shorter --until")
            purpose = effect.purpose
            if purpose not in subjects:
                subjects[purpose] = subject(incident, purpose, self._rules, now=now)
            self._entries.append(
                Mail(
                    now, incident.id, purpose, effect.step, effect.cycle, effect.repetition, effect.recipient.role,
                    effect.recipient.email, subjects[purpose], self._is_refused(effect.recipient.email),
                )
            )  # fmt: skip

    def _is_refused(self, address: str) -> bool:
        return address.casefold() in self._plan.undeliverable

    def _answers(self, decision: Decision) -> list[tuple[str, DeliveryResult]]:
        """What the mail server says at once.

        Mails that are all accepted change nothing about who is told later, so their answers are not decided about:
        that would be half of all decisions.
        """
        mails = [effect for effect in decision.effects if isinstance(effect, Notify)]
        if decision.incident is None or not any(self._is_refused(mail.recipient.email) for mail in mails):
            return []
        return [
            (
                decision.incident.id,
                DeliveryResult(
                    mail.recipient.email,
                    mail.purpose,
                    mail.cycle,
                    mail.step,
                    mail.repetition,
                    Answer.REFUSED if self._is_refused(mail.recipient.email) else Answer.ACCEPTED,
                ),
            )
            for mail in mails
        ]
