"""Mails per second out of a full outbox, building included, beside a bare loop over finished messages."""

import asyncio
import contextlib
import os
import statistics
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from bench import made_up, parts
from bench.alerting import new_database
from bench.chain import LostMailError
from bench.sink import Sink
from services.alerting import saving
from services.alerting.core.policy import Rules
from services.alerting.database import create_engine, in_transaction
from services.alerting.mailer import CONNECTIONS
from services.embedded.process import free_port

TARGET: Final = 0.6
"""The least of the bare loop's mails per second that alerting sends."""
_AT_ONCE: Final = 500
_SILENCE: Final = 30.0


def run(rounds: int, mails: int) -> dict[str, Any]:
    """In turns, each time with a new process, and for alerting with a new database."""
    raw = made_up.configuration()
    rules = made_up.rules_of(raw)
    found: list[dict[str, float]] = []
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rufkette-bench-")))
        sink = stack.enter_context(Sink())
        servers = stack.enter_context(parts.kafka(directory))
        postgres = stack.enter_context(parts.postgres(directory))
        configuration = parts.write_configuration(directory, raw)
        for number in range(1, rounds + 1):
            arguments = ["bench.bare_mailer", str(sink.port), str(mails)]
            theirs = _rate(parts.Program("bare loop", arguments, directory / "bare.log", {}, free_port()), sink, mails)
            url = new_database(postgres)
            asyncio.run(_fill(url, rules, mails))
            ours = _rate(parts.alerting(directory, configuration, servers, url, sink.port), sink, mails)
            found.append({"alerting": round(ours), "bare": round(theirs), "ratio": round(ours / theirs, 2)})
            print(
                f"round {number}  alerting {ours:5.0f}/s   bare loop {theirs:5.0f}/s   ratio {ours / theirs:.2f}"
                f"   (load {os.getloadavg()[0]:.1f})",
                flush=True,
            )
    median = {key: statistics.median(one[key] for one in found) for key in ("alerting", "bare", "ratio")}
    reached = "reached" if median["ratio"] >= TARGET else "MISSED"
    print(f"target ≥ {TARGET} × the bare loop, {CONNECTIONS} connections each: {reached} ({median['ratio']:.2f})")
    return {"cores": os.cpu_count(), "mails": mails, "rounds": found, "median": median, "target": TARGET}


def _rate(program: parts.Program, sink: Sink, mails: int) -> float:
    """Mails per second from the first one to the last one.

    Raises:
        LostMailError: they stopped coming.
    """
    program.start()
    try:
        taken = [sink.take(_SILENCE) for _ in range(mails)]
    finally:
        program.part.stop(10)
    times = [one.at for one in taken if one is not None]
    if len(times) < mails:
        raise LostMailError(
            f"{program.name}: {mails - len(times)} of {mails} mails did not come\n{program.part.tail()}"
        )
    return (mails - 1) / (max(times) - min(times)) * 1e9


async def _fill(url: str, rules: Rules, mails: int) -> None:
    """An outbox in which so many mails are due; what is to be published about them was published."""
    engine = create_engine(url)
    now = datetime.now(UTC)

    async def save(tx: AsyncConnection, numbers: range) -> None:
        changes = made_up.opened([made_up.report(number, "1", now) for number in numbers], rules, now)
        changes.relayed.clear()
        await saving.save(tx, changes)

    try:
        for first in range(0, mails, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, mails))
            await in_transaction(engine, lambda tx, numbers=numbers: save(tx, numbers))  # type: ignore[misc]
    finally:
        await engine.dispose()
