"""Who is told at which minute: tables for the test office, and the same mails as deciding step by step gives."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Acknowledged, Category, Closed, Event, Heartbeat, Kind, Mode, Outcome, PoliceWish
from services.alerting.core.decide import decide
from services.alerting.core.effects import Answer, Notify
from services.alerting.core.incident import Status
from services.alerting.core.messages import compose
from services.simulation.replay import simulate
from services.simulation.timeline import Happening, Plan, Timeline
from services.simulation.words import step
from tests.core.office import BERLIN, MONDAY, Desk, emergency_mail, minutes, report, rules

RULES = rules()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def told(timeline: Timeline) -> list[tuple[float, str, str]]:
    """(minute, step, first part of the address) of each mail."""
    return [
        (timeline.after(mail).total_seconds() / 60, step(mail), mail.address.partition("@")[0])
        for mail in timeline.mails
    ]


def said(timeline: Timeline) -> list[tuple[float, str]]:
    return [
        (timeline.after(entry).total_seconds() / 60, entry.what)
        for entry in timeline.entries
        if isinstance(entry, Happening)
    ]


OPEN = [(0, "1", "wache"), (0, "1", "leitung"), (2, "2", "vertretung"), (5, "3", "bereitschaft")]
AGAIN = [(10, "3 again", "bereitschaft"), (15, "3 again", "bereitschaft")]
ON_CALL = [(0, "3", "bereitschaft"), (5, "3 again", "bereitschaft"), (10, "3 again", "bereitschaft")]
NORMAL = [(0, "1", "leitung"), (15, "1 again", "leitung"), (30, "1 again", "leitung")]
CLOSED = [(0, "1", "leitung"), *OPEN[2:]]


@pytest.mark.parametrize(
    ("time", "data", "expected"),
    [
        # In opening hours everybody is told, then the last step is repeated.
        ("2026-01-05T09:12", {}, [*OPEN, *AGAIN]),
        # At night house security is absent, the others are told all the same.
        ("2026-01-05T22:30", {}, [*CLOSED, *AGAIN]),
        # Epiphany is a holiday in Saxony-Anhalt: closed, though it is a Tuesday morning.
        ("2026-01-06T09:12", {}, [*CLOSED, *AGAIN]),
        # A special closing day.
        ("2026-12-24T09:12", {}, [*CLOSED, *AGAIN]),
        # The office closes between the steps; who has been told stays told.
        ("2026-01-05T11:59", {}, [*OPEN, *AGAIN]),
        # A site with nobody: each step is skipped at once, until one reaches the organisation's on-call service.
        ("2026-01-05T09:12", {"site": "kiosk"}, ON_CALL),
        # An unknown site: roles of the whole organisation.
        ("2026-01-05T09:12", {"site": None}, ON_CALL),
        # Level 1 in opening hours, and at night.
        ("2026-01-05T09:12", {"danger_level": 1}, NORMAL),
        ("2026-01-05T22:30", {"danger_level": 1}, [(m, "1 again" if m else "1", "bereitschaft") for m in (0, 10, 20)]),
    ],
)  # fmt: skip
def test_who_is_told_if_nobody_answers(time: str, data: dict[str, Any], expected: list[Any]) -> None:
    assert told(simulate(RULES, [report(at(time), **data)], Plan())) == expected


def test_a_role_that_is_not_there_is_named() -> None:
    night = simulate(RULES, [report(at("2026-01-05T22:30"))], Plan())
    assert [e.text for e in night.entries if isinstance(e, Happening)] == [
        'opened: level unknown, counts as 2, rule "violence", policy urgent, police advised',
        "step 1 without house_security (present only when open)",
    ]
    kiosk = simulate(RULES, [report(site="kiosk", danger_level=1)], Plan())
    assert said(kiosk)[:2] == [(0, "opened"), (0, "skipped")]
    assert told(kiosk)[0] == (0, "emergency", "bereitschaft")


def test_what_is_not_acute_is_told_on_opening_days() -> None:
    form = report(at("2026-01-05T09:12"), kind=Kind.FORM, acute=False)
    mails = simulate(RULES, [form], Plan()).mails
    assert [m.at.astimezone(BERLIN).isoformat()[:10] for m in mails][:2] == ["2026-01-05", "2026-01-09"]
    assert len(mails) == 3


def test_somebody_takes_over_and_it_runs_out() -> None:
    timeline = simulate(RULES, [report()], Plan(acknowledge_after=minutes(3)))
    everybody = ("wache", "leitung", "vertretung")
    assert told(timeline)[:8] == [
        *OPEN[:3],
        *((3, "taken over", address) for address in everybody),
        (28, "reminder", "wache"),  # to the person who took over
        (33, "1", "wache"),  # 30 minutes later nobody had closed it
    ]
    assert [after - 33 for after, _, _ in told(timeline)[7:]] == [0, 0, 2, 5, 10, 15]
    assert said(timeline) == [(0, "opened"), (3, "acknowledged"), (33, "acknowledgement_ran_out")]


def test_pressed_again_after_somebody_took_over() -> None:
    again = report(at("2026-01-05T09:13:30"))
    timeline = simulate(RULES, [report(), again], Plan(acknowledge_after=minutes(1)))
    assert (3, "acknowledgement_ran_out") in said(timeline)
    texts = [one.text for one in timeline.entries if isinstance(one, Happening) and one.what.endswith("ran_out")]
    assert texts == ["pressed again after it was taken over: alarmed again"]


def test_somebody_closes_it() -> None:
    timeline = simulate(RULES, [report()], Plan(acknowledge_after=minutes(1), close_after=minutes(10)))
    assert told(timeline)[-2:] == [(10, "closed", "wache"), (10, "closed", "leitung")]
    assert said(timeline) == [(0, "opened"), (1, "acknowledged"), (10, "closed")]
    assert timeline.followed_until == {}


def test_late_takeovers_see_every_repeat_before() -> None:
    timeline = simulate(RULES, [report()], Plan(acknowledge_after=minutes(31)))
    assert [m for m, what, _ in told(timeline) if what == "3 again" and m < 31] == [10, 15, 20, 25, 30]


def test_people_come_before_deadlines_of_the_same_minute() -> None:
    timeline = simulate(RULES, [report()], Plan(acknowledge_after=minutes(2), until=minutes(20)))
    assert (2, "2", "vertretung") not in told(timeline)


def test_until_counts_from_the_last_event() -> None:
    timeline = simulate(RULES, [report()], Plan(until=minutes(60)))
    assert [m for m, _, _ in told(timeline)][4:] == list(range(10, 61, 5))
    assert timeline.followed_until == {timeline.mails[0].incident_id: MONDAY + minutes(65)}
    assert told(simulate(RULES, [report()], Plan(until=minutes(0)))) == OPEN[:2]
    assert len(told(simulate(RULES, [report()], Plan(until=minutes(1), acknowledge_after=minutes(5))))) == 2


def test_refused_addresses_hand_on_to_the_next_people() -> None:
    refused = frozenset({"wache@example.org", "leitung@example.org"})
    timeline = simulate(RULES, [report()], Plan(undeliverable=refused))
    assert told(timeline)[:3] == [
        (0, "1, refused", "wache"), (0, "1, refused", "leitung"), (0, "2", "vertretung"),
    ]  # fmt: skip
    assert (0, "nobody_reached") in said(timeline)
    assert [m for m, _, who in told(timeline) if who == "bereitschaft"] == [5, 10, 15]
    one = simulate(RULES, [report()], Plan(undeliverable=frozenset({"wache@example.org"})))
    assert [m for m, _, _ in told(one)] == [0, 0, 2, 5, 10, 15]


def test_nobody_at_all_can_be_reached() -> None:
    addresses = ["wache", "leitung", "vertretung", "bereitschaft", "notfall"]
    timeline = simulate(RULES, [report()], Plan(undeliverable=frozenset(f"{a}@example.org" for a in addresses)))
    assert [who for m, _, who in told(timeline) if m == 0] == addresses
    assert any(what == "emergency, refused" for _, what, _ in told(timeline))


def test_events_are_played_in_order_of_time_and_deadlines_between_them() -> None:
    first = report(MONDAY, id="a")
    other = report(MONDAY + minutes(3), id="b", location="Zimmer 999")
    again = report(MONDAY + minutes(4), id="c", danger_level=3)
    timeline = simulate(RULES, [again, other, first], Plan())
    assert list(timeline.incidents) == ["a", "b"]
    assert [entry.at for entry in timeline.entries] == sorted(entry.at for entry in timeline.entries)
    assert [(e.what, e.incident_id) for e in timeline.entries if isinstance(e, Happening)] == [
        ("opened", "a"), ("opened", "b"), ("merged_realarmed", "a"),
    ]  # fmt: skip
    # The graver report starts anew, so that the step at minute 5 is the first of the second round.
    assert [m for m, _, _ in told(timeline) if m == 4]


def test_follow_ups_count_even_before_their_report() -> None:
    early = Event(id="f1", source="x", time=MONDAY - minutes(1), data=Acknowledged(by="A. Muster"), subject="a")
    late = Event(
        id="f2",
        source="x",
        time=MONDAY + minutes(9),
        subject="a",
        data=Closed(by="A. Muster", outcome=Outcome.RESOLVED),
    )
    lost = Event(id="f3", source="x", time=MONDAY, data=Acknowledged(by="A. Muster"), subject="nowhere")
    timeline = simulate(RULES, [report(id="a"), early, late, lost], Plan())
    assert said(timeline) == [(0, "opened"), (0, "acknowledged"), (9, "closed")]
    assert timeline.unheard == ("f3",)
    assert [what for m, what, _ in told(timeline) if m == 9] == ["closed", "closed"]


def test_what_was_not_followed_happens_all_the_same() -> None:
    closing = Event(
        id="f", source="x", time=MONDAY + timedelta(hours=2), subject="a",
        data=Closed(by="A. Muster", outcome=Outcome.RESOLVED),
    )  # fmt: skip
    timeline = simulate(RULES, [report(id="a"), closing], Plan())
    texts = [e.text for e in timeline.entries if isinstance(e, Happening)]
    # Repeats at minute 10 and 15 are shown; 20, 25 … 115 are not: twenty.
    assert "20 more mails were sent until now (--until lists them)" in texts
    assert (
        len(simulate(RULES, [report(id="a"), closing], Plan(until=timedelta(hours=2))).mails)
        == len(timeline.mails) + 20
    )


def test_what_is_no_news_changes_nothing() -> None:
    press = report(id="a")
    heartbeat = Event(id="h", source="buttons", time=MONDAY, data=Heartbeat(device_id="b1"))
    past = press.model_copy(update={"imported": True})
    expected = told(simulate(RULES, [press], Plan()))
    assert told(simulate(RULES, [press, press, heartbeat], Plan())) == expected
    assert told(simulate(RULES, [past], Plan())) == expected


REPORTS = st.builds(
    report,
    st.integers(0, 60).map(lambda n: MONDAY + minutes(n)),
    kind=st.sampled_from(Kind),
    site=st.sampled_from(["bernburg", "kiosk", "elsewhere", None]),
    location=st.sampled_from(["Zimmer 112", "113", None]),
    device_id=st.sampled_from(["b1", None]),
    reference=st.sampled_from(["r1", None]),
    danger_level=st.none() | st.integers(0, 3),
    category=st.none() | st.sampled_from(Category),
    acute=st.booleans(),
    police=st.sampled_from(PoliceWish),
    mode=st.sampled_from(Mode),
)


@given(REPORTS)
def test_the_first_mails_are_what_decide_gives(event: Event) -> None:
    decision = decide([], event, now=event.time, rules=RULES)
    assert decision.incident is not None
    expected = [
        (n.recipient.email, n.step, compose(decision.incident, n, RULES, now=event.time, link="").subject)
        for n in decision.effects
        if isinstance(n, Notify)
    ]
    timeline = simulate(RULES, [event], Plan(until=timedelta()))
    assert [(m.address, m.step, m.subject) for m in timeline.mails if m.at == event.time] == expected


@settings(max_examples=150, deadline=None)
@given(st.lists(REPORTS, min_size=1, max_size=4), st.integers(0, 45))
def test_it_is_what_deciding_one_after_the_other_gives(events: list[Event], until: int) -> None:
    """An independent and slow way: look at every incident every time, and answer every mail."""
    events = sorted(events, key=lambda event: event.time)
    desk, horizon = Desk(RULES), events[-1].time + minutes(until)
    for event, following in itertools.pairwise([*events, None]):
        assert event is not None
        desk.now = event.time
        answer(desk, desk.give(event).incident)
        end = horizon if following is None else following.time - timedelta(microseconds=1)
        while due := [i for i in desk.incidents.values() if i.due_at is not None and i.due_at <= end]:
            first = min(due, key=lambda incident: incident.due_at or end)
            desk.wait_until_due(first)
            answer(desk, first)
    slow = sorted((at, i, n.purpose, n.step, n.cycle, n.repetition, n.recipient.email) for at, i, n in desk.mails)
    assert mails(simulate(RULES, events, Plan(until=horizon - events[0].time)), horizon) == slow
    # By default the later repeats are left out, and nothing else differs.
    shown = mails(simulate(RULES, events, Plan()), horizon)
    assert [mail for mail in slow if mail[5] <= 1] == [mail for mail in shown if mail[5] <= 1]
    assert set(shown) <= set(slow)


def mails(timeline: Timeline, horizon: datetime) -> list[tuple[Any, ...]]:
    return sorted(
        (m.at, m.incident_id, m.purpose, m.step, m.cycle, m.repetition, m.address)
        for m in timeline.mails
        if m.at <= horizon
    )


def answer(desk: Desk, about: Any) -> None:
    if about is not None:
        desk.deliver(desk.incidents[about.id], Answer.ACCEPTED)


@pytest.mark.parametrize("taken_at", [0.25, 2])
def test_a_follow_up_may_name_a_report_that_joined(taken_at: float) -> None:
    presses = [report(MONDAY, id="a"), report(MONDAY + minutes(0.5), id="b")]
    data = Acknowledged(by="A")
    taken = Event(id="x", source="bus", time=MONDAY + minutes(taken_at), data=data, subject="b")
    timeline = simulate(RULES, [*presses, taken], Plan(until=minutes(5)))
    assert [incident.status for incident in timeline.incidents.values()] == [Status.ACKNOWLEDGED]
    assert timeline.unheard == ()


@pytest.mark.parametrize("mailed_at", [-1, 1])
def test_ingest_has_mailed_itself(mailed_at: float) -> None:
    """Whether it comes before its report or after it: nobody is told otherwise, and the contacts hear of the end."""
    presses = [report(MONDAY, id="a"), report(MONDAY + minutes(0.5), id="b")]
    mail = emergency_mail(MONDAY + minutes(mailed_at), "a", "b", "never came")
    plan = Plan(acknowledge_after=minutes(3))
    without, timeline = simulate(RULES, presses, plan), simulate(RULES, [*presses, mail], plan)
    assert [what for _, what in said(timeline) if what.startswith("emergency")] == ["emergency_mailed"] * (
        2 if mailed_at < 0 else 1
    )
    extra = [m for m in timeline.mails if m.address == "notfall@example.org"]
    assert {m.purpose.value for m in extra} == {"taken_over"}
    assert [m for m in timeline.mails if m not in extra] == without.mails
    assert timeline.unheard == (mail.id,)
