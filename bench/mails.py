"""Mails per second out of a full outbox, building included, beside a bare loop over finished messages."""

import asyncio
import contextlib
import os
import statistics
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bench import made_up, parts
from bench.alerting import new_database
from bench.chain import LostMailError
from bench.sink import Sink
from services.alerting import saving
from services.alerting.core.policy import Rules
from services.alerting.database import create_engine, in_transaction
from services.alerting.tables import outbox
from services.common.mail.smtp import CONNECTIONS
from services.embedded.ports import free_port

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
        sink = stack.enter_context(Sink(gather=0.05))
        servers = stack.enter_context(parts.kafka(directory))
        postgres = stack.enter_context(parts.postgres(directory))
        configuration = parts.write_configuration(directory, raw)
        for number in range(1, rounds + 1):
            arguments = ["bench.bare_mailer", str(sink.port), str(mails)]
            bare = parts.Program("bare loop", arguments, directory / "bare.log", {}, free_port())
            theirs = _rate([bare], sink, mails)
            rates = []
            for processes in (1, 2):
                url = new_database(postgres)
                asyncio.run(_fill(url, rules, mails))
                each = CONNECTIONS // processes
                ours = [
                    parts.alerting(directory, configuration, servers, url, sink.port, connections=each)
                    for _ in range(processes)
                ]
                rates.append(_rate(ours, sink, mails, url))
            one, two = rates
            found.append(
                {"alerting": one, "two": two, "bare": theirs, "ratio": one / theirs, "ratio_two": two / theirs}
            )
            print(
                f"round {number}  alerting {one:5.0f}/s   two processes {two:5.0f}/s   bare loop {theirs:5.0f}/s"
                f"   ratio {one / theirs:.2f}, {two / theirs:.2f}   (load {os.getloadavg()[0]:.1f})",
                flush=True,
            )
    median = {key: statistics.median(one[key] for one in found) for key in found[0]}
    print(
        f"target ≥ {TARGET} × the bare loop, {CONNECTIONS} connections: one process {_against_target(median['ratio'])}"
        f"; two processes, half of the connections each: {_against_target(median['ratio_two'])}"
    )
    return {"cores": os.cpu_count(), "mails": mails, "rounds": found, "median": median, "target": TARGET}


def _against_target(ratio: float) -> str:
    return f"{ratio:.2f} ({'reached' if ratio >= TARGET else 'MISSED'})"


def _rate(programs: Sequence[parts.Program], sink: Sink, mails: int, url: str | None = None) -> float:
    """Mails per second from the first one to the last one; out of the database at `url`, where there is one.

    Raises:
        LostMailError: they stopped coming.
    """
    try:
        for program in programs:
            program.start()
        if url is not None:
            for program in programs:
                program.wait_until_ready()
            asyncio.run(_release(url))
        taken = [sink.take(_SILENCE) for _ in range(mails)]
    finally:
        for program in programs:
            program.part.stop(10)
    times = [one.at for one in taken if one is not None]
    if len(times) < mails:
        first = programs[0]
        raise LostMailError(f"{first.name}: {mails - len(times)} of {mails} mails did not come\n{first.part.tail()}")
    return (mails - 1) / (max(times) - min(times)) * 1e9


async def _release(url: str) -> None:
    """All mails are due now: all that send them have started, which takes as much computing as some thousand mails."""
    engine = create_engine(url)
    async with engine.begin() as connection:
        await connection.execute(sa.update(outbox).values(attempt_at=sa.func.clock_timestamp()))
    await engine.dispose()


async def _fill(url: str, rules: Rules, mails: int) -> None:
    """An outbox with so many mails that are not due yet; what is to be published about them was published."""
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
        async with engine.begin() as connection:
            await connection.execute(sa.update(outbox).values(attempt_at=sa.text("'infinity'")))
    finally:
        await engine.dispose()
