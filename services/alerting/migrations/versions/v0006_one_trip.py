"""Plain presses are written in one round trip, if nothing has changed (`services/alerting/plain_presses.py`)."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create a function; processes of the version before do not call it."""
    op.execute(Path(__file__).with_suffix(".sql").read_text())
