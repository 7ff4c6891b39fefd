"""Past events from a file: checked as a whole, published on Kafka in their order, and waited for."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schemas import codec, topics
from schemas.events import EmergencyMailed, Event, Heartbeat, Reported
from schemas.structured import parse_line
from services.alerting.database import create_engine
from services.alerting.tables import events as applied
from services.alerting.tables import held, partitions
from services.common import kafka
from services.common.settings import Settings

_AT_ONCE: Final = 1000
"""Records on their way to Kafka at the same time; ids asked of the database at once."""
_STANDARD_INPUT: Final = Path("-")
_LOOK_EVERY: Final = 0.2
PATIENCE: Final = 60.0
"""Seconds without any progress after which alerting is taken to be away."""


class ImportSettings(Settings):
    """`rufkette import`: Kafka; with the database it also waits until alerting has taken everything."""

    config: Path = Path()
    database_url: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class Mistake:
    """One line that cannot be imported; the message has no values, which may be personal data."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class Refused(Exception):
    """The file has mistakes; nothing was sent."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__(f"{len(mistakes)} mistakes")
        self.mistakes = mistakes


class UnreadableFile(Exception):
    """There is no such file, or it cannot be opened."""


class Stalled(Exception):
    """Everything is on Kafka, but alerting does not take it."""


Progress = Callable[[int, int], None]
"""Called with how many events are done, of how many."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file. `known` were imported before and changed nothing; None: not asked, no database given.

    `waiting` name an incident that nobody reported (yet).
    """

    events: int
    known: int | None = None
    waiting: int | None = None


def read(file: Path) -> list[Event]:
    """The events of a file (`-`: of standard input), marked as imported.

    Follow-ups get the site of their report, so that they stay behind it on Kafka.

    Raises:
        Refused: with every mistake.
        UnreadableFile: see there.
    """
    now = datetime.now(UTC)
    mistakes: list[Mistake] = []
    found: dict[str, tuple[int, Event]] = {}
    for number, line in _lines(file, mistakes):
        try:
            event = parse_line(line)
        except codec.Unreadable as error:
            mistakes.append(Mistake(file, number, str(error)))
            continue
        if event.id in found:
            mistakes.append(
                Mistake(file, number, f"id: stands in line {found[event.id][0]} already; expected a new one")
            )
        elif wrong := _wrong(event, now):
            mistakes.append(Mistake(file, number, wrong))
        else:
            found[event.id] = number, event
    if mistakes:
        raise Refused(sorted(mistakes, key=lambda mistake: mistake.line))
    every = {id_: event for id_, (_, event) in found.items()}
    return [_past(event, every) for event in every.values()]


def _lines(file: Path, mistakes: list[Mistake]) -> Iterator[tuple[int, str]]:
    try:
        content = file.open("rb") if file != _STANDARD_INPUT else sys.stdin.buffer
    except OSError as error:
        raise UnreadableFile(error.strerror) from None
    with content as lines:
        for number, raw in enumerate(lines, 1):
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError:
                mistakes.append(Mistake(file, number, "is not UTF-8; expected text in UTF-8"))
                continue
            if text:
                yield number, text


def _wrong(event: Event, now: datetime) -> str | None:
    if isinstance(event.data, Heartbeat | EmergencyMailed):
        return f"type: {event.type} says nothing about a past incident; expected reported, acknowledged, …"
    if event.time > now:
        return "time: lies in the future; expected a past event"
    return None


def _past(event: Event, every: dict[str, Event]) -> Event:
    data = event.data
    if data.site is None and event.subject in every:
        first = every[event.subject].data
        if isinstance(first, Reported) and first.site is not None:
            data = data.model_copy(update={"site": first.site})
    return event.model_copy(update={"imported": True, "data": data})


async def send(settings: ImportSettings, events: Sequence[Event], published: Progress, taken: Progress) -> Outcome:
    """Publish events in their order; with a database, wait until alerting has taken them.

    Raises:
        aiokafka.errors.KafkaError: Kafka cannot be reached or refuses.
        sqlalchemy.exc.SQLAlchemyError, OSError: the database cannot be reached.
        Stalled: see there.
    """
    topic = topics.prefixed(topics.EVENTS, settings.topic_prefix)
    if settings.database_url is None:
        await _publish(settings, topic, events, published)
        return Outcome(len(events))
    database = create_engine(settings.database_url.get_secret_value())
    ids = [event.id for event in events]
    try:
        async with database.connect() as connection:
            known = await _among(connection, applied.c.id, ids)
        ends = await _publish(settings, topic, events, published)
        await _wait(database, topic, ends, taken)
        async with database.connect() as connection:
            waiting = await _among(connection, held.c.event_id, ids)
        return Outcome(len(events), known, waiting)
    finally:
        await database.dispose()


async def _among(connection: AsyncConnection, column: sa.Column[str], ids: Sequence[str]) -> int:
    count = 0
    for start in range(0, len(ids), _AT_ONCE):
        some = sa.select(sa.func.count()).where(column.in_(ids[start : start + _AT_ONCE]))
        count += await connection.scalar(some) or 0
    return count


async def _publish(
    settings: ImportSettings, topic: str, events: Sequence[Event], published: Progress
) -> dict[int, list[int]]:
    """The offsets at which the events stand, by partition."""
    stand: dict[int, list[int]] = {}
    producer = kafka.producer(settings)
    try:
        await producer.start()
        for start in range(0, len(events), _AT_ONCE):
            records = [codec.encode(event) for event in events[start : start + _AT_ONCE]]
            # Handed over one after the other: only so they keep their order within a partition.
            sent = [await producer.send(topic, r.value, key=r.key, headers=list(r.headers)) for r in records]
            for record in await asyncio.gather(*sent):
                stand.setdefault(record.partition, []).append(record.offset)
            published(min(start + _AT_ONCE, len(events)), len(events))
    finally:
        await producer.stop()
    return stand


async def _wait(database: AsyncEngine, topic: str, stand: dict[int, list[int]], taken: Progress) -> None:
    total = sum(map(len, stand.values()))
    positions = sa.select(partitions.c.partition, partitions.c.next_offset).where(partitions.c.topic == topic)
    most, last_progress = -1, time.monotonic()
    while True:
        async with database.connect() as connection:
            reached = {row.partition: row.next_offset for row in await connection.execute(positions)}
        done = sum(offset < reached.get(number, 0) for number, offsets in stand.items() for offset in offsets)
        taken(done, total)
        if done == total:
            return
        if done > most:
            most, last_progress = done, time.monotonic()
        elif time.monotonic() - last_progress > PATIENCE:
            raise Stalled(f"alerting has taken {done} of {total} events and no more for {PATIENCE:.0f} s: does it run?")
        await asyncio.sleep(_LOOK_EVERY)


class Bar:
    """A progress bar on standard error, if that is a terminal; else nothing but the last line of the command."""

    _WIDTH = 40

    def __init__(self, label: str) -> None:
        self._label = label
        self._shows = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is."""
        if not self._shows:
            return
        filled = self._WIDTH * done // total if total else self._WIDTH
        bar = "█" * filled + "·" * (self._WIDTH - filled)
        end = "\n" if done >= total else ""
        print(f"\r{self._label:<10} {bar} {done}/{total}", end=end, file=sys.stderr, flush=True)  # noqa: T201 - a bar is for the person at the terminal


def take_in(events: Sequence[Event], settings: ImportSettings) -> Outcome:
    """`send`, with its progress on a terminal. Raises what that raises."""
    return asyncio.run(send(settings, events, Bar("published"), Bar("taken")))
