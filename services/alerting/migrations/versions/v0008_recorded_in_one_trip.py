"""What mail servers answered is recorded in one round trip (`services/alerting/mailing/recording.py`)."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create a function; processes of the version before do not call it."""
    op.execute(Path(__file__).with_suffix(".sql").read_text())
