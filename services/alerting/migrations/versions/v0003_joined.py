"""Where an incident went that a person made part of another one: the yearly report counts it there."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add empty columns, which takes no time; processes of the version before join nothing and never write them."""
    op.add_column("incidents", sa.Column("joined_into", sa.Text))
    op.add_column("incidents", sa.Column("joined_at", sa.DateTime(timezone=True)))
