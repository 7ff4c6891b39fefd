"""Whether Kafka still has what was applied: a topic may be created anew, or lose its last records, while it is read.

A position alone does not tell: with as many records as before, or more, nothing fails, and those before it are never
read. So the record before a position that was reached some seconds ago must stay the one that was applied.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.alerting.reading.leases import Position
from services.alerting.reading.records import mark

_ANSWER_WITHIN: Final = 3.0


class Anchors:
    """Positions that were reached, one a partition; `forgotten`: partitions that are no longer what they were."""

    def __init__(self) -> None:
        self.forgotten: set[int] = set()
        self._reached: dict[int, Position] = {}

    def cast(self, position: Position) -> None:
        """This is where the partition stands: now that it is ours, or is read again from there."""
        self._reached[position.partition] = position
        self.forgotten.discard(position.partition)

    async def look(
        self, client: AIOKafkaConsumer, held: Mapping[int, Position], ends: Mapping[TopicPartition, int]
    ) -> None:
        """Find what Kafka forgot. `ends` were asked after `held` was known; what does not answer is for the next look.

        A later position becomes the anchor only when the earlier one held: Kafka may have more by now than before.
        """
        reached = {number: self._reached.get(number, position) for number, position in held.items()}
        short = {tp.partition for tp, end in ends.items() if end < held[tp.partition].next_offset}
        named = [p for n, p in reached.items() if p.last_event_id is not None and n not in short]
        answers = await _marks(client, named)
        other = {n for n, found in answers.items() if found not in (None, reached[n].last_event_id)}
        unanswered = {position.partition for position in named} - answers.keys()
        # What was cast meanwhile is read from there already.
        same = {number for number, position in reached.items() if self._reached.get(number, position) is position}
        self.forgotten |= (short | other) & same
        self._reached |= {number: held[number] for number in same - unanswered - other}


async def _marks(client: AIOKafkaConsumer, positions: Iterable[Position]) -> dict[int, str | None]:
    """What names the record before each position, by partition; None where it is too old to be there."""
    places = {TopicPartition(p.topic, p.partition): p.next_offset - 1 for p in positions}
    found: dict[int, str | None] = {}
    with contextlib.suppress(KafkaError, TimeoutError):
        async with asyncio.timeout(_ANSWER_WITHIN):
            beginnings = await client.beginning_offsets(list(places)) if places else {}
            found |= {tp.partition: None for tp, beginning in beginnings.items() if places[tp] < beginning}
            left = {tp for tp in places if tp.partition not in found}
            client.assign(list(left))
            for partition in left:
                client.seek(partition, places[partition])
            while left:
                for partition, (record, *_) in (await client.getmany(*left, timeout_ms=500, max_records=1)).items():
                    found[partition.partition] = mark(record) if record.offset == places[partition] else None
                    left.discard(partition)
    return found
