"""The way of a mail: over the normal server, and over the fallback when that one fails or is in trouble."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog
from prometheus_client import Gauge

from services.common.loops import beat
from services.common.mail.lane import Lane, Via
from services.common.mail.session import WHOLE_CONVERSATION, Blame, SmtpAnswer, Verdict
from services.common.mail.smtp import SmtpServer
from services.common.mail.switch import Change, Switch
from services.common.mail.wire import OnTheWire

log = structlog.get_logger()

PATIENCE: Final = 5.0
"""Seconds for a server while another one could be asked, and for the first attempt at a mail."""
_LOOK_EVERY: Final = 0.5
_ENGAGED: Final = Gauge("rufkette_mail_fallback_engaged", "1 while all mails go over the fallback server, else 0.")


@dataclass(frozen=True, slots=True)
class Try:
    """What one server answered."""

    via: Via
    answer: SmtpAnswer


@dataclass(frozen=True, slots=True)
class RouteState:
    """`usable`: some server lets us in. `problems` names the servers that give trouble, and how."""

    usable: bool
    problems: dict[str, str]


class MailRoute:
    """Shared by everything in a process that mails; `run` must run beside it."""

    def __init__(self, normal: SmtpServer, fallback: SmtpServer | None = None) -> None:
        self.recovered = asyncio.Event()
        """Set when a server lets us in again; whoever has waited for that clears it."""
        self._normal = Lane("normal", normal, self.recovered.set)
        self._fallback = None if fallback is None else Lane("fallback", fallback, self.recovered.set)
        self._lanes = [self._normal] if self._fallback is None else [self._normal, self._fallback]
        self._switch = Switch()

    @property
    def usable(self) -> bool:
        """Whether some server lets us in."""
        return any(lane.outage.down is None for lane in self._lanes)

    @property
    def takes_mails(self) -> bool:
        """Whether some server also takes what is handed to it."""
        return any(lane.takes_mails for lane in self._lanes)

    @property
    def connections(self) -> int:
        """Over so many mails go at once now."""
        fallback = self._fallback if self._switch.engaged else None
        return (fallback or self._normal).connections

    @property
    def most_connections(self) -> int:
        """Over so many they ever go."""
        return max(lane.connections for lane in self._lanes)

    @property
    def engaged(self) -> bool:
        """Whether all mails go over the fallback."""
        return self._switch.engaged

    @property
    def state(self) -> RouteState:
        """For readiness."""
        problems: dict[str, str] = {
            lane.outage.what: lane.outage.problem for lane in self._lanes if lane.outage.problem is not None
        }
        if self.usable and self._switch.engaged:
            problems.setdefault(self._normal.outage.what, "the mail server failed lately; mails go over the second one")
        # Of a second server that is not needed now only its next mail could tell that it takes mails again.
        needed = self._lanes if self._switch.engaged or not self._normal.takes_mails else [self._normal]
        for lane in needed:
            if lane.trouble is not None:
                problems.setdefault(lane.outage.what, lane.trouble)
        return RouteState(self.usable, problems)

    async def run(self) -> None:
        """Look at the servers for ever: readiness must not wait for the first alarm."""
        try:
            await asyncio.gather(*(self._watch(lane) for lane in self._lanes))
        finally:
            await self.close()

    async def close(self) -> None:
        """End all conversations."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))

    async def send(
        self,
        sender: str,
        recipient: str,
        message: OnTheWire,
        *,
        within: float = WHOLE_CONVERSATION,
        between: Callable[[], Awaitable[bool]] | None = None,
    ) -> Sequence[Try]:
        """Hand one mail over; what each server that was asked answered, the last one last.

        Args:
            sender: the envelope's sender.
            recipient: the envelope's only recipient.
            message: the same for both servers, so that a double has the same Message-ID.
            within: seconds where there is one server only; with two, each gets its share of `WHOLE_CONVERSATION`.
            between: asked before a second server; False: the mail is no longer ours to send.
        """
        if self._fallback is None:
            return self._understood([await self._ask(self._normal, sender, recipient, message, within)])
        both = (self._normal, self._fallback)
        first, second = both if self._switch.normal_first() else reversed(both)
        tries = [await self._ask(first, sender, recipient, message, PATIENCE)]
        if _settled(tries[0].answer, first) or (between is not None and not await between()):
            return tries
        tries.append(await self._ask(second, sender, recipient, message, WHOLE_CONVERSATION - PATIENCE))
        return self._understood(tries)

    async def rehearse(self, sender: str, recipient: str) -> SmtpAnswer:
        """Whether the server that mails go over now would take one for this recipient; none is handed over."""
        lane = self._fallback if self._fallback is not None and self._switch.engaged else self._normal
        return await lane.rehearse(sender, recipient)

    async def _ask(self, lane: Lane, sender: str, recipient: str, message: OnTheWire, within: float) -> Try:
        answer = await lane.send(sender, recipient, message, within)
        if lane is self._normal and self._fallback is not None:
            if answer.blames in (Blame.SERVER, Blame.OPERATOR):
                self._failed(answer)
            else:
                self._say(self._switch.worked(), answer)
        return Try(lane.via, answer)

    def _understood(self, tries: Sequence[Try]) -> Sequence[Try]:
        """Where every server refuses us for this recipient, though one takes mails from us, it is about the recipient.

        A closed list, for example. Where several recipients were refused so, it is about us.
        """
        takes_mails = any(lane.took_lately and not lane.refuses_all for lane in self._lanes)
        if not takes_mails or not all(one.answer.refuses_us_at_rcpt for one in tries):
            return tries
        return [Try(one.via, replace(one.answer, verdict=Verdict.REFUSED)) for one in tries]

    async def _watch(self, lane: Lane) -> None:
        while True:
            if lane.due_for_probe(in_doubt=lane is self._normal and self._switch.engaged):
                await self._probe(lane)
            beat()
            await asyncio.sleep(_LOOK_EVERY)

    async def _probe(self, lane: Lane) -> None:
        answer = await lane.greet()
        if lane is self._normal and self._fallback is not None:
            if answer.verdict is Verdict.ACCEPTED:
                self._say(self._switch.greeted(time.monotonic()), answer)
            else:
                self._failed(answer)

    def _failed(self, answer: SmtpAnswer) -> None:
        reached = answer.stage != "CONNECT"
        self._say(self._switch.failed(time.monotonic(), reached=reached), answer)

    def _say(self, change: Change | None, answer: SmtpAnswer) -> None:
        match change:
            case Change.ENGAGED:
                log.error("fallback.engaged", stage=answer.stage, code=answer.code, failures=self._switch.failures)
            case Change.RELEASED:
                log.info("fallback.released")
            case None:
                pass
        _ENGAGED.set(self._switch.engaged)


def _settled(answer: SmtpAnswer, lane: Lane) -> bool:
    """Whether a second server need not be asked: the mail is taken, or nobody's fault but the recipient's."""
    if answer.verdict is Verdict.ACCEPTED:
        return True
    about_the_recipient = answer.verdict is Verdict.REFUSED and answer.blames is Blame.RECIPIENT
    return about_the_recipient and not lane.refuses_all
