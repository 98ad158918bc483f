"""Jobs, and the keys that they came with."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_FLAG = sa.Boolean().with_variant(sa.Integer(), "sqlite")
_COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    """Make the tables and their indices."""
    op.create_table(
        "jobs",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("title", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("losses", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("submitted", _FLAG, nullable=False, server_default=sa.false()),
        sa.Column("kill_pending", _FLAG, nullable=False, server_default=sa.false()),
        sa.Column("stop_requested_at", _TIME),
        sa.Column("reason", sa.Text),
        sa.Column("progress", sa.Text),
        sa.Column("rows", _COUNT),
        sa.Column("error_rows", _COUNT),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("ended_at", _TIME),
        sa.CheckConstraint("status IN ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'STOPPED')"),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_by_status", "jobs", ["status", "sequence"])
    to_kill = sa.column("kill_pending", _FLAG) == sa.true()
    op.create_index(
        "jobs_to_kill", "jobs", ["kill_pending"], sqlite_where=to_kill, postgresql_where=to_kill
    )
    op.create_table(
        "idempotency",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("body_hash", sa.Text, nullable=False),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), nullable=False),
    )
