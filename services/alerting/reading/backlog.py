"""What this process has read of its partitions and not applied yet: bounded, however much Kafka holds."""

from collections.abc import Iterator
from typing import Final

from services.alerting.reading.waiting import Waiting

MAX_RECORDS: Final = 500
"""Of one fetch, and of one commit; so many of a partition may always be read, whatever waits of the others."""
_MOST: Final = 5_000
_MOST_BYTES: Final = 16 * 2**20
"""Of the records' values: what is made of them takes a few times as much."""
MOST_OF_A_PARTITION: Final = _MOST + MAX_RECORDS
"""Records that a process that died can have had in hand, from the position on."""


class Backlog:
    """The partitions of which something was read, by number."""

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}

    def __iter__(self) -> Iterator[tuple[int, Waiting]]:
        return iter(self._waiting.items())

    def of(self, number: int) -> Waiting:
        """What waits for this partition."""
        return self._waiting.setdefault(number, Waiting())

    def unapplied(self) -> set[int]:
        """The partitions of which something waits, or is in hand."""
        return {number for number, waiting in self if len(waiting)}

    @property
    def records(self) -> int:
        """Of all partitions together."""
        return sum(map(len, self._waiting.values()))

    def has_room(self, number: int) -> bool:
        """Whether more of this partition may be read."""
        few = len(self.of(number)) < MAX_RECORDS
        return few or (self.records < _MOST and sum(one.size for one in self._waiting.values()) < _MOST_BYTES)

    def forget(self, number: int) -> None:
        """It is read anew."""
        self._waiting.pop(number, None)

    def forget_all(self) -> None:
        """Everything is."""
        self._waiting.clear()
