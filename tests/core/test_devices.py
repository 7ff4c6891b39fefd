"""Devices that must report: case tables, and properties that no order of events may break."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.configuration import Configuration
from schemas.events import Acknowledged, Event, Heartbeat, Mode, Reported
from services.alerting.core.devices import (
    Check,
    DeviceState,
    Input,
    Known,
    News,
    Noticed,
    Sign,
    Tell,
    judge,
    look_up,
    signs_in,
    sites_to_tell,
)
from tests.core.office import CONFIGURATION

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
COLLECT = timedelta(minutes=1)


def configured(**changes: Any) -> Configuration:
    devices = {"btn-112": {"site": "bernburg", "location": "112"} | changes.pop("device", {})}
    source = {"type": "native", "kind": "panic", "key_sha256": "0" * 64, "devices": devices} | changes
    sources = {"buttons": source, "forms": {"type": "native", "kind": "form", "key_sha256": "1" * 64}}
    return Configuration.model_validate(CONFIGURATION | {"sources": sources})


def known(**changes: Any) -> Known:
    found = look_up(configured(**changes), "BTN:112")
    assert found is not None
    return found


HOURLY = known(expect_every="1h")


def hours(count: float) -> datetime:
    return START + timedelta(hours=count)


@dataclass
class Watched:
    """One device, given inputs as the shell gives them."""

    known: Known = HOURLY
    state: DeviceState = field(default_factory=lambda: DeviceState("btn112", "buttons", "bernburg", due_at=START))
    now: datetime = START
    told: list[News] = field(default_factory=list)
    noticed: list[News] = field(default_factory=list)

    def give(self, what: Input, now: datetime | None = None) -> None:
        self.now = now or self.now
        self.state, effects = judge(self.state, what, now=self.now, known=self.known, collect=COLLECT)
        self.told += [effect.news for effect in effects if isinstance(effect, Tell)]
        self.noticed += [effect.news for effect in effects if isinstance(effect, Noticed)]

    def sign(self, at: datetime, *, now: datetime | None = None, battery: float | None = None) -> None:
        self.give(Sign("btn112", at, battery), now or at)

    def until(self, end: datetime) -> None:
        """Look whenever something is due, and tell what has been collected."""
        while self.state.due_at is not None and self.state.due_at <= end:
            self.give(Check(), max(self.now, self.state.due_at))
            if sites_to_tell([self.state], self.now, COLLECT):
                self.give(Check(tell=True))
        self.now = end


@pytest.mark.parametrize(
    ("reports_at", "until", "told"),
    [
        ([], 0.9, []),  # never reported: due only an hour after it was first known
        ([], 1.1, [News.SILENT]),
        ([], 48, [News.SILENT]),  # once
        ([0.5, 1.4, 2.3], 3.2, []),  # reports in time
        ([0.5], 1.6, [News.SILENT]),  # an hour after it was last seen
        ([0.5, 3.0], 3.5, [News.SILENT, News.RECOVERED]),
        ([0.5, 3.0], 5, [News.SILENT, News.RECOVERED, News.SILENT]),
        ([1.001], 1.9, []),  # silent for less time than changes are collected: nobody hears of it
    ],
)
def test_silence_is_told_once_and_so_is_its_end(reports_at: list[float], until: float, told: list[News]) -> None:
    device = Watched()
    for at in reports_at:
        device.until(hours(at))
        device.sign(hours(at))
    device.until(hours(until))
    assert device.told == told


def test_a_device_that_need_not_report_is_never_silent() -> None:
    for free in (known(), known(expect_every="1h", device={"expect_every": "never"})):
        device = Watched(free)
        device.until(hours(1000))
        assert device.told == []
        assert device.state.due_at is None


def test_silence_has_the_time_at_which_it_was_noticed() -> None:
    device = Watched()
    device.until(hours(3))
    device.give(Check(), hours(4))
    assert device.state.silent_since == hours(1)


def test_its_own_time_counts_before_that_of_its_source() -> None:
    assert known(expect_every="1h", device={"expect_every": "25h"}).every == timedelta(hours=25)


def test_expecting_begins_when_it_is_configured() -> None:
    device = Watched(known())
    device.sign(START)
    device.until(hours(500))
    device.known = HOURLY
    device.give(Check(), hours(500))
    device.until(hours(500.9))
    assert device.told == []
    device.until(hours(501.1))
    assert device.told == [News.SILENT]


def test_expecting_no_more_is_no_all_clear() -> None:
    device = Watched()
    device.until(hours(2))
    device.known = known()
    device.give(Check(), hours(2))
    device.sign(hours(3))
    device.until(hours(4))
    assert device.told == [News.SILENT]
    assert device.state.silent_since is None


def test_an_event_that_came_late_ends_nothing() -> None:
    device = Watched()
    device.sign(hours(0.5))
    device.until(hours(5))
    device.sign(hours(1.2), now=hours(5))
    device.sign(hours(0.1), now=hours(5))
    device.until(hours(6))
    assert device.state.last_seen_at == hours(1.2)
    assert device.told == [News.SILENT]


def test_a_time_in_the_future_counts_as_now() -> None:
    device = Watched()
    device.sign(hours(100), now=hours(0.5))
    assert device.state.last_seen_at == hours(0.5)
    device.until(hours(2))
    assert device.told == [News.SILENT]


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ([0.9, 0.5, 0.21], []),
        ([0.2], [News.BATTERY_LOW]),
        ([0.9, 0.15, 0.1, 0.05], [News.BATTERY_LOW]),
        ([0.19, 0.21, 0.19, 0.25, 0.1], [News.BATTERY_LOW]),  # wavers
        ([0.19, 0.29, 0.3], [News.BATTERY_LOW, News.BATTERY_RESTORED]),
        ([0.19, 1.0, 0.2], [News.BATTERY_LOW, News.BATTERY_RESTORED, News.BATTERY_LOW]),
    ],
)
def test_a_low_battery_is_told_once(figures: list[float], told: list[News]) -> None:
    device = Watched(known())
    for number, figure in enumerate(figures):
        device.sign(hours(number), battery=figure)
        device.until(hours(number + 0.5))
    assert device.told == told


def test_an_old_figure_does_not_replace_a_newer_one() -> None:
    device = Watched(known())
    device.sign(hours(2), battery=0.1)
    device.sign(hours(1), now=hours(2), battery=1.0)
    device.sign(hours(3))
    device.until(hours(4))
    assert (device.state.battery, device.told) == (0.1, [News.BATTERY_LOW])


def test_changes_of_a_site_are_told_together() -> None:
    earlier = DeviceState("a", "buttons", "bernburg", changed_at=START)
    assert sites_to_tell([earlier], START, COLLECT) == set()
    assert sites_to_tell([earlier], START + COLLECT, COLLECT) == {"bernburg"}


def test_what_counts_as_a_sign_of_life() -> None:
    register = configured()

    def event(data: Any, source: str = "buttons", *, imported: bool = False) -> Event:
        return Event(id="e", source=source, time=hours(1), data=data, subject=None, imported=imported)

    life = [
        event(Heartbeat(device_id="BTN 112", battery=0.5)),
        event(Heartbeat(device_id="btn-112"), "forms"),
        event(Reported(device_id="btn-112")),
    ]
    none = [
        event(Heartbeat(device_id="unknown")),
        event(Reported(device_id="btn-112"), "forms"),  # a form that follows a press names it, too
        event(Reported(device_id="btn-112", mode=Mode.EXERCISE)),
        event(Reported()),
        event(Acknowledged(by="A")),
        event(Heartbeat(device_id="btn-112"), imported=True),
    ]
    assert signs_in(life, register, hours(2)) == [
        Sign("btn112", hours(1), 0.5), Sign("btn112", hours(1)), Sign("btn112", hours(1)),
    ]  # fmt: skip
    assert signs_in(none, register, hours(2)) == []
    assert signs_in(life[:1], register, START) == [Sign("btn112", START, 0.5)]


def test_a_press_that_brings_its_battery_along_is_one_sign_told_twice() -> None:
    """Ingest emits the press and a heartbeat at the same instant; whichever is read first, the device is the same."""
    after = []
    for batteries_said in ((None, 0.1), (0.1, None)):
        device = Watched()
        for battery in batteries_said:
            device.sign(hours(0.5), battery=battery)
        device.until(hours(1))
        after.append((device.state, device.told, device.noticed))
    assert after[0] == after[1]
    assert after[0][1:] == ([News.BATTERY_LOW], [News.BATTERY_LOW])
    assert after[0][0].last_seen_at == hours(0.5)


moments = st.floats(min_value=-3, max_value=3, allow_nan=False)
batteries = st.none() | st.floats(min_value=0, max_value=1)
steps = st.lists(
    st.tuples(st.floats(min_value=0, max_value=2), st.tuples(moments, batteries) | st.none() | st.booleans()),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_no_order_of_events_tells_the_same_twice_in_a_row(steps: list[tuple[float, Any]]) -> None:
    device = Watched()
    for passes, what in steps:
        now, last = device.now + timedelta(hours=passes), device.state.last_seen_at
        was_silent = device.state.silent_since is not None
        if isinstance(what, tuple):
            at = now + timedelta(hours=what[0])
            device.sign(at, now=now, battery=what[1])
            late = at + timedelta(hours=1) <= now
            assert not (late and was_silent and device.state.silent_since is None), "a late event ended a silence"
        elif what is None:
            device.until(now)
        else:
            device.give(Check(tell=what), now)
        assert last is None or (device.state.last_seen_at or last) >= last, "last seen moved back"
        assert (device.state.last_seen_at or now) <= now
        untold = (device.state.silent_since is not None) != device.state.told_silent
        assert not untold or device.state.due_at is not None, "a change that is never told"
        assert device.state.silent_since or device.state.due_at, "a device that is never looked at again"
    for pair in ({News.SILENT, News.RECOVERED}, {News.BATTERY_LOW, News.BATTERY_RESTORED}):
        of_pair = [news for news in device.told if news in pair]
        assert all(a is not b for a, b in pairwise(of_pair))
        assert not of_pair or of_pair[0] in {News.SILENT, News.BATTERY_LOW}
