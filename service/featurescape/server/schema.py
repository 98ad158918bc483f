"""The tables of the job record, as the last revision of ``migrations`` leaves them.

Flags, counts and times have the types of the database at hand: integers and REAL in SQLite.
"""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    false,
    text,
    true,
)
from sqlalchemy.types import TypeEngine

FLAG = Boolean().with_variant(Integer(), "sqlite")
COUNT = BigInteger().with_variant(Integer(), "sqlite")
TIME: TypeEngine[float] = Double().with_variant(REAL(), "sqlite")
"""Unix seconds."""

METADATA = MetaData()

JOBS = Table(
    "jobs",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("job", Text, nullable=False),
    Column("title", Text),
    Column("status", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("losses", Integer, nullable=False, server_default=text("0")),
    Column("submitted", FLAG, nullable=False, server_default=false()),
    Column("kill_pending", FLAG, nullable=False, server_default=false()),
    Column("stop_requested_at", TIME),
    Column("reason", Text),
    Column("progress", Text),
    Column("rows", COUNT),
    Column("error_rows", COUNT),
    Column("created_at", TIME, nullable=False),
    Column("started_at", TIME),
    Column("ended_at", TIME),
    Column("reused_from", Text),
    Column("dataset", Text, nullable=False, server_default=text("''")),
    Column("model", Text, nullable=False, server_default=text("''")),
    Column("size_bytes", COUNT),
    Column("deleted_at", TIME),
    CheckConstraint("status IN ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'STOPPED')"),
    sqlite_autoincrement=True,
)
Index("jobs_by_status", JOBS.c.status, JOBS.c.sequence)
Index(
    "jobs_to_kill",
    JOBS.c.kill_pending,
    sqlite_where=JOBS.c.kill_pending == true(),
    postgresql_where=JOBS.c.kill_pending == true(),
)
Index(
    "jobs_deleted",
    JOBS.c.deleted_at,
    sqlite_where=JOBS.c.deleted_at.is_not(None),
    postgresql_where=JOBS.c.deleted_at.is_not(None),
)

INPUTS = Table(
    "inputs",
    METADATA,
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("field", Text, primary_key=True),
    Column("input_id", Text, nullable=False),
)
"""The inputs of the jobs once more, to be looked up from the input."""
Index("inputs_by_input", INPUTS.c.input_id)

IDEMPOTENCY = Table(
    "idempotency",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("body_hash", Text, nullable=False),
    Column("job_id", Text, ForeignKey("jobs.id"), nullable=False),
)
