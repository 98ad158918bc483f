"""The schema of the job record, revision by revision, by Alembic.

A new revision is a file in ``versions``, and the same change in `featurescape.server.schema`; it is applied when
a service starts. Records of the versions before Alembic have the tables of one of its first two revisions, and
are taken over as they are.
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from featurescape_jobs.errors import FeaturescapeError


def upgrade(connection: Connection) -> None:
    """Bring the record to the newest revision, in the transaction that the connection is in.

    Raises:
        FeaturescapeError: the record was written by a newer version.
    """
    config = _config(connection)
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    found = MigrationContext.configure(connection).get_current_heads()
    newer = ", ".join(revision for revision in found if revision not in known)
    if newer:
        raise FeaturescapeError(
            f"the job record has revision {newer}, the newest that this version knows is "
            f"{scripts.get_current_head()}: it was written by a newer featurescape"
        )
    if not found:
        _take_over(connection, config)
    if found != (scripts.get_current_head(),):
        command.upgrade(config, "head")


def _take_over(connection: Connection, config: Config) -> None:
    """Stamp a record that was made before Alembic with the revision whose tables it has."""
    inspector = inspect(connection)
    if inspector.has_table("jobs"):
        columns = {column["name"] for column in inspector.get_columns("jobs")}
        command.stamp(config, "0002" if "reused_from" in columns else "0001")


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "featurescape.server:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
