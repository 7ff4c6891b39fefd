"""What ingest counts. Labels are configured names and fixed words, never anything that a sender wrote."""

from prometheus_client import Counter, Gauge, Histogram

REPORTS = Counter(
    "rufkette_ingest_events_total",
    "Messages of senders by what became of them.",
    ["source", "kind", "mode", "outcome"],
)
"""outcome: accepted, heartbeat, ignored, refused, unpublished."""
REQUESTS = Counter("rufkette_ingest_requests_total", "HTTP requests.", ["method", "route", "status"])
PUBLISHING = Histogram(
    "rufkette_ingest_publish_seconds",
    "From handing an event to Kafka to its acknowledgement by all in-sync replicas.",
    buckets=(0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)
IN_FLIGHT = Gauge("rufkette_ingest_publishing", "Events that wait for Kafka's acknowledgement.")
KAFKA_REACHABLE = Gauge("rufkette_ingest_kafka_reachable", "1 while Kafka can be written to.")
