"""Durable presses per second of ingest, beside a bare endpoint that awaits the same Kafka send."""

import contextlib
import math
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import parts
from bench.http_client import HttpClient
from bench.http_load import CONCURRENCY, post_all
from bench.systems import Rufkette, rufkette_client, rufkette_configuration
from services.embedded.ports import free_port

TARGET = 0.7
"""The least of the bare endpoint's presses per second that ingest takes."""
_PRESSES_OF_WARM_UP = 500
_PRESSES_OF_A_TURN = 1_000


def run(rounds: int, presses: int) -> dict[str, Any]:
    """Each round with new processes: what waits in ingest for alerting, which does not run, stays small."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rufkette-bench-")))
        configuration = parts.write_configuration(directory, rufkette_configuration())
        servers = stack.enter_context(parts.kafka(directory))
        found: list[dict[str, float]] = []
        for number in range(1, rounds + 1):
            bare, ingest = _bare(directory, servers), parts.ingest(directory, configuration, servers)
            with bare.running(), ingest.running():
                theirs, ours = _measure([bare, ingest], presses)
            found.append({"ingest": round(ours), "bare": round(theirs), "ratio": round(ours / theirs, 2)})
            print(f"round {number}  ingest {ours:6.0f}/s   bare endpoint {theirs:6.0f}/s   ratio {ours / theirs:.2f}")
    median = {key: statistics.median(one[key] for one in found) for key in ("ingest", "bare", "ratio")}
    reached = "reached" if median["ratio"] >= TARGET else "MISSED"
    print(f"target ≥ {TARGET} × the bare endpoint, concurrency {CONCURRENCY}: {reached} ({median['ratio']:.2f})")
    return {"cores": os.cpu_count(), "presses": presses, "rounds": found, "median": median, "target": TARGET}


def _bare(directory: Path, servers: str) -> parts.Program:
    port = free_port()
    return parts.Program("bare endpoint", ["bench.bare", servers, str(port)], directory / "bare.log", {}, port)


def _measure(programs: Sequence[parts.Program], presses: int) -> list[float]:
    """Presses per second of each, after a warm-up; in turns: a machine is faster in one second than in the next.

    Raises:
        HttpError: an answer is not 202.
    """
    clients = [rufkette_client(program.port) for program in programs]
    for program, client in zip(programs, clients, strict=True):
        _press_all(client, program, _PRESSES_OF_WARM_UP)
    seconds = [0.0] * len(programs)
    turns = math.ceil(presses / _PRESSES_OF_A_TURN)
    for _ in range(turns):
        for number, (program, client) in enumerate(zip(programs, clients, strict=True)):
            started = time.perf_counter()
            _press_all(client, program, _PRESSES_OF_A_TURN)
            seconds[number] += time.perf_counter() - started
    return [turns * _PRESSES_OF_A_TURN / taken for taken in seconds]


def _press_all(client: HttpClient, program: parts.Program, presses: int) -> None:
    system = Rufkette(program.name, program.log, client)
    post_all(client.port, client.head, [system.body(f"R{number}") for number in range(presses)])
