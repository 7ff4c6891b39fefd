"""The command line of the benchmarks."""

import argparse
import contextlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from bench import alerting, chain, core, ingest, mails, parsers, rate, scale, storm
from bench.http_client import HttpError
from bench.sink import Sink
from bench.systems import MissingProgramError, alertmanager, rufkette
from services.embedded.process import EmbeddedError

TARGETS = {"ratio_p50": 3.0, "ratio_p99": 1.5}
"""The most that a press may take, as a multiple of Alertmanager's time."""

TURN = 100
"""Presses until it is the other system's turn: a shared machine is faster in one second than in the next."""

_PRESSES = {"storm": 3000, "rate": 4000, "ingest": 10_000, "alerting": 20_000, "mails": 5000}
_WHAT = {
    "chain": "press until mail, beside Alertmanager (the default)",
    "storm": "the same for presses at once",
    "core": "decisions per second",
    "parsers": "messages per second",
    "ingest": "durable presses per second, beside a bare endpoint",
    "rate": "answers to presses at 200 a second",
    "alerting": "events per second into PostgreSQL, beside a bare loop",
    "mails": "mails per second, beside a bare loop",
    "scale": "press until mail, and restarts, with many incidents",
}


def _help() -> str:
    return "; ".join(f"{name}: {what}" for name, what in _WHAT.items())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Benchmarks; docs/performance.md explains them."
    )
    parser.add_argument("what", nargs="?", choices=_WHAT, default="chain", help=_help())
    parser.add_argument("--rounds", type=_positive, default=3, help="interleaved rounds (3)")
    parser.add_argument("--presses", type=_positive, help="presses, events or mails a round")
    parser.add_argument("--warm-up", type=_positive, default=200, help="presses before the first round (200)")
    parser.add_argument("--pause", type=float, default=0.0, help="milliseconds between a mail and the next press (0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    arguments.presses = arguments.presses or _PRESSES.get(arguments.what, 1000)
    return arguments


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _run_chain(arguments: argparse.Namespace) -> dict[str, Any]:
    pause = arguments.pause / 1000
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rufkette-bench-")))
        sink = stack.enter_context(Sink())
        theirs = stack.enter_context(alertmanager(directory, sink.port))
        print("starting Rufkette …", file=sys.stderr)
        ours = stack.enter_context(rufkette(directory, sink.port))
        print(f"warming up with {arguments.warm_up} presses each …", file=sys.stderr)
        for system in (theirs, ours):
            chain.press_many(system, sink, arguments.warm_up, pause)
        rounds: list[dict[str, Any]] = []
        all_ours: list[chain.Press] = []
        for number in range(1, arguments.rounds + 1):
            their_presses: list[chain.Press] = []
            our_presses: list[chain.Press] = []
            while (left := arguments.presses - len(our_presses)) > 0:
                their_presses += chain.press_many(theirs, sink, min(left, TURN), pause)
                our_presses += chain.press_many(ours, sink, min(left, TURN), pause)
            all_ours += our_presses
            rounds.append(chain.compare(chain.summary(our_presses), chain.summary(their_presses)))
            _print_row(f"round {number}", rounds[-1])
        median = chain.median_of(rounds)
        _print_row("median", median)
        where = chain.stages(ours, all_ours)
    _print_stages(where)
    _print_targets(median)
    return {
        "cores": os.cpu_count(),
        "presses": arguments.presses,
        "pause_ms": arguments.pause,
        "rounds": rounds,
        "median": median,
        "stages": where,
        "targets": TARGETS,
    }


def _print_row(name: str, row: dict[str, Any]) -> None:
    ours, theirs = row["rufkette"], row["alertmanager"]
    print(
        f"{name:<8} Rufkette {ours['p50_ms']:6.2f} / {ours['p99_ms']:6.2f} ms   "
        f"Alertmanager {theirs['p50_ms']:6.2f} / {theirs['p99_ms']:6.2f} ms   "
        f"ratio {row['ratio_p50']:5.2f} / {row['ratio_p99']:5.2f}   (p50 / p99)",
        flush=True,
    )


def _print_stages(where: dict[str, dict[str, float]]) -> None:
    print("\nwhere the time goes (Rufkette, all rounds)       p50       p99")
    for name, figures in where.items():
        print(f"  {chain.STAGES[name]:<52} {figures['p50_ms']:6.2f} ms {figures['p99_ms']:6.2f} ms")


def _print_targets(median: dict[str, Any]) -> None:
    print()
    for key, most in TARGETS.items():
        reached = "reached" if median[key] <= most else "MISSED"
        print(f"target {key.removeprefix('ratio_')} ≤ {most} × Alertmanager: {reached} ({median[key]:.2f})")


def main() -> int:
    """Run what was asked for; 2 when something has to be installed, 1 when a system under test failed."""
    arguments = _arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        alone: dict[str, Callable[[], dict[str, Any]]] = {
            "core": core.run,
            "parsers": parsers.run,
            **{
                name: partial(run, arguments.rounds, arguments.presses)
                for name, run in (
                    ("ingest", ingest.run), ("storm", storm.run), ("alerting", alerting.run), ("mails", mails.run),
                    ("scale", scale.run), ("rate", rate.run),
                )
            },
        }  # fmt: skip
        figures = alone[arguments.what]() if arguments.what in alone else _run_chain(arguments)
    except MissingProgramError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except (EmbeddedError, HttpError, chain.LostMailError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
