"""Ingest ends after every single effect between a request and its confirmation, is started again, and keeps its word.

Alerting confirms what it reads, but for one report, which the watch has to mail.
"""

import asyncio
import contextlib
import shutil
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from schemas import codec, topics
from schemas.events import EmergencyMailed, Event, Reported, event_id
from services.common import kafka as clients
from services.common.loops import cancel
from tests.ingest.crashing_ingest import CONTACTS, UNHEARD_AT, bodies, confirm
from tests.ingest.support import NOW
from tests.ingest.test_ledger import stored
from tests.support.crashing import Ended, Moment, Nursery, crash_after_each_effect, nursery
from tests.support.servers import client_settings, fresh_topics
from tests.support.smtp_sink import Received, SmtpSink
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(400)  # dozens of processes, of which each takes longer on a busy machine
AT_ONCE = 8
EFFECTS = {
    "journal opened", "journal rows", "journal deletion", "lifecycle read", "send reported", "send emergency_mailed",
    "smtp connect", "smtp reply",
}  # fmt: skip
BY_THE_CLOCK = EFFECTS | {"journal commit", "journal tidied"}
"""What waits shares a transaction, and on a busy machine more is published again and mailed in time: so a run can have
some less of them than another one."""
Life = Callable[..., Awaitable[Ended]]
PRIVATE = (b"Geheimnis", "Müller".encode())


@dataclass(slots=True)
class World:
    """What one ingest after the other is connected to: every run has a journal, ids and rooms of its own."""

    nursery: Nursery
    kafka: str
    prefix: str
    sink: SmtpSink
    directory: Path
    events: dict[str, list[Event]] = field(default_factory=dict)
    """What alerting has read, by its id."""
    rounds: int = 0
    """How often it stood at the end."""

    async def take(self, run: str, moment: Moment | None = None, *, hasty: bool = False) -> Ended:
        """Three reports are posted; with `hasty` before there is a connection to Kafka."""
        return await self._ingest("taking", run, moment, hasty=hasty)

    async def go_on(self, run: str, moment: Moment | None = None) -> Ended:
        """Started again, until the watch has done its part, and alerting confirms all."""
        return await self._ingest("going_on", run, moment)

    async def _ingest(self, what: str, run: str, moment: Moment | None, **more: Any) -> Ended:
        around = {"kafka": self.kafka, "prefix": self.prefix, "smtp_url": self.sink.url}
        return await self.nursery.run(moment, what=what, run=run, journal=str(self.journal(run)), **around, **more)

    def journal(self, run: str) -> Path:
        return self.directory / run / "journal.sqlite3"

    def mails(self, run: str) -> list[Received]:
        return [mail for mail in self.sink.accepted if f"Raum {run}" in mail.text()]

    async def alerting(self) -> None:
        """It confirms what it reads, but for one site."""
        settings = client_settings(self.kafka, self.prefix)
        consumer, producer = clients.consumer(settings), clients.producer(settings)
        topic = topics.prefixed(topics.EVENTS, self.prefix)
        await asyncio.gather(consumer.start(), producer.start())
        try:
            partitions = [TopicPartition(topic, number) for number in await clients.partitions_of(settings, topic)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning()
            while True:
                ends = await consumer.end_offsets(partitions)
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    for record in records:
                        event = codec.decode(record.headers, record.value, arrived_at=NOW)
                        self.events.setdefault(event.id, []).append(event)
                        if isinstance(event.data, Reported) and event.data.site != UNHEARD_AT:
                            await confirm(producer, self.prefix, event)
                if all([await consumer.position(one) >= ends[one] for one in partitions]):
                    self.rounds += 1
        finally:
            await asyncio.gather(consumer.stop(), producer.stop())

    async def everything_read(self) -> None:
        """Until alerting has read what stands on Kafka now."""

        async def rounds() -> int:
            return self.rounds

        # One may have begun before now, the next one has not.
        enough = self.rounds + 2
        await eventually(rounds, lambda found: found >= enough)


@asynccontextmanager
async def a_world(kafka: str, directory: Path) -> AsyncIterator[World]:
    sink = SmtpSink()
    await sink.start()
    async with nursery("tests.ingest.crashing_ingest", directory) as children:
        world = World(children, kafka, await fresh_topics(kafka), sink, directory)
        alerting = asyncio.create_task(world.alerting())
        try:
            yield world
            assert not alerting.done()
        finally:
            await cancel({alerting})
            await sink.stop()


@pytest.fixture
async def worlds(kafka: str, tmp_path: Path) -> AsyncIterator[list[World]]:
    async with AsyncExitStack() as stack:
        made = (a_world(kafka, tmp_path) for _ in range(AT_ONCE))
        yield list(await asyncio.gather(*map(stack.enter_async_context, made)))


def on_disk(world: World, run: str) -> dict[str, bool]:
    """What stands in the journal, and whether the watch is said to have mailed it; looked up in a copy."""
    copy = world.directory / f"copy-{run}"
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(world.journal(run).parent, copy)
        return {row.event_id: row.mailed_at is not None for row in stored(copy / "journal.sqlite3")}
    return {}


def by_recipient(mails: list[Received]) -> Counter[str]:
    return Counter(recipient for mail in mails for recipient in mail.recipients)


def everything_was_announced(world: World, mailed: set[str]) -> None:
    """Alerting heard of the watch's mails: else its own mails would not speak of them."""
    said = {
        id_
        for events in world.events.values()
        for event in events
        if isinstance(event.data, EmergencyMailed)
        for id_ in event.data.event_ids
    }
    assert mailed <= said


async def first_start(world: World, run: str, moment: Moment | None = None) -> Ended:
    """What ends is the process that took the reports."""
    return await world.take(run, moment)


async def second_start(world: World, run: str, moment: Moment | None = None) -> Ended:
    """What ends is the one after it: it has all of its work before it, and nothing but the journal to know it from."""
    first = await world.take(run, ("answer", 3), hasty=True)
    assert first.crashed
    second = await world.go_on(run, moment)
    return replace(second, told=second.told + [("answered", id_) for id_ in first.heard("answered")])


@pytest.mark.parametrize(
    ("life", "besides"),
    [(first_start, {"journal made", "answer", "journal commit", "journal rows"}), (second_start, set())],
)
async def test_a_crash_after_every_single_effect(worlds: list[World], life: Life, besides: set[str]) -> None:
    undisturbed = await life(worlds[0], "undisturbed")
    assert len(undisturbed.effects) > 20

    async def attempt(world: World, moment: Moment) -> Ended:
        run = uuid.uuid4().hex[:8]
        ended = await life(world, run, moment)
        first, kept = world.mails(run), on_disk(world, run)
        assert not (await world.go_on(run)).crashed
        await world.everything_read()

        # On Kafka under their own ids, and nothing but what was sent.
        heard, form, unheard = (event_id(source, body["id"]) for source, body in bodies(run).items())
        promised = set(ended.heard("answered")) | kept.keys() & {heard, form, unheard}
        assert promised <= world.events.keys()
        for id_ in world.events.keys() & {heard, form, unheard}:
            assert len({one.model_dump_json() for one in world.events[id_]}) == 1

        # The watch mailed everybody, once; and once more if it cannot have known that it had.
        mails = [mail for mail in world.mails(run) if "Staßfurt" in mail.text()]
        before = by_recipient([mail for mail in first if "Staßfurt" in mail.text()])
        for contact in CONTACTS if unheard in promised else ():
            assert 1 <= by_recipient(mails)[contact] <= (2 if before[contact] and not kept.get(unheard, True) else 1)
            assert len({m.message["Message-ID"] for m in mails if contact in m.recipients}) == 1
        everything_was_announced(world, {unheard} if mails else set())

        # Confirmed, so nothing of it is left.
        assert stored(world.journal(run)) == []
        files = [path.read_bytes() for path in world.journal(run).parent.iterdir()]
        assert not any(private in content for private in PRIVATE for content in files)
        return ended

    crashed = await crash_after_each_effect(
        worlds, undisturbed, attempt, always=EFFECTS | besides, by_the_clock=BY_THE_CLOCK
    )
    assert crashed > 20
