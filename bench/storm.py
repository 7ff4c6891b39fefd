"""3,000 presses at once: when the last mail is there, and the worst ones' mails, beside Alertmanager."""

import contextlib
import os
import re
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench import chain
from bench.http_load import CONCURRENCY, post_all
from bench.sink import Sink
from bench.systems import Rufkette, System, alertmanager, rufkette

TARGETS: Final = {"ratio_last": 2.0, "critical_p99_s": 1.0}
"""The last mail at most so many times as late as Alertmanager's; seconds for the worst hundredth of level 3."""
_CRITICAL_EVERY: Final = 100
_SILENCE: Final = 20.0
_QUIET_WITHIN: Final = 60.0
_WARM_UP: Final = 200
_ENTRIES: Final = re.compile(r"^rufkette_ingest_entries\{[^}]*\} ([\d.]+)$", re.MULTILINE)
_SAID: Final = '"event":"watch.mailed"'


def run(rounds: int, presses: int) -> dict[str, Any]:
    """Each round a storm for either system, one after the other, each in quiet."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rufkette-bench-")))
        sink = stack.enter_context(Sink(gather=0.05))
        theirs = stack.enter_context(alertmanager(directory, sink.port))
        print("starting Rufkette …", file=sys.stderr)
        ours = stack.enter_context(rufkette(directory, sink.port))
        for system in (theirs, ours):
            chain.press_many(system, sink, _WARM_UP)
        found = []
        for number in range(1, rounds + 1):
            _wait_until_quiet(ours)
            one = {"load": os.getloadavg()[0], "alertmanager": _storm(theirs, sink, presses, number)}
            one["rufkette"] = _storm(ours, sink, presses, number)
            found.append(one)
            _print_row(f"round {number}", one)
        emergencies = ours.log.read_text().count(_SAID)
    return _judge(found, presses, emergencies)


def _storm(system: System, sink: Sink, presses: int, round_number: int) -> dict[str, float]:
    """Seconds: from the first press to the last mail, and from each press to its mail."""
    rooms = [f"R{90_000 + round_number}-{number}" for number in range(presses)]
    critical = rooms[_CRITICAL_EVERY // 2 :: _CRITICAL_EVERY]
    worst = set(critical)
    bodies = [system.body(room, 3 if room in worst else 2) for room in rooms]
    mailed: dict[str, int] = {}
    listener = threading.Thread(target=_listen, args=(sink, set(rooms), mailed), daemon=True)
    listener.start()
    begun = dict(zip(rooms, post_all(system.client.port, system.client.head, bodies), strict=True))
    answered = time.monotonic_ns()
    listener.join()
    missing = presses - len(mailed)
    if missing:
        raise chain.LostMailError(f"{system.name}: {missing} of {presses} mails did not come")
    first = min(begun.values())
    took = {room: (mailed[room] - at) / 1e9 for room, at in begun.items()}
    return {
        "answered_s": round((answered - first) / 1e9, 2),
        "last_s": round((max(mailed.values()) - first) / 1e9, 2),
        "p50_s": round(chain.percentile(list(took.values()), 50), 3),
        "p99_s": round(chain.percentile(list(took.values()), 99), 3),
        "critical_p99_s": round(chain.percentile([took[room] for room in critical], 99), 3),
    }


def _listen(sink: Sink, rooms: set[str], mailed: dict[str, int]) -> None:
    """Until every room has its mail, or none came for a while."""
    while len(mailed) < len(rooms) and (taken := sink.take(_SILENCE)) is not None:
        if taken.room in rooms:
            mailed.setdefault(taken.room, taken.at)


def _wait_until_quiet(system: Rufkette) -> None:
    """Until ingest has heard of each press that somebody was told of it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _QUIET_WITHIN
    while time.monotonic() < deadline:
        with opener.open(f"http://127.0.0.1:{system.client.port}/metrics", timeout=5) as answer:
            counts = _ENTRIES.findall(answer.read().decode())
        if counts and not sum(map(float, counts)):
            return
        time.sleep(0.2)
    raise chain.LostMailError("ingest did not hear of every mail")


def _print_row(name: str, row: dict[str, Any]) -> None:
    print(f"{name}  (load {row['load']:.1f})")
    for system in ("rufkette", "alertmanager"):
        figures = row[system]
        print(
            f"  {system:<13} last mail {figures['last_s']:6.2f} s   p50 {figures['p50_s']:6.3f}   "
            f"p99 {figures['p99_s']:6.3f}   level 3 p99 {figures['critical_p99_s']:6.3f}   "
            f"last answer {figures['answered_s']:5.2f}",
            flush=True,
        )


def _judge(found: Sequence[dict[str, Any]], presses: int, emergencies: int) -> dict[str, Any]:
    ratio = statistics.median(one["rufkette"]["last_s"] / one["alertmanager"]["last_s"] for one in found)
    critical = statistics.median(one["rufkette"]["critical_p99_s"] for one in found)
    figures = {"ratio_last": round(ratio, 2), "critical_p99_s": round(critical, 3)}
    print(f"mails of the watch, because a press waited for longer than it waits: {emergencies}")
    for key, what in (("ratio_last", "last mail, × Alertmanager's"), ("critical_p99_s", "level 3, p99, s")):
        reached = "reached" if figures[key] <= TARGETS[key] else "MISSED"
        print(f"target {what} ≤ {TARGETS[key]}: {reached} ({figures[key]})")
    return {
        "cores": os.cpu_count(), "presses": presses, "concurrency": CONCURRENCY, "rounds": list(found),
        "median": figures, "watch_mails": emergencies, "targets": TARGETS,
    }  # fmt: skip
