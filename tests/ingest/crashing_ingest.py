"""The whole of ingest in a process that ends right after one of its effects (see `tests.support.crashing`).

Job `taking`: three reports are posted, of which alerting never confirms the last one. Job `going_on`: started again on
the same journal with no new report, until the watch has done its part; then alerting is back, and ingest stops.
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pydantic import SecretStr

from schemas import codec, topics
from schemas.configuration import Configuration
from schemas.events import Event
from schemas.lifecycle import Change, Lifecycle
from services.common import kafka
from services.common.settings import IngestSettings
from services.ingest import app
from services.ingest.journal import entry, journal
from services.ingest.journal import file as journal_file
from services.ingest.journal import rows as journal_rows
from services.ingest.journal.journal import Journal
from services.ingest.journal.ledger import Ledger
from tests.support.chain import MAIL_FROM
from tests.support.crashing import Fuse, watch_smtp
from tests.support.organisation import KEYS, organisation

CONTACTS = ("erste@example.org", "zweite@example.org")
UNHEARD_AT = "stassfurt"
"""The site of what alerting never confirms."""
_ORGANISATION = organisation()
_ORGANISATION["sites"][UNHEARD_AT]["emergency"] = list(CONTACTS)
CONFIGURATION = Configuration.model_validate(_ORGANISATION)


def bodies(run: str) -> dict[str, dict[str, Any]]:
    """The reports of a run by their source, with an id and a room of its own."""
    private = {"description": "Geheimnis", "reported_by": "A. Müller", "location": f"Raum {run}", "danger_level": 2}
    return {
        "buttons": {"id": f"heard-{run}", "site": "bernburg", **private},
        "forms": {"id": f"form-{run}", "site": "bernburg", "kind": "form", **private},
        "desk": {"id": f"unheard-{run}", "site": UNHEARD_AT, **private},
    }


async def confirm(producer: AIOKafkaProducer, prefix: str, event: Event) -> None:
    """What alerting says when it took the report and a mail server took an alarm mail about it."""
    about = Lifecycle(incident_id=event.id, event_ids=(event.id,), source=event.source, revision=1)
    for revision, change in enumerate((Change.OPENED, Change.NOTIFIED), 1):
        data = about.model_copy(update={"revision": revision, "notified": change is Change.NOTIFIED})
        record = codec.encode_lifecycle(f"{event.id}-{revision}", change, datetime.now(UTC), data)
        await producer.send_and_wait(
            topics.prefixed(topics.LIFECYCLE, prefix),
            value=record.value, key=record.key, headers=list(record.headers),
        )  # fmt: skip


class _WatchedProducer(AIOKafkaProducer):  # type: ignore[misc]  # published without types
    fuse: Fuse
    sent: ClassVar[list[str]] = []

    def create_batch(self) -> Any:
        batch = super().create_batch()
        append, batch.names = batch.append, []

        def named(**record: Any) -> Any:
            _, topic, name, _ = dict(record["headers"])["ce_type"].decode().split(".")
            if topic == "incident":  # a probe is none of our effects
                batch.names.append(name)
            return append(**record)

        batch.append = named
        return batch

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        answer = await super().send_batch(batch, topic, partition=partition)
        await asyncio.wait([answer])
        for name in batch.names if answer.exception() is None else ():
            self.sent.append(name)
            self.fuse.burn(f"send {name}")
        return answer


class _WatchedConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # published without types
    fuse: Fuse

    async def getmany(self, *partitions: Any, **options: Any) -> Mapping[Any, Any]:
        found: Mapping[Any, Any] = await super().getmany(*partitions, **options)
        if found:
            self.fuse.burn("lifecycle read")
        return found


def _watch_kafka(fuse: Fuse) -> None:
    _WatchedProducer.fuse = _WatchedConsumer.fuse = fuse
    kafka.AIOKafkaProducer, kafka.AIOKafkaConsumer = _WatchedProducer, _WatchedConsumer  # type: ignore[attr-defined]


def _watch_journal(fuse: Fuse) -> None:
    """Each statement that writes, and its commit with the fsync; from the thread that does it."""

    def watch(where: Any, name: str, effect: str) -> None:
        command = getattr(where, name)

        def then_burn(*arguments: Any, **options: Any) -> Any:
            answer = command(*arguments, **options)
            fuse.burn(effect)
            return answer

        setattr(where, name, then_burn)

    watch(journal_rows, "create", "journal made")
    watch(journal, "open_journal", "journal opened")
    watch(journal_rows, "_put", "journal rows")
    watch(journal_file.JournalFile, "tidy", "journal tidied")
    write = journal_rows.write

    def written(connection: Any, changes: Mapping[str, Any]) -> None:
        write(connection, changes)
        fuse.burn("journal deletion" if None in changes.values() else "journal commit")

    journal_rows.write = written


class _Kept(Ledger):
    """The ledger of this process, to look into."""

    one: Ledger
    its: Journal

    def __init__(self, its: Journal) -> None:
        super().__init__(its)
        _Kept.one, _Kept.its = self, its

    @staticmethod
    def is_written() -> bool:
        return _Kept.its.pending.is_empty and _Kept.its.problem is None

    @staticmethod
    def is_left_to_alerting() -> bool:
        """All that is left is what the watch has mailed and published, and alerting does not confirm."""
        left = _Kept.one._entries.values()
        return _Kept.is_written() and all(e.mailed_at is not None and e.acknowledged_by_kafka for e in left)


async def _until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def _take(fuse: Fuse, job: dict[str, Any], client: httpx.AsyncClient) -> None:
    """The first one comes before there is a connection to Kafka; with `hasty` all of them do."""
    for source, body in bodies(job["run"]).items():
        key = {"Authorization": f"Bearer {KEYS[source]}"}
        answer = await client.post("/v1/incidents", content=json.dumps(body).encode(), headers=key)
        assert answer.status_code == 202, answer.text
        fuse.tell("answered", answer.json()["event_id"])
        fuse.burn("answer")
        while not job["hasty"] and (await client.get("/readyz")).json() != {"status": "ok"}:
            await asyncio.sleep(0.01)

    def is_over() -> bool:
        published = [entry.publications for entry in _Kept.one._entries.values()]
        announced = "emergency_mailed" in _WatchedProducer.sent
        return announced and _Kept.is_left_to_alerting() and len(published) == 1 and published[0] > 1

    await _until(is_over)


async def _go_on(settings: IngestSettings) -> None:
    await _until(_Kept.is_left_to_alerting)
    producer = kafka.producer(settings)
    await producer.start()
    for left in list(_Kept.one._entries.values()):
        await confirm(producer, settings.topic_prefix, left.event)
    await producer.stop()
    await _until(lambda: len(_Kept.one) == 0)


async def _ingest(fuse: Fuse, job: dict[str, Any]) -> None:
    settings = IngestSettings(
        config=Path("unused"), kafka_bootstrap_servers=job["kafka"], topic_prefix=job["prefix"],
        journal_path=Path(job["journal"]), smtp_url=SecretStr(job["smtp_url"]), smtp_fallback_url=None,
        mail_from=MAIL_FROM, watch_after=0.8,
    )  # fmt: skip
    entry._CONFIRM_WITHIN = 0.4  # type: ignore[misc]  # half a minute, in a hurry
    app.Ledger = _Kept  # type: ignore[attr-defined, assignment]
    _watch_kafka(fuse)
    _watch_journal(fuse)
    watch_smtp(fuse)
    service = app.app_for(settings, CONFIGURATION)
    async with service.router.lifespan_context(service):
        if job["what"] == "taking":
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(service), base_url="http://ingest", timeout=20
            ) as client:
                await _take(fuse, job, client)
            return
        await _go_on(settings)


def main(fuse: Fuse, job: dict[str, Any]) -> None:
    """Do the job, or die trying."""
    asyncio.run(_ingest(fuse, job))
