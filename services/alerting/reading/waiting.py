"""Records of one partition that were read and are not applied yet: in their order, and those that are let past others.

Kafka hands a partition out in its order, and a storm fills it faster than it is applied: a weapon would wait behind a
thousand quarrels. So more is read than is applied, and what is more urgent than much before it is applied out of its
turn. Nothing overtakes what may concern the same incident.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Final, Self

from schemas.events import Event, Heartbeat, Mode, Probe, Reported
from schemas.urgency import urgency_of
from services.alerting.reading.records import ConsumerRecord, Unread, read

LEAP: Final = 10
"""So many less urgent records wait when one is let past them, or would be applied with it: it takes a commit more."""
MOST_AHEAD: Final = 50
"""Records that are let past in one commit."""
FEW: Final = 100
"""Records of one commit in which something urgent waits for the others."""

Keys = Callable[[Event], Sequence[str]]
"""What other reports may share with a report (see `keys_of`)."""


class State(Enum):
    """Where a record is that was read."""

    WAITING = "waiting"
    IN_TURN = "in turn"
    AHEAD = "ahead"
    APPLIED = "applied"
    """Out of its turn; the position is still before it."""


@dataclass(slots=True, eq=False)
class Read:
    """A record with what it says."""

    record: ConsumerRecord
    item: Event | Unread
    state: State = State.WAITING
    urgency: int = field(init=False)
    overtakes: bool = False
    keys: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        self.urgency = urgency_of(self.item) if isinstance(self.item, Event) else 0

    @classmethod
    def of(cls, record: ConsumerRecord) -> Self:
        """A record that just came."""
        return cls(record, read(record))

    @property
    def left(self) -> Event | Unread | None:
        """What is to be done in its turn; None when it was let past."""
        return None if self.state is State.APPLIED else self.item

    @property
    def size(self) -> int:
        """Bytes of its content."""
        return len(self.record.value or b"")


class Waiting:
    """What waits for one partition; `size`: bytes of all of it."""

    def __init__(self) -> None:
        self.size = 0
        self._reads: deque[Read] = deque()
        self._urgencies: Counter[int] = Counter()
        self._overtakers: list[Read] = []
        self._look = False

    def __len__(self) -> int:
        return len(self._reads)

    def put(self, reads: Sequence[Read]) -> None:
        """Behind all that waits already."""
        self._urgencies.update(one.urgency for one in reads)
        for one in reads:
            one.overtakes = _may_overtake(one.item) and self._less_urgent_than(one) >= LEAP
            if one.overtakes:
                self._overtakers.append(one)
                self._look = True
            self._reads.append(one)
            self.size += one.size

    def in_turn(self, most: int) -> list[Read]:
        """The next ones in their order; fewer, where one of them is urgent and could not be let past yet."""
        taken: list[Read] = []
        urgent = False
        for one in islice(self._reads, most):
            urgent = urgent or (one.overtakes and one.state is State.WAITING)
            if urgent and len(taken) >= FEW:
                break
            taken.append(one)
        for one in taken:
            if one.state is State.WAITING:
                one.state = State.IN_TURN
        return taken

    def moved(self, next_offset: int) -> None:
        """All before this offset is applied."""
        while self._reads and self._reads[0].record.offset < next_offset:
            one = self._reads.popleft()
            self._urgencies[one.urgency] -= 1
            self.size -= one.size
        self._look = bool(self._overtakers)

    def ahead(self, keys_of: Keys, most: int = MOST_AHEAD) -> list[Read]:
        """Those that are let past now, with what must come before them, in their order; `settle` says what came of it.

        The most urgent first, if there are more.
        """
        if not self._look:
            return []
        self._look = False
        waiting = [one for one in self._overtakers if one.state is State.WAITING]
        chosen = sorted(waiting, key=lambda one: -one.urgency)[:most]
        taken = _free_to_go(self._reads, chosen, keys_of, most) if chosen else []
        for one in taken:
            one.state = State.AHEAD
        self._overtakers = [one for one in waiting if one.state is State.WAITING]
        return taken

    def settle(self, taken: Sequence[Read], *, applied: bool) -> None:
        """They were applied, or are left to their turn."""
        for one in taken:
            one.state = State.APPLIED if applied else State.WAITING
        self._look = bool(self._overtakers)

    def _less_urgent_than(self, one: Read) -> int:
        return sum(count for urgency, count in self._urgencies.items() if urgency < one.urgency)


def _free_to_go(reads: Sequence[Read] | deque[Read], chosen: Sequence[Read], keys_of: Keys, most: int) -> list[Read]:
    """What is chosen and waits for nothing, with the earlier reports of the same place, device or matter."""
    wanted, last = set(map(id, chosen)), max(one.record.offset for one in chosen)
    about = _Before()
    for one in reads:
        if one.record.offset > last:
            break
        if one.state is State.APPLIED or isinstance(one.item, Unread):
            continue
        if not _is_plain_report(one.item):
            about.note_follow_up(one.item)
            continue
        if one.keys is None:
            one.keys = (one.item.id, *keys_of(one.item))
        about.note(one, wanted=id(one) in wanted, most=most)
    return sorted(about.free, key=lambda one: one.record.offset)


class _Before:
    """What stands before a record, from the first that waits on."""

    def __init__(self) -> None:
        self.free: list[Read] = []
        self._stuck: set[str] = set()
        self._with: defaultdict[str, list[Read]] = defaultdict(list)
        self._sites: set[str] = set()
        self._any_site = False

    def note_follow_up(self, event: Event) -> None:
        """It may be about any incident of its site: what comes later may have to find it ended, or taken over."""
        if isinstance(event.data, Heartbeat | Probe) or event.imported:
            return
        if event.data.site is None:
            self._any_site = True
        else:
            self._sites.add(event.data.site)

    def note(self, one: Read, *, wanted: bool, most: int) -> None:
        """A report: free to go, or waiting for its turn and whoever wants to go with it."""
        assert isinstance(one.item, Event)
        assert one.keys is not None
        behind = self._is_behind_a_follow_up(one.item) or not self._stuck.isdisjoint(one.keys)
        if behind or one.state is not State.WAITING:
            self._stuck.update(one.keys)
            return
        for key in one.keys:
            self._with[key].append(one)
        if wanted:
            self._let_go(one, most)

    def _is_behind_a_follow_up(self, event: Event) -> bool:
        return self._any_site or (bool(self._sites) if event.data.site is None else event.data.site in self._sites)

    def _let_go(self, one: Read, most: int) -> None:
        group, found = {id(one): one}, [one]
        while found:
            for key in found.pop().keys or ():
                for other in self._with[key]:
                    if id(other) not in group:
                        group[id(other)] = other
                        found.append(other)
        new = [other for other in group.values() if other not in self.free]
        if len(self.free) + len(new) <= most:
            self.free += new
        else:
            self._stuck.update(key for other in new for key in other.keys or ())


def _is_plain_report(event: Event) -> bool:
    return isinstance(event.data, Reported) and event.subject is None and not event.imported


def _may_overtake(item: Event | Unread) -> bool:
    if isinstance(item, Unread) or not _is_plain_report(item):
        return False
    assert isinstance(item.data, Reported)
    return item.data.mode is Mode.ACTUAL and not item.data.learning
