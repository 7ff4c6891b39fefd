"""A whole chain that several tests share, or one on servers that a test may take away."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.chain import Chain, Surroundings, alerting_service, ingest_service
from tests.support.database import rows
from tests.support.mails import named
from tests.support.organisation import Change, write_configuration
from tests.support.servers import KafkaServer, PostgresServer, fresh_topics
from tests.support.smtp_sink import SmtpSink
from tests.support.waiting import eventually


def one_mail_an_incident(content: dict[str, Any]) -> None:
    """Each incident is told to one person, once within the time of a test."""
    content["rules"] = [{"name": "everything", "police": "advised", "policy": "normal"}]


@asynccontextmanager
async def office_on(
    kafka: KafkaServer, postgres: PostgresServer, directory: Path, change: Change
) -> AsyncIterator[Chain]:
    """A chain with topics, database and mail server of its own; its services are not started yet."""
    sink = SmtpSink()
    await sink.start()
    prefix = await fresh_topics(kafka.bootstrap_servers)
    configuration = write_configuration(directory / "config.yaml", change)
    around = Surroundings(kafka.bootstrap_servers, prefix, configuration, directory)
    database_url = postgres.url(postgres.create_database())
    ingest, alerting = ingest_service(around, sink.url), alerting_service(around, database_url, sink.url)
    chain = Chain(ingest, alerting, sink, around, database_url)
    try:
        yield chain
        chain.assert_no_emergency()
    finally:
        alerting.stop()
        ingest.stop()
        await sink.stop()


async def start_both(chain: Chain) -> None:
    """Start both services and wait until they are ready."""
    chain.alerting.spawn()
    chain.ingest.spawn()
    await chain.alerting.wait_ready()
    await chain.ingest.wait_ready()


async def all_mailed(chain: Chain, event_ids: Iterable[str], *, within: float = 30.0) -> None:
    """Wait until each of these incidents has an accepted alarm mail, and its answer is recorded."""
    wanted = set(event_ids)

    async def missing() -> set[str]:
        return wanted - {named(mail).incident_id for mail in chain.sink.accepted}

    await eventually(missing, lambda left: not left, within=within)
    due = "select id from outbox where state = 'due'"
    await eventually(lambda: rows(chain.database_url, due), lambda left: not left, within=within)


async def assert_nothing_lost_and_nothing_doubled(chain: Chain, event_ids: Sequence[str]) -> None:
    """One incident for each press, with a due time; one Message-ID for each incident, recipient and step."""
    incidents = await rows(chain.database_url, "select id, due_at, status from incidents")
    assert sorted(row["id"] for row in incidents) == sorted(event_ids)
    assert [row["id"] for row in incidents if row["due_at"] is None and row["status"] != "closed"] == []
    by_message_id: dict[str, set[tuple[str, ...]]] = {}
    by_name: dict[tuple[str, ...], set[str]] = {}
    for mail in chain.sink.accepted:
        incident_id, step, message_id = named(mail)
        if incident_id in event_ids:
            name = (incident_id, *mail.recipients, step)
            by_message_id.setdefault(message_id, set()).add(name)
            by_name.setdefault(name, set()).add(message_id)
    assert {event_id for event_id, *_ in by_name} == set(event_ids)
    assert [names for names in by_message_id.values() if len(names) != 1] == []
    assert [ids for ids in by_name.values() if len(ids) != 1] == []
