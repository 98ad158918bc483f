"""Services of the routes: one record, one storage, one scheduler, for the life of the app."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, cast

from fastapi import Depends, Request

from featurescape.server.admission import Admission
from featurescape.server.api.metrics import Metrics
from featurescape.server.colored_tiles import ColoredTiles
from featurescape.server.database_lock import lock_database
from featurescape.server.finding import Finding
from featurescape.server.jobstore import JobStore
from featurescape.server.live import Live
from featurescape.server.maps import Maps
from featurescape.server.open_files import OpenFiles
from featurescape.server.previews import Previews
from featurescape.server.ray_cluster import make_runner
from featurescape.server.removal import Removal
from featurescape.server.row_files import RowFiles
from featurescape.server.rows import Rows
from featurescape.server.runner import JobRunner
from featurescape.server.scheduler import Scheduler
from featurescape.server.search import Search
from featurescape.server.selections import Selections
from featurescape.server.settings import Settings
from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import NotFoundError
from featurescape_jobs.models import MODELS
from featurescape_jobs.registry import plugins
from featurescape_jobs.specs import JOB_ID_PATTERN, JOB_SPECS

log = logging.getLogger("featurescape.server")


@dataclass
class Services:
    """The parts of a running service."""

    settings: Settings
    store: JobStore
    storage: Storage
    scheduler: Scheduler
    removal: Removal
    admission: Admission
    maps: Maps
    rows: Rows
    live: Live
    search: Search
    selections: Selections
    finding: Finding
    colored: ColoredTiles
    previews: Previews
    metrics: Metrics
    lock: BinaryIO
    stopping: bool = False

    @classmethod
    def build(cls, settings: Settings, runner: JobRunner | None = None) -> Services:
        """The services that the settings describe; nothing runs yet.

        Raises:
            ConflictError: another service works on the same record.
        """
        _load_plugins()
        storage = Storage(settings.storage)
        if storage.is_local:
            Path(storage.root).mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = lock_database(settings.database_path)
        store = JobStore(settings.database_path)
        maps = Maps(settings, store, storage, RowFiles(storage), OpenFiles(storage))
        chosen = runner or make_runner(settings)
        scheduler = Scheduler(settings, store, storage, chosen)
        live = Live(settings, storage.root, chosen.access)
        finding = Finding.at(maps, settings.database_path.parent / "find", settings.find_bytes)
        colored, previews = ColoredTiles(maps), Previews(maps)
        return cls(
            settings=settings,
            store=store,
            storage=storage,
            scheduler=scheduler,
            removal=Removal(store, storage, (maps, colored, previews, finding.indexes)),
            admission=Admission(settings, store, maps.manifest),
            maps=maps,
            rows=Rows(maps),
            live=live,
            search=Search(maps, live),
            selections=Selections(maps, finding),
            finding=finding,
            colored=colored,
            previews=previews,
            metrics=Metrics(store, scheduler),
            lock=lock,
        )

    def start(self) -> None:
        """Start handing out jobs."""
        self.scheduler.start()
        self.removal.start()

    def close(self) -> None:
        """Stop handing out jobs and let go of everything."""
        self.stopping = True
        self.scheduler.close()
        self.finding.close()
        self.removal.close()
        self.store.close()
        self.lock.close()


def _load_plugins() -> None:
    """Load them now, so that the log says at the start what there is and what is left out."""
    for registry in (DATASETS, MODELS, COLOR_LAYERS, JOB_SPECS):
        len(registry)
    for plugin in plugins.loaded():
        log.info("plug-in %s: %s %s", plugin.distribution, plugin.group, plugin.name)


async def _services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


async def _checked_id(
    job_id: str,
) -> str:  # one that is not awaited takes a thread for each request
    if not re.fullmatch(JOB_ID_PATTERN, job_id, re.ASCII):
        raise NotFoundError(f"there is no job {job_id[:80]!r}")
    return job_id


Use = Annotated[Services, Depends(_services)]
CheckedId = Annotated[str, Depends(_checked_id)]
"""The path parameter ``job_id``, which is an id of ours and nothing else."""
