"""Java's ahead-of-time cache (JEP 483): Kafka's classes, read and linked once, so that it starts twice as fast.

`python -m services.embedded.aot_cache` fetches the jars and makes it.
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas import topics
from services.common import kafka as clients
from services.embedded.jars import alone, ensure_jars
from services.embedded.kafka import Kafka, aot_cache
from services.embedded.ports import free_port
from services.embedded.process import EmbeddedError, run_once
from services.embedded.topics import set_up_topics, topic_settings

_READY_WITHIN = 60.0
_PASSED_WITHIN = 10.0


def prepared_jars() -> Path:
    """The directory with all jars, and with the cache where it can be made; either is made on the first start only.

    Raises:
        EmbeddedError: the jars cannot be had. Without the cache everything works: what fails about it is only said.
    """
    libs = ensure_jars()
    ensure_aot_cache(libs)
    return libs


def ensure_aot_cache(libs: Path) -> None:
    """Make the cache, unless it is there; an empty file says that it was tried in vain."""
    cache = aot_cache(libs)
    if cache.exists() or not os.access(libs, os.W_OK):
        return
    with alone(libs):
        if cache.exists():  # whoever was before us made it
            return
        began = time.monotonic()
        _say("preparing its classes, so that it starts twice as fast from now on (once, some 15 s)")
        try:
            _make(libs, cache)
        except (EmbeddedError, KafkaError, OSError) as error:
            _say(f"starts as before: {error or type(error).__name__} (remove {cache} to have it tried again)")
            cache.touch()
        else:
            _say(f"prepared in {time.monotonic() - began:.0f} s")


def _say(what: str) -> None:
    print(f"Kafka: {what}", file=sys.stderr, flush=True)


def _make(libs: Path, cache: Path) -> None:
    """In two steps: with Java's single one, a second process of Java's own would outlive us when we are killed."""
    with tempfile.TemporaryDirectory(dir=libs.parent, prefix="staging-") as staging:
        seen, making = Path(staging) / "classes", Path(staging) / cache.name
        broker = Kafka(Path(staging) / "kafka", libs, free_port())
        broker.prepare()
        part = broker.start("-XX:AOTMode=record", f"-XX:AOTConfiguration={seen}")
        try:
            part.wait_until(broker.ready, timeout=_READY_WITHIN)
            _use(broker)
        finally:
            part.stop(_READY_WITHIN)  # at its end it writes what it has seen
        options = "-XX:AOTMode=create", f"-XX:AOTConfiguration={seen}", f"-XX:AOTCache={making}"
        run_once(broker.command(*options), what="preparing Kafka's classes")
        making.replace(cache)


def _use(broker: Kafka) -> None:
    """Have it do what it will do, so that all classes for that are seen: a record comes and is fetched."""
    settings = topic_settings(broker.port)
    set_up_topics(settings, embedded=True)

    async def pass_one() -> None:
        partition = TopicPartition(topics.EVENTS, 0)
        producer, consumer = clients.producer(settings), clients.consumer(settings)
        async with asyncio.timeout(_PASSED_WITHIN), producer, consumer:
            consumer.assign([partition])
            consumer.seek(partition, 0)
            await producer.send_and_wait(topics.EVENTS, b"", partition=0)
            await consumer.getone()

    asyncio.run(pass_one())


if __name__ == "__main__":
    prepared_jars()
