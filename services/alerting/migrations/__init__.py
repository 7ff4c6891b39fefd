"""The database's versions (Alembic); each keeps old and new processes working side by side."""
