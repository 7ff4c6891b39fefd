"""Reads the partitions that this process has leased and has the engine apply their records."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import topics
from services.alerting.database import LIGHTLY, in_transaction, patiently
from services.alerting.engine import Engine
from services.alerting.reading import lag, leases, progress
from services.alerting.reading.anchors import Anchors
from services.alerting.reading.applying import Applier
from services.alerting.reading.backlog import MAX_RECORDS
from services.alerting.reading.breaker import Breaker, TrippedError
from services.alerting.reading.leases import LeaseLostError, Position
from services.alerting.reading.records import ConsumerRecord, mark
from services.alerting.reading.silence import FRESH_MS, Silence
from services.alerting.reading.turns import Turns
from services.alerting.reading.waiting import Read
from services.common import kafka
from services.common.loops import beat, library_cancellation_as_error
from services.common.outage import Outage, pause
from services.common.settings import AlertingSettings

log = structlog.get_logger()
GROUP = "rufkette-alerting"
_MANY = 50
"""Records that were read and not applied: so many presses at once are a storm."""
_SAY_TRIPPED_EVERY = 30  # seconds, about


class Consumer:
    """One process's share of `incidents.events`."""

    def __init__(self, engine: Engine, settings: AlertingSettings, owner: str, database: Outage) -> None:
        self.outage = Outage("kafka")
        self._engine = engine
        self._settings = settings
        self._owner = owner
        self._database = database
        self._topic = topics.prefixed(topics.EVENTS, settings.topic_prefix)
        self.breaker = Breaker(accept=settings.accept_unreadable)
        self._applier = Applier(engine, owner, database, self.breaker, self._moved)
        self._held: dict[int, Position] = {}
        self._unchecked: dict[int, Position] = {}
        self._client: AIOKafkaConsumer | None = None
        self._turns = Turns(self._applier, engine.rules, self._position, self._lost)
        self._silence = Silence(self.outage)
        self._anchors = Anchors()
        self._all_renewed = True
        self._astray = False

    async def run(self) -> None:
        """Read for ever; Kafka and the database may come and go."""
        attempt = 0
        while True:
            try:
                with library_cancellation_as_error():
                    await self._read_on()
            except TrippedError:
                await self._stand_aside()
            except (KafkaError, OSError, TimeoutError) as error:
                self.outage.noticed(error)
            await pause(attempt, longest=5)
            attempt += 1

    async def keep_leases(self) -> None:
        """Renew and claim for ever, independently of how long a batch takes."""
        while True:
            started = time.monotonic()
            beat()
            if self._client is not None:
                self._held = await patiently(self._database, self._maintain)
            every = leases.RENEW_EVERY if self._all_renewed else leases.AGAIN_AFTER
            await asyncio.sleep(max(0.0, every - (time.monotonic() - started)))

    async def show_lag(self) -> None:
        """Show now and then how far everything is read."""
        while True:
            beat()
            await asyncio.sleep(lag.SHOW_EVERY)
            if self._client is not None:
                await lag.show(self._client, self._held.values())

    async def look_ahead(self) -> progress.Outlook:
        """Where every partition that we hold stands, and where it ends, asked over a connection of its own.

        Raises:
            KafkaError, OSError, TimeoutError: Kafka is away.
        """
        there = await self._register()  # operations may add partitions to a topic that is in use
        held = {number: position for number, position in self._held.items() if number in there}
        unapplied = self._turns.backlog.unapplied
        return await progress.look(self._settings, self._topic, self._client, held, self._anchors, unapplied)

    async def _stand_aside(self) -> None:
        """Most records are unreadable: leave them to a process that can read them, and say so without end."""
        await patiently(self._database, self.release)
        while True:
            log.error("breaker.tripped", topic=self._topic)
            for _ in range(_SAY_TRIPPED_EVERY):
                await pause(0, first=1.0, longest=1.0)

    async def release(self) -> None:
        """Hand everything to the others at once."""
        self._held = {}
        await in_transaction(self._engine.apart, lambda tx: leases.release(tx, self._owner))

    async def _read_on(self) -> None:
        client = kafka.consumer(self._settings, GROUP)
        await client.start()
        try:
            await self._register()
            self._client = client
            self._held = await patiently(self._database, self._maintain)
            self.outage.over()
            while True:
                await self._assign(client)
                await self._read_again(client)
                await self._poll(client)
        except (KafkaError, OSError, TimeoutError, TrippedError):
            with contextlib.suppress(TrippedError):
                await self._turns.in_hand.all_applied()
            raise
        finally:
            self._client = None
            await self._turns.in_hand.abandon()
            self._turns.backlog.forget_all()
            self._engine.signals.behind = False
            await kafka.close(client)

    async def _register(self) -> list[int]:
        numbers = await kafka.partitions_of(self._settings, self._topic)
        await patiently(
            self._database,
            lambda: in_transaction(self._engine.database, lambda tx: leases.register(tx, self._topic, numbers)),
        )
        return numbers

    async def _maintain(self) -> dict[int, Position]:
        caught_up = self._caught_up()
        for number in (number for number, at_end in caught_up.items() if at_end):
            self._applier.absolve(number)
        before = set(self._held)

        async def work(tx: AsyncConnection) -> tuple[set[int], dict[int, Position]]:
            await tx.execute(LIGHTLY)  # a lease that is forgotten is claimed again
            renewed = await leases.renew(tx, self._owner, self._topic, caught_up)
            return renewed, await leases.claim(tx, self._owner, self._topic)

        renewed, now = await in_transaction(self._engine.apart, work)
        self._all_renewed = before & set(now) <= renewed
        for number in sorted(set(now) - before):
            if now[number].inherited:
                self._applier.inherit(number)
            self._anchors.cast(now[number])
            self._astray = True  # also where it was ours a moment ago: somebody may have moved its position since
            log.info("partition.claimed", topic=self._topic, partition=number, offset=now[number].next_offset)
        for number in sorted(before - set(now)):
            log.info("partition.released", topic=self._topic, partition=number)
        # What we hold already is known better here than in a row read while a batch was being applied.
        return {number: self._held.get(number, position) for number, position in now.items()}

    def _caught_up(self) -> Mapping[int, bool]:
        client = self._client
        if client is None:
            return {}
        now_ms = time.time() * 1000
        current: dict[int, bool] = {}
        for number, position in self._held.items():
            partition = TopicPartition(self._topic, number)
            if partition in client.assignment():
                end, polled = client.highwater(partition), client.last_poll_timestamp(partition)
                fresh = polled is not None and now_ms - polled < FRESH_MS
                current[number] = fresh and end is not None and position.next_offset >= end
        return current

    async def _assign(self, client: AIOKafkaConsumer) -> None:
        wanted = {TopicPartition(self._topic, number) for number in self._held}
        if client.assignment() == wanted and not self._astray:
            return
        await self._turns.in_hand.all_applied()
        wanted = {TopicPartition(self._topic, number) for number in self._held}
        self._astray = False
        self._turns.backlog.forget_all()
        client.assign(list(wanted))
        self._unchecked = dict(self._held)
        for number, position in self._held.items():
            self._seek(client, number, position)

    def _seek(self, client: AIOKafkaConsumer, number: int, position: Position) -> None:
        """To the record before the position, if it is known: it must still be the one we applied."""
        before = position.next_offset - 1 if position.last_event_id is not None else position.next_offset
        client.seek(TopicPartition(self._topic, number), max(0, before))

    async def _read_again(self, client: AIOKafkaConsumer) -> None:
        assigned = {partition.partition for partition in client.assignment()}
        for number in sorted(assigned & self._anchors.forgotten):
            # What was read of it may be nowhere else any more.
            if not len(self._turns.backlog.of(number)) and not self._turns.in_hand.any_of(number):
                await self._diverged(client, number)

    async def _poll(self, client: AIOKafkaConsumer) -> None:
        beat()
        self._engine.signals.behind = self._turns.backlog.records >= _MANY
        if not self._held:
            await asyncio.sleep(0.1)
            return
        if self._astray:
            return
        self._turns.begin()
        readable = [tp for tp in client.assignment() if tp.partition not in self._anchors.forgotten]
        roomy = [tp for tp in readable if self._turns.backlog.has_room(tp.partition)]
        if not roomy:
            await self._turns.in_hand.one_applied()
            return
        try:
            fetched = await self._turns.in_hand.meanwhile(
                lambda: client.getmany(*roomy, timeout_ms=500, max_records=MAX_RECORDS)
            )
        except OffsetOutOfRangeError as error:
            self._anchors.forgotten |= {partition.partition for partition in error.args[0]}
            return
        if fetched is not None:
            self._silence.note(client, heard=bool(fetched))
            for partition, records in fetched.items():
                await self._put(client, partition.partition, records)

    async def _put(self, client: AIOKafkaConsumer, number: int, records: Sequence[ConsumerRecord]) -> None:
        position = self._held.get(number)
        if position is None:
            return
        if number in self._unchecked:
            first = records[0]
            if first.offset == position.next_offset - 1 and mark(first) != position.last_event_id:
                await self._diverged(client, number)
                return
            del self._unchecked[number]
        fresh = [record for record in records if record.offset >= position.next_offset]
        self._turns.backlog.of(number).put(list(map(Read.of, fresh)))

    def _lost(self, number: int) -> None:
        log.warning("partition.lost", topic=self._topic, partition=number)
        self._held.pop(number, None)
        # What was fetched is gone: should the partition come back, it must be read from its stored position.
        self._astray = True

    def _position(self, number: int) -> Position | None:
        return self._held.get(number)

    def _moved(self, position: Position) -> None:
        self._turns.backlog.of(position.partition).moved(position.next_offset)
        if position.partition in self._held:
            self._held[position.partition] = position

    async def _diverged(self, client: AIOKafkaConsumer, number: int) -> None:
        """Kafka is not what we knew: read it from its beginning; event ids sort out what is known."""
        partition = TopicPartition(self._topic, number)
        beginning = (await client.beginning_offsets([partition]))[partition]
        position = self._held.get(number)
        if position is None:
            return
        log.error("log.diverged", topic=self._topic, partition=number, offset=position.next_offset, beginning=beginning)
        try:
            await patiently(
                self._database,
                lambda: in_transaction(
                    self._engine.database, lambda tx: leases.rewind(tx, position, self._owner, beginning)
                ),
            )
        except LeaseLostError:
            self._lost(number)
            return
        self._unchecked.pop(number, None)
        self._turns.backlog.forget(number)
        self._held[number] = Position(self._topic, number, beginning, None)
        self._anchors.cast(self._held[number])
        client.seek(partition, beginning)
