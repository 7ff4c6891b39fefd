"""Publishes later what could not be published at once, and again what alerting did not confirm."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import structlog

from services.common.loops import beat, succeeded
from services.common.outage import wait_for
from services.ingest.journal.ledger import Entry, Ledger
from services.ingest.kafka_lanes import SEND_WITHIN, Undelivered
from services.ingest.kafka_writer import KafkaWriter
from services.ingest.metrics import FORWARDED

log = structlog.get_logger()

_AT_ONCE: Final = 200
"""In flight: what is accepted meanwhile goes its own way and waits behind no more than these."""
_LOOK_EVERY: Final = 1.0
_GIVE_UP_EVERY: Final = 600.0


def post(writer: KafkaWriter, entry: Entry) -> asyncio.Future[None]:
    """Hand an entry to Kafka; the future fails with `Undelivered`, and `note_sent` is to hear of it."""
    entry.is_being_sent = True
    return writer.post(entry.record, urgent=entry.is_urgent)


def note_sent(ledger: Ledger, entry: Entry, sent: asyncio.Future[None]) -> None:
    """`post` has ended."""
    entry.is_being_sent = False
    if succeeded(sent):
        ledger.acknowledge(entry)


async def send(
    writer: KafkaWriter, ledger: Ledger, entry: Entry, *, within: float = SEND_WITHIN, patient: bool = False
) -> None:
    """Publish an entry and note that Kafka has it.

    Raises:
        Undelivered: after at most `within` seconds.
    """
    entry.is_being_sent = True
    try:
        await writer.send(entry.record, within=within, patient=patient, urgent=entry.is_urgent)
    finally:
        entry.is_being_sent = False
    ledger.acknowledge(entry)


class Forwarder:
    """One loop: urgent first, older first, in order within an incident."""

    def __init__(self, writer: KafkaWriter, ledger: Ledger, caught_up: Callable[[], bool]) -> None:
        self._writer = writer
        self._ledger = ledger
        self._caught_up = caught_up
        self._wake = asyncio.Event()
        self._give_up_at = 0.0

    def wake(self) -> None:
        """Something waits."""
        self._wake.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            beat()
            self._look_after()
            if self._writer.unready_because is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY):
                        await self._writer.connected()
            elif not await self._forward():
                await wait_for(self._wake, _LOOK_EVERY)

    def _look_after(self) -> None:
        self._ledger.look_after()
        if time.monotonic() >= self._give_up_at:
            self._give_up_at = time.monotonic() + _GIVE_UP_EVERY
            self._ledger.give_up(datetime.now(UTC))

    async def _forward(self) -> bool:
        """One round; whether there may be more to do at once."""
        now = time.monotonic()
        entries = self._ledger.waiting(_AT_ONCE, now)
        # Before the lifecycle is read to its end, a confirmation may be on its way.
        if not entries and self._caught_up():
            entries = self._ledger.unconfirmed(_AT_ONCE, now)
        incidents: dict[str, dict[str, Entry]] = {}
        for entry in entries:
            report = self._ledger.find(entry.subject)
            if report is not None and not report.acknowledged_by_kafka and report is not entry:
                # What people do is not sent before the report that it is about.
                if report.is_being_sent or report.not_before > now:
                    continue
                incidents.setdefault(entry.subject, {})[report.event.id] = report
            incidents.setdefault(entry.subject, {})[entry.event.id] = entry
        orders = [sorted(found.values(), key=lambda entry: entry.stored_at) for found in incidents.values()]
        return any(await asyncio.gather(*map(self._in_order, orders)))

    async def _in_order(self, entries: Iterable[Entry]) -> bool:
        sent = False
        for entry in entries:
            beat()
            again = entry.acknowledged_by_kafka
            try:
                await send(self._writer, self._ledger, entry)
            except Undelivered:
                self._ledger.fail(entry)
                break
            sent = True
            if again:
                entry.await_alerting()
                FORWARDED.labels("unconfirmed").inc()
                log.warning("event.unconfirmed", event_id=entry.event.id, publications=entry.publications)
            else:
                FORWARDED.labels("queued").inc()
                waited_s = round(time.monotonic() - entry.held_since, 1)
                log.info("event.forwarded", event_id=entry.event.id, waited_s=waited_s)
        return sent
