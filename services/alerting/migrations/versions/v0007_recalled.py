"""Finds mails that were recalled from a process which then ended: nobody will say what became of them."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An index over next to nothing; processes of the version before need not know it."""
    op.execute("CREATE INDEX IF NOT EXISTS outbox_recalled ON outbox (lease_until) WHERE state = 'recalled'")
