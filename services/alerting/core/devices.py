"""Devices that must report: what a sign of life, or the passing of time, means for one of them.

Never about incidents: a device that is silent is a matter of maintenance.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never

from schemas.configuration import Configuration
from schemas.configuration_sources import Device, Source, normalise_device_id
from schemas.events import Event, Heartbeat, Mode, Reported

HYSTERESIS: Final = 0.1
"""How far above `battery_low` a battery must be to count as restored: a figure that wavers tells nothing twice."""


class News(StrEnum):
    """What people are told of a device."""

    SILENT = "silent"
    RECOVERED = "recovered"
    BATTERY_LOW = "battery_low"
    BATTERY_RESTORED = "battery_restored"


@dataclass(frozen=True, slots=True)
class Known:
    """A device as the configuration has it; `id` as it is spelt there."""

    id: str
    source_key: str
    source: Source
    device: Device

    @property
    def every(self) -> timedelta | None:
        """How often it must report, or None if it need not."""
        own = self.device.expect_every
        return None if own == "never" else own or self.source.expect_every


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What is known of a device; `id` is normalised.

    `expected_since` is when it began to be expected, `changed_at` the first change that nobody was told of yet, and
    `due_at` when `judge` must look again.
    """

    id: str
    source: str
    site: str
    expected_since: datetime | None = None
    last_seen_at: datetime | None = None
    battery: float | None = None
    battery_at: datetime | None = None
    silent_since: datetime | None = None
    low_since: datetime | None = None
    told_silent: bool = False
    told_low: bool = False
    changed_at: datetime | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign of life: any message of the device. `battery` from 0 to 1, if the message says it."""

    device_id: str
    at: datetime
    battery: float | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Time has passed; `tell`: what changed is told now."""

    tell: bool = False


Input = Sign | Check


@dataclass(frozen=True, slots=True)
class Noticed:
    """It changed: for the log."""

    news: News


@dataclass(frozen=True, slots=True)
class Tell:
    """Those who look after the devices are to be told."""

    news: News


Effect = Noticed | Tell


def judge(
    device: DeviceState,
    input: Input,  # noqa: A002 - the word of the design
    *,
    now: datetime,
    known: Known,
    collect: timedelta,
) -> tuple[DeviceState, tuple[Effect, ...]]:
    """What an input means for a device.

    Only a check can find it silent and only a sign can end that, by its own time: one that came late, when the device
    should have reported again since, ends nothing. Nobody is told of a change that passed before it was told.

    Args:
        device: as it was.
        input: a sign of life, or time that has passed.
        now: the instant of the decision (aware).
        known: what the configuration expects of it.
        collect: how long a change waits for others of the same site before it is told.
    """
    every = known.every
    current = replace(device, expected_since=(device.expected_since or now) if every else None)
    match input:
        case Sign():
            current = _seen(current, input, now, every)
        case Check():
            current = _looked_at(current, now, every)
        case _:
            assert_never(input)
    current = replace(current, low_since=_low_since(current, now, known.source.battery_low))
    effects: list[Effect] = [Noticed(news) for news in _differences(_conditions(device), _conditions(current))]
    if every is None:
        # Nobody waits for it any more, which is no all-clear.
        current = replace(current, silent_since=None, told_silent=False)
    if isinstance(input, Check) and input.tell:
        effects += [Tell(news) for news in _untold(current)]
        silent, low = _conditions(current)
        current = replace(current, told_silent=silent, told_low=low)
    return _settled(current, now, every, collect), tuple(effects)


def _seen(device: DeviceState, sign: Sign, now: datetime, every: timedelta | None) -> DeviceState:
    at = min(sign.at, now)
    last = max(at, device.last_seen_at or at)
    if sign.battery is not None and at >= (device.battery_at or at):
        device = replace(device, battery=sign.battery, battery_at=at)
    if every is not None and last + every > now:
        device = replace(device, silent_since=None)
    return replace(device, last_seen_at=last)


def _looked_at(device: DeviceState, now: datetime, every: timedelta | None) -> DeviceState:
    deadline = _deadline(device, every)
    if deadline is None or deadline > now:
        return device
    return replace(device, silent_since=device.silent_since or now)


def _deadline(device: DeviceState, every: timedelta | None) -> datetime | None:
    if every is None or device.expected_since is None:
        return None
    return max(device.expected_since, device.last_seen_at or device.expected_since) + every


def _low_since(device: DeviceState, now: datetime, threshold: float) -> datetime | None:
    if device.battery is None or device.battery >= min(1.0, round(threshold + HYSTERESIS, 3)):
        return None
    return (device.low_since or now) if device.battery <= threshold else device.low_since


def _conditions(device: DeviceState) -> tuple[bool, bool]:
    return device.silent_since is not None, device.low_since is not None


def _untold(device: DeviceState) -> Iterator[News]:
    return _differences((device.told_silent, device.told_low), _conditions(device))


def _differences(before: tuple[bool, bool], after: tuple[bool, bool]) -> Iterator[News]:
    if before[0] != after[0]:
        yield News.SILENT if after[0] else News.RECOVERED
    if before[1] != after[1]:
        yield News.BATTERY_LOW if after[1] else News.BATTERY_RESTORED


def _settled(device: DeviceState, now: datetime, every: timedelta | None, collect: timedelta) -> DeviceState:
    changed_at = (device.changed_at or now) if any(_untold(device)) else None
    deadline = None if device.silent_since else _deadline(device, every)
    due = [at for at in (deadline, changed_at + collect if changed_at else None) if at is not None]
    return replace(device, changed_at=changed_at, due_at=min(due, default=None))


def sites_to_tell(devices: Iterable[DeviceState], now: datetime, collect: timedelta) -> set[str]:
    """Sites where a change has waited long enough: everything that changed there is told with it."""
    return {device.site for device in devices if device.changed_at and device.changed_at + collect <= now}


def look_up(configuration: Configuration, device_id: str) -> Known | None:
    """The device in the configuration, however its id is spelt."""
    found = configuration.register.get(normalise_device_id(device_id))
    if found is None:
        return None
    key, spelt = found
    source = configuration.sources[key]
    return Known(spelt, key, source, source.devices[spelt])


def signs_in(events: Iterable[Event], configuration: Configuration, now: datetime) -> list[Sign]:
    """The signs of life in events: any heartbeat of a device in the register, and what its own source reports.

    No signs of the device's own life: a form of another source that names it, an exercise (which a network's console
    can simulate), and what is imported.
    """
    signs = []
    for event in events:
        match event.data:
            case Heartbeat(device_id=device_id, battery=battery):
                found = look_up(configuration, device_id)
            case Reported(device_id=str(device_id), mode=Mode.ACTUAL):
                found, battery = look_up(configuration, device_id), None
                found = found if found is not None and found.source_key == event.source else None
            case _:
                continue
        if found is not None and not event.imported:
            signs.append(Sign(normalise_device_id(device_id), min(event.time, now), battery))
    return signs
