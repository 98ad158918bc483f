"""Dataset, model and size of a job, the jobs that were made from it, and whether it is deleted."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    """Add columns and a table, and fill them from the jobs that there are."""
    for name in ("dataset", "model"):
        op.add_column(
            "jobs", sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''"))
        )
    op.add_column("jobs", sa.Column("size_bytes", _COUNT))
    op.add_column("jobs", sa.Column("deleted_at", _TIME))
    deleted = sa.column("deleted_at", _TIME).is_not(None)
    op.create_index(
        "jobs_deleted", "jobs", ["deleted_at"], sqlite_where=deleted, postgresql_where=deleted
    )
    op.create_table(
        "inputs",
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("field", sa.Text, primary_key=True),
        sa.Column("input_id", sa.Text, nullable=False),
    )
    op.create_index("inputs_by_input", "inputs", ["input_id"])
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    """An input is older than what is made from it: its names are known by then."""
    jobs = sa.table(
        "jobs", *map(sa.column, ("sequence", "id", "spec", "inputs", "dataset", "model"))
    )
    inputs = sa.table("inputs", *map(sa.column, ("job_id", "field", "input_id")))
    found: dict[str, dict[str, str]] = {}
    rows = connection.execute(
        sa.select(jobs.c.id, jobs.c.spec, jobs.c.inputs).order_by(jobs.c.sequence)
    )
    for job_id, spec, named in rows.fetchall():
        given = json.loads(named)
        above = [found.get(each, {}) for each in given.values()]
        found[job_id] = {
            field: _name(json.loads(spec), field, above) for field in ("dataset", "model")
        }
        connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**found[job_id]))
        for field, input_id in given.items():
            values = {"job_id": job_id, "field": field, "input_id": input_id}
            connection.execute(sa.insert(inputs).values(**values))


def _name(spec: dict[str, object], field: str, above: list[dict[str, str]]) -> str:
    """The name in the spec itself, or that of its inputs."""
    part = spec.get(field)
    name = part.get("name") if isinstance(part, dict) and not part.get("job") else None
    return str(name) if name else next((each[field] for each in above if each.get(field)), "")
