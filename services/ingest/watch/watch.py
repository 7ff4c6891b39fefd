"""The watch: mails the emergency contacts itself about real reports that nobody is known to have heard of."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import Final
from uuid import NAMESPACE_OID

import structlog

from schemas.configuration import Configuration
from schemas.events import EmergencyMailed, Event
from schemas.ids import named_id
from services.common.loops import Pulses, beat
from services.common.mail.session import Blame, SmtpAnswer, SmtpSession, Verdict
from services.common.mail.smtp import parse_smtp_url
from services.common.mail.wire import as_data
from services.common.settings import IngestSettings
from services.ingest.caught_up import CaughtUp
from services.ingest.journal.ledger import Entry, Ledger
from services.ingest.loops import begin, end_process_on_bug
from services.ingest.metrics import UNHEARD, WATCH_MAILS
from services.ingest.publisher import Unpublished
from services.ingest.watch.mail import Written, contacts, known_site, message, write
from services.ingest.watch.pace import Pace

log = structlog.get_logger()

SOURCE: Final = "watch"
"""The source of the events that the watch publishes."""
READ_WITHIN: Final = 10.0
"""Seconds that the lifecycle is given before unheard means unheard: at the start, and when more may have been said."""
_STALLED: Final = 5.0
"""A process that slept so long has read nothing meanwhile either: what confirms may be waiting to be read."""
_LOOK_EVERY: Final = 0.5
_MOST_IDS: Final = 500
"""Reports in one event."""
_BESIDES: Final = 1.0
"""Seconds for which a report has to be unheard to be listed beside one that is unheard for too long."""
_RETRIES: Final = (5.0, 10.0, 20.0, 40.0, 60.0)
_FIRST_RELAY_WITHIN: Final = 5.0


@dataclass(slots=True)
class _Site:
    """What the watch does about one site."""

    pace: Pace = field(default_factory=Pace)
    task: asyncio.Task[None] | None = field(default=None)


class Watch:
    """One mail per site and minute at most, listing all that is unheard there; again until somebody has heard.

    `publish` takes the event that says what was mailed.
    """

    def __init__(
        self,
        settings: IngestSettings,
        configuration: Configuration,
        ledger: Ledger,
        *,
        publish: Callable[[Event], Awaitable[object]],
        caught_up: CaughtUp,
    ) -> None:
        urls = [url for url in (settings.smtp_fallback_url, settings.smtp_url) if url is not None]
        self._relays = [parse_smtp_url(url.get_secret_value()) for url in urls]
        self._sender, self._after = settings.mail_from, settings.watch_after
        self._configuration = configuration
        self._ledger = ledger
        self._publish, self._caught_up = publish, caught_up
        self._looked_at = time.monotonic()
        self._sites: dict[str | None, _Site] = {}
        self._task: asyncio.Task[None] | None = None
        self._slots = [asyncio.Semaphore(relay.connections) for relay in self._relays]

    def take(self, configuration: Configuration) -> None:
        """Mail by this configuration from now on."""
        self._configuration = configuration

    async def start(self, pulses: Pulses | None = None) -> None:
        """Begin to watch; returns at once. Nothing is mailed before the lifecycle is read, or `READ_WITHIN` is over."""
        self._caught_up.ask()
        self._looked_at = time.monotonic()
        self._task = begin("watch", self._run(), pulses)

    async def stop(self) -> None:
        """Stop; what is not confirmed stands in the journal."""
        tasks = [task for task in (self._task, *(site.task for site in self._sites.values())) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=3)

    async def _run(self) -> None:
        while True:
            beat()
            await self._next_look()
            due = self._due()
            UNHEARD.set(sum(map(len, due.values())))
            for site_id in due:
                site = self._sites.setdefault(site_id, _Site())
                if site.task is None or site.task.done():
                    site.task = asyncio.create_task(self._tend(site_id, site), name="watch of a site")
                    site.task.add_done_callback(end_process_on_bug)

    async def _next_look(self) -> None:
        await asyncio.sleep(_LOOK_EVERY)
        await self._let_confirm()

    async def _let_confirm(self) -> None:
        """Where more may stand on the lifecycle than was read, return when it is read, or `READ_WITHIN` is over."""
        while self._has_to_read():  # noqa: ASYNC110 – it ends by the time, too
            await asyncio.sleep(_LOOK_EVERY)

    def _has_to_read(self) -> bool:
        now = time.monotonic()
        if now - self._looked_at > _STALLED:
            self._caught_up.ask()
        self._looked_at = now
        return self._caught_up.is_awaited(READ_WITHIN)

    def _due(self) -> dict[str | None, list[Entry]]:
        """What is unheard for too long, by site."""
        found: dict[str | None, list[Entry]] = {}
        for entry in self._ledger.unheard(time.monotonic() - self._after):
            found.setdefault(known_site(entry.event, self._configuration), []).append(entry)
        return found

    def _listed(self, site_id: str | None) -> list[Entry]:
        """What a mail about a site lists: also what is unheard for less than that, as the next mail has to wait."""
        unheard = self._ledger.unheard(time.monotonic() - min(_BESIDES, self._after))
        return [entry for entry in unheard if known_site(entry.event, self._configuration) == site_id]

    async def _tend(self, site_id: str | None, site: _Site) -> None:
        """Until everything of this site is heard."""
        if site.pace.mailed_at is None:
            _recall(site.pace, self._due().get(site_id, []))
        while due := self._due().get(site_id):
            if _may_begin(site.pace, due):
                await self._mail(site_id, site, self._listed(site_id))
            else:
                await asyncio.sleep(_LOOK_EVERY)
            await self._let_confirm()
        site.pace.rest()

    async def _mail(self, site_id: str | None, site: _Site, entries: Sequence[Entry]) -> None:
        """One mail, until every contact's server took or refused it, or a newer mail is due, or all is heard."""
        pace = site.pace
        pace.tried_at = began = time.monotonic()
        ids = sorted(entry.event.id for entry in entries)
        mail_id = _mail_id(site_id, entries)
        written = write([entry.event for entry in entries], site_id, self._configuration)
        waiting = contacts(site_id, self._configuration)
        named = (*waiting, *contacts(None, self._configuration))  # as it began, whatever is reloaded meanwhile
        others = set(named) - set(waiting)
        for attempt in itertools.count(1):
            send = (
                self._send(written, recipient, mail_id, attempt, site_id, named.index(recipient) + 1)
                for recipient in waiting
            )
            verdicts = dict(zip(waiting, await asyncio.gather(*send), strict=True))
            if Verdict.ACCEPTED in verdicts.values() and pace.mailed_at != began:
                pace.taken(began)
                await self._note(mail_id, site_id, ids)
            waiting = tuple(recipient for recipient, verdict in verdicts.items() if verdict is Verdict.DEFERRED)
            if pace.mailed_at != began and (not waiting or (others and attempt > 1)):
                # Nobody of the site could be mailed, or not even at the second attempt: whoever the organisation names.
                waiting, others = (*waiting, *sorted(others)), set()
                pause = 0.0
            else:
                pause = _RETRIES[min(attempt, len(_RETRIES)) - 1]
            if not waiting or await self._is_over(site_id, site, set(ids), pause, began):
                return

    async def _is_over(self, site_id: str | None, site: _Site, ids: set[str], pause: float, began: float) -> bool:
        """Wait before the next attempt; whether another mail takes this one's place meanwhile, or none is needed."""
        until = time.monotonic() + pause
        while time.monotonic() < until:
            await self._next_look()
            entries = self._due().get(site_id, [])
            if site.pace.mailed_at == began:
                if not entries or _may_begin(site.pace, entries):
                    return True
            elif {entry.event.id for entry in self._listed(site_id)} != ids:
                site.pace.tried_at = None
                return True
        return False

    async def _note(self, mail_id: str, site_id: str | None, ids: Sequence[str]) -> None:
        now = datetime.now(UTC)
        news = _news(mail_id, site_id, ids, now)
        await self._ledger.mailed(ids, now, *news)
        log.warning("watch.mailed", site=site_id, mail_id=mail_id, reports=len(ids))
        # It follows the reports through ledger and journal; where that is full, the mail itself matters more.
        try:
            for one in news:
                await self._publish(one)
        except Unpublished:
            log.warning("watch.unpublished", site=site_id, mail_id=mail_id)

    async def _send(
        self, written: Written, recipient: str, mail_id: str, attempt: int, site_id: str | None, contact: int
    ) -> Verdict:
        """Over one relay after the other, until one takes it; refused only when the last one refuses.

        `contact` stands for the recipient in the log: the first, the second, … that the configuration names.
        """
        body = as_data(message(written, self._sender, recipient, mail_id, datetime.now(UTC), attempt))
        verdicts: list[Verdict] = []
        for number, (relay, slots) in enumerate(zip(self._relays, self._slots, strict=True), 1):
            session = SmtpSession(relay)
            within = _FIRST_RELAY_WITHIN if number < len(self._relays) else 20.0
            async with slots:
                answer = await session.send(parseaddr(self._sender)[1], recipient, body, within)
                await session.close()
            WATCH_MAILS.labels(answer.verdict.value).inc()
            if answer.verdict is Verdict.ACCEPTED:
                return answer.verdict
            log.error(
                "watch.unmailable",
                site=site_id, mail_id=mail_id, contact=contact, relay=number, attempt=attempt,
                stage=answer.stage, code=answer.code,
            )  # fmt: skip
            verdicts.append(_final(answer))
        return Verdict.REFUSED if all(v is Verdict.REFUSED for v in verdicts) else Verdict.DEFERRED


def _news(mail_id: str, site_id: str | None, ids: Sequence[str], now: datetime) -> list[Event]:
    """What alerting hears of a mail; of one about very many reports in parts, as Kafka and its readers have limits."""
    parts = [tuple(ids[start : start + _MOST_IDS]) for start in range(0, len(ids), _MOST_IDS)]
    names = [mail_id, *(named_id(NAMESPACE_OID, f"{mail_id}:{number}") for number in range(1, len(parts)))]
    return [
        Event(id=name, source=SOURCE, time=now, data=EmergencyMailed(event_ids=part, site=site_id))
        for name, part in zip(names, parts, strict=True)
    ]


def _final(answer: SmtpAnswer) -> Verdict:
    """Only what is said about the recipient ends the attempts."""
    is_final = answer.verdict is Verdict.REFUSED and answer.blames is Blame.RECIPIENT
    return Verdict.REFUSED if is_final else Verdict.DEFERRED


def _mail_id(site_id: str | None, entries: Sequence[Entry]) -> str:
    """The same as long as no mail about these is recorded, over restarts too; a repeat is a new mail."""
    ids = sorted(entry.event.id for entry in entries)
    last = max((entry.mailed_at for entry in entries if entry.mailed_at is not None), default=None)
    return named_id(NAMESPACE_OID, f"{site_id}:{last and last.isoformat()}:{','.join(ids)}")


def _may_begin(pace: Pace, entries: Sequence[Entry]) -> bool:
    return pace.allows(time.monotonic(), new=any(entry.mailed_at is None for entry in entries))


def _recall(pace: Pace, entries: Sequence[Entry]) -> None:
    """What an earlier process mailed counts as mailed."""
    ages = [(datetime.now(UTC) - entry.mailed_at).total_seconds() for entry in entries if entry.mailed_at is not None]
    if ages:
        pace.recall(time.monotonic(), min(ages))
