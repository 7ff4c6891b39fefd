"""Names and shapes of the Kafka topics (see "Events on Kafka" in docs/architecture.md)."""

from dataclasses import dataclass
from datetime import timedelta

EVENTS = "incidents.events"
LIFECYCLE = "incidents.lifecycle"
REJECTED = "incidents.events.rejected"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as `rufkette topics` creates it; partitions may be raised later by operations."""

    name: str
    partitions: int
    retention: timedelta


ALL = (
    Topic(EVENTS, partitions=6, retention=timedelta(days=90)),
    Topic(LIFECYCLE, partitions=6, retention=timedelta(days=90)),
    Topic(REJECTED, partitions=1, retention=timedelta(days=90)),
)


def prefixed(name: str, prefix: str) -> str:
    """The topic's name on a cluster that several installations share (`RUFKETTE_TOPIC_PREFIX`)."""
    return f"{prefix}{name}"
