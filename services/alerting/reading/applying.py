"""Has the engine apply what was read from a partition, so that no record can hold up those behind it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.events import Event, Reported
from services.alerting.database import in_transaction, is_data_fault, is_too_long, patiently
from services.alerting.engine import Batch, Engine
from services.alerting.mailing import troubles
from services.alerting.mailing.troubles import Trouble
from services.alerting.reading import suspects
from services.alerting.reading.backlog import MOST_OF_A_PARTITION
from services.alerting.reading.breaker import Breaker
from services.alerting.reading.leases import LeaseLostError, Position
from services.alerting.reading.records import ConsumerRecord, LetPast, Unread, mark, rejected
from services.alerting.reading.waiting import Read
from services.common.outage import Outage

log = structlog.get_logger()

_PARTS = 8
Item = Event | Unread | LetPast
"""What a record says."""


class Applier:
    """`moved` hears of every step of a position."""

    def __init__(
        self, engine: Engine, owner: str, database: Outage, breaker: Breaker, moved: Callable[[Position], None]
    ) -> None:
        self._engine = engine
        self._owner = owner
        self._database = database
        self._breaker = breaker
        self._moved = moved
        self._suspected: dict[int, int] = {}

    def inherit(self, partition: int) -> None:
        """The last owner of the partition died with it: what it may have had in hand is suspected."""
        self._suspected[partition] = MOST_OF_A_PARTITION

    def absolve(self, partition: int) -> None:
        """Everything that was there when its owner died has passed."""
        self._suspected.pop(partition, None)

    def suspects(self, partition: int) -> bool:
        """Whether a record of this partition may have ended its last owner: then each is applied in its turn."""
        return partition in self._suspected

    async def let_past(self, position: Position, events: Sequence[Event]) -> bool:
        """Apply events that stand further behind, while the position stays before those that they are let past.

        Returns:
            Whether it was done. Else, whatever it was, their turn meets it again, and says so.

        Raises:
            LeaseLostError: the partition is no longer ours.
        """
        batch = Batch(position, end_offset=None, last_event_id=None, events=events)
        apply = partial(self._engine.apply, batch, self._owner)
        try:
            await patiently(self._database, apply, raising=is_too_long)
        except LeaseLostError:
            raise
        except Exception as error:  # noqa: BLE001 – see above
            log.debug("events.not_let_past", partition=position.partition, error=type(error).__name__)
            return False
        log.info("events.let_past", partition=position.partition, events=len(events))
        return True

    async def apply(self, position: Position, reads: Sequence[Read]) -> None:
        """Apply records that follow each other from the position on.

        Raises:
            LeaseLostError: the partition is no longer ours.
            TrippedError: most records are unreadable.
        """
        records, items = [one.record for one in reads], [one.in_its_turn for one in reads]
        self._breaker.judge([isinstance(item, Unread) for item in items])
        left = self._suspected.get(position.partition, 0)
        if left:
            position = await self._suspiciously(position, records[:left], items[:left])
            await self._clear(position, left - len(records))
        if records[left:]:
            await self._together(position, records[left:], items[left:])

    async def _suspiciously(
        self, position: Position, records: Sequence[ConsumerRecord], items: Sequence[Item]
    ) -> Position:
        """Once together: who is killed hardly ever dies of a record. When that ends the process too, one by one."""
        async with suspects.one_at_a_time:
            attempt = await self._count(position, records[0].offset)
            if attempt == suspects.TOGETHER:
                return await self._together(position, records, items)
            position = await self._tried(position, records[0], items[0], attempt)
        for record, item in zip(records[1:], items[1:], strict=True):
            async with suspects.one_at_a_time:
                attempt = await self._count(position, record.offset)
                position = await self._tried(position, record, item, attempt)
        return position

    async def _tried(self, position: Position, record: ConsumerRecord, item: Item, attempt: int) -> Position:
        if attempt > suspects.CRASHES:
            return await self._set_aside(position, record, item, "processing it ended the process three times")
        return await self._alone(position, record, item)

    async def _count(self, position: Position, offset: int) -> int:
        return await patiently(
            self._database,
            lambda: in_transaction(self._engine.database, lambda tx: suspects.count_record(tx, position, offset)),
        )

    async def _clear(self, position: Position, left: int) -> None:
        if left > 0:
            self._suspected[position.partition] = left
            return
        self.absolve(position.partition)
        topic, partition = position.topic, position.partition
        await patiently(
            self._database,
            lambda: in_transaction(self._engine.database, lambda tx: suspects.clear_record(tx, topic, partition)),
        )

    async def _together(self, position: Position, records: Sequence[ConsumerRecord], items: Sequence[Item]) -> Position:
        try:
            return await self._commit(position, records, items, divisible=len(records) > 1)
        except Exception as error:
            if isinstance(error, DBAPIError) and is_data_fault(error):
                # Bad data cannot block a partition: find the record that PostgreSQL refuses.
                for record, item in zip(records, items, strict=True):
                    position = await self._alone(position, record, item)
                return position
            if not is_too_long(error):
                raise
        # A batch that is too much for one transaction would be so each time: in parts.
        size = math.ceil(len(records) / _PARTS)
        for start in range(0, len(records), size):
            part = slice(start, start + size)
            position = await self._together(position, records[part], items[part])
        return position

    async def _alone(self, position: Position, record: ConsumerRecord, item: Item) -> Position:
        try:
            return await self._commit(position, [record], [item])
        except DBAPIError as error:
            if not is_data_fault(error):
                raise
            return await self._set_aside(position, record, item, "the database refuses its data")

    async def _set_aside(self, position: Position, record: ConsumerRecord, item: Item, reason: str) -> Position:
        """Tell the emergency contacts before the record is passed over: perhaps twice, but never not."""
        site = item.data.site if isinstance(item, Event) and isinstance(item.data, Reported) else None
        known = site if site is not None and self._engine.rules().site(site) else None
        trouble = Trouble(known, reason, position.topic, position.partition, record.offset)

        async def tell(tx: AsyncConnection) -> None:
            await troubles.tell(tx, trouble, self._engine.rules(), self._engine.clock())

        await patiently(self._database, lambda: in_transaction(self._engine.database, tell))
        return await self._commit(position, [record], [Unread(record, reason)])

    async def _commit(
        self,
        position: Position,
        records: Sequence[ConsumerRecord],
        items: Sequence[Item],
        *,
        divisible: bool = False,
    ) -> Position:
        unread = [item for item in items if isinstance(item, Unread)]
        end_offset = records[-1].offset + 1
        batch = Batch(
            position=position,
            end_offset=end_offset,
            last_event_id=mark(records[-1]),
            events=[
                item.event if isinstance(item, LetPast) else item for item in items if not isinstance(item, Unread)
            ],
            let_past=frozenset(item.event.id for item in items if isinstance(item, LetPast)),
            rejected=[rejected(item.record, item.reason) for item in unread],
        )
        apply = partial(self._engine.apply, batch, self._owner)
        await patiently(self._database, apply, raising=lambda error: divisible and is_too_long(error))
        after = replace(position, next_offset=end_offset, last_event_id=batch.last_event_id, inherited=False)
        self._moved(after)
        for item in unread:
            log.error(
                "record.rejected",
                topic=position.topic,
                partition=position.partition,
                offset=item.record.offset,
                reason=item.reason,
            )
        return after
