"""Press → mail accepted: how long it takes, one at a time, side by side with Alertmanager, and where the time goes."""

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.sink import Sink
from bench.systems import Rufkette, System

_MAIL_WITHIN = 20.0
_numbers = itertools.count(1)


class LostMailError(Exception):
    """A press was taken and no mail came."""


@dataclass(frozen=True, slots=True)
class Press:
    """One press; times in nanoseconds of `time.monotonic_ns()`."""

    id: str
    pressed: int
    answered: int
    mailed: int

    @property
    def took_ms(self) -> float:
        return (self.mailed - self.pressed) / 1e6


def press_many(system: System, sink: Sink, count: int, pause: float = 0.0) -> list[Press]:
    """Presses one after the other, each in a room of its own, the next one `pause` seconds after the last one's mail.

    Raises:
        LostMailError: no mail came for one of them.
    """
    presses = []
    system.client.connect_anew()
    run = next(_numbers)
    for number in range(count):
        room = f"R{run}-{number}"
        pressed = time.monotonic_ns()
        id_ = system.press(room)
        answered = time.monotonic_ns()
        taken = sink.take(_MAIL_WITHIN)
        while taken is not None and taken.room != room:
            taken = sink.take(_MAIL_WITHIN)
        if taken is None:
            end = "\n".join(system.log.read_text(errors="replace").splitlines()[-10:])
            raise LostMailError(
                f"{system.name}: no mail for press {number + 1} within {_MAIL_WITHIN:.0f} s; the end of its log:\n{end}"
            )
        presses.append(Press(id_, pressed, answered, taken.at))
        if pause:
            time.sleep(pause)
    return presses


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


def summary(presses: Sequence[Press]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    took = [press.took_ms for press in presses]
    return {"p50_ms": round(percentile(took, 50), 2), "p99_ms": round(percentile(took, 99), 2)}


def compare(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, Any]:
    """One round."""
    ratios = {f"ratio_{p}": round(ours[f"{p}_ms"] / theirs[f"{p}_ms"], 2) for p in ("p50", "p99")}
    return {"rufkette": ours, "alertmanager": theirs, **ratios}


def median_of(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median of the rounds, figure by figure."""
    figures = {
        system: {key: statistics.median(r[system][key] for r in rounds) for key in ("p50_ms", "p99_ms")}
        for system in ("rufkette", "alertmanager")
    }
    ratios = {key: statistics.median(r[key] for r in rounds) for key in ("ratio_p50", "ratio_p99")}
    return {**figures, **ratios}


STAGES = {
    "request": "request until 202",
    "of which ingest": "  of which ingest: parsing, Kafka's acknowledgement",
    "opened": "202 until incident.opened: reading, deciding, commit",
    "mailed": "incident.opened until the mail server took the mail",
    "whole": "press until the mail server took the mail",
}


def stages(system: Rufkette, presses: Sequence[Press]) -> dict[str, dict[str, float]]:
    """Where the time of our presses went, by the services' own logs, in milliseconds (p50 and p99 of each part)."""
    times = system.log_times()
    # The logs have the wall clock, we the monotonic one.
    offset = time.time_ns() - time.monotonic_ns()
    parts: dict[str, list[float]] = {name: [] for name in STAGES}
    for press in presses:
        if press.id not in times["report.accepted"] or press.id not in times["incident.opened"]:
            continue
        opened = times["incident.opened"][press.id][0] * 1e3
        answered, mailed = ((instant + offset) / 1e6 for instant in (press.answered, press.mailed))
        parts["request"].append((press.answered - press.pressed) / 1e6)
        parts["of which ingest"].append(times["report.accepted"][press.id][1])
        parts["opened"].append(opened - answered)
        parts["mailed"].append(mailed - opened)
        parts["whole"].append(press.took_ms)
    return {
        name: {"p50_ms": round(percentile(values, 50), 2), "p99_ms": round(percentile(values, 99), 2)}
        for name, values in parts.items()
        if values
    }
