"""Records of one partition that were read and are not applied yet: in their order, and those that are let past others.

Kafka hands a partition out in its order, and a storm fills it faster than it is applied: a weapon would wait behind a
thousand quarrels. So more is read than is applied, and what is more urgent than much before it is applied out of its
turn. Nothing overtakes what may concern the same incident.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Final, Self

from schemas.events import Event, Heartbeat, Kind, Mode, Probe, Reported
from schemas.urgency import urgency_of
from services.alerting.reading.records import ConsumerRecord, LetPast, Unread, read

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
    its_turn: bool = False
    """It has begun: nothing is let past any more that failed at it before."""
    keys: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        self.urgency = urgency_of(self.item) if isinstance(self.item, Event) else 0

    @classmethod
    def of(cls, record: ConsumerRecord) -> Self:
        """A record that just came."""
        return cls(record, read(record))

    @property
    def in_its_turn(self) -> Event | Unread | LetPast:
        """What is to be done when its turn comes."""
        return LetPast(self.item) if self.state is State.APPLIED and isinstance(self.item, Event) else self.item

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

    def in_turn(self, most: int, few: int = FEW) -> list[Read]:
        """The next ones in their order; `few`, where one of them is urgent and could not be let past yet."""
        taken: list[Read] = []
        urgent = False
        for one in islice(self._reads, most):
            urgent = urgent or (one.overtakes and one.state is State.WAITING)
            if urgent and len(taken) >= few:
                break
            taken.append(one)
        for one in taken:
            one.its_turn = True
            if one.state is State.WAITING:
                one.state = State.IN_TURN
        return taken

    def moved(self, next_offset: int) -> None:
        """All before this offset is applied."""
        while self._reads and self._reads[0].record.offset < next_offset:
            one = self._reads.popleft()
            self._urgencies[one.urgency] -= 1
            self.size -= one.size
        self._overtakers = [one for one in self._overtakers if one.state is State.WAITING]
        self._look = bool(self._overtakers)

    def ahead(self, keys_of: Keys, most: int = MOST_AHEAD) -> list[Read]:
        """Those that are let past now, with what must come before them, in their order; `settle` says what came of it.

        The most urgent first, if there are more.
        """
        if not self._look:
            return []
        self._look = False
        waiting = [one for one in self._overtakers if one.state is State.WAITING]
        taken = _free_to_go(self._reads, waiting, keys_of, most) if waiting else []
        for one in taken:
            one.state = State.AHEAD
        self._overtakers = [one for one in waiting if one.state is State.WAITING]
        return taken

    def settle(self, taken: Sequence[Read], *, applied: bool) -> None:
        """They were applied, or are left to their turn."""
        for one in taken:
            one.state = State.APPLIED if applied else State.IN_TURN if one.its_turn else State.WAITING
        self._look = bool(self._overtakers)

    def _less_urgent_than(self, one: Read) -> int:
        return sum(count for urgency, count in self._urgencies.items() if urgency < one.urgency)


def _free_to_go(reads: Iterable[Read], overtakers: Sequence[Read], keys_of: Keys, most: int) -> list[Read]:
    """The most urgent that wait for nothing, with the earlier reports of the same place, device or matter."""
    wanted, last = set(map(id, overtakers)), overtakers[-1].record.offset
    about = _Before(most)
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
        about.note(one, wanted=id(one) in wanted)
    return sorted(about.most_urgent(), key=lambda one: one.record.offset)


class _Before:
    """What stands before a record, from the first that waits on; at most `most` are let past."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free: list[tuple[int, dict[int, Read]]] = []
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

    def note(self, one: Read, *, wanted: bool) -> None:
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
            self._let_go(one)

    def most_urgent(self) -> Iterable[Read]:
        """As many as may go, each with those that must go before it."""
        taken: dict[int, Read] = {}
        for _, group in sorted(self._free, key=lambda found: -found[0]):
            if len(taken | group) <= self._most:
                taken |= group
        return taken.values()

    def _is_behind_a_follow_up(self, event: Event) -> bool:
        assert isinstance(event.data, Reported)
        data = event.data
        # A form finds a press by its reference or device wherever that was.
        anywhere = data.site is None or (data.kind is not Kind.PANIC and (data.reference or data.device_id))
        return self._any_site or (bool(self._sites) if anywhere else data.site in self._sites)

    def _let_go(self, one: Read) -> None:
        group, found, looked = {id(one): one}, [one], set[str]()
        while found:
            for key in set(found.pop().keys or ()) - looked:
                looked.add(key)
                for other in self._with[key]:
                    if id(other) not in group:
                        group[id(other)] = other
                        found.append(other)
                    if len(group) > self._most:
                        return  # a crowd waits for its turn
        self._free.append((one.urgency, group))


def _is_plain_report(event: Event) -> bool:
    return isinstance(event.data, Reported) and event.subject is None and not event.imported


def _may_overtake(item: Event | Unread) -> bool:
    if isinstance(item, Unread) or not _is_plain_report(item):
        return False
    assert isinstance(item.data, Reported)
    return item.data.mode is Mode.ACTUAL and not item.data.learning
