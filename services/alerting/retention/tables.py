"""The table of holds. Apart from the incidents: see docs/adr/0015-holds-beside-the-incident.md."""

import sqlalchemy as sa

from services.alerting.tables import metadata

_instant = sa.DateTime(timezone=True)

retention_holds = sa.Table(
    "retention_holds",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.func.gen_random_uuid()),
    sa.Column("incident_id", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", _instant, nullable=False),
    sa.Column("ended_at", _instant),
    sa.Column("ended_by", sa.Text),
    sa.Index("retention_holds_standing", "incident_id", unique=True, postgresql_where=sa.text("ended_at IS NULL")),
)
"""While a row has no `ended_at`, retention leaves its incident alone; at most one such row an incident."""
