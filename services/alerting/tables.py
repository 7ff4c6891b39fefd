"""Alerting's tables. JSON columns hold JSON text as pydantic wrote it; nothing parses it twice."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = sa.MetaData()
_instant = sa.DateTime(timezone=True)


def listed(columns: Iterable[sa.Column[Any]]) -> str:
    """Columns as a statement names them. Never `*`: a newer version may add one while this one runs."""
    return ", ".join(map(str, columns))


def _of_state(name: str, type_: type[sa.types.TypeEngine[Any]], expression: str) -> sa.Column[Any]:
    """A part of the state that the yearly report reads; PostgreSQL keeps it, whichever version writes the row."""
    return sa.Column(name, type_, sa.Computed(expression, persisted=True))


processes = sa.Table(
    "processes",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("seen_at", _instant, nullable=False),
)
"""Living alerting processes, for the fair share of partitions."""

partitions = sa.Table(
    "partitions",
    metadata,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", _instant),
    sa.Column("next_offset", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("last_event_id", sa.Text),
    sa.Column("caught_up_at", _instant),
)
"""Who reads a partition, and how far its records are applied: the position is the fence against a zombie."""

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("applied_at", _instant, nullable=False, index=True),
)
"""Every event id ever applied, kept longer than Kafka keeps the topic: nothing is applied twice."""

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("site", sa.Text),
    sa.Column("merge_keys", ARRAY(sa.Text), nullable=False),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("urgency", sa.SmallInteger, nullable=False),
    sa.Column("due_at", _instant),
    sa.Column("opened_at", _instant, nullable=False),
    sa.Column("closed_at", _instant),
    sa.Column("joined_into", sa.Text),
    sa.Column("joined_at", _instant),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("imported", sa.Boolean, nullable=False),
    sa.Column("forgotten", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("state", JSONB, nullable=False),
    _of_state("source", sa.Text, "state ->> 'source'"),
    _of_state("category", sa.Text, "state ->> 'category'"),
    _of_state("danger_level", sa.SmallInteger, "(state ->> 'danger_level')::smallint"),
    _of_state("outcome", sa.Text, "state #>> '{closing,outcome}'"),
    _of_state("reported_at", JSONB, "jsonb_path_query_array(state, '$.reports[*].at')"),
    _of_state("called_at", JSONB, "jsonb_path_query_array(state, '$.calls[*].at')"),
    _of_state("handed_over_at", JSONB, "jsonb_path_query_array(state, '$.hand_overs[*].at')"),
    _of_state("handed_over_on", JSONB, "jsonb_path_query_array(state, '$.hand_overs[*].on')"),
    sa.Index("incidents_opened", "opened_at"),
    sa.Index("incidents_handed_over", "id", postgresql_where=sa.text("handed_over_on <> '[]'")),
    sa.Index("incidents_due", "due_at", postgresql_where=sa.text("due_at IS NOT NULL")),
    # Without fastupdate, whose list of pending entries every look-up would have to read.
    sa.Index("incidents_by_key", "merge_keys", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
    sa.Index("incidents_open", "urgency", "opened_at", postgresql_where=sa.text("status <> 'closed'")),
    sa.Index(
        "incidents_held_back",
        sa.text("(state -> 'hold' ->> 'silence_id')"),
        postgresql_where=sa.text("state -> 'hold' ->> 'silence_id' IS NOT NULL"),
    ),
    sa.Index("incidents_closed", "closed_at", postgresql_where=sa.text("status = 'closed'")),
)

inputs = sa.Table(
    "inputs",
    metadata,
    sa.Column("incident_id", sa.Text, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("at", _instant, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text),
    sa.Column("body", JSONB, nullable=False),
    sa.Column("plans", JSONB),
    sa.Index("inputs_acknowledged", "incident_id", "at", postgresql_where=sa.text("reason = 'acknowledged'")),
)
"""The timeline: every input that changed an incident, with its `now` and the tests and silences then in force.

Replaying them gives the same state.
"""

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("incident_id", sa.Text, nullable=False, index=True),
    sa.Column("cycle", sa.Integer, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("repetition", sa.Integer, nullable=False),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("urgency", sa.SmallInteger, nullable=False),
    sa.Column("created_at", _instant, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="due"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("attempt_at", _instant, nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("lease", sa.Uuid),
    sa.Column("lease_until", _instant),
    sa.Column("answered_at", _instant),
    sa.Column("answer", sa.Text),
    sa.Column("via", sa.Text),
    sa.Column("crashes", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Index("outbox_due", "urgency", "created_at", postgresql_where=sa.text("state = 'due'")),
    sa.Index("outbox_recalled", "lease_until", postgresql_where=sa.text("state = 'recalled'")),
)
"""One row a mail. `state`: see `outcomes.State`; `answer` is the last code and text of a mail server, `via` says which
one; `crashes` counts processes in a row that ended with it in hand; `lease` names who has it (`mailing/holder.py`).
"""

senders = sa.Table(
    "senders",
    metadata,
    sa.Column("holder", sa.Text, primary_key=True),
    sa.Column("seen_at", _instant, nullable=False),
    sa.Column("since", _instant, nullable=False),
)
"""Processes that send mails: when each last showed life, and since when without a break."""

mail_attempts = sa.Table(
    "mail_attempts",
    metadata,
    sa.Column("mail_id", sa.Uuid, sa.ForeignKey("outbox.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("via", sa.Text, primary_key=True),
    sa.Column("at", _instant, nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("answer", sa.Text, nullable=False),
)
"""Answers of mail servers that did not take a mail; the last answer of all stands in the outbox."""

relay = sa.Table(
    "relay",
    metadata,
    sa.Column("seq", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("headers", JSONB, nullable=False),
)
"""Records to publish, in order: lifecycle events, and records that were set aside."""

device_signs = sa.Table(
    "device_signs",
    metadata,
    sa.Column("seq", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("device_id", sa.Text, nullable=False),
    sa.Column("at", _instant, nullable=False),
    sa.Column("battery", sa.Double),
)
"""Signs of life, as batches bring them: only ever inserted by these, so that no press waits for a device's row."""

devices = sa.Table(
    "devices",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("site", sa.Text, nullable=False),
    sa.Column("expected_since", _instant),
    sa.Column("last_seen_at", _instant),
    sa.Column("battery", sa.Double),
    sa.Column("battery_at", _instant),
    sa.Column("silent_since", _instant),
    sa.Column("low_since", _instant),
    sa.Column("told_silent", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("told_low", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("changed_at", _instant),
    sa.Column("due_at", _instant),
    sa.Index("devices_due", "due_at", postgresql_where=sa.text("due_at IS NOT NULL")),
    sa.Index("devices_changed", "site", postgresql_where=sa.text("changed_at IS NOT NULL")),
)
"""The devices of the configuration, by normalised id, as `core.devices` sees them."""

notices = sa.Table(
    "notices",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("site", sa.Text, nullable=False),
    sa.Column("news", sa.Text, nullable=False),
    sa.Column("devices", JSONB, nullable=False),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("created_at", _instant, nullable=False, index=True),
    sa.Column("state", sa.Text, nullable=False, server_default="due"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("attempt_at", _instant, nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("lease", sa.Uuid),
    sa.Column("lease_until", _instant),
    sa.Column("answered_at", _instant),
    sa.Column("answer", sa.Text),
    sa.Column("via", sa.Text),
    sa.Index("notices_due", "created_at", postgresql_where=sa.text("state = 'due'")),
)
"""Mails about devices, one row a mail. Apart from the outbox, so that they are in no alarm's way."""

held = sa.Table(
    "held",
    metadata,
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("incident_id", sa.Text, nullable=False, index=True),
    sa.Column("until", _instant, nullable=False, index=True),
    sa.Column("event", JSONB, nullable=False),
)
"""Follow-ups that came before the report of their incident."""

announced_tests = sa.Table(
    "announced_tests",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("site", sa.Text),
    sa.Column("devices", ARRAY(sa.Text), nullable=False),
    sa.Column("starts_at", _instant, nullable=False),
    sa.Column("ends_at", _instant, nullable=False, index=True),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("ended_by", sa.Text),
)
"""Tests of buttons; `devices` are normalised ids, none of them stands for the whole site."""

device_tests = sa.Table(
    "device_tests",
    metadata,
    sa.Column("device_id", sa.Text, primary_key=True),
    sa.Column("at", _instant, nullable=False),
    sa.Column("test_id", sa.Text, nullable=False),
    sa.Column("event_id", sa.Text, nullable=False),
)
"""The last press of each device within an announced test."""

silences = sa.Table(
    "silences",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("site", sa.Text),
    sa.Column("device", sa.Text),
    sa.Column("starts_at", _instant, nullable=False),
    sa.Column("ends_at", _instant, nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("ended_by", sa.Text),
    sa.Column("told_at", _instant),
    sa.Index("silences_untold", "ends_at", postgresql_where=sa.text("told_at IS NULL")),
)
"""Planned silences of a site or a device; `told_at`: ended, and what it held back was told."""

suspects = sa.Table(
    "suspects",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("place", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("aside", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("retry_at", _instant),
)
"""What is tried alone after a crash: a `record` (key: its partition, place: its offset), a `deadline` (an incident)."""

troubles = sa.Table(
    "troubles",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("about", JSONB, nullable=False),
    sa.Column("created_at", _instant, nullable=False, index=True),
    sa.Column("state", sa.Text, nullable=False, server_default="due"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("attempt_at", _instant, nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("lease", sa.Uuid),
    sa.Column("answer", sa.Text),
    sa.Index("troubles_due", "created_at", postgresql_where=sa.text("state = 'due'")),
)
"""Mails to the emergency contacts about what was set aside; `about` says where it is, never what it is."""
