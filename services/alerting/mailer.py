"""Sends what is in the outbox: several connections kept open, urgent mails first, one recipient a mail."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Sequence
from functools import partial

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.alerting.changes import Mail
from services.alerting.core.replacing import replace
from services.alerting.database import in_transaction, patiently, single_statement
from services.alerting.engine import Engine
from services.alerting.mailing import outbox
from services.alerting.mailing.holder import new_holder
from services.alerting.mailing.in_hand import InHand
from services.alerting.mailing.letters import Letters
from services.alerting.mailing.log_outcome import log_outcome
from services.alerting.mailing.outbox import Claimed
from services.alerting.mailing.outcomes import Outcome, State, after_a_bug, judge, without_trying
from services.alerting.mailing.recording import record
from services.alerting.mailing.unreadable import Unreadable
from services.common.loops import run_together, watched_apart
from services.common.mail.route import PATIENCE, MailRoute
from services.common.mail.session import NOT_LET_IN, WHOLE_CONVERSATION
from services.common.outage import Outage, wait_for

log = structlog.get_logger()

_WHILE_BEHIND = 2
"""Connections in use while events wait to be read in numbers: the worst may be among those, and nobody knows it yet."""
_MOMENT = 0.02
"""Seconds in which connections wait for each other while mails do: each claim is a commit."""
SUSPECT = 2
"""So many processes ended with a mail in hand that it is tried with nothing else in hand, and not for long.

When it has an answer, or none in time, and we are still here, it is suspected no longer.
"""
_AT_ONCE = 16
"""Mails written one after the other: work that is repeated is faster, but everything else waits for it."""
_COLLECT = 0.05
"""Seconds to let answers gather before they are recorded together."""
_MANY_ANSWERS = 100
"""With so many, and mails that wait, they are gathered no longer: the recording would hold up the claims."""
_MOST_ANSWERS = 200
"""Recorded in one commit."""
_MOST_UNRECORDED = 400
"""With so many nothing is claimed: after a crash each of them would be mailed again."""
_LOOK_EVERY = 1.0
"""Seconds between looks at the outbox when nobody in this process says that there is a mail."""
_SHOW_LIFE_EVERY = 1.0
_SOON = 1.0
_RENEW_WITHIN = 1.0
_FINISH_WITHIN = 5.0


class Mailer:
    """Any number of processes may run it."""

    def __init__(self, engine: Engine, route: MailRoute, letters: Letters, database: Outage) -> None:
        self.holder = new_holder()
        self._engine = engine
        self._route = route
        self._letters = letters
        self._database = database
        self._unreadable = Unreadable(engine, database)
        self._in_hand = InHand()
        self._outcomes: deque[Outcome] = deque()
        self._answered = asyncio.Event()
        self._faults: dict[uuid.UUID, int] = {}
        self._unrecorded = 0
        self._settled = asyncio.Event()
        self._stopping = False
        self._alone = False
        self._backlog = False
        engine.senders = self

    async def run(self) -> None:
        """Send for ever."""
        senders = {f"sender {number}": self._send_on for number in range(1, self._route.most_connections + 1)}
        await run_together({"claim": self._claim, "record": self._record_apart} | senders)

    async def show_life(self) -> None:
        """Say for ever that this process lives: what a dead one had in hand is taken by the others within seconds."""

        async def work() -> None:
            async with single_statement(self._engine.apart) as connection:
                await outbox.show_life(connection, self.holder)

        while True:
            await patiently(self._database, work)
            await asyncio.sleep(_SHOW_LIFE_EVERY)

    async def finish(self) -> None:
        """Claim nothing more; wait, for a few seconds at most, until what is being sent has its answer recorded.

        A mail left half-sent would be sent again only when its lease ends.
        """
        self._stopping = True
        deadline = time.monotonic() + _FINISH_WITHIN
        while (self._in_hand.count or self._unrecorded) and time.monotonic() < deadline:  # noqa: ASYNC110 - once, at the stop
            await asyncio.sleep(0.02)

    async def _claim(self) -> None:
        while True:
            if self._route.recovered.is_set():
                self._route.recovered.clear()
                await patiently(self._database, self._hasten)
            await self._gather_room()
            await self._give_back_overdue()
            room = self._room()
            claimed = await patiently(self._database, partial(self._take, room)) if room > 0 else Claimed()
            self._in_hand.count += len(claimed.mails)
            suspects = [mail for mail in claimed.mails if mail.crashes >= SUSPECT]
            await self._prepare([mail for mail in claimed.mails if mail.crashes < SUSPECT])
            if claimed.unread:
                await self._unreadable.leave(claimed.unread)
            # As many as asked for: there may be more, and the worst of them must not be overtaken.
            self._backlog = claimed.count >= room
            self._in_hand.look_ahead(time.monotonic(), many=self._backlog)
            if suspects:
                await self._send_alone(suspects)
            elif claimed.count < max(room, 1):
                await wait_for(self._engine.signals.mail, _LOOK_EVERY)

    @property
    def _most(self) -> int:
        connections = self._route.connections
        return min(_WHILE_BEHIND, connections) if self._engine.signals.behind else connections

    def _room(self) -> int:
        """Mails that may be claimed now: one for each free connection, and while many wait some for the next moment."""
        if self._stopping or self._unrecorded >= _MOST_UNRECORDED:
            return 0
        return max(0, self._most + self._ahead - self._in_hand.count)

    @property
    def _ahead(self) -> int:
        return 0 if self._engine.signals.behind else self._in_hand.ahead

    @property
    def _few(self) -> int:
        """So many in hand that it is time to claim more."""
        return self._most + self._ahead // 2 if self._ahead else 0

    async def _gather_room(self) -> None:
        """While mails wait, until few enough are in hand, or for a moment where some take long: claims are commits."""
        until = time.monotonic() + _MOMENT
        while self._backlog and self._in_hand.count > self._few and (left := until - time.monotonic()) > 0:
            await wait_for(self._engine.signals.mail, left)

    async def _prepare(self, mails: Sequence[Mail]) -> None:
        """Write them and have them sent."""
        for first in range(0, len(mails), _AT_ONCE):
            self._in_hand.put(self.write(mails[first : first + _AT_ONCE]), time.monotonic())
            await asyncio.sleep(0)

    def reserve(self, wanted: int) -> int:
        """Connections for mails that are being decided; none while others wait, or no server is there."""
        if self._stopping or self._alone or self._backlog or not self._route.usable:
            return 0
        reserved = min(wanted, max(0, self._most - self._in_hand.count))
        self._in_hand.count += reserved
        return reserved

    def write(self, mails: Sequence[Mail]) -> list[Mail]:
        """The mails with their messages; one that cannot be written comes back as it is, and is judged when sent."""
        try:
            messages = self._letters.write(*mails)
        except Exception:  # noqa: BLE001 – whatever it is, the attempt at this mail meets it again, and says so
            return list(mails) if len(mails) == 1 else [written for mail in mails for written in self.write([mail])]
        return [replace(mail, message=message) for mail, message in zip(mails, messages, strict=True)]

    def send(self, mails: Sequence[Mail], reserved: int) -> None:
        """Send at once what was leased to this process by the commit that decided it."""
        self._in_hand.count -= reserved - len(mails)
        self._in_hand.put(mails, time.monotonic())
        self._settled.set()

    async def _take(self, limit: int) -> Claimed:
        return await outbox.claim(self._engine.database, self.holder, limit, self._unreadable.left())

    async def _hasten(self) -> None:
        async with single_statement(self._engine.database) as connection:
            await outbox.hasten(connection)

    async def _send_on(self) -> None:
        while True:
            mail = await self._in_hand.take()
            try:
                with self._engine.lull.alarm():
                    await self._deliver(mail)
            finally:
                self._in_hand.sent()
                self._settled.set()
                if self._backlog and self._in_hand.count <= max(self._few, self._most):
                    self._engine.signals.mail.set()

    async def _send_alone(self, suspects: Sequence[Mail]) -> None:
        """One of them may be what ends processes: no other mail shall be in hand when it does."""
        first, *others = suspects
        self._alone = True
        try:
            if others:
                await patiently(self._database, partial(self._give_back, others, pause=_SOON))
                self._in_hand.count -= len(others)
            while self._in_hand.count > 1 or self._unrecorded:
                await self._give_back_overdue()
                await wait_for(self._settled, _LOOK_EVERY)
            await self._deliver(first)
        finally:
            self._in_hand.count -= 1
            self._alone = False

    async def _give_back(self, mails: Sequence[Mail], pause: float = 0.0) -> None:
        await in_transaction(self._engine.database, lambda tx: outbox.give_back(tx, mails, pause))

    async def _give_back_overdue(self) -> None:
        if overdue := self._in_hand.overdue(time.monotonic()):
            await patiently(self._database, partial(self._give_back, overdue))

    async def _deliver(self, mail: Mail) -> None:
        started = time.perf_counter()
        outcome = without_trying(mail, self._engine.clock) or await self._attempt(mail)
        if outcome.delay and outcome.stage in NOT_LET_IN and self._route.usable:
            outcome = replace(outcome, delay=_SOON)  # the server came back while this attempt still waited for it
        if outcome.own_fault:
            self._faults[mail.id] = self._faults.get(mail.id, 0) + 1
        elif outcome.state is not State.DUE:
            self._faults.pop(mail.id, None)
        log_outcome(outcome, time.perf_counter() - started)
        self._unrecorded += 1
        self._outcomes.append(outcome)
        self._answered.set()

    async def _attempt(self, mail: Mail) -> Outcome:
        faults = self._faults.get(mail.id, 0)
        try:
            tries = await self._route.send(
                self._letters.envelope_sender,
                mail.notify.recipient.email,
                mail.message or self._letters.write(mail)[0],
                within=PATIENCE if mail.attempt == 1 or mail.crashes >= SUSPECT else WHOLE_CONVERSATION,
                between=partial(self._still_ours, mail),
            )
        except Exception as error:
            # One such mail must not hold back all others, nor end the process again and again.
            log.exception("mail.unwritable", incident_id=mail.incident.id, mail_id=str(mail.id), attempt=mail.attempt)
            return after_a_bug(mail, error, faults)
        return judge(mail, tries, faults)

    async def _still_ours(self, mail: Mail) -> bool:
        """A second server takes longer than a mail's first lease; and somebody may have taken over meanwhile."""
        try:
            async with asyncio.timeout(_RENEW_WITHIN):
                return await in_transaction(self._engine.database, lambda tx: outbox.renew(tx, mail))
        except (SQLAlchemyError, OSError, TimeoutError):
            return True  # without the database nobody else can take it, and somebody waits for help

    async def _record_apart(self) -> None:
        await watched_apart("recording", self._record())

    async def _record(self) -> None:
        """Record outcomes, all that have come in since the last commit in one."""
        while True:
            while not self._outcomes:
                await wait_for(self._answered, _LOOK_EVERY)
            collect = self._time_to_collect()
            await asyncio.sleep(collect)
            async with self._engine.lull.waited_for(collect):
                outcomes = [self._outcomes.popleft() for _ in range(min(len(self._outcomes), _MOST_ANSWERS))]
                await patiently(self._database, partial(record, self._engine, outcomes))
            self._unrecorded -= len(outcomes)
            self._settled.set()
            if self._backlog:
                self._engine.signals.mail.set()

    def _time_to_collect(self) -> float:
        """Seconds to let answers gather: a refusal may mean that the next step is due now."""
        many = len(self._outcomes) >= _MANY_ANSWERS and self._backlog and not self._engine.signals.behind
        return 0.0 if many or self._outcomes[0].state is not State.ACCEPTED else _COLLECT
