"""The watch reads before it mails, also about presses of an earlier process whose journal opens late."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from schemas.configuration import Configuration
from schemas.lifecycle import Change
from services.common.settings import IngestSettings
from services.ingest import follower
from services.ingest.watch import watch as watching
from services.ingest.watch.watch import Watch
from tests.conftest import StartService
from tests.ingest.reading import until
from tests.ingest.test_ledger import held_by_another, press
from tests.ingest.test_process import known, post, status_of
from tests.ingest.test_publisher import Intake, at_bernburg, intake, relay
from tests.support.chain import Surroundings
from tests.support.organisation import organisation
from tests.support.servers import KafkaServer, fresh_topics
from tests.support.smtp_sink import SmtpSink
from tests.support.waiting import eventually

AFTER = 8.0
"""Seconds until the watch mails: longer than it takes from a press to the process that sleeps."""


async def until_time(at: float) -> None:
    """By the monotonic clock."""
    await until(lambda: time.monotonic() > at, within=60)


@asynccontextmanager
async def mailing_at_once(made: Intake, sink: SmtpSink) -> AsyncIterator[None]:
    """A watch for which everything is unheard for too long."""
    settings = IngestSettings.model_construct(
        smtp_url=SecretStr(sink.url), smtp_fallback_url=None, mail_from="rufkette@example.org", watch_after=0.0
    )
    office = Configuration.model_validate(organisation())
    publish, caught_up = made.publisher.publish, made.follower.caught_up
    watch = Watch(settings, office, made.ledger, publish=publish, caught_up=caught_up)
    await watch.start()
    try:
        yield
    finally:
        await watch.stop()


async def test_what_a_late_journal_holds_is_looked_up_before_it_is_mailed(
    own_kafka: KafkaServer, tmp_path: Path, smtp_sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "READ_WITHIN", 60.0)  # a busy machine reads slowly
    prefix, path = await fresh_topics(own_kafka.bootstrap_servers), tmp_path / "journal.sqlite3"
    with held_by_another(path) as other:
        async with intake(own_kafka.bootstrap_servers, prefix, path) as made, mailing_at_once(made, smtp_sink):
            await made.relay(Change.NOTIFIED, "theirs", 1, notified=True)
            await until(lambda: made.statuses.is_taken("theirs"))
            await until(made.follower.caught_up.is_set)
            with own_kafka.hanging():
                other.kill()
                await until(lambda: made.ledger.find("theirs") is not None)
                # Nothing can be read yet: a watch that trusts what was read would mail at its next look.
                await until_time(time.monotonic() + 3 * watching._LOOK_EVERY)
            await until(lambda: made.ledger.find("theirs") is None, within=60)
            await made.publisher.publish(at_bernburg(press("ours", 3)))
            [mail] = await smtp_sink.wait_for(1)
    assert "Bernburg" in mail.subject
    assert len(smtp_sink.received) == 1


async def test_whoever_asks_is_answered_only_by_another_look_at_where_the_topic_ends(
    own_kafka: KafkaServer, tmp_path: Path
) -> None:
    prefix = await fresh_topics(own_kafka.bootstrap_servers)
    async with intake(own_kafka.bootstrap_servers, prefix, tmp_path / "journal.sqlite3") as made:
        caught_up = made.follower.caught_up
        await until(caught_up.is_set)
        with own_kafka.hanging():
            caught_up.ask()
            polled = time.monotonic() + 3 * follower._POLL_MS / 1000
            while time.monotonic() < polled:
                assert not caught_up.is_set(), "nothing was read"
                await asyncio.sleep(0.02)
        await until(caught_up.is_set)


async def test_a_process_that_slept_reads_what_was_said_while_it_did(
    start_ingest: StartService, surroundings: Surroundings, smtp_sink: SmtpSink
) -> None:
    """It had read everything; that somebody was told stands on the topic only since it sleeps."""

    async def say(change: Change, revision: int, **more: object) -> None:
        await relay(surroundings.kafka, surroundings.topic_prefix, change, pressed, revision, **more)

    service = await start_ingest(smtp_url=smtp_sink.url, RUFKETTE_WATCH_AFTER=str(AFTER))
    pressed_at = time.monotonic()
    pressed = (await post(service, {"site": "stassfurt", "location": "Raum 1"})).json()["event_id"]
    await say(Change.OPENED, 1)
    await eventually(lambda: known(service, pressed), lambda found: "incident_id" in found)
    service.pause()
    # Whatever Kafka answers to a process that waits for records has gone out by then, and says that there are none.
    await until_time(time.monotonic() + 2)
    await say(Change.NOTIFIED, 2, notified=True)
    await until_time(pressed_at + AFTER + 1)
    service.resume()
    await eventually(lambda: status_of(service, pressed), lambda found: found == "alerted")
    await post(service, {"site": "bernburg", "location": "Raum 2"})
    [mail] = await smtp_sink.wait_for(1, timeout=40)
    assert "Raum 2" in mail.text()
    assert len(smtp_sink.received) == 1
