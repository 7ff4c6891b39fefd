"""What ingest counts. Labels are configured names and fixed words, never anything that a sender wrote."""

from prometheus_client import Counter, Gauge, Histogram

REPORTS = Counter(
    "rufkette_ingest_events_total",
    "Messages of senders by what became of them.",
    ["source", "kind", "mode", "outcome"],
)
"""outcome: accepted, follow_up, queued, heartbeat, ignored, refused, limited, unpublished."""
REQUESTS = Counter("rufkette_ingest_requests_total", "HTTP requests.", ["method", "route", "status"])
PUBLISHING = Histogram(
    "rufkette_ingest_publish_seconds",
    "From handing an event to Kafka to its acknowledgement by all in-sync replicas.",
    buckets=(0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)
MQTT_CONNECTED = Gauge("rufkette_ingest_mqtt_connected", "1 while the source's broker is connected.", ["source"])
LEARNING_SOURCES = Gauge(
    "rufkette_ingest_learning_sources", "Sources in learning mode: their reports alarm nobody but a test address."
)
LIFESIGN = Gauge("rufkette_ingest_chain_works", "1 when the last probe came the whole way and back; 0 when it did not.")
IN_FLIGHT = Gauge("rufkette_ingest_publishing", "Events that wait for Kafka's acknowledgement.")
KAFKA_REACHABLE = Gauge("rufkette_ingest_kafka_reachable", "1 while Kafka can be written to.")
ENTRIES = Gauge(
    "rufkette_ingest_entries",
    "Events that this process answers for: waiting for Kafka, for alerting, or for somebody to be told.",
    ["state"],
)
"""state: waiting (for Kafka), published (alerting has not taken it), taken (nobody is known to have heard)."""
OLDEST = Gauge("rufkette_ingest_oldest_entry_seconds", "Age of the oldest event that this process answers for.")
FORWARDED = Counter("rufkette_ingest_forwarded_total", "Events published later than at their acceptance.", ["occasion"])
"""occasion: queued (Kafka was away), unconfirmed (published again)."""
FSYNC = Histogram(
    "rufkette_ingest_journal_write_seconds",
    "One transaction of the journal, fsync included; many events may share it.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)
WATCH_MAILS = Counter("rufkette_ingest_watch_mails_total", "Attempts of the watch at a mail, by answer.", ["verdict"])
"""verdict: accepted, deferred, refused."""
UNHEARD = Gauge("rufkette_ingest_unheard", "Real reports that nobody is known to have heard of within WATCH_AFTER.")
JOURNAL_WRITABLE = Gauge("rufkette_ingest_journal_writable", "1 while the journal can be written to.")
CALLBACKS = Counter(
    "rufkette_ingest_callbacks_total", "Answers to devices by what became of them.", ["source", "status", "outcome"]
)
"""outcome: sent, failed (an attempt), expired."""
CALLBACKS_WAITING = Gauge(
    "rufkette_ingest_callbacks_waiting", "Presses whose device is to be told something.", ["source"]
)
CALLBACKS_SUSPENDED = Gauge(
    "rufkette_ingest_callbacks_suspended", "1 while a source's receiver is left alone, having failed again and again.",
    ["source"],
)  # fmt: skip
