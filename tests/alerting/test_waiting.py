"""What is let past what, where more waits on a partition than is applied."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from schemas.events import Acknowledged, Closed, EmergencyMailed, Event, Heartbeat, Mode, Outcome, Probe, Reported
from services.alerting.core.learning import keys_of
from services.alerting.reading.records import LetPast, Unread
from services.alerting.reading.waiting import FEW, LEAP, MOST_AHEAD, Read, Waiting
from tests.alerting.records import Record, record_of
from tests.core.office import MONDAY, report, rules

RULES = rules()


def keys(event: Event) -> Sequence[str]:
    return keys_of(event, RULES)


def read(*events: Event, first: int = 0) -> list[Read]:
    return [Read.of(record_of(event, first + number)) for number, event in enumerate(events)]


def quarrels(count: int = LEAP, **data: Any) -> list[Event]:
    """Presses in as many rooms, that nobody hurries for."""
    return [report(location=f"Raum Q{number}", danger_level=0, **data) for number in range(count)]


def weapon(id_: str = "weapon", **data: Any) -> Event:
    given: dict[str, Any] = {"location": "Zimmer 7", "danger_level": 3} | data
    return report(id=id_, **given)


def follow_up(data: Any, subject: str | None = "somebody's") -> Event:
    return Event(id="follow-up", source="bus", time=MONDAY, data=data, subject=subject)


def ids(reads: Sequence[Read]) -> list[str]:
    return [one.item.id if isinstance(one.item, Event) else "unread" for one in reads]


def let_past(*events: Event, in_turn: int = 0) -> list[str]:
    """Which go ahead, when so many of the first ones are being applied in their turn."""
    waiting = Waiting()
    waiting.put(read(*events))
    if in_turn:
        waiting.in_turn(in_turn)
    return ids(waiting.ahead(keys))


CLOSED = Closed(by="A. Muster", outcome=Outcome.RESOLVED)


@pytest.mark.parametrize(
    ("before", "urgent"),
    [
        (quarrels(), weapon()),
        (quarrels(), weapon(danger_level=None)),  # counts as 2
        (quarrels(kind="form"), weapon(danger_level=0)),  # a press is let past any form
        (quarrels(kind="form", acute=False), weapon(kind="form", danger_level=0)),
        ([follow_up(Heartbeat(device_id="btn"), None) for _ in range(LEAP)], weapon()),
        ([follow_up(Probe(), None), *quarrels()], weapon()),
        ([follow_up(Closed(by="A", outcome=Outcome.TEST, site="kiosk")), *quarrels()], weapon()),
        ([weapon("imported").model_copy(update={"imported": True}), *quarrels()], weapon()),
    ],
)
def test_what_is_more_urgent_than_much_before_it_is_let_past(before: list[Event], urgent: Event) -> None:
    assert let_past(*before, urgent) == [urgent.id]


@pytest.mark.parametrize(
    ("before", "urgent"),
    [
        (quarrels(LEAP - 1), weapon()),  # a commit more would gain nothing
        (quarrels(), weapon(danger_level=0)),
        (quarrels(), weapon(mode=Mode.EXERCISE)),
        (quarrels(), weapon(learning=True)),
        (quarrels(), weapon().model_copy(update={"imported": True})),
        (quarrels(), weapon().model_copy(update={"subject": "a"})),
        (quarrels(), follow_up(EmergencyMailed(event_ids=("a",), site="bernburg"), None)),
        # What comes later may have to find its incident ended, taken over, or mailed about.
        ([follow_up(CLOSED.model_copy(update={"site": "bernburg"})), *quarrels()], weapon()),
        ([follow_up(CLOSED), *quarrels()], weapon()),
        ([follow_up(Acknowledged(by="A. Muster", site="kiosk")), *quarrels()], weapon(site=None)),
        ([follow_up(EmergencyMailed(event_ids=("weapon",), site="bernburg"), None), *quarrels()], weapon()),
        ([weapon("named").model_copy(update={"subject": "a"}), *quarrels()], weapon()),
    ],
)
def test_what_stays_in_its_turn(before: list[Event], urgent: Event) -> None:
    assert let_past(*before, urgent) == []


def test_nor_is_it_applied_together_with_much_that_came_with_it() -> None:
    assert let_past(weapon(), *quarrels()) == ["weapon"]


def test_earlier_reports_of_the_place_the_device_or_the_matter_go_along_in_their_order() -> None:
    same_place = report(id="place", location="Zi. 7", danger_level=0)
    same_device = report(id="device", location="Flur", device_id="btn-7", danger_level=1)
    of_the_device = report(id="of the device", location="FLUR", danger_level=0, kind="form")
    urgent = weapon(device_id="btn-7")
    assert let_past(same_place, *quarrels(), of_the_device, same_device, urgent) == [
        "place", "of the device", "device", "weapon",
    ]  # fmt: skip


def test_what_may_concern_the_same_incident_as_what_is_being_applied_waits_for_that() -> None:
    before = [report(id="first", location="Zimmer 7", danger_level=0), *quarrels()]
    assert let_past(*before, weapon("7"), weapon("8", location="Zimmer 8"), in_turn=1) == ["8"]
    waiting = Waiting()
    waiting.put(read(*before, weapon()))
    assert ids(waiting.in_turn(1)) == ["first"]
    assert waiting.ahead(keys) == []
    waiting.moved(1)
    assert ids(waiting.ahead(keys)) == ["weapon"]


def test_the_same_id_again_is_no_other_event() -> None:
    first = report(id="same", location="Keller", danger_level=0)
    assert let_past(first, *quarrels(), weapon("same")) == ["same", "same"]
    assert let_past(first, *quarrels(), weapon("same"), in_turn=1) == []


def test_those_that_must_wait_hide_none_behind_them() -> None:
    behind = [weapon(f"behind {n}", location=f"Raum {n}") for n in range(MOST_AHEAD)]
    ended = follow_up(CLOSED.model_copy(update={"site": "bernburg"}))
    assert let_past(ended, *quarrels(), *behind, weapon(site="kiosk")) == ["weapon"]


def test_a_form_may_belong_to_a_press_of_another_site_that_it_names() -> None:
    ended = follow_up(CLOSED.model_copy(update={"site": "kiosk"}))
    form = weapon("form", kind="form", location="Flur", reference="ST/17")
    assert let_past(ended, *quarrels(kind="form"), form, weapon("press")) == ["press"]


def test_what_failed_at_it_is_not_let_past_once_more_when_its_turn_has_begun() -> None:
    waiting = Waiting()
    waiting.put(read(*quarrels(), weapon()))
    first = waiting.ahead(keys)
    assert len(waiting.in_turn(100)) == LEAP + 1
    waiting.settle(first, applied=False)
    waiting.put(read(weapon("same place"), first=100))
    assert waiting.ahead(keys) == []


def test_a_crowd_at_one_place_waits_for_its_turn() -> None:
    crowd = [report(location="Zimmer 7", danger_level=0) for _ in range(MOST_AHEAD)]
    assert let_past(*crowd, weapon(), weapon("8", location="Zimmer 8")) == ["8"]


def test_the_most_urgent_go_first_and_the_others_when_those_are_applied() -> None:
    waiting = Waiting()
    violence = [weapon(f"violence {n}", location=f"Raum {n}", danger_level=2) for n in range(MOST_AHEAD)]
    waiting.put(read(*quarrels(), *violence, weapon()))
    first = waiting.ahead(keys)
    assert len(first) == MOST_AHEAD
    assert ids(first)[-1] == "weapon"
    waiting.settle(first, applied=True)
    second = waiting.ahead(keys)
    assert ids(second) == [violence[-1].id]
    assert {type(one.in_its_turn) for one in first} == {LetPast}
    assert waiting.ahead(keys) == []


def test_what_could_not_be_applied_before_its_turn_is_left_to_it() -> None:
    waiting = Waiting()
    waiting.put(read(*quarrels(), weapon()))
    (urgent,) = waiting.ahead(keys)
    waiting.settle([urgent], applied=False)
    assert waiting.ahead(keys) == []
    assert waiting.in_turn(100)[-1] is urgent
    assert urgent.in_its_turn == urgent.item


def test_fewer_are_applied_at_once_where_something_urgent_waits_for_them() -> None:
    waiting = Waiting()
    waiting.put(read(*quarrels(2 * FEW), weapon(), *quarrels(2 * FEW)))
    waiting.put(read(weapon("8", location="Zimmer 8"), first=1000))
    assert len(waiting.in_turn(500)) == 2 * FEW
    waiting.moved(2 * FEW)
    assert len(waiting.in_turn(500)) == FEW


def test_what_cannot_be_read_holds_up_nothing_and_is_applied_in_its_turn() -> None:
    waiting = Waiting()
    unread = Read.of(Record(value=b"no JSON", offset=0))
    assert isinstance(unread.item, Unread)
    waiting.put([unread, *read(*quarrels(), weapon(), first=1)])
    assert ids(waiting.ahead(keys)) == ["weapon"]
    assert waiting.in_turn(1) == [unread]


def test_what_waits_is_counted_in_records_and_bytes() -> None:
    waiting = Waiting()
    reads = read(*quarrels())
    waiting.put(reads)
    assert (len(waiting), waiting.size) == (LEAP, sum(len(one.record.value or b"") for one in reads))
    waiting.moved(LEAP - 1)
    assert (len(waiting), waiting.size) == (1, reads[-1].size)
    waiting.moved(LEAP)
    assert (len(waiting), waiting.size) == (0, 0)


SITES = ("bernburg", "kiosk", None)


def made_up(chance: random.Random) -> Event:
    """Mostly quarrels, in rooms and by devices that come again."""
    site = chance.choice(SITES)
    if chance.random() < 0.01:
        return follow_up(CLOSED.model_copy(update={"site": site}))
    return report(
        site=site,
        location=f"Raum {chance.randrange(40)}",
        device_id=chance.choice([None, None, None, "btn-1", "btn-2", "btn-3"]),
        kind=chance.choice(["panic", "form"]),
        danger_level=chance.choice([0] * 12 + [None, 1, 2, 3]),
    )


class Partition(RuleBasedStateMachine):
    """A partition that is read, applied in turn and ahead, by one of each at a time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = Waiting()
        self.all: list[Read] = []
        self.applied: list[Read] = []
        self.turn: list[Read] = []
        self.underway: list[Read] | None = None
        self.ahead: list[Read] = []

    @rule(seed=st.integers(0, 2**32), count=st.integers(1, 60))
    def more_is_read(self, seed: int, count: int) -> None:
        chance = random.Random(seed)  # noqa: S311 – Hypothesis has it repeatable
        new = read(*(made_up(chance) for _ in range(count)), first=len(self.all))
        self.all += new
        self.waiting.put(new)

    @precondition(lambda self: not self.turn)
    @rule(most=st.integers(1, 40))
    def a_turn_begins(self, most: int) -> None:
        self.turn = self.waiting.in_turn(most)

    @precondition(lambda self: self.turn and self.underway is None and not set(self.turn) & set(self.ahead))
    @rule()
    def it_is_applied(self) -> None:
        self.underway = [one for one in self.turn if not isinstance(one.in_its_turn, LetPast)]

    @precondition(lambda self: self.underway is not None)
    @rule()
    def a_turn_ends(self) -> None:
        self.applied += self.underway or []
        self.waiting.moved(self.turn[-1].record.offset + 1)
        self.turn, self.underway = [], None

    @precondition(lambda self: not self.ahead)
    @rule()
    def some_go_ahead(self) -> None:
        self.ahead = self.waiting.ahead(keys)
        assert len(self.ahead) <= MOST_AHEAD
        assert set(self.ahead).isdisjoint(self.turn)

    @precondition(lambda self: self.ahead)
    @rule(well=st.sampled_from([True, True, False]))
    def they_are_settled(self, well: bool) -> None:
        self.waiting.settle(self.ahead, applied=well)
        self.applied += self.ahead if well else []
        self.ahead = []

    @invariant()
    def nothing_overtakes_what_it_must_not(self) -> None:
        done = {id(one): place for place, one in enumerate(self.applied)}
        going = {id(one): len(done) + place for place, one in enumerate(self.ahead)}
        places = done | going
        self._each_after(lambda one: places.get(id(one)))

    def _each_after(self, place: Callable[[Read], int | None]) -> None:
        """Whatever has a place has it behind all earlier ones that it must not overtake."""
        placed = [(number, at) for number, one in enumerate(self.all) if (at := place(one)) is not None]
        for number, at in placed:
            for earlier in self.all[:number]:
                before = place(earlier)
                if before is None or before > at:
                    assert not must_keep(earlier, self.all[number])

    def teardown(self) -> None:
        if self.ahead:
            self.they_are_settled(well=False)
        while self.turn or len(self.waiting):
            self.turn = self.turn or self.waiting.in_turn(500)
            self.it_is_applied()
            self.a_turn_ends()
        assert sorted(self.applied, key=self.all.index) == self.all


def must_keep(earlier: Read, later: Read) -> bool:
    """Whether the order of the two may matter to an incident."""
    first, second = earlier.item, later.item
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    if not isinstance(first.data, Reported):
        return first.data.site in (None, second.data.site) or second.data.site is None
    if not isinstance(second.data, Reported):
        return True  # a follow-up never overtakes
    return not set(keys(first)).isdisjoint(keys(second))


Partition.TestCase.settings = settings(
    max_examples=100, stateful_step_count=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
TestPartition = Partition.TestCase
