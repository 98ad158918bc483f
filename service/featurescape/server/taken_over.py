"""Jobs that need no process: their artifact is there already, and follows from other artifacts alone.

What reads a dataset or a file is left to the job's own process, which stands where these lie.
"""

from __future__ import annotations

import logging

from featurescape.server.jobstore import JobRecord
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import NotFoundError
from featurescape_jobs.reuse import find, key_of, take_over
from featurescape_jobs.specs import installed_datasets, parse_spec, places

log = logging.getLogger("featurescape.server.scheduler")


def is_taken_over(storage: Storage, record: JobRecord) -> bool:
    """True if an earlier artifact was made this job's; by links only, so that it takes no time."""
    spec = parse_spec(record.spec)
    if not spec.reuse or not storage.is_local or places(spec) or installed_datasets(spec):
        return False
    context = RunContext(storage, record.id, record.attempt, spec.seed, record.inputs)
    key = key_of(spec, context)
    found = None if key is None else find(storage, key, spec.job)
    if found is None:
        return False
    try:
        take_over(found, spec, context, storage.link)
    except (NotFoundError, OSError) as error:
        log.warning("the artifact of %s cannot be used again here: %s", found.job_id, error)
        return False
    return True
