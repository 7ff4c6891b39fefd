"""One run: load, people and faults side by side, then a calm while, then quiet, then the checker."""

import asyncio
import contextlib
import random
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from schemas.events import Mode
from tests.faults.chaos.checker import check
from tests.faults.chaos.faults import Faults
from tests.faults.chaos.gather import gather, journals
from tests.faults.chaos.history import History
from tests.faults.chaos.load import Load
from tests.faults.chaos.people import People
from tests.faults.chaos.schedule import schedule
from tests.faults.chaos.timing import BACK, ORPHANED
from tests.faults.chaos.world import World, world
from tests.support.database import rows
from tests.support.mails import named
from tests.support.waiting import eventually

_QUIET_WITHIN = ORPHANED + 60.0
_CALM = 6.0
"""Seconds of load when all is healed and has had its time: then nothing may be out of the ordinary."""
_UNFINISHED = """
    select (select count(*) from relay)
         + (select count(*) from outbox where state = 'due' and attempt_at < now() - interval '5 seconds')
         + (select count(*) from outbox where state = 'due' and purpose <> 'alarm') as count
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`findings` is empty when the promise was kept; `summary` is one line about the run."""

    findings: list[str]
    summary: str


async def run(seed: int, seconds: float, directory: Path, *, apart: float = 0.2) -> Outcome:
    """Reports and faults for so many seconds.

    Args:
        seed: decides faults, reports and who answers.
        seconds: how long faults happen; healing takes up to two minutes more.
        directory: for everything that the run writes.
        apart: seconds between reports, on average.
    """
    async with world(directory) as made:
        load = Load(made, random.Random(f"load {seed}"))  # noqa: S311 – to be repeated, no secret
        people = People(made, random.Random(f"people {seed}"))  # noqa: S311 – likewise
        faults = Faults(made)
        enough_reports, enough_people = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as living:
            living.create_task(people.read(enough_people))
            reporting = living.create_task(load.report(enough_reports, apart=apart))
            await faults.run(schedule(seed, seconds))
            await made.all_ready()
            await asyncio.sleep(BACK + _CALM)
            enough_reports.set()
            await reporting
            enough_people.set()
        await _quiet(made, load)
        history = await gather(made, load, people, faults.spans)
    return Outcome(check(history), _summary(seed, history, load.repeated))


async def _quiet(made: World, load: Load) -> None:
    """Until everybody was told and everything is confirmed, or it is clear that it never will be."""

    async def unmailed() -> set[tuple[str, str]]:
        state = "select id, state ->> 'cycle' as cycle from incidents where status = 'open'"
        wanted = {(row["id"], row["cycle"]) for row in await rows(made.database_url, state)}
        mailed = {(named(m).incident_id, named(m).step.split("-")[1]) for m in made.accepted if "-" in named(m).step}
        return wanted - mailed

    async def unknown() -> int:
        count = "select coalesce(sum(jsonb_array_length(state -> 'reports')), 0) as known from incidents"
        return len(load.reports) - int((await rows(made.database_url, count))[0]["known"])

    async def unfinished() -> int:
        return int((await rows(made.database_url, _UNFINISHED))[0]["count"])

    async def unconfirmed() -> int:
        return sum((await journals(made)).values())

    await asyncio.gather(*(_until_nothing(left) for left in (unmailed, unknown, unconfirmed)))
    await _until_nothing(unfinished)


async def _until_nothing(left: Callable[[], Awaitable[object]]) -> None:
    with contextlib.suppress(AssertionError):  # the checker says what is left
        await eventually(left, lambda found: not found, within=_QUIET_WITHIN)


def _summary(seed: int, history: History, repeated: int) -> str:
    real = [report for report in history.reports if report.mode is Mode.ACTUAL]
    waits = sorted(max(0.0, heard - r.at) for r in real if (heard := history.heard_at(r)) is not None) or [0.0]
    answered = sum(act.answered_at is not None for act in history.acts)
    queued = sum(report.status == "queued" for report in history.reports)
    ended = ", ".join(f"{name} ({code})" for name, code in history.ended)
    return (
        f"seed {seed}: {len(history.spans)} faults, {len(history.reports)} reports ({queued} queued, {repeated} sent "
        f"again) in {len(history.incidents)} incidents, {len(history.mails)} mails ({len(history.by_the_watch)} by the "
        f"watch), {answered} of {len(history.acts)} clicks answered; to the first mail: median "
        f"{statistics.median(waits):.2f} s, longest {waits[-1]:.1f} s; ended by themselves: {ended or 'none'}"
    )
