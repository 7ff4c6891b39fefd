"""Has applied what was read: the records of each partition in their turn, and the most urgent ones before it."""

from collections.abc import Callable, Sequence

from schemas.events import Event
from services.alerting.core.learning import keys_of
from services.alerting.core.policy import Rules
from services.alerting.reading.applying import Applier
from services.alerting.reading.backlog import MAX_RECORDS, Backlog
from services.alerting.reading.in_hand import InHand, Lane
from services.alerting.reading.leases import LeaseLostError, Position
from services.alerting.reading.waiting import FEW, Read, State, Waiting


class Turns:
    """Of all partitions of this process.

    Args:
        applier: does the work.
        rules: those in force.
        position: where a partition stands, None when it is no longer ours.
        lost: hears of a partition that turned out to be somebody else's.
    """

    def __init__(
        self,
        applier: Applier,
        rules: Callable[[], Rules],
        position: Callable[[int], Position | None],
        lost: Callable[[int], None],
    ) -> None:
        self.backlog = Backlog()
        self.in_hand = InHand()
        self._applier = applier
        self._rules = rules
        self._position = position
        self._lost = lost

    def begin(self) -> None:
        """Begin to apply what nothing of the same partition is in the way of."""
        for number, waiting in self.backlog:
            ahead, lane = Lane(number, ahead=True), Lane(number)
            if (position := self._position(number)) is None:
                continue
            suspected = self._applier.suspects(number)
            free = ahead not in self.in_hand and not suspected
            if free and (reads := waiting.ahead(self._keys_of)):
                self.in_hand.take(ahead, self._let_past(position, waiting, reads))
            few = MAX_RECORDS if suspected else FEW
            if lane not in self.in_hand and (reads := waiting.in_turn(MAX_RECORDS, few)):
                self.in_hand.take(lane, self._take_turn(position, reads))

    def _keys_of(self, event: Event) -> Sequence[str]:
        return keys_of(event, self._rules())

    async def _let_past(self, position: Position, waiting: Waiting, reads: Sequence[Read]) -> None:
        events = [one.item for one in reads if isinstance(one.item, Event)]
        applied = False
        try:
            applied = await self._applier.let_past(position, events)
        except LeaseLostError:
            self._lost(position.partition)
        finally:
            waiting.settle(reads, applied=applied)

    async def _take_turn(self, position: Position, reads: Sequence[Read]) -> None:
        number = position.partition
        if any(one.state is State.AHEAD for one in reads):
            # They would be passed over, and applying them there may still fail.
            await self.in_hand.end_of(Lane(number, ahead=True))
        if self._position(number) is not position:
            return  # lost meanwhile; should it be ours again, it is read anew
        try:
            await self._applier.apply(position, reads)
        except LeaseLostError:
            self._lost(number)
