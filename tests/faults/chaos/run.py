"""One run: load and faults side by side, then quiet, then the checker."""

import asyncio
import contextlib
import random
import statistics
from dataclasses import dataclass
from pathlib import Path

from tests.faults.chaos.checker import LEASE, History, check, first_mail, unheard
from tests.faults.chaos.faults import Faults
from tests.faults.chaos.load import Load
from tests.faults.chaos.schedule import schedule
from tests.faults.chaos.world import World, world
from tests.support.database import rows
from tests.support.waiting import eventually

_QUIET_WITHIN = LEASE + 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`findings` is empty when the promise was kept; `summary` is one line about the run."""

    findings: list[str]
    summary: str


async def run(seed: int, seconds: float, directory: Path, *, apart: float = 0.15, share: float = 0.3) -> Outcome:
    """Presses and faults for so many seconds.

    Args:
        seed: decides faults, presses and who takes over.
        seconds: how long faults happen; healing takes up to two minutes more.
        directory: for everything that the run writes.
        apart: seconds between presses, on average.
        share: of the incidents that a person takes over.
    """
    async with world(directory) as made:
        load = Load(made, random.Random(f"load {seed}"))  # noqa: S311 – to be repeated, no secret
        faults = Faults(made)
        people = asyncio.create_task(load.people(share))
        try:
            await asyncio.gather(load.press(seconds, apart=apart), faults.run(schedule(seed, seconds)))
            await made.all_ready()
            history = History(made, load, faults.spans)
            await _quiet(made, history)
        finally:
            people.cancel()
            with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
                await people
        return Outcome(await check(history), _summary(seed, history))


async def _quiet(made: World, history: History) -> None:
    """Until every press is with somebody and known to the database, or it is clear that it never will be."""
    pressed = len(history.load.pressed)

    async def missing() -> tuple[int, int]:
        found = await rows(made.database_url, "select count(*) as known from incidents")
        return len(unheard(history)), pressed - int(found[0]["known"])

    with contextlib.suppress(AssertionError):  # the checker says what is missing
        await eventually(missing, lambda left: left[0] <= 0 and left[1] <= 0, within=_QUIET_WITHIN)
    waiting = "select id from outbox where state = 'due' and attempt_at < now() - interval '5 seconds'"
    with contextlib.suppress(AssertionError):
        await eventually(lambda: rows(made.database_url, waiting), lambda left: not left, within=_QUIET_WITHIN)


def _summary(seed: int, history: History) -> str:
    mailed = first_mail(history)
    waits = sorted(max(0.0, mailed[p.room] - p.at) for p in history.load.pressed if p.room in mailed) or [0.0]
    emergency = len(history.mails) - len(history.by_alerting())
    queued = sum(p.status == "queued" for p in history.load.pressed)
    return (
        f"seed {seed}: {len(history.spans)} faults, {len(history.load.pressed)} presses ({queued} queued, "
        f"{history.load.repeated} sent again), {len(history.mails)} mails ({emergency} by the watch), "
        f"{len(history.load.taken_over)} taken over; press to mail: median {statistics.median(waits):.2f} s, "
        f"longest {waits[-1]:.1f} s; ended by themselves: {history.world.ended or 'none'}"
    )
