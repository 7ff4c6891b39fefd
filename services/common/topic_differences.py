"""Topics that exist already, and are otherwise than was asked for: nothing changes them behind an operator's back."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services.common.kafka import admin
from services.common.settings import Settings


async def differences(
    settings: Settings, names: Sequence[str], *, replication: int, overrides: Mapping[str, str]
) -> list[str]:
    """A line for each existing topic that keeps fewer copies or has another value of a setting.

    Raises:
        aiokafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    if not names:
        return []
    async with admin(settings) as client:
        described = await client.describe_topics(list(names))
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        answers = await client.describe_configs(asked)
    values = {r[3]: {entry[0]: entry[1] for entry in r[4]} for answer in answers for r in answer.resources}
    found = {topic["topic"]: topic for topic in described}
    return [
        line
        for name in names
        for line in (*_copies(found[name], replication), *_settings(name, values.get(name, {}), overrides))
    ]


def _copies(topic: Mapping[str, Any], replication: int) -> Iterator[str]:
    fewest = min((len(partition["replicas"]) for partition in topic["partitions"]), default=0)
    if fewest < replication:
        yield (
            f"{topic['topic']} exists and keeps {fewest} of {replication} copies of each record; "
            "kafka-reassign-partitions changes that"
        )


def _settings(name: str, values: Mapping[str, str], overrides: Mapping[str, str]) -> Iterator[str]:
    for key, wanted in overrides.items():
        if key not in values:
            yield f"{name}: a topic has no setting {key}"
        elif values[key] != wanted:
            yield f"{name} exists with {key}={values[key]}, not {wanted}; kafka-configs changes that"
