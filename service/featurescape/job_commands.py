"""Commands that change the record of a job: ``rename`` and ``rm``."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from featurescape.cli_options import AsJson, JobId, Url
from featurescape.client import Client
from featurescape.terminal import ERR
from featurescape_jobs.errors import RequestError
from featurescape_jobs.printable import printable


def rename(
    job_id: JobId,
    title: Annotated[str, typer.Argument(metavar="TITLE", help='The new title; "" for none.')],
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Give a job another title."""
    with Client(url) as client:
        job = client.job(job_id).rename(title or None)
    print(json.dumps(job.state) if as_json else job.id)
    return 0


def rm(
    job_id: JobId,
    dependents: Annotated[
        bool, typer.Option("--dependents", help="And all that was made from it.")
    ] = False,
    inputs: Annotated[
        bool,
        typer.Option("--inputs", help="And what it was made from, where nothing else was."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = None,
) -> int:
    """Delete a job that has ended, with its files, and print the ids of what is deleted."""
    with Client(url) as client:
        job = client.job(job_id)
        if not yes:
            _confirm(job.deletion(dependents=dependents, inputs=inputs))
        print("\n".join(job.delete(dependents=dependents, inputs=inputs)))
    return 0


def _confirm(jobs: list[dict[str, Any]]) -> None:
    """Say what is to be deleted, and go on only where the answer is yes."""
    if not ERR.is_terminal:
        raise RequestError("to delete without being asked: --yes")
    for job in jobs:
        title = printable(job["title"] or "")
        known = job["size_bytes"]
        size = "size unknown" if known is None else f"{known / 1e6:,.1f} MB"
        ERR.print(f"{job['id']}  {size}  {title}".rstrip(), markup=False, highlight=False)
    count = "this job" if len(jobs) == 1 else f"these {len(jobs)} jobs"
    typer.confirm(f"Delete {count} and all files?", abort=True, err=True)
