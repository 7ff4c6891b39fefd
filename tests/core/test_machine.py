"""A state machine over `decide`: whatever happens in whatever order, the promises hold."""

import inspect
from collections import Counter
from dataclasses import replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from schemas.events import Event, Kind, Mode, Outcome, Reported
from services.alerting.core import acting, emergency, joining, learning, reporting, splitting
from services.alerting.core import decide as deciding
from services.alerting.core.effects import (
    Action,
    Answer,
    Deadline,
    DeliveryResult,
    Notify,
    Purpose,
    Reason,
    SilenceEnded,
)
from services.alerting.core.incident import Incident, Status
from services.alerting.core.summary import held_back
from tests.core.office import MONDAY, Desk, emergency_mail, minutes, report

PLACES = st.sampled_from(["Zimmer 112", "Zi. 112", "Zimmer 113", None])


class Office(RuleBasedStateMachine):
    """People press, answer, mails succeed or fail, time passes – in any order."""

    @initialize()
    def opens(self) -> None:
        self.desk = Desk()

    def _some(self, pick: int) -> Incident:
        return list(self.desk.incidents.values())[pick % len(self.desk.incidents)]

    @rule(
        place=PLACES,
        level=st.sampled_from([None, 0, 1, 2, 3]),
        kind=st.sampled_from(["panic", "form"]),
        acute=st.booleans(),
        late=st.integers(-600, 7200),
        device=st.sampled_from([None, "btn1", "btn2"]),
    )
    def somebody_reports(
        self, place: str | None, level: int | None, kind: str, acute: bool, late: int, device: str | None
    ) -> None:
        acute = acute or kind == "panic"
        event = report(
            self.desk.now - timedelta(seconds=late),
            location=place,
            danger_level=level,
            kind=kind,
            acute=acute,
            device_id=device,
        )
        decision = self.desk.give(event)
        assert not (kind == "panic" and decision.reason is Reason.SUPPRESSED)
        assert decision.incident is not None
        assert event.id in decision.incident.event_ids
        if place is not None:  # without candidates it is the event register of the database that knows
            assert self.desk.give(event).reason is Reason.DUPLICATE

    @rule(place=PLACES)
    def an_exercise_is_held(self, place: str | None) -> None:
        before = {i.id: i for i in self.desk.incidents.values() if i.mode is Mode.ACTUAL}
        self.desk.press(location=place, mode=Mode.EXERCISE)
        assert {i.id: i for i in self.desk.incidents.values() if i.mode is Mode.ACTUAL} == before

    @rule(
        place=PLACES,
        level=st.sampled_from([None, 0, 1, 2, 3]),
        kind=st.sampled_from(["panic", "form"]),
        police=st.sampled_from(["none", "wanted", "called"]),
        mode=st.sampled_from(list(Mode)),
        device=st.sampled_from([None, "btn1", "btn2"]),
    )
    def a_learning_source_reports(
        self, place: str | None, level: int | None, kind: str, police: str, mode: Mode, device: str | None
    ) -> None:
        before, mails = dict(self.desk.incidents), len(self.desk.mails)
        found = self.desk.give(
            report(
                self.desk.now, source="new", learning=True, location=place, danger_level=level, kind=kind,
                police=police, mode=mode, device_id=device,
            )
        )  # fmt: skip
        assert found.reason is Reason.LEARNING
        assert found.incident is not None
        new = found.incident.id
        assert {id_: one for id_, one in self.desk.incidents.items() if id_ != new} == before, "it changed a real one"
        assert [n.recipient.email for _, id_, n in self.desk.mails[mails:] if id_ == new] == ["test@example.org"]
        assert len(self.desk.mails) == mails + 1

    @rule(site=st.booleans(), minutes=st.integers(1, 30))
    def buttons_are_tried(self, site: bool, minutes: int) -> None:
        self.desk.announce(*(() if site else ("btn1",)), minutes=minutes)

    @rule(site=st.booleans(), minutes=st.integers(1, 600))
    def a_silence_is_planned(self, site: bool, minutes: int) -> None:
        self.desk.silence(device=None if site else "btn1", minutes=minutes)

    @precondition(lambda self: self.desk.rules.plans.silences and self.desk.incidents)
    @rule(pick=st.integers(0, 50), summary=st.booleans())
    def a_silence_is_over(self, pick: int, summary: bool) -> None:
        incident, silences = self._some(pick), self.desk.rules.plans.silences
        over = silences[pick % len(silences)]
        plans = replace(self.desk.rules.plans, silences=tuple(s for s in silences if s is not over))
        self.desk.rules = replace(self.desk.rules, plans=plans)
        self.desk.give(SilenceEnded(over.id, (held_back(incident),) if summary else ()), incident)
        after = self.desk.incidents[incident.id]
        assert not (after.held and after.hold is not None and after.hold.silence_id == over.id)

    @precondition(lambda self: self.desk.incidents)
    @rule(pick=st.integers(0, 50), actions=st.lists(st.sampled_from(list(Action)), min_size=1, max_size=3, unique=True))
    def somebody_clicks(self, pick: int, actions: list[Action]) -> None:
        incident = self._some(pick)
        outcome = (Outcome.RESOLVED, Outcome.TEST)[pick % 2] if Action.CLOSE in actions else None
        decision = self.desk.click(incident, *actions, outcome=outcome, danger_level=pick % 4)
        assert decision.incident is None or decision.incident.level >= incident.level
        assert decision.incident is not None
        if Action.CALLED_POLICE not in actions:
            assert decision.incident.calls == incident.calls

    @precondition(lambda self: len(self.desk.incidents) > 1)
    @rule(pick=st.integers(0, 50), other=st.integers(0, 50))
    def somebody_joins_two(self, pick: int, other: int) -> None:
        one, into = self._some(pick), self._some(other)
        known = dict(self.desk.incidents)
        mails = len(self.desk.mails)
        decision = self.desk.join(one, into)
        if decision.reason not in joining.TAKEN_IN:
            assert self.desk.incidents == known
            assert len(self.desk.mails) == mails
            return
        ended, goes_on = self.desk.incidents[one.id], self.desk.incidents[into.id]
        assert ended.joined is not None
        assert ended.joined.into.id == into.id
        assert set(goes_on.event_ids) == {*one.event_ids, *into.event_ids}
        assert {p.email for p in one.told} <= {p.email for p in goes_on.told}
        assert goes_on.level >= max(one.level, into.level)
        assert goes_on.acute >= one.acute
        informed = {n.recipient.email for _, id_, n in self.desk.mails[mails:] if id_ == one.id}
        assert informed == {person.email for person in one.told}
        # What alarmed goes on alarming, unless a person has the other one and it is no graver.
        quieter = one.status is Status.OPEN and goes_on.status is not Status.OPEN
        assert not quieter or (into.status is Status.ACKNOWLEDGED and into.level >= one.level)
        assert not (goes_on.held and not one.held)
        assert not (goes_on.under_test and not one.under_test)

    @precondition(lambda self: any(len(i.reports) > 1 for i in self.desk.incidents.values()))
    @rule(pick=st.integers(0, 50), data=st.data())
    def somebody_splits_one(self, pick: int, data: st.DataObject) -> None:
        several = [i for i in self.desk.incidents.values() if len(i.reports) > 1]
        incident = several[pick % len(several)]
        chosen = data.draw(st.lists(st.sampled_from(incident.event_ids), unique=True, max_size=3))
        known = dict(self.desk.incidents)
        decision = self.desk.split(incident, *chosen)
        if decision.reason is not Reason.SPLIT_OFF:
            assert self.desk.incidents == known
            return
        new, stays = decision.incident, self.desk.incidents[incident.id]
        assert new is not None
        assert new.id in chosen
        assert sorted((*new.event_ids, *stays.event_ids)) == sorted(incident.event_ids)
        assert sorted((*new.calls, *stays.calls), key=str) == sorted(incident.calls, key=str)
        assert sorted((*new.hand_overs, *stays.hand_overs), key=str) == sorted(incident.hand_overs, key=str)
        assert (stays.status, stays.due_at, stays.level) == (incident.status, incident.due_at, incident.level)
        assert new.status is Status.OPEN
        assert new.told

    @precondition(lambda self: self.desk.incidents)
    @rule(pick=st.integers(0, 50), answer=st.sampled_from(list(Answer)))
    def mails_are_answered(self, pick: int, answer: Answer) -> None:
        self.desk.deliver(self._some(pick), answer)

    @precondition(lambda self: self.desk.incidents)
    @rule(pick=st.integers(0, 50), data=st.data())
    def an_old_result_arrives(self, pick: int, data: st.DataObject) -> None:
        incident = self._some(pick)
        sent = [n for _, id_, n in self.desk.mails if id_ == incident.id]
        if sent:
            n = data.draw(st.sampled_from(sent))
            answer = data.draw(st.sampled_from(list(Answer)))
            result = DeliveryResult(n.recipient.email, n.purpose, n.cycle, n.step, n.repetition, answer)
            self.desk.give(result, incident)

    @precondition(lambda self: self.desk.incidents)
    @rule(pick=st.integers(0, 50), data=st.data(), ago=st.integers(-600, 600))
    def ingest_has_mailed_itself(self, pick: int, data: st.DataObject, ago: int) -> None:
        incident = self._some(pick)
        about = data.draw(st.lists(st.sampled_from(incident.event_ids), min_size=1, unique=True))
        at = self.desk.now - timedelta(seconds=ago)
        decision = self.desk.give(emergency_mail(at, *about), incident)
        after = decision.incident
        assert after is not None
        assert (after.status, after.due_at, after.step, after.level) == (
            incident.status, incident.due_at, incident.step, incident.level,
        )  # fmt: skip
        if incident.joined is not None or incident.learning:
            assert after is incident
            return
        mailed = {r.event_id: r.emergency_mailed_at for r in after.reports}
        for before in incident.reports:
            known = [t for t in (before.emergency_mailed_at,) if t is not None]
            known += [min(at, self.desk.now)] if before.event_id in about else []
            assert mailed[before.event_id] == min(known, default=None)
        assert "notfall@example.org" in {person.email for person in after.told} or incident.site != "bernburg"
        assert self.desk.give(emergency_mail(at, *about), after).reason is Reason.EMERGENCY_MAILED_BEFORE

    @precondition(lambda self: any(i.due_at for i in self.desk.incidents.values()))
    @rule(pick=st.integers(0, 50))
    def a_deadline_comes(self, pick: int) -> None:
        waiting = [i for i in self.desk.incidents.values() if i.due_at]
        incident = waiting[pick % len(waiting)]
        mails = len(self.desk.mails)
        decision = self.desk.wait_until_due(incident)
        assert decision.reason is not Reason.NOT_DUE
        assert len(self.desk.mails) > mails, "a deadline that tells nobody"

    @rule(seconds=st.integers(1, 4000))
    def time_passes(self, seconds: int) -> None:
        self.desk.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.desk.incidents)
    @rule(pick=st.integers(0, 50))
    def a_timer_fires_early(self, pick: int) -> None:
        incident = self._some(pick)
        if incident.due_at is not None and incident.due_at > self.desk.now:
            assert self.desk.give(Deadline(incident.due_at), incident).reason is Reason.NOT_DUE

    @invariant()
    def each_report_belongs_to_one_incident(self) -> None:
        ids = Counter(id_ for i in self.desk.incidents.values() if i.joined is None for id_ in i.event_ids)
        assert not ids or max(ids.values()) == 1
        for incident in self.desk.incidents.values():
            if incident.joined is not None:
                assert set(incident.event_ids) <= set(ids), "a report that was lost"

    @invariant()
    def nobody_is_forgotten(self) -> None:
        for incident in self.desk.incidents.values():
            if incident.status is Status.CLOSED:
                assert incident.due_at is None
            else:
                assert incident.due_at is not None, "an incident that went silent"
                assert incident.told or incident.hold, "an incident that nobody was told of"

    @invariant()
    def only_a_harmless_form_is_held_back_and_not_for_ever(self) -> None:
        for incident in self.desk.incidents.values():
            if incident.held:
                assert incident.kind is Kind.FORM
                assert incident.danger_level in {0, 1}
                assert incident.mode is Mode.ACTUAL
                assert (incident.police, incident.calls) == ("none", ())
                assert incident.hold is not None
                assert incident.due_at == incident.hold.until

    @invariant()
    def only_what_was_under_test_ends_as_a_test(self) -> None:
        for incident in self.desk.incidents.values():
            if incident.closing is not None and incident.closing.outcome is Outcome.TEST:
                assert incident.under_test

    @invariant()
    def what_learns_tells_nobody_but_its_test_address(self) -> None:
        learning_ids = {i.id for i in self.desk.incidents.values() if i.learning}
        for incident in self.desk.incidents.values():
            told = {n.recipient.email for _, id_, n in self.desk.mails if id_ == incident.id}
            if incident.learning:
                assert told == {"test@example.org"}
                assert (incident.status, incident.closing, incident.joined) == (Status.CLOSED, None, None)
                assert len(incident.reports) == 1
            else:
                assert "test@example.org" not in told
                assert not learning_ids & set(incident.event_ids), "a real one that absorbed it"

    @invariant()
    def an_acute_alarm_is_never_left_alone_for_long(self) -> None:
        for incident in self.desk.incidents.values():
            if incident.held:
                continue
            if incident.status is Status.OPEN and incident.acute and incident.policy_name != "notice":
                assert incident.due_at is not None
                assert incident.due_at <= self.desk.now + minutes(15)

    @invariant()
    def nobody_is_told_twice_in_one_repetition(self) -> None:
        named = Counter(
            (id_, n.cycle, n.step, n.repetition, n.recipient.email, n.purpose) for _, id_, n in self.desk.mails
        )
        assert not named or max(named.values()) == 1

    @invariant()
    def what_is_taken_over_stays_quiet_until_its_time(self) -> None:
        for incident in self.desk.incidents.values():
            if incident.status is Status.ACKNOWLEDGED:
                assert incident.taken is not None
                assert incident.due_at is not None
                assert incident.due_at >= incident.taken.at

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self._replay()

    def _replay(self) -> None:
        """The stored inputs with their times give the same state."""
        again = Desk(self.desk.rules)
        for (at, incident_id, cause), plans in zip(self.desk.inputs, self.desk.in_force, strict=True):
            again.now, again.rules = at, replace(again.rules, plans=plans)
            reported = isinstance(cause, Event) and isinstance(cause.data, Reported)
            known = None if reported or incident_id is None else again.incidents.get(incident_id)
            again.give(cause, known)
        assert again.incidents == self.desk.incidents
        assert again.mails == self.desk.mails


Office.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestOffice = Office.TestCase


def test_a_year_of_escalation_costs_no_time() -> None:
    desk = Desk()
    incident = desk.press(danger_level=1)
    while desk.now < MONDAY + timedelta(days=365):
        decision = desk.wait_until_due(incident)
        assert any(isinstance(effect, Notify) and effect.purpose is Purpose.ALARM for effect in decision.effects)
    assert len(desk.told()) > 30_000


def test_every_reason_is_the_answer_to_something() -> None:
    source = "".join(
        inspect.getsource(module) for module in (deciding, acting, emergency, learning, reporting, joining, splitting)
    )
    assert [reason.name for reason in Reason if f"Reason.{reason.name}" not in source] == []
