"""The engine of bulk jobs: frozen rows, shards and workers, exactly once; storage; choices of a whole job.

Its public names are what a job module needs; each is imported when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featurescape_jobs.engine.context import InputArtifact as InputArtifact
    from featurescape_jobs.engine.context import Outcome as Outcome
    from featurescape_jobs.engine.context import RunContext as RunContext
    from featurescape_jobs.engine.context import open_input as open_input
    from featurescape_jobs.engine.context import seed_for as seed_for
    from featurescape_jobs.engine.frozen_rows import FrozenPhase as FrozenPhase
    from featurescape_jobs.engine.frozen_rows import FrozenRows as FrozenRows
    from featurescape_jobs.engine.frozen_rows import freeze_rows as freeze_rows
    from featurescape_jobs.engine.shard_worker import Processed as Processed
    from featurescape_jobs.engine.shard_worker import ShardWorker as ShardWorker
    from featurescape_jobs.engine.shard_worker import WorkerSetup as WorkerSetup
    from featurescape_jobs.engine.shard_worker import error_row as error_row
    from featurescape_jobs.engine.shards import Bulk as Bulk
    from featurescape_jobs.engine.shards import BulkResult as BulkResult
    from featurescape_jobs.engine.shards import run_shards as run_shards
    from featurescape_jobs.engine.storage import Storage as Storage
else:
    from featurescape_jobs.registry.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "featurescape_jobs.engine.context": (
                *("InputArtifact", "Outcome", "RunContext", "open_input", "seed_for"),
            ),
            "featurescape_jobs.engine.frozen_rows": ("FrozenPhase", "FrozenRows", "freeze_rows"),
            "featurescape_jobs.engine.shard_worker": (
                *("Processed", "ShardWorker", "WorkerSetup", "error_row"),
            ),
            "featurescape_jobs.engine.shards": ("Bulk", "BulkResult", "run_shards"),
            "featurescape_jobs.engine.storage": ("Storage",),
        },
    )
