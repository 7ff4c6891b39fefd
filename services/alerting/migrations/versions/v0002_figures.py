"""What the yearly report reads of an incident, as columns: its state is too large to take apart 100,000 times."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns that PostgreSQL derives from the state: old processes go on writing rows as before."""
    for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n"):
        if statement.strip():
            op.execute(statement)
