"""Journal and Kafka together: what is answered, what is published again, and in which order."""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr

from schemas import codec, topics
from schemas.events import Acknowledged, Event, Heartbeat, Kind, Mode, Reported
from schemas.lifecycle import Change, Lifecycle
from services.common import kafka as clients
from services.common.settings import IngestSettings
from services.ingest import publisher
from services.ingest.follower import Follower
from services.ingest.journal.journal import Journal
from services.ingest.journal.ledger import Ledger
from services.ingest.kafka_writer import KafkaWriter
from services.ingest.publisher import Publisher, Unpublished
from services.ingest.status import Status, Statuses
from tests.ingest.reading import events_on, until
from tests.ingest.support import NOW
from tests.ingest.test_ledger import event, press, stored
from tests.support.servers import KafkaServer, client_settings, fresh_topics
from tests.support.waiting import eventually


@dataclass(slots=True)
class Intake:
    """Ingest without its HTTP side."""

    kafka: str
    prefix: str
    ledger: Ledger
    statuses: Statuses
    follower: Follower
    publisher: Publisher

    async def log(self) -> list[str]:
        """The ids on Kafka, in order (one site, so one partition)."""
        return [found.id for found in await events_on(self.kafka, self.prefix)]

    async def connected(self) -> None:
        await until(lambda: "kafka" not in self.publisher.problems)

    async def relay(self, change: Change, event_id: str, revision: int, **more: object) -> None:
        await relay(self.kafka, self.prefix, change, event_id, revision, **more)


async def relay(kafka: str, prefix: str, change: Change, event_id: str, revision: int, **more: object) -> None:
    """Say on the lifecycle what alerting would."""
    data = Lifecycle.model_validate(
        {"incident_id": event_id, "event_ids": (event_id,), "source": "buttons", "revision": revision} | more
    )
    record = codec.encode_lifecycle(f"{event_id}-{revision}", change, NOW, data)
    producer = clients.producer(client_settings(kafka))
    await producer.start()
    try:
        topic = topics.prefixed(topics.LIFECYCLE, prefix)
        await producer.send_and_wait(topic, value=record.value, key=record.key, headers=list(record.headers))
    finally:
        await producer.stop()


@asynccontextmanager
async def intake(kafka: str, prefix: str, path: Path, **limits: int) -> AsyncIterator[Intake]:
    given = IngestSettings(
        config=Path("unused"), kafka_bootstrap_servers=kafka, topic_prefix=prefix, journal_path=path,
        smtp_url=SecretStr("smtp://127.0.0.1:9"), mail_from="rufkette@example.org",
    )  # fmt: skip
    ledger = Ledger(Journal(path), **limits)
    statuses = Statuses(ledger)
    follower = Follower(given, statuses, ledger)
    publisher = Publisher(KafkaWriter(given), ledger, is_taken=statuses.is_taken, caught_up=follower.caught_up.is_set)
    await ledger.start()
    await publisher.start()
    await follower.start()
    try:
        yield Intake(kafka, prefix, ledger, statuses, follower, publisher)
    finally:
        await follower.stop()
        await publisher.stop()
        await ledger.stop()


@pytest.fixture
async def running(kafka: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Intake]:
    async with intake(kafka, topic_prefix, tmp_path / "journal.sqlite3") as made:
        await made.connected()
        yield made


def at_bernburg(made: Event) -> Event:
    return made.model_copy(update={"data": made.data.model_copy(update={"site": "bernburg"})})


def unblock(path: Path) -> None:
    path.unlink()


async def test_an_accepted_press_is_on_kafka_and_on_disk(running: Intake, tmp_path: Path) -> None:
    assert await running.publisher.publish(press("a", 3)) == "accepted"
    assert await running.log() == ["a"]
    entry = running.ledger.find("a")
    assert entry is not None
    assert (entry.acknowledged_by_kafka, entry.is_journalled) == (True, True)
    await running.ledger.stop()
    assert [row.event_id for row in stored(tmp_path / "journal.sqlite3")] == ["a"]


async def test_the_same_id_again_is_the_same_entry_and_the_first_body_counts(running: Intake) -> None:
    await running.publisher.publish(press("a", 3))
    with structlog.testing.capture_logs() as logs:
        assert await running.publisher.publish(press("a", 3)) == "accepted"
        assert logs == []
        assert await running.publisher.publish(press("a", 1)) == "accepted"
    assert [line["event"] for line in logs] == ["report.differs"]
    assert await running.log() == ["a"]
    entry = running.ledger.find("a")
    assert entry is not None
    assert entry.event == press("a", 3)


async def test_the_lifecycle_lets_an_entry_go(running: Intake, tmp_path: Path) -> None:
    await running.publisher.publish(press("a", 3))
    await running.relay(Change.OPENED, "a", 1)
    await until(lambda: running.ledger.untaken() == [])
    assert [entry.event.id for entry in running.ledger.unheard(math.inf)] == ["a"]
    await running.relay(Change.NOTIFIED, "a", 2, notified=True)
    await until(lambda: len(running.ledger) == 0)
    await running.ledger.stop()
    assert stored(tmp_path / "journal.sqlite3") == []


@pytest.mark.parametrize(
    ("change", "more", "heard"),
    [
        (Change.OPENED, {}, set()),
        (Change.NOTIFIED, {"notified": True}, {"press", "form"}),
        (Change.MERGED, {"notified": True}, {"press", "form"}),
        (Change.MERGED, {}, set()),
        (Change.ESCALATED, {}, set()),
        (Change.SUPPRESSED, {"reason": "planned_silence"}, {"form"}),
        (Change.SUPPRESSED, {}, set()),
    ],
)
async def test_what_counts_as_heard(running: Intake, change: Change, more: dict[str, object], heard: set[str]) -> None:
    await running.publisher.publish(press("press", 3))
    await running.publisher.publish(event("form", Reported(kind=Kind.FORM)))
    await running.relay(change, "press", 1, event_ids=("press", "form"), **more)
    await until(lambda: running.ledger.untaken() == [])
    unheard = {entry.event.id for entry in running.ledger.unheard(math.inf)}
    assert unheard == {"press", "form"} - heard


async def test_what_alerting_does_not_confirm_is_published_again_and_again(running: Intake) -> None:
    await running.publisher.publish(press("a", 3))
    await running.publisher.publish(event("beat", Heartbeat(device_id="b")))
    entry = running.ledger.find("a")
    assert entry is not None
    first = entry.not_before - entry.held_since
    running.ledger._all_confirmed_until = entry.not_before = 0.0  # as if that time were over
    await until(lambda: entry.publications == 2)
    second = entry.not_before - entry.held_since
    running.ledger._all_confirmed_until = entry.not_before = 0.0
    await until(lambda: entry.publications == 3)
    assert first == pytest.approx(30, abs=5)
    assert second > 1.9 * 30
    assert sorted(await running.log()) == ["a", "a", "a", "beat"]
    await running.relay(Change.OPENED, "a", 1)
    await until(lambda: running.ledger.untaken() == [])


async def test_an_id_that_alerting_has_taken_makes_no_new_entry(running: Intake) -> None:
    await running.relay(Change.OPENED, "a", 1, source="buttons")
    await until(lambda: running.statuses.is_taken("a"))
    assert await running.publisher.publish(press("a", 3)) == "accepted"
    assert len(running.ledger) == 0
    assert await running.log() == ["a"]  # so that alerting sees whether it differs


async def test_without_a_journal_kafka_takes_it_and_memory_watches(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    async with intake(kafka, topic_prefix, tmp_path / "file" / "journal.sqlite3") as made:
        await made.connected()
        assert made.publisher.problems == {"journal": "its directory cannot be made: File exists"}
        assert await made.publisher.publish(press("a", 3)) == "accepted"
        assert [entry.event.id for entry in made.ledger.unheard(math.inf)] == ["a"]
        await until(made.follower.caught_up.is_set)
        await made.relay(Change.NOTIFIED, "a", 1, notified=True)
        await until(lambda: len(made.ledger) == 0)


async def test_a_full_journal_leaves_kafka(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with intake(kafka, topic_prefix, tmp_path / "journal.sqlite3", most_entries=1) as made:
        await made.connected()
        assert await made.publisher.publish(press("a", 3)) == "accepted"
        with structlog.testing.capture_logs() as logs:
            assert await made.publisher.publish(press("beyond its bound", 3)) == "accepted"
            assert logs == []
            assert await made.publisher.publish(press("b", 3)) == "accepted"
        assert "journal.full" in [line["event"] for line in logs]
        assert sorted(await made.log()) == ["a", "b", "beyond its bound"]
        assert {entry.event.id for entry in made.ledger.unheard(math.inf)} == {"a", "beyond its bound"}


async def test_what_was_queued_goes_on_in_order_of_urgency(own_kafka: KafkaServer, tmp_path: Path) -> None:
    prefix = await fresh_topics(own_kafka.bootstrap_servers)
    own_kafka.stop()
    async with intake(own_kafka.bootstrap_servers, prefix, tmp_path / "journal.sqlite3") as made:
        queued = [
            event("beat", Heartbeat(device_id="x")),
            event("exercise", Reported(kind=Kind.PANIC, danger_level=3, mode=Mode.EXERCISE)),
            event("late form", Reported(kind=Kind.FORM, danger_level=0, acute=False)),
            event("taken over", Acknowledged(by="A. Muster"), subject="late form"),
            event("form", Reported(kind=Kind.FORM, danger_level=2)),
            press("one", 1),
            press("three", 3),
            press("unknown"),
            press("two", 2),
        ]
        for one in queued:
            assert await made.publisher.publish(at_bernburg(one)) == "queued"
        known = made.statuses.find("three", "buttons")
        assert known is not None
        assert known.status is Status.QUEUED
        assert made.statuses.find("three", "forms") is None
        own_kafka.start()
        log = await eventually(made.log, lambda log: len(log) >= len(queued))
        others = ["three", "unknown", "two", "one", "form", "late form", "exercise", "beat"]
        assert [event_id for event_id in log if event_id != "taken over"] == others
        assert log.index("taken over") > log.index("late form")
        entry = made.ledger.find("three")
        assert entry is not None
        assert entry.acknowledged_by_kafka


async def test_a_kafka_that_hangs_is_waited_for_less_than_a_second(
    own_kafka: KafkaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert publisher._ONE_IS_ENOUGH_AFTER < 1
    # So that nothing but that limit can be what ends the wait, however busy the machine is.
    monkeypatch.setattr("services.ingest.kafka_lanes.SEND_WITHIN", 60.0)
    monkeypatch.setattr(publisher, "SEND_WITHIN", 60.0)
    prefix = await fresh_topics(own_kafka.bootstrap_servers)
    async with intake(own_kafka.bootstrap_servers, prefix, tmp_path / "journal.sqlite3") as made:
        await made.connected()
        with own_kafka.hanging():
            began = time.monotonic()
            assert await made.publisher.publish(press("a", 3)) == "queued"
            assert time.monotonic() - began >= publisher._ONE_IS_ENOUGH_AFTER
            entry = made.ledger.find("a")
            assert entry is not None
            assert entry.is_being_sent


async def test_with_neither_kafka_nor_journal_a_real_press_is_refused_and_not_forgotten(
    own_kafka: KafkaServer, tmp_path: Path
) -> None:
    prefix = await fresh_topics(own_kafka.bootstrap_servers)
    own_kafka.stop()
    (tmp_path / "file").touch()
    async with intake(own_kafka.bootstrap_servers, prefix, tmp_path / "file" / "journal.sqlite3") as made:
        await until(lambda: set(made.publisher.problems) == {"kafka", "journal"})
        for one in (press("press", 3), event("form", Reported(kind=Kind.FORM, danger_level=3))):
            with pytest.raises(Unpublished, match="journal: its directory"):
                await made.publisher.publish(at_bernburg(one))
        assert [entry.event.id for entry in made.ledger.unheard(math.inf)] == ["press"]
        own_kafka.start()
        await eventually(made.log, lambda log: log == ["press"])
        assert await made.publisher.publish(at_bernburg(press("press", 3))) == "accepted"
        assert await made.log() == ["press"]


async def test_a_journal_that_comes_late_gets_what_memory_held(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.touch()
    async with intake(kafka, topic_prefix, blocked / "journal.sqlite3") as made:
        await made.connected()
        await made.publisher.publish(press("a", 3))
        unblock(blocked)
        await until(lambda: made.publisher.problems == {})
        await made.publisher.publish(press("b", 3))
    assert {row.event_id for row in stored(blocked / "journal.sqlite3")} == {"a", "b"}
