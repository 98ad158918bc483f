"""``featurescape demo``: scikit-learn's handwritten digits, from nothing to a map in the browser.

A network is trained on them, its features are laid out and drawn: four chained jobs on a service and
a Ray of the demo's own, at a port and in a storage of its own. What an earlier demo made is taken from there.
"""

from __future__ import annotations

import logging
import signal
import time
from typing import Any

from rich.console import Console
from rich.rule import Rule
from rich.table import Table

from featurescape import tables
from featurescape.client import Client
from featurescape.data_home import data_home
from featurescape.handles import Job, Map
from featurescape.server.embedded import EmbeddedService
from featurescape.server.serve import log_to_stderr, make_settings
from featurescape.server.settings import Settings
from featurescape.watch import watch
from featurescape_jobs.engine.private_files import keep_files_private
from featurescape_jobs.errors import ServiceUnavailableError
from featurescape_jobs.printable import printable

_MODEL = {"name": "lenet"}
_DATASET = {"name": "digits"}
_EPOCHS = 5
_PORT = 8091
"""Not that of `serve`: a map that is made while the demo is shown must not end with it."""
_PAUSE_SECONDS = 0.2
_WORTH_SECONDS = 0.05
"""Stages that took less are not worth a word."""


def demo(overrides: dict[str, Any], *, serve: bool, console: Console) -> int:
    """Make the demo map; then serve it until Ctrl-C, or end."""
    given = make_settings(overrides).model_fields_set
    own = {"storage": str(data_home() / "demo"), "port": _PORT}
    settings = make_settings(
        {**{name: value for name, value in own.items() if name not in given}, **overrides}
    )
    keep_files_private()
    log_to_stderr(logging.WARNING)
    # A demo that is told to end must take its Ray along: as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    with EmbeddedService(settings) as service, _client(service, settings) as client:
        console.print(Rule("featurescape: a map of handwritten digits", align="left"))
        jobs = _submit(client)
        with console.status("starting Ray …"):
            _wait_for_ray(service, settings)
        watch(jobs, console=console)
        view = client.open_map(jobs[-1].id)
        console.print()
        console.print(_summary(jobs, time.monotonic() - started))
        if all(job.reused_from is not None for job in jobs):
            console.print(
                f"Quick, as an earlier demo made all of it in {printable(settings.storage)}; remove that "
                "folder to see it being made.",
                markup=False,
                soft_wrap=True,
            )
        _say_where(console, view, serve)
        if serve:
            _until_interrupted()
            console.print("stopping …")
    return 0


def _client(service: EmbeddedService, settings: Settings) -> Client:
    return Client(service.url, settings.token.get_secret_value() if settings.token else None)


def _submit(client: Client) -> list[Job]:
    """Training and, from its weights, the map."""
    training = client.submit(
        {
            "job": "training",
            "title": "digits: lenet",
            "dataset": _DATASET,
            "model": _MODEL,
            "epochs": _EPOCHS,
        }
    )
    view = client.map(_DATASET, _MODEL, training=training, title="digits: the demo map")
    return [training, *view.jobs]


def _wait_for_ray(service: EmbeddedService, settings: Settings) -> None:
    scheduler = service.app.state.services.scheduler
    deadline = time.monotonic() + settings.ray_start_seconds
    while scheduler.problem is not None:
        if time.monotonic() > deadline:
            raise ServiceUnavailableError(f"Ray does not start: {scheduler.problem}")
        time.sleep(_PAUSE_SECONDS)


def _summary(jobs: list[Job], seconds: float) -> Table:
    """The highlights of the manifests, job by job."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(style="dim")
    table.add_column()
    for job in jobs:
        manifest = job.manifest()
        stages = [item for item in manifest.timings_seconds.items() if item[1] >= _WORTH_SECONDS]
        timed = " · ".join(f"{stage} {spent:.1f} s" for stage, spent in stages)
        table.add_row(job.job, "examples", f"{manifest.rows:,}, {manifest.error_rows:,} error rows")
        if manifest.reused_from is not None:
            table.add_row("", "result", tables.same_as(manifest.reused_from))
        else:
            table.add_row("", "stages", timed)
        for name, text in tables.highlights(manifest):
            table.add_row("", name, text)
    table.add_row("in all", "", f"{seconds:.1f} s from start to map")
    return table


def _say_where(console: Console, view: Map, serve: bool) -> None:
    if serve:
        console.print(f"The map: {view.url}   (Ctrl-C ends the demo)", soft_wrap=True)
    else:
        console.print(f"The map is complete: {view.id}. `featurescape demo` also serves it.")


def _until_interrupted() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        pass
