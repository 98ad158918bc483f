"""Alembic's entry: it applies revisions on the connection, and in the transaction, that it is handed."""

from alembic import context

from featurescape.server.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
