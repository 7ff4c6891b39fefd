"""The mail loop ends after every single effect, is started again, and loses nothing."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.alerting.database import create_engine
from services.alerting.engine import Engine
from tests.alerting.conftest import Shell
from tests.alerting.crashes import World, a_world, assert_copies, open_attempts, received
from tests.alerting.crashing_alerting import RULES
from tests.core.office import MONDAY, report
from tests.support.crashing import Ended, Moment, crash_after_each_effect
from tests.support.servers import PostgresServer
from tests.support.smtp_sink import SmtpSink

pytestmark = pytest.mark.timeout(400)  # dozens of processes, of which each takes longer on a busy machine
AT_ONCE = 4
MAILS = {("a", "wache@example.org"), ("a", "leitung@example.org"), ("k", "bereitschaft@example.org")}
EFFECTS = {
    False: {"smtp connect", "smtp reply", "claim", "one trip"},
    True: {"smtp connect", "smtp reply", "claim", "with incidents", "commit after with incidents"},
}
"""By whether answers are recorded under locks. One trip is one effect: its statement is its commit."""
BY_THE_CLOCK = {"smtp connect", "claim", "update outbox", "one trip", "with incidents", "commit after with incidents"}
"""What comes in time for it shares a commit or a connection, so that a run can have some less of them."""


@pytest.fixture
async def worlds(postgres_server: PostgresServer, tmp_path: Path) -> AsyncIterator[list[tuple[World, SmtpSink]]]:
    async with AsyncExitStack() as stack:
        entered = [await stack.enter_async_context(a_world(postgres_server, tmp_path)) for _ in range(AT_ONCE)]
        sinks = [SmtpSink() for _ in entered]
        for sink in sinks:
            await sink.start()
            stack.push_async_callback(sink.stop)
        yield list(zip(entered, sinks, strict=True))


async def pressed(world: World) -> None:
    """Two presses, whose mails wait."""
    database = create_engine(world.database_url)
    try:
        shell = Shell(database)
        shell.engine = Engine(database, lambda: RULES, clock=lambda: MONDAY)
        await shell.lease()
        await shell.apply(report(id="a", danger_level=2), report(id="k", site="kiosk", location=None))
    finally:
        await database.dispose()


@pytest.mark.parametrize("under_locks", [False, True])
async def test_a_crash_after_every_single_effect(worlds: list[tuple[World, SmtpSink]], *, under_locks: bool) -> None:
    world, sink = worlds[0]
    await pressed(world)
    undisturbed = await world.mail(sink.url, under_locks=under_locks)
    assert {(incident_id, recipient) for incident_id, _, recipient in received(sink)} == MAILS
    assert len(undisturbed.effects) > 10

    async def attempt(around: tuple[World, SmtpSink], moment: Moment) -> Ended:
        world, sink = around
        await world.empty()
        sink.received.clear()
        await pressed(world)
        ended = await world.mail(sink.url, moment, under_locks=under_locks)
        may_come_again = await open_attempts(world, sink)
        if ended.crashed:
            await world.let_leases_run_out()
            assert not (await world.mail(sink.url, under_locks=under_locks)).crashed
        assert {(incident_id, recipient) for incident_id, _, recipient in received(sink)} == MAILS
        assert_copies(sink, may_come_again)
        return ended

    # What is between a claim and its commit: none of it may have been left out.
    always = EFFECTS[under_locks]
    await crash_after_each_effect(worlds, undisturbed, attempt, always=always, by_the_clock=BY_THE_CLOCK)
