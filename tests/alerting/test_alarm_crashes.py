"""The whole way of an alarm through alerting ends after every single effect: read, stored, mailed, and announced.

Mails go out as they do in real life: by the process that decided them, which has leased them in the same commit.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from schemas.lifecycle import Change
from tests.alerting.crashes import (
    Records,
    World,
    a_world_with_topics,
    announced,
    assert_copies,
    by_replay,
    open_attempts,
    received,
    recorded,
)
from tests.core.office import report
from tests.support.crashing import Ended, Moment, crash_after_each_effect
from tests.support.servers import PostgresServer
from tests.support.smtp_sink import SmtpSink

pytestmark = pytest.mark.timeout(400)  # dozens of processes, of which each takes longer on a busy machine
AT_ONCE = 4
PRESSES: Records = {
    1: (report(id="m", danger_level=2), report(id="m2", source="forms", kind="form", danger_level=1)),
    4: (report(id="n", site="kiosk", location=None),),
}
ENDS = [len(PRESSES.get(number, ())) for number in range(6)]
MAILS = {("m", "wache@example.org"), ("m", "leitung@example.org"), ("n", "bereitschaft@example.org")}
EFFECTS = {
    "fetch", "one trip", "smtp connect", "smtp reply",
    "claim", "send_batch", "delete relay", "commit after delete relay",
}  # fmt: skip
BY_THE_CLOCK = {
    "insert processes", "delete processes", "update partitions", "commit after update partitions", "claim",
    "update outbox", "commit after update outbox", "one trip", "with incidents", "commit after with incidents",
    "smtp connect", "delete relay", "commit after delete relay",
}  # fmt: skip
"""What comes in time for it shares a commit or a connection, so that a run can have some less of them."""


@pytest.fixture
async def worlds(
    postgres_server: PostgresServer, kafka: str, tmp_path: Path
) -> AsyncIterator[list[tuple[World, SmtpSink]]]:
    async with AsyncExitStack() as stack:
        made = (a_world_with_topics(postgres_server, kafka, tmp_path, PRESSES) for _ in range(AT_ONCE))
        entered = await asyncio.gather(*map(stack.enter_async_context, made))
        sinks = [SmtpSink() for _ in entered]
        for sink in sinks:
            await sink.start()
            stack.push_async_callback(sink.stop)
        yield list(zip(entered, sinks, strict=True))


async def check(world: World, sink: SmtpSink) -> None:
    assert world.said is not None
    assert await world.positions() == ENDS
    snapshot = await world.snapshot()
    by_replay(snapshot)
    assert [row[0] for row in snapshot["incidents"]] == ["m", "n"]
    assert {(incident_id, recipient) for incident_id, _, recipient in received(sink)} == MAILS
    assert len(snapshot["mails"]) == len(await recorded(world)) == len(MAILS)
    changes = announced(await world.said.read())
    for incident_id, reports in (("m", {"m", "m2"}), ("n", {"n"})):
        said = changes[incident_id]
        assert said[0][1] is Change.OPENED
        assert [data.revision for _, _, data in said] == sorted(data.revision for _, _, data in said)
        # Ingest counts these reports as heard.
        assert {id_ for _, _, data in said if data.notified for id_ in data.event_ids} == reports


async def test_a_crash_after_every_single_effect(worlds: list[tuple[World, SmtpSink]]) -> None:
    world, sink = worlds[0]
    undisturbed = await world.read(ENDS, smtp_url=sink.url)
    await check(world, sink)
    assert len(undisturbed.effects) > 30

    async def attempt(around: tuple[World, SmtpSink], moment: Moment) -> Ended:
        world, sink = around
        await world.empty()
        sink.received.clear()
        ended = await world.read(ENDS, moment, smtp_url=sink.url)
        if ended.crashed:
            may_come_again = await open_attempts(world, sink)
            await world.let_leases_run_out()
            assert not (await world.read(ENDS, smtp_url=sink.url)).crashed
        else:
            may_come_again = set()
        await check(world, sink)
        assert_copies(sink, may_come_again)
        return ended

    await crash_after_each_effect(worlds, undisturbed, attempt, always=EFFECTS, by_the_clock=BY_THE_CLOCK)
