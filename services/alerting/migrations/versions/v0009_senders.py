"""Who has a mail in hand, so that the others need not wait for the lease of one that has died."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Processes of the version before leave the column empty: their mails wait for their leases, as before."""
    for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n"):
        if statement.strip():
            op.execute(statement)
