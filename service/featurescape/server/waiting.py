"""Jobs that wait for the results of other jobs: whether they can start, and those that never can.

A job fails as soon as one of its inputs has failed, or as soon as the listing of an input that still runs is
frozen and is seen to be too small for it: an hour before that input is done. Memory: a number per running
input, of 1,024 of them at most.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from featurescape.server.attempts import frozen_examples
from featurescape.server.jobstore import JobRecord, JobStore
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import InputJobError, SpecError
from featurescape_jobs.specs import parse_spec

log = logging.getLogger("featurescape.server.waiting")

_PAST = {"FAILED": "failed", "STOPPED": "was stopped"}
_MOST_KNOWN = 1024


@dataclass(frozen=True)
class WaitingInputs:
    """The inputs of waiting jobs, as record and storage have them."""

    store: JobStore
    storage: Storage
    _examples: dict[str, int] = field(default_factory=dict)
    """Running input → examples that its listing was frozen with."""

    def ready(self, record: JobRecord) -> bool:
        """True if all inputs of a waiting job are there; it is FAILED where they never will be."""
        sources = {name: self.store.get(job_id) for name, job_id in record.inputs.items()}
        ended = next(filter(None, map(self._problem, sources.items())), None)
        problem = ended or self._too_small(record, sources)
        if problem is not None:
            self.store.fail(record, problem)
            return False
        return all(source.status == "SUCCEEDED" for source in sources.values())

    @staticmethod
    def _problem(named: tuple[str, JobRecord]) -> InputJobError | None:
        """What is wrong with an input that ended without a result."""
        field_name, source = named
        if source.status not in _PAST:
            return None
        why = "" if source.reason is None else f": {source.reason['message']}"
        return InputJobError(
            f"{field_name}: job {source.id} {_PAST[source.status]}{why}",
            field=field_name,
            job_id=source.id,
            status=source.status,
        )

    def _too_small(self, record: JobRecord, sources: dict[str, JobRecord]) -> SpecError | None:
        """What the job says of inputs that run and are known to have too few examples for it."""
        for field_name, source in sources.items():
            examples = self._frozen(source.id) if source.status == "RUNNING" else None
            if examples is not None:
                try:
                    parse_spec(record.spec).check_input(field_name, examples)
                except SpecError as error:
                    return error
        return None

    def _frozen(self, job_id: str) -> int | None:
        if job_id in self._examples:
            return self._examples[job_id]
        try:
            examples = frozen_examples(self.storage, job_id)
        except OSError as error:  # asked again in the next round
            log.warning("job %s: storage: %s", job_id, error)
            return None
        if examples is not None:
            if len(self._examples) >= _MOST_KNOWN:
                self._examples.clear()
            self._examples[job_id] = examples
        return examples
