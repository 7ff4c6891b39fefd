"""Alembic's entry: runs on the connection that `apply.migrate` opened."""

from alembic import context

from services.alerting.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
