"""``featurescape map``: from a folder to a map, with a service that is started where none answers."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurescape.client import Client
from featurescape.dataset_at import dataset_at
from featurescape.map_request import check_options
from featurescape.reach import is_local, look, wait_for
from featurescape.terminal import ERR, OUT, say, server_module
from featurescape.transport import address
from featurescape.watch import watch
from featurescape_jobs.errors import DatasetError, FeaturescapeError, ServiceUnavailableError

_READY_SECONDS = 60.0
_PAUSE_SECONDS = 0.3


@dataclass(frozen=True)
class MapOptions:
    """Options of ``featurescape map``."""

    dataset: str
    fields: dict[str, Any]
    """Of the dataset's spec, over what its place says."""
    model: dict[str, Any] | None
    made_with: dict[str, Any]
    """Arguments of `Client.map`."""
    watch: bool
    url: str | None
    as_json: bool


def make_map(options: MapOptions) -> int:
    """Submit the jobs, print the map's address, and wait for it where that is asked for."""
    check_options(options.made_with)  # what is wrong, before anything is started
    wanted = dataset_at(options.dataset)
    with Client(_service(options.url, wanted)) as client:
        dataset = client.dataset(options.dataset) | options.fields
        made = client.map(dataset, options.model, **options.made_with)
        if not options.as_json:
            print(f"The map: {made.url}" if OUT.is_terminal else made.url, flush=True)
        if options.watch:
            _wait_for_ray(made.url)
            watch(made.jobs, console=ERR)
            say(f"The map is complete: {made.url}")
        if options.as_json:
            states = [job.refresh().state for job in made.jobs]
            print(json.dumps({"url": made.url, "jobs": states}))
    return 0


def _service(url: str | None, dataset: dict[str, Any]) -> str:
    """The address of a service that answers; started here where it is this machine's and nobody does.

    Raises:
        ServiceUnavailableError: nobody answers, and none can be started.
    """
    at = address(url)
    answer = look(at)
    if answer.state == "waiting":
        say(f"Waiting for the service at {at} ({answer.reason}) …")
        wait_for(at, _READY_SECONDS, lambda: None)
    elif answer.state == "foreign":
        raise ServiceUnavailableError(
            f"{at}: {answer.reason}; give another address with --url", url=at
        )
    elif answer.state == "absent" and is_local(at):
        root = dataset.get("root", "")
        if root and "://" not in root and not Path(root).exists():
            raise DatasetError(f"dataset.root: there is no {root}", field="dataset.root")
        try:
            background = server_module("background")
            settings = server_module("serve").make_settings({})
        except FeaturescapeError as error:
            raise type(error)(
                f"no service answers at {at}, and none can be started here: {error.message}; or give "
                "the address of one with --url or FEATURESCAPE_URL"
            ) from None
        started = background.ensure(at, settings, (root,) if root.startswith("/") else ())
        for line in started.said:
            say(line)
        return str(started.url)
    return at  # where nobody answers, the first request says so


def _wait_for_ray(url: str) -> None:
    """Show what a service that takes jobs still waits for before it runs them."""
    deadline = time.monotonic() + _READY_SECONDS
    at = url.partition("/maps/")[0]
    with ERR.status("starting Ray …"):
        while (answer := look(at)).reason and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
    if answer.reason:
        say(f"The jobs have to wait: {answer.reason}")
