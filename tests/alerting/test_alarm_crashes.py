"""The whole way of an alarm through alerting ends after every single effect: read, stored, mailed, and announced.

Mails go out as they do in real life: by the process that decided them, which has leased them in the same commit.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from schemas.lifecycle import Change
from tests.alerting.crashes import Records, World, a_world_with_topics, announced, by_replay
from tests.core.office import report
from tests.support.crashing import Ended, Moment, crash_after_each_effect
from tests.support.mails import named
from tests.support.servers import PostgresServer
from tests.support.smtp_sink import SmtpSink

AT_ONCE = 4
PRESSES: Records = {
    1: (report(id="m", danger_level=2), report(id="m2", source="forms", kind="form", danger_level=1)),
    4: (report(id="n", location="Zimmer 7", danger_level=3),),
}
ENDS = [len(PRESSES.get(number, ())) for number in range(6)]
MAILS = {
    (incident_id, "alarm-0-1-0", recipient)
    for incident_id in ("m", "n")
    for recipient in ("wache@example.org", "leitung@example.org")
}
EFFECTS = {
    "fetch", "with partitions", "commit after with incidents", "smtp connect", "smtp mail", "smtp rcpt", "smtp data",
    "update outbox", "send", "flush", "delete relay", "commit after delete relay",
}  # fmt: skip
BY_THE_CLOCK = {
    "insert processes", "delete processes", "update partitions", "commit after update partitions", "update outbox",
    "commit after update outbox", "with incidents", "commit after with incidents", "smtp connect", "smtp quit",
    "flush", "delete relay", "commit after delete relay",
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


def received(sink: SmtpSink) -> list[tuple[str, str, str]]:
    """Incident, step and recipient of each mail."""
    return [(named(mail).incident_id, named(mail).step, mail.recipients[0]) for mail in sink.accepted]


async def recorded(world: World) -> set[tuple[str, str]]:
    """Incident and recipient of each mail whose answer is recorded."""
    found = await world.looking.fetch("select incident_id, recipient from outbox where state = 'accepted'")
    return {(row[0], row[1]) for row in found}


async def check(world: World, sink: SmtpSink) -> None:
    assert world.said is not None
    assert await world.positions() == ENDS
    snapshot = await world.snapshot()
    by_replay(snapshot)
    assert [row[0] for row in snapshot["incidents"]] == ["m", "n"]
    assert set(received(sink)) == MAILS
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
    assert set(undisturbed.effects) >= EFFECTS

    async def attempt(around: tuple[World, SmtpSink], moment: Moment) -> Ended:
        world, sink = around
        await world.empty()
        sink.received.clear()
        ended = await world.read(ENDS, moment, smtp_url=sink.url)
        if ended.crashed:
            may_come_again = [one for one in received(sink) if (one[0], one[2]) not in await recorded(world)]
            await world.let_leases_run_out()
            assert not (await world.read(ENDS, smtp_url=sink.url)).crashed
        else:
            may_come_again = []
        await check(world, sink)
        for mail in MAILS:
            copies = [m for m, one in zip(sink.accepted, received(sink), strict=True) if one == mail]
            assert len(copies) <= (2 if mail in may_come_again else 1)
            assert len({copy.message["Message-ID"] for copy in copies}) == 1
        return ended

    await crash_after_each_effect(worlds, undisturbed, attempt, by_the_clock=BY_THE_CLOCK)
