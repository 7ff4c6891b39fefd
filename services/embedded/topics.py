"""The topics of the embedded stack, on its own broker or on the user's cluster."""

import asyncio
import logging

from services.common.kafka import admin, create_topics
from services.common.settings import TopicsSettings, load
from services.embedded.process import EmbeddedError


def topic_settings(port: int | None) -> TopicsSettings:
    """How to reach the embedded broker, or with None the one that the environment names.

    Raises:
        SettingsError: the environment is wrong.
    """
    if port is None:
        return load(TopicsSettings)
    return TopicsSettings(kafka_bootstrap_servers=f"127.0.0.1:{port}", kafka_security_protocol="PLAINTEXT")


def set_up_topics(settings: TopicsSettings, *, embedded: bool) -> None:
    """On our single node every record reaches the disk before it is acknowledged; a cluster has its own defaults.

    Raises:
        EmbeddedError: Kafka does not answer or refuses.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the error that is raised says it on one line
    overrides = {"flush.messages": "1"} if embedded else None

    async def create() -> None:
        replication = 1 if embedded else await _copies(settings)
        await create_topics(settings, replication=replication, overrides=overrides)

    try:
        asyncio.run(create())
    except (OSError, RuntimeError) as error:  # aiokafka's errors are RuntimeErrors
        where = settings.kafka_bootstrap_servers
        raise EmbeddedError(f"cannot create the topics on Kafka at {where}: {error or type(error).__name__}") from None


async def _copies(settings: TopicsSettings) -> int:
    """How many copies the user's own cluster can keep of each record: three, or as many as it has brokers."""
    async with admin(settings) as client:
        return min(3, len((await client.describe_cluster())["brokers"]))
