"""A chain for what happens to the services, and one on servers that may be taken away."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.chain import Chain, alerting_service
from tests.support.database import rows
from tests.support.leases import shared
from tests.support.office import office_on, one_mail_an_incident, start_both
from tests.support.servers import KafkaServer, PostgresServer
from tests.support.service import Service


@pytest.fixture(scope="package")
def frail_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A Kafka for tests that stop it; each leaves it started."""
    server = KafkaServer(tmp_path_factory.mktemp("frail-kafka"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="package")
def frail_postgres(postgres_directory: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL for tests that stop it; each leaves it started."""
    server = PostgresServer(postgres_directory / "frail")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
async def office(
    kafka_server: KafkaServer, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Chain]:
    """The whole chain, ready, that the tests of a module share; each leaves both services running."""
    directory = tmp_path_factory.mktemp("office")
    async with office_on(kafka_server, postgres_server, directory, one_mail_an_incident) as chain:
        await start_both(chain)
        yield chain


@pytest.fixture
def servers_back(frail_kafka: KafkaServer, frail_postgres: PostgresServer) -> Iterator[None]:
    """However a test ends, the next one finds both servers started."""
    yield
    for server in (frail_kafka, frail_postgres):
        if server._part is None or not server._part.running:
            server.start()


@pytest.fixture
async def frail(
    frail_kafka: KafkaServer, frail_postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Chain]:
    """A chain on the servers that may be taken away; its services are not started."""
    directory = tmp_path_factory.mktemp("frail")
    async with office_on(frail_kafka, frail_postgres, directory, one_mail_an_incident) as chain:
        yield chain


@pytest.fixture
async def second(office: Chain) -> AsyncIterator[Service]:
    """Another alerting process, both reading their fair share."""
    service = alerting_service(office.around, office.database_url, office.sink.url)
    await service.start()
    await rows(office.database_url, "truncate incidents, outbox, inputs, held cascade")
    await shared(office, office.alerting, service)
    yield service
    service.stop()
    if not office.alerting.running:
        await office.alerting.start()
    await shared(office, office.alerting)
