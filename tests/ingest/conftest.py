"""A real ingest with a source of each type, shared by the tests of a module."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.ingest import every_source
from tests.support.chain import Surroundings, ingest_service
from tests.support.servers import fresh_topics
from tests.support.service import Service


@pytest.fixture(scope="module")
async def every_around(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Surroundings:
    """What `every` is connected to."""
    directory = tmp_path_factory.mktemp("every")
    return Surroundings(kafka, await fresh_topics(kafka), every_source.write(directory), directory)


@pytest.fixture(scope="module")
async def every(every_around: Surroundings) -> AsyncIterator[Service]:
    """A ready ingest with the sources of `every_source`."""
    service = ingest_service(every_around)
    try:
        await every_source.start(service)
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="module")
def client(every: Service) -> Iterator[httpx.Client]:
    """Speaks to `every`."""
    with httpx.Client(base_url=every.url, timeout=20) as client:
        yield client
