"""The watch with a real mail server, over a ledger whose entries are as old as a test says."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from schemas.configuration import Configuration
from schemas.events import EmergencyMailed, Event, Kind, Mode, Reported
from services.common.settings import IngestSettings
from services.ingest.caught_up import CaughtUp
from services.ingest.journal.entry import Entry
from services.ingest.journal.ledger import Ledger
from services.ingest.publisher import Unpublished
from services.ingest.watch.watch import Watch
from tests.ingest.reading import until
from tests.support.organisation import organisation
from tests.support.smtp_sink import SmtpSink

LONG_AGO = 20.0
"""Seconds; longer than WATCH_AFTER."""


def hold(ledger: Ledger, room: str, *, age: float = LONG_AGO, **fields: Any) -> Entry:
    data = Reported.model_validate({"kind": Kind.PANIC, "site": "bernburg", "location": room} | fields)
    entry = ledger.hold(Event(id=room, source="buttons", time=datetime.now(UTC), data=data))
    entry.held_since = time.monotonic() - age
    return entry


@asynccontextmanager
async def watching(
    ledger: Ledger, sink: SmtpSink, *, published: list[Event] | None = None, caught_up: bool = True
) -> AsyncIterator[Watch]:
    async def publish(event: Event) -> None:
        if published is None:
            raise Unpublished("neither has it")
        published.append(event)

    settings = IngestSettings.model_construct(
        smtp_url=SecretStr(sink.url), smtp_fallback_url=None, mail_from="rufkette@example.org", watch_after=15.0,
        config=Path("unused"),
    )  # fmt: skip
    read = CaughtUp()
    watch = Watch(settings, Configuration.model_validate(organisation()), ledger, publish=publish, caught_up=read)
    await watch.start()
    if caught_up:
        read.set()
    try:
        yield watch
    finally:
        await watch.stop()


async def test_one_mail_lists_the_younger_ones_too(smtp_sink: SmtpSink) -> None:
    """The next one has to wait a minute; what came in just now is most likely on its way."""
    ledger, published = Ledger(), list[Event]()
    hold(ledger, "Raum 1")
    hold(ledger, "Raum 2", age=5, danger_level=3)
    hold(ledger, "Raum 3", age=-60)
    hold(ledger, "Raum 4", site="stassfurt", age=5)
    hold(ledger, "Raum 5", mode=Mode.EXERCISE)
    async with watching(ledger, smtp_sink, published=published):
        [mail] = await smtp_sink.wait_for(1)
        await until(lambda: len(published) == 1)
    assert mail.subject.startswith("NOTFALL Raum 2 Bernburg +1")
    assert [room for room in range(1, 6) if f"Raum {room}" in mail.text()] == [1, 2]
    assert published[0].data == EmergencyMailed(event_ids=("Raum 1", "Raum 2"), site="bernburg")
    assert len(smtp_sink.received) == 1


async def test_news_of_a_mail_about_very_many_come_in_parts(smtp_sink: SmtpSink) -> None:
    ledger, published = Ledger(), list[Event]()
    rooms = {f"Raum {number}" for number in range(1_200)}
    for room in rooms:
        hold(ledger, room)
    async with watching(ledger, smtp_sink, published=published):
        [mail] = await smtp_sink.wait_for(1)
        await until(lambda: len(published) == 3)
    assert "+1199" in mail.subject
    told = [id_ for event in published if isinstance(event.data, EmergencyMailed) for id_ in event.data.event_ids]
    assert sorted(told) == sorted(rooms)
    assert len({event.id for event in published}) == 3
    assert all(ledger.find(event.id) is not None for event in published)


@pytest.mark.parametrize("years", [-30, 30])
async def test_a_clock_that_jumps_neither_fires_nor_blocks(smtp_sink: SmtpSink, years: int) -> None:
    ledger, published = Ledger(), list[Event]()
    for room, age in (("Raum 1", LONG_AGO), ("Raum 2", 0.0)):
        entry = hold(ledger, room, age=age, site="bernburg" if age else "stassfurt")
        entry.stored_at += timedelta(days=365 * years)
    async with watching(ledger, smtp_sink, published=published):
        await until(lambda: len(published) == 1)
    assert ["Raum 1" in mail.text() for mail in smtp_sink.received] == [True]


@pytest.mark.parametrize(
    ("mailed", "again"),
    [(timedelta(minutes=2), False), (timedelta(minutes=6), True), (timedelta(days=-1), False)],
)
async def test_what_an_earlier_process_mailed(smtp_sink: SmtpSink, mailed: timedelta, again: bool) -> None:
    """A mail at another site shows that the watch has looked at both."""
    ledger, published = Ledger(), list[Event]()
    hold(ledger, "Raum 1", age=900).mailed_at = datetime.now(UTC) - mailed
    hold(ledger, "Raum 2", site="stassfurt")
    async with watching(ledger, smtp_sink, published=published):
        await until(lambda: len(published) == 1 + again)
    assert sorted("Raum 1" in mail.text() for mail in smtp_sink.received) == [False, True][: 1 + again]


async def test_a_new_press_is_mailed_beside_one_that_an_earlier_process_mailed(smtp_sink: SmtpSink) -> None:
    ledger, published = Ledger(), list[Event]()
    hold(ledger, "Raum 1", age=900).mailed_at = datetime.now(UTC) - timedelta(minutes=2)
    hold(ledger, "Raum 2")
    async with watching(ledger, smtp_sink, published=published):
        [mail] = await smtp_sink.wait_for(1)
    assert all(room in mail.text() for room in ("Raum 1", "Raum 2"))


async def test_the_mail_matters_more_than_the_news_of_it(smtp_sink: SmtpSink) -> None:
    ledger = Ledger()
    entry = hold(ledger, "Raum 1")
    with structlog.testing.capture_logs() as logs:
        async with watching(ledger, smtp_sink):
            await smtp_sink.wait_for(1)
            await until(lambda: "watch.unpublished" in [line["event"] for line in logs])
    assert entry.mailed_at is not None


async def test_what_is_heard_meanwhile_is_not_mailed(smtp_sink: SmtpSink) -> None:
    """Until the lifecycle is read nothing is known: what is read then confirms the one, and not the other."""
    ledger, published = Ledger(), list[Event]()
    hold(ledger, "Raum 1")
    hold(ledger, "Raum 2", site="stassfurt")
    async with watching(ledger, smtp_sink, published=published, caught_up=False) as watch:
        assert smtp_sink.received == []
        await ledger.confirm(heard=["Raum 1"])
        watch.take(Configuration.model_validate(organisation()))
        await until(lambda: len(published) == 1)
    assert ["Raum 2" in mail.text() for mail in smtp_sink.received] == [True]


async def test_a_contact_that_a_reload_takes_out_is_mailed_all_the_same(smtp_sink: SmtpSink) -> None:
    """It was being told when the configuration changed; a watch that ends over that tells nobody."""
    ledger, published = Ledger(), list[Event]()
    hold(ledger, "Raum 1")
    smtp_sink.answer("RCPT", "451 4.3.0 later")
    async with watching(ledger, smtp_sink, published=published) as watch:
        with structlog.testing.capture_logs() as lines:
            await until(lambda: any(line["event"] == "watch.unmailable" for line in lines))
        others = organisation()
        others["organisation"]["emergency"] = ["jemand@example.org"]
        watch.take(Configuration.model_validate(others))
        smtp_sink.behave()
        [mail] = await smtp_sink.wait_for(1)
        await until(lambda: len(published) == 1)
    assert mail.recipients != ("jemand@example.org",)


async def test_nobody_takes_it_so_it_is_tried_again_until_somebody_does(smtp_sink: SmtpSink) -> None:
    ledger, published = Ledger(), list[Event]()
    hold(ledger, "Raum 1")
    smtp_sink.answer_data("451 4.3.0 not now", times=1)
    async with watching(ledger, smtp_sink, published=published):
        [mail] = await smtp_sink.wait_for(1)
        await until(lambda: len(published) == 1)
    assert mail.message["X-Rufkette-Attempt"] == "2"


async def test_a_repeat_is_a_new_mail_over_restarts_and_one_that_is_not_known_to_have_gone_is_the_same(
    smtp_sink: SmtpSink,
) -> None:
    """Else a server that drops what it has seen would swallow the repeat, and alerting the news of it."""
    ledger, published = Ledger(), list[Event]()
    entry = hold(ledger, "Raum 1", age=7200)
    for process in range(3):
        before = entry.mailed_at
        async with watching(ledger, smtp_sink, published=published):
            await until(lambda: len(published) == process + 1)  # noqa: B023 – awaited here
        assert entry.mailed_at is not None
        entry.mailed_at -= timedelta(minutes=6)  # so long ago
    assert len({mail.message["Message-ID"] for mail in smtp_sink.received}) == 3
    assert len({event.id for event in published}) == 3

    entry.mailed_at = before  # it ended before it could record the last one
    async with watching(ledger, smtp_sink, published=published):
        await until(lambda: len(published) == 4)
    *_, last, again = smtp_sink.received
    assert last.message["Message-ID"] == again.message["Message-ID"]
