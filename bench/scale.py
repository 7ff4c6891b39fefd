"""Many incidents: how long a press takes beside a system that is new, and how long after a kill -9.

Two installations side by side: one with 1,000 ended incidents, one with 100,000 open ones, which then gets 900,000
ended ones besides.
"""

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from bench import chain, filling, made_up, parts
from bench.alerting import new_database
from bench.sink import Sink
from bench.systems import Rufkette, rufkette_client

TARGETS: Final = {"restart_s": 8.0, "second_process_s": 5.0, "memory_mib": 300.0, "open_p50": 1.25, "million_p50": 1.25}
"""Seconds from the start after a kill, seconds after a kill beside a living process, MiB; × the new system."""
OPEN: Final = 100_000
MILLION: Final = 1_000_000
_FEW: Final = 1_000
_TURN: Final = 100
_WARM_UP: Final = 200


@dataclass(slots=True)
class _Installation:
    """One of the two, with everything of its own but the mail server."""

    system: Rufkette
    ingest: parts.Program
    alerting: parts.Program
    beside: parts.Program
    url: str


def run(rounds: int, presses: int) -> dict[str, Any]:
    """Presses in turns, then kills, then presses again."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rufkette-bench-")))
        sink = stack.enter_context(Sink())
        raw = made_up.configuration()
        rules = made_up.rules_of(raw)
        print(f"starting an installation with {_FEW:,} incidents and one with {OPEN:,} …", file=sys.stderr)
        few = stack.enter_context(_installed(directory / "few", sink, raw, filling.ended(rules, "f", 1, _FEW)))
        many = stack.enter_context(_installed(directory / "many", sink, raw, filling.open_ones(rules, "o", OPEN)))
        for one in (few, many):
            chain.press_many(one.system, sink, _WARM_UP)
        figures: dict[str, Any] = {"open": _compare(f"{OPEN:,} open", few, many, sink, rounds, presses)}
        restarts = [_restart(many, sink) for _ in range(rounds)]
        memory = many.alerting.peak_memory()
        with many.beside.running():
            beside = [_lose_one(many, sink) for _ in range(rounds)]
        print(f"filling up to {MILLION:,} …", file=sys.stderr)
        asyncio.run(_execute(many.url, filling.ended(rules, "m", OPEN + 1, MILLION)))
        chain.press_many(many.system, sink, _WARM_UP)
        figures["million"] = _compare(f"{MILLION:,}", few, many, sink, rounds, presses)
        memory = max(memory, many.alerting.peak_memory())
    return _judge(figures, restarts, beside, memory, presses)


@contextlib.contextmanager
def _installed(directory: Path, sink: Sink, raw: dict[str, Any], fill: list[str]) -> Iterator[_Installation]:
    directory.mkdir()
    configuration = parts.write_configuration(directory, raw)
    with parts.kafka(directory) as servers, parts.postgres(directory) as postgres:
        url = new_database(postgres)
        asyncio.run(_execute(url, fill))
        alerting, beside = (parts.alerting(directory, configuration, servers, url, sink.port) for _ in range(2))
        ingest = parts.ingest(directory, configuration, servers, sink.port)
        with alerting.running(), ingest.running():
            system = Rufkette("rufkette", alerting.log, rufkette_client(ingest.port))
            yield _Installation(system, ingest, alerting, beside, url)
            system.client.close()


async def _execute(url: str, statements: list[str]) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _compare(
    name: str, few: _Installation, many: _Installation, sink: Sink, rounds: int, presses: int
) -> dict[str, Any]:
    """Press until mail in turns; `ratio` is the median of the rounds' p50."""
    found = []
    for number in range(1, rounds + 1):
        took: dict[str, list[float]] = {"few": [], "many": []}
        while (left := presses - len(took["many"])) > 0:
            for key, one in (("few", few), ("many", many)):
                took[key] += [press.took_ms for press in chain.press_many(one.system, sink, min(left, _TURN))]
        row = {f"{key}_{p}_ms": round(chain.percentile(times, p), 2) for key, times in took.items() for p in (50, 99)}
        row |= {"ratio": round(row["many_50_ms"] / row["few_50_ms"], 2), "load": round(os.getloadavg()[0], 1)}
        found.append(row)
        print(
            f"round {number}  {name} incidents {row['many_50_ms']:6.2f} / {row['many_99_ms']:6.2f} ms   {_FEW:,} "
            f"{row['few_50_ms']:6.2f} / {row['few_99_ms']:6.2f} ms   ratio of p50 {row['ratio']:.2f}   "
            f"(load {row['load']})",
            flush=True,
        )
    return {"rounds": found, "ratio": statistics.median(row["ratio"] for row in found)}


def _restart(one: _Installation, sink: Sink) -> float:
    """Kill the only process, start it again at once and press; seconds from its start to the mail."""
    one.alerting.kill()
    started = time.monotonic_ns()
    one.alerting.start()
    (press,) = chain.press_many(one.system, sink, 1)
    one.alerting.wait_until_ready()
    seconds = (press.mailed - started) / 1e9
    print(f"kill -9 of the only process: mail {seconds:.1f} s after its restart", flush=True)
    return round(seconds, 2)


def _lose_one(one: _Installation, sink: Sink) -> float:
    """With two at work, kill the one that reads the site's partition, and press; seconds from the kill to the mail."""
    pid = asyncio.run(_owner(one.url))
    (victim,) = (program for program in (one.alerting, one.beside) if program.pid == pid)
    killed = time.monotonic_ns()
    victim.kill()
    (press,) = chain.press_many(one.system, sink, 1)
    seconds = (press.mailed - killed) / 1e9
    print(f"kill -9 of one of two processes: mail after {seconds:.1f} s", flush=True)
    victim.start()
    victim.wait_until_ready()
    return round(seconds, 2)


async def _owner(url: str) -> int:
    """The process that reads the partition which has records, once two share the partitions evenly.

    Raises:
        TimeoutError: they do not.
    """
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(30):
            while True:
                rows = await connection.fetch(
                    "SELECT owner, max(next_offset) AS next, count(*) AS count FROM partitions "
                    "WHERE lease_until > clock_timestamp() + interval '1 second' GROUP BY owner"
                )
                if len(rows) == 2 and rows[0]["count"] == rows[1]["count"]:
                    # An owner is named host-pid-random.
                    return int(max(rows, key=lambda row: row["next"])["owner"].split("-")[-2])
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


def _judge(
    figures: dict[str, Any], restarts: list[float], beside: list[float], memory: float, presses: int
) -> dict[str, Any]:
    found = {
        "restart_s": max(restarts),
        "second_process_s": max(beside),
        "memory_mib": round(memory),
        "open_p50": figures["open"]["ratio"],
        "million_p50": figures["million"]["ratio"],
    }
    said = {
        "restart_s": f"{OPEN:,} open, from the restart of the only process to the mail, s (worst)",
        "second_process_s": "from the kill of one of two processes to the mail, s (worst)",
        "memory_mib": "memory of alerting, MiB (most)",
        "open_p50": f"press until mail with {OPEN:,} open, × {_FEW:,}",
        "million_p50": f"press until mail with {MILLION:,}, × {_FEW:,}",
    }
    for key, most in TARGETS.items():
        print(f"target {said[key]} ≤ {most:g}: {'reached' if found[key] <= most else 'MISSED'} ({found[key]:g})")
    return {
        "cores": os.cpu_count(), "presses": presses, "restarts_s": restarts, "second_process_s": beside,
        "memory_mib": round(memory), **figures, "targets": TARGETS,
    }  # fmt: skip
