"""What each source did since this process started, for `GET /v1/sources`: times, counts and fixed words, no content."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import prometheus_client

from schemas.events import Event, Heartbeat, Mode, Reported
from services.ingest.api.problems import SLUGS, Refusal
from services.ingest.metrics import REPORTS
from services.ingest.sender import Sender

_MINUTES: Final = 60


class Rate:
    """How many in the last minutes, counted by the minute: of `minutes`, the current one is not over yet."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[int, int] = {}

    def count(self) -> None:
        """One more, now."""
        now = self._minute()
        if now not in self._counts:
            self._counts = {minute: n for minute, n in self._counts.items() if minute > now - _MINUTES}
        self._counts[now] = self._counts.get(now, 0) + 1

    def within(self, minutes: int) -> int:
        """The count of so many minutes, at most 60."""
        earliest = self._minute() - minutes
        return sum(n for minute, n in self._counts.items() if minute > earliest)

    def _minute(self) -> int:
        return int(self._clock() // 60)


@dataclass(slots=True)
class _Device:
    last_seen_at: datetime | None = None
    last_press_at: datetime | None = None
    last_test_at: datetime | None = None
    battery: float | None = None


@dataclass(slots=True)
class _Source:
    last_seen_at: datetime | None = None
    last_error_at: datetime | None = None
    last_error: str | None = None
    from_unknown_devices: int = 0
    messages: Counter[str] = field(default_factory=Counter)
    rate: Rate = field(default_factory=Rate)
    devices: dict[str, _Device] = field(default_factory=dict)


class Activity:
    """Counts messages, here and in the metrics. Of devices only those of the register are remembered one by one."""

    def __init__(self) -> None:
        self._since = datetime.now(UTC)
        self._sources: dict[str, _Source] = {}

    def took(self, sender: Sender, outcome: str, event: Event | None = None) -> None:
        """A message was understood; `event` is what it became."""
        data = event.data if event is not None else None
        source = self._count(sender, outcome, _mode(data))
        now = source.last_seen_at = datetime.now(UTC)
        if isinstance(data, Reported | Heartbeat) and data.device_id is not None:
            _note(source, sender, data, now)

    def failed(self, sender: Sender, outcome: str, refusal: Refusal, event: Event | None = None) -> None:
        """A message was refused."""
        source = self._count(sender, outcome, _mode(event.data if event is not None else None))
        source.last_error_at, source.last_error = datetime.now(UTC), SLUGS[refusal.status]

    def _count(self, sender: Sender, outcome: str, mode: str) -> _Source:
        _counted(sender.name, sender.source.kind, mode, outcome).inc()
        source = self._sources.get(sender.name) or self._sources.setdefault(sender.name, _Source())
        source.messages[outcome] += 1
        source.rate.count()
        return source

    def shown(self, senders: Mapping[str, Sender]) -> dict[str, Any]:
        """What `GET /v1/sources` says about these sources."""
        return {"since": self._since.isoformat(), "sources": {name: self._one(s) for name, s in senders.items()}}

    def _one(self, sender: Sender) -> dict[str, Any]:
        found = self._sources.get(sender.name, _Source())
        error = {"at": found.last_error_at.isoformat(), "problem": found.last_error} if found.last_error_at else None
        return {
            "type": sender.source.type,
            "kind": sender.source.kind,
            "learning": sender.source.learn,
            "last_seen_at": _text(found.last_seen_at),
            "last_error": error,
            "messages": dict(sorted(found.messages.items())),
            "messages_last_5_minutes": found.rate.within(5),
            "messages_last_hour": found.rate.within(_MINUTES),
            "from_unknown_devices": found.from_unknown_devices,
            "devices": {key: _shown(found.devices.get(key, _Device())) for key in sender.source.devices},
        }


@cache
def _counted(source: str, kind: str, mode: str, outcome: str) -> prometheus_client.Counter:
    """Looked up once: finding a counter by its labels takes longer than counting."""
    return REPORTS.labels(source, kind, mode, outcome)


def _mode(data: object) -> str:
    """The label: of what is learnt it does not matter what it would be."""
    if not isinstance(data, Reported):
        return ""
    return "learning" if data.learning else data.mode


def _note(source: _Source, sender: Sender, data: Reported | Heartbeat, now: datetime) -> None:
    known = sender.device(data.device_id or "")
    if known is None:
        source.from_unknown_devices += 1
        return
    device = source.devices.setdefault(known.device_id, _Device())
    device.last_seen_at = now
    if isinstance(data, Heartbeat):
        device.battery = data.battery if data.battery is not None else device.battery
    elif data.mode is Mode.EXERCISE or data.learning:
        device.last_test_at = now
    else:
        device.last_press_at = now


def _shown(device: _Device) -> dict[str, Any]:
    return {
        "last_seen_at": _text(device.last_seen_at),
        "last_press_at": _text(device.last_press_at),
        "last_test_at": _text(device.last_test_at),
        "battery": device.battery,
    }


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
