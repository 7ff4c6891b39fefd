"""A bug in work that no alarm needs is said, and ends nothing; the watchdog still sees what hangs."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from services.alerting.plans import planning
from services.alerting.plans.planning import Planning
from services.alerting.tables import incidents
from services.alerting.upkeep import housekeeping
from services.alerting.upkeep.audit import Audit
from services.alerting.upkeep.repeating import repeat
from services.common.loops import Loop, Pulses, cancel, run_together
from services.common.outage import Outage
from tests.alerting.conftest import Shell
from tests.alerting.test_plans import HARMLESS, a_silence
from tests.core.office import report
from tests.support.waiting import eventually


async def _silences(shell: Shell) -> Loop:
    """One has ended that held something back."""
    await Planning(shell.database, shell.engine.plans, lambda: shell.now).silence(a_silence(shell.now, minutes=1))
    await shell.apply(report(shell.now, id="e", **HARMLESS))
    shell.later(2)
    return lambda: planning.run(shell.engine, Outage("database"))


async def _housekeeping(shell: Shell) -> Loop:
    """What is personal in an incident is to be forgotten."""
    await shell.apply(report(shell.now, id="e"))
    async with shell.database.begin() as tx:
        long_ago = sa.text("opened_at - interval '9 years'")
        await tx.execute(sa.update(incidents).values(closed_at=long_ago, status="closed"))
    return lambda: housekeeping.run(shell.engine, Outage("database"))


async def _audit(shell: Shell) -> Loop:
    """A step is overdue."""
    await shell.apply(report(shell.now, id="e"))
    async with shell.database.begin() as tx:
        await tx.execute(sa.text("UPDATE incidents SET due_at = clock_timestamp() - interval '2 minutes'"))
    return Audit(shell.engine, Outage("database"), settle=0.01, every=0.03).run


@pytest.mark.parametrize("prepare", [_silences, _housekeeping, _audit])
async def test_what_cannot_be_read_ends_no_process(shell: Shell, prepare: Callable[[Shell], Awaitable[Loop]]) -> None:
    loop = await prepare(shell)
    async with shell.database.begin() as tx:
        await tx.execute(sa.text("UPDATE incidents SET state = jsonb_set(state, '{kind}', '\"something_new\"')"))
    with capture_logs() as lines:
        task = asyncio.create_task(run_together({"work": loop}))
        try:
            said = await eventually(
                lambda: asyncio.sleep(0, [line["event"] for line in lines]), lambda s: "upkeep.failed" in s
            )
            assert not task.done(), said
        finally:
            await cancel({task})


async def test_a_loop_with_a_bug_shows_that_it_goes_round_and_one_that_hangs_does_not() -> None:
    pulses: Pulses = {}

    async def fail() -> None:
        raise KeyError("a bug")

    async def hang() -> None:
        await asyncio.Event().wait()

    loops = {
        "fails": lambda: repeat("fails", fail, 0, after_a_bug=0.01),
        "hangs": lambda: repeat("hangs", hang, 0, after_a_bug=0.01),
    }
    task = asyncio.create_task(run_together(loops, pulses))
    try:
        await eventually(lambda: asyncio.sleep(0, len(pulses)), lambda count: count == 2)
        since = time.monotonic()
        await eventually(lambda: asyncio.sleep(0, pulses["fails"]), lambda at: at > since + 0.1)
        assert pulses["hangs"] <= since
    finally:
        await cancel({task})
