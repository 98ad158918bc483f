"""The Python client: submit specs, wait, get tables and maps back.

client = Client()
job = client.submit(FeaturesSpec(dataset=…, model=…)).wait()
table = job.artifact().table()
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

from featurescape.dataset_at import dataset_at, is_word
from featurescape.handles import Job, Map
from featurescape.transport import Transport
from featurescape_jobs.errors import DatasetError, NotFoundError
from featurescape_jobs.specs import (
    JOB_SPECS,
    BaseJobSpec,
    DatasetSpec,
    ModelSpec,
    draws_map,
    parse_spec,
)

_DEFAULT_MODEL = "efficientnet_lite0"
_SOME_JOB = "0123456789ab"


class Client:
    """A connection to one featurescape service.

    Args:
        url: address of the service; None: FEATURESCAPE_URL, or ``http://127.0.0.1:8090``.
        token: the service's token; None: FEATURESCAPE_TOKEN, if there is one.

    Errors of the service arrive as the classes of `featurescape_jobs.errors`; if nobody answers,
    `ServiceUnavailableError` says what to do. Requests are repeated where a connection breaks; a
    submit carries a key, so that it makes one job however often it is sent.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self._transport = Transport(url, token)

    @property
    def url(self) -> str:
        """Address of the service."""
        return self._transport.url

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; jobs go on."""
        self._transport.close()

    def submit(self, spec: BaseJobSpec | Mapping[str, Any], key: str | None = None) -> Job:
        """Submit a job; returns at once.

        Args:
            spec: a spec, or the same as a mapping; it is validated here, before any network, but for a job type
                that is not known here: of a plug-in of the service.
            key: an idempotency key: the same key and spec give the same job, also later and from
                elsewhere. None: a new job.

        Raises:
            SpecError: a field is wrong; the message names it.
            InputJobError: a job that the spec names is missing or did not succeed.
        """
        answer = self._transport.post("/v1/jobs", _checked(spec), key or secrets.token_hex(16))
        return Job(self._transport, answer.json())

    def job(self, job_id: str) -> Job:
        """A job by its id; raises `NotFoundError`."""
        if not re.fullmatch(r"[a-z0-9-]{1,64}", job_id, re.ASCII):
            raise NotFoundError(f"there is no job {job_id[:80]!r}")
        return Job(self._transport, self._transport.get(f"/v1/jobs/{job_id}").json())

    def jobs(
        self, limit: int = 100, *, status: str | None = None, job: str | None = None
    ) -> list[Job]:
        """The newest jobs, of one status or job type if you like."""
        answer = self._transport.get("/v1/jobs", limit=limit, status=status, job=job)
        return [Job(self._transport, state) for state in answer.json()["jobs"]]

    def catalog(self) -> dict[str, Any]:
        """Datasets, models, job types with their schema, and color layers of the service."""
        return cast("dict[str, Any]", self._transport.get("/v1/catalog").json())

    def open_map(self, job_id: str) -> Map:
        """A map by the id of its tiles or atlas job; raises `NotFoundError`."""
        job = self.job(job_id)
        if not draws_map(job.job):
            raise NotFoundError(f"{job_id} is a {job.job} job, not a map (tiles, atlas)")
        return Map(self._transport, [job])

    def map(
        self,
        dataset: str | Path | DatasetSpec | Mapping[str, Any],
        model: str | ModelSpec | Mapping[str, Any] | None = None,
        *,
        layer: str | None = None,
        training: Job | str | None = None,
        perplexity: float | Literal["auto"] = "auto",
        seed: int = 0,
        title: str | None = None,
        reuse: bool = True,
    ) -> Map:
        """Make a map: features → embedding → tiles as three chained jobs; returns at once.

        Args:
            dataset: a name of the catalog (``"digits"``), a folder of images or of MNIST's IDX
                files, ``s3://bucket/prefix``, or a spec.
            model: a name of the catalog, or a spec; None: the one of ``training``, or what the dataset's
                card names, trained by a job before the map where it has no weights of its own.
            layer: module path of the layer; None: the card's choice.
            training: a `training` job of the model, or its id, whose weights are taken.
            perplexity: of the embedding, at most (N - 1) / 3; auto: 30, or (N - 1) / 3 where that is
                less, and below 8 examples a layout by PCA.
            seed: of all three jobs.
            title: a name for people.
            reuse: whether what earlier jobs made of the same files, with the same spec and code, is taken
                instead of computing it again.

        Raises:
            SpecError: a field is wrong; nothing was submitted then.
        """
        common = {"seed": seed, "title": title, "reuse": reuse}
        embedding = {**common, "job": "embedding", "perplexity": perplexity}
        parse_spec({**embedding, "features": f"features-{_SOME_JOB}"})
        source, before = self.dataset(dataset), list[Job]()
        if model is None and training is None:
            model, untrained = self._default_model(source["name"])
            if untrained:
                spec = {**common, "job": "training", "dataset": source, "model": model}
                before = [self.submit(spec)]
                training = before[0]
        network = self._network(model, training)
        features = {**common, "job": "features", "model": network, "layers": layer}
        first = self.submit({**features, "dataset": source})
        second = self.submit({**embedding, "features": first.id})
        third = self.submit({**common, "job": "tiles", "embedding": second.id})
        return Map(self._transport, [*before, first, second, third])

    def dataset(self, given: str | Path | DatasetSpec | Mapping[str, Any]) -> dict[str, Any]:
        """The dataset field of a spec that `map` makes of what it is given."""
        if isinstance(given, DatasetSpec):
            return given.model_dump(mode="json")
        if isinstance(given, Mapping):
            return dict(given)
        found = dataset_at(given)
        if isinstance(given, str) and is_word(given) and "root" in found:
            return {"name": given} if given in self._datasets() else found
        if isinstance(given, str) and "root" not in found and given not in self._datasets():
            raise DatasetError(
                f"dataset: there is no folder {given!r} here, and no dataset of that name "
                f"({', '.join(self._datasets())}); give the path of a folder, or one of these",
                field="dataset",
            )
        return found

    def _datasets(self) -> list[str]:
        return [card["name"] for card in self.catalog()["datasets"]]

    def _network(
        self, model: str | ModelSpec | Mapping[str, Any] | None, training: Job | str | None
    ) -> dict[str, Any]:
        """The model field of a spec, with the training whose weights are taken."""
        if isinstance(training, str) and model is None:
            training = self.job(training)
        if isinstance(training, Job):
            model = training.spec["model"]["name"] if model is None else model
            training = training.id
        if isinstance(model, ModelSpec):
            spec = model.model_dump(mode="json")
        else:
            spec = {"name": model} if isinstance(model, str) else dict(model or {})
        return spec if training is None else {**spec, "training": training}

    def _default_model(self, dataset: str) -> tuple[dict[str, Any], bool]:
        """The model that the dataset's card names, and whether it has to be trained first."""
        catalog = self.catalog()
        cards = {card["name"]: card for card in catalog["datasets"]}
        name = cards.get(dataset, {}).get("default_model", _DEFAULT_MODEL)
        weights = {card["name"]: card["weights"] for card in catalog["models"]}
        return {"name": name}, weights.get(name) is None


def _checked(spec: BaseJobSpec | Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of a spec, validated unless its job type is not known here."""
    if isinstance(spec, BaseJobSpec):
        return spec.model_dump(mode="json")
    given = dict(spec)
    job = given.get("job")
    if isinstance(job, str) and job not in JOB_SPECS:
        return given
    return parse_spec(given).model_dump(mode="json")
