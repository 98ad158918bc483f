"""An artifact that is there already: found by its key, and taken over instead of computed again.

The key of a job is a checksum of all that its artifact follows from: the spec without its title, the artifacts
of its input jobs, names, sizes and times of the files that it reads, commits of the hub's repositories that its
networks are of, and the code. ``reuse/<key>.json`` names the
job that has made such an artifact. Its files are linked into the new job's folder (copied where that cannot
be, as between buckets), and the new job has a manifest of its own, whose ``reused_from`` names the job that
computed them. Any file in ``reuse/`` may be deleted or damaged at any time: the job is then computed.

Memory: two manifests.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from featurescape_jobs.artifacts import ArtifactRef, Manifest, job_dir
from featurescape_jobs.engine.code_version import package_versions, source_sha256
from featurescape_jobs.engine.context import RunContext, read_manifest
from featurescape_jobs.engine.fingerprints import fingerprint
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import PASSING_ROW_ERRORS, FeaturescapeError, NotFoundError
from featurescape_jobs.specs import (
    JOB_ID_PATTERN,
    BaseJobSpec,
    ModelSpec,
    installed_datasets,
    places,
)
from featurescape_jobs.specs.model import encoder_model
from featurescape_jobs.specs.references import parts
from featurescape_jobs.specs.shapes.captioner import EncoderSpec

FOLDER = "reuse"
FORMAT = 1
_UNTOLD = frozenset({"title", "reuse"})
"""Fields of a spec that change nothing of the artifact."""

log = logging.getLogger(__name__)


def key_of(spec: BaseJobSpec, context: RunContext) -> str | None:
    """The key of the artifact that the job makes, as things are now.

    None where it cannot be known: an input without an artifact, or a place that cannot be looked at.
    """
    inputs: dict[str, Any] = {}
    for job_id in context.inputs.values():
        manifest = _manifest(context.storage, job_id)
        if manifest is None:
            return None
        inputs[job_id] = computed_by(manifest)
    prints = [fingerprint(place, context.allowed_roots) for place in places(spec)]
    prints += [fingerprint(place, None) for place in _installed(spec)]
    prints += _revisions(spec)
    if None in prints:
        return None
    said = replaced(spec.model_dump(mode="json", exclude=set(_UNTOLD)), inputs)
    body = [FORMAT, said, prints, package_versions(), source_sha256(_texts(said))]
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def first_key(context: RunContext, key: str | None) -> str | None:
    """The key as it was when the job's first attempt began, which later ones go on with."""
    path = context.path("input/reuse.json")
    with contextlib.suppress(OSError, ValueError, NotFoundError):
        if context.storage.write_new(path, json.dumps({"key": key}).encode()) is None:
            key = json.loads(context.storage.read(path)).get("key")
        return key
    return None


def computed_by(manifest: Manifest) -> str:
    """The job that computed an artifact: what tells it from all others."""
    return manifest.reused_from or manifest.job_id


def find(storage: Storage, key: str, job: str) -> Manifest | None:
    """The artifact with this key, if it is whole. Whatever is wrong with it, the answer is None."""
    try:
        said = json.loads(storage.read(f"{FOLDER}/{key}.json"))
        job_id = str(said["job_id"])
    except (NotFoundError, OSError, ValueError, KeyError, TypeError):
        return None
    if not re.fullmatch(JOB_ID_PATTERN, job_id, re.ASCII):
        return None
    manifest = _manifest(storage, job_id)
    if manifest is None or manifest.job != job:
        return None
    try:
        for ref in manifest.files:
            if storage.size(f"{job_dir(job_id)}/{ref.path}") != ref.size_bytes:
                raise NotFoundError(f"{ref.path} is short")
    except (FeaturescapeError, OSError) as error:
        log.warning("the artifact of %s is damaged and not used again: %s", job_id, error)
        return None
    return manifest


def remember(storage: Storage, key: str, manifest: Manifest) -> None:
    """Note that this artifact has the key, unless it might come out better another time.

    That it cannot be written does not stop the job.
    """
    counted = (codes for name, codes in manifest.details.items() if name.endswith("error_codes"))
    if PASSING_ROW_ERRORS & {code for codes in counted for code in codes}:
        return
    with contextlib.suppress(OSError):
        body = json.dumps({"job_id": manifest.job_id}).encode()
        storage.write(f"{FOLDER}/{key}.json", body)


def take_over(
    found: Manifest,
    spec: BaseJobSpec,
    context: RunContext,
    transfer: Callable[[str, str], None],
) -> Manifest | None:
    """Make an earlier artifact this job's, or None where another attempt has committed.

    Args:
        found: the manifest of the earlier artifact.
        spec: of the job.
        context: of its attempt.
        transfer: makes a file of the storage be there under a second name: `Storage.link`, `Storage.copy`.

    Raises:
        OSError: a file cannot be transferred; nothing is committed then.
        NotFoundError: a file is gone by now.
    """
    started = time.monotonic()
    names = {found.job_id: context.job_id}
    names |= _renamed(context.storage, found.inputs, context.inputs)
    files = _transferred(found, context, transfer)
    names |= {ref.path: own.path for ref, own in zip(found.files, files, strict=True)}
    manifest = found.model_copy(
        update={
            "job_id": context.job_id,
            "attempt": context.attempt,
            "spec": spec.model_dump(mode="json"),
            "inputs": context.inputs,
            "created_at": datetime.now(UTC),
            "files": files,
            "timings_seconds": {"reuse": round(time.monotonic() - started, 3)},
            "details": replaced(found.details, names),
            "reused_from": computed_by(found),
        }
    )
    body = manifest.model_dump_json(indent=1).encode()
    written = context.storage.write_new(context.path("manifest.json"), body)
    return None if written is None else manifest


def _transferred(
    found: Manifest, context: RunContext, transfer: Callable[[str, str], None]
) -> list[ArtifactRef]:
    """Make the earlier artifact's files be there for this attempt, under paths of its own."""
    files = []
    for ref in found.files:
        target = context.output(ref.path)
        transfer(f"{job_dir(found.job_id)}/{ref.path}", target)
        path = target.removeprefix(f"{job_dir(context.job_id)}/")
        files.append(ref.model_copy(update={"path": path}))
    return files


def replaced(tree: Any, names: dict[str, str]) -> Any:
    """JSON in which every text that is one of the names is another."""
    if isinstance(tree, dict):
        return {key: replaced(value, names) for key, value in tree.items()}
    if isinstance(tree, list):
        return [replaced(value, names) for value in tree]
    return names.get(tree, tree) if isinstance(tree, str) else tree


def _texts(tree: Any) -> frozenset[str]:
    """Every text in JSON that is a value, and its part before a colon: among them names of all entries."""
    if isinstance(tree, dict | list):
        values = tree.values() if isinstance(tree, dict) else tree
        return frozenset().union(*map(_texts, values))
    return frozenset({tree, tree.partition(":")[0]} if isinstance(tree, str) else ())


def _renamed(storage: Storage, then: dict[str, str], now: dict[str, str]) -> dict[str, str]:
    """Job ids that the earlier artifact may name → those in their place: inputs, and theirs."""
    names: dict[str, str] = {}
    for field in then.keys() & now.keys():
        if then[field] == now[field]:
            continue
        names[then[field]] = now[field]
        earlier, present = _manifest(storage, then[field]), _manifest(storage, now[field])
        if earlier is not None and present is not None:
            names |= _renamed(storage, earlier.inputs, present.inputs)
    return names


def _installed(spec: BaseJobSpec) -> list[str]:
    names = installed_datasets(spec)
    if not names:
        return []
    from featurescape_jobs.datasets import DATASETS  # takes a while, and few jobs need it

    known = (place for name in names for place in DATASETS[name].card.places)
    return [place for place in known if Path(place).exists()]


def _revisions(spec: BaseJobSpec) -> list[str | None]:
    """Commits of the hub's repositories that networks of the spec are of; None where one cannot be known."""
    models = [
        encoder_model(part) if isinstance(part, EncoderSpec) else part for _, part in parts(spec)
    ]
    named = [part for part in models if isinstance(part, ModelSpec) and part.options]
    if not named:
        return []
    from featurescape_jobs.models import MODELS  # as above: few jobs name one of a collection
    from featurescape_jobs.models.base import HubCollection

    try:
        entries = [(MODELS[model.name], model) for model in named]
        return [each.revision(model) for each, model in entries if isinstance(each, HubCollection)]
    except FeaturescapeError:
        return []  # the job says what is wrong with it


def _manifest(storage: Storage, job_id: str) -> Manifest | None:
    try:
        return read_manifest(storage, job_id)
    except (NotFoundError, OSError, ValidationError):
        return None
