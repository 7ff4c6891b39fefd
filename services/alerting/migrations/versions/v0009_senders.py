"""Which processes that send mails live, so that the others need not wait for the leases of one that has died."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table of its own: processes of the version before read the columns of the outbox by their number."""
    op.execute(Path(__file__).with_suffix(".sql").read_text())
