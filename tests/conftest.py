"""Fixtures: one real Kafka and PostgreSQL per session; a database, topics and a mail server per test."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.support.chain import Chain, Surroundings, alerting_service, ingest_service
from tests.support.organisation import Change, write_configuration
from tests.support.servers import KafkaServer, PostgresServer, fresh_topics
from tests.support.service import Service, stopped_at_the_end
from tests.support.smtp_sink import SmtpSink

_LONGEST_FIRST = ("faults", "embedded", "reports", "browser", "e2e", "services", "ingest", "alerting", "common")
StartService = Callable[..., Awaitable[Service]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes are begun first, so that no worker ends long after the others."""

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        return _LONGEST_FIRST.index(folder) if folder in _LONGEST_FIRST else len(_LONGEST_FIRST)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """The session's Kafka: do not stop it, take `own_kafka` for that."""
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def kafka(kafka_server: KafkaServer) -> str:
    """The session's Kafka as bootstrap address."""
    return kafka_server.bootstrap_servers


@pytest.fixture(scope="session")
def postgres_directory() -> Iterator[Path]:
    """Outside pytest's own directory: every other pytest that starts closes that one to PostgreSQL's user."""
    with tempfile.TemporaryDirectory(prefix="rufkette-postgres-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def postgres_server(postgres_directory: Path) -> Iterator[PostgresServer]:
    """The session's PostgreSQL: do not stop it, take `own_postgres` for that."""
    server = PostgresServer(postgres_directory / "shared")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[KafkaServer]:
    """A started Kafka that the test may stop, kill and start again."""
    server = KafkaServer(tmp_path / "kafka")
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def own_postgres(postgres_directory: Path, tmp_path: Path) -> Iterator[PostgresServer]:
    """A started PostgreSQL that the test may stop, kill and start again."""
    server = PostgresServer(postgres_directory / tmp_path.name)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh database with alerting's schema."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh database without any table."""
    name = postgres_server.create_empty_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture
async def topic_prefix(kafka: str) -> str:
    """All topics, empty and ready, under a prefix of their own."""
    return await fresh_topics(kafka)


@pytest.fixture
async def smtp_sink() -> AsyncIterator[SmtpSink]:
    """A mail server that records mails and misbehaves as told."""
    sink = SmtpSink()
    await sink.start()
    yield sink
    await sink.stop()


@pytest.fixture
def configuration_file(tmp_path: Path) -> Callable[[Change | None], Path]:
    """Writes the test organisation, changed in place by the given function, and returns the file."""

    def write(change: Change | None = None) -> Path:
        return write_configuration(tmp_path / "config.yaml", change)

    return write


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """The configuration that `ingest`, `alerting` and `chain` use; override it in a module for another one."""
    return write_configuration(tmp_path / "config.yaml")


@pytest.fixture
def surroundings(kafka: str, topic_prefix: str, configuration: Path, tmp_path: Path) -> Surroundings:
    """What the services of this test are connected to."""
    return Surroundings(kafka, topic_prefix, configuration, tmp_path)


@pytest.fixture
def services() -> Iterator[list[Service]]:
    """Services in this list are stopped at the end of the test."""
    with stopped_at_the_end() as started:
        yield started


@pytest.fixture
def start_ingest(surroundings: Surroundings, services: list[Service]) -> StartService:
    """`await start_ingest(ready=True, smtp_url=None, RUFKETTE_…="…")`: another ingest process; see `ingest_service`."""

    async def start(*, ready: bool = True, smtp_url: str | None = None, **environment: str) -> Service:
        service = ingest_service(surroundings, smtp_url, **environment)
        services.append(service)
        await service.start(ready=ready)
        return service

    return start


@pytest.fixture
def start_alerting(surroundings: Surroundings, database_url: str, smtp_sink: SmtpSink) -> Iterator[StartService]:
    """`await start_alerting(ready=True, RUFKETTE_…="…")`: another alerting process."""
    # A list of its own: what it has in hand at its end it records, so it has to end before its database does.
    with stopped_at_the_end() as started:

        async def start(*, ready: bool = True, **environment: str) -> Service:
            service = alerting_service(surroundings, database_url, smtp_sink.url, **environment)
            started.append(service)
            await service.start(ready=ready)
            return service

        yield start


@pytest.fixture
async def ingest(start_ingest: StartService) -> Service:
    """A ready ingest."""
    return await start_ingest()


@pytest.fixture
async def alerting(start_alerting: StartService) -> Service:
    """A ready alerting that mails to `smtp_sink`."""
    return await start_alerting()


@pytest.fixture
async def chain(
    start_ingest: StartService,
    start_alerting: StartService,
    smtp_sink: SmtpSink,
    surroundings: Surroundings,
    database_url: str,
) -> AsyncIterator[Chain]:
    """The whole chain, ready."""
    ingest, alerting = await asyncio.gather(start_ingest(smtp_url=smtp_sink.url), start_alerting())
    chain = Chain(ingest, alerting, smtp_sink, surroundings, database_url)
    yield chain
    chain.assert_no_emergency()
