"""The driver's connection to Ray, with what every process that Ray starts for the job does first."""

from __future__ import annotations

_WORKERS = {
    "worker_process_setup_hook": "featurescape_jobs.engine.private_files.keep_files_private"
}
"""Nodes have umasks of their own: what a worker writes is as private as what its driver writes."""


def connect(ray_address: str) -> None:
    """Reach the cluster, if this process has not yet."""
    import ray

    if not ray.is_initialized():
        ray.init(
            address=ray_address, log_to_driver=False, configure_logging=False, runtime_env=_WORKERS
        )
