"""The alarm chain: partitions, events, incidents, timeline, outbox, relay, held follow-ups.

Written out, not derived from `tables`, because that module moves on and this version does not.
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the first tables."""
    for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n"):
        if statement.strip():
            op.execute(statement)
