"""The Python client: submit specs, wait, get tables and maps back.

client = Client()
job = client.submit(FeaturesSpec(dataset=…, model=…)).wait()
table = job.artifact().table()
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Unpack

from featurescape import map_request, operations
from featurescape.handles import Job, Map
from featurescape.map_options import EmbeddingOptions, FeaturesOptions, TilesOptions
from featurescape.map_request import MapRequest
from featurescape.tables_at import VectorFields, placed
from featurescape.transport import Transport
from featurescape_jobs.specs import BaseJobSpec, DatasetSpec, ModelSpec
from featurescape_jobs.specs.class_names import GivenNames


class Client:
    """A connection to one featurescape service; `AsyncClient` is the same, awaited.

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
        return Job(self._transport, self._transport.run(operations.submit(spec, key)))

    def job(self, job_id: str) -> Job:
        """A job by its id; raises `NotFoundError`."""
        return Job(self._transport, self._transport.run(operations.job_state(job_id)))

    def jobs(
        self, limit: int = 100, *, status: str | None = None, job: str | None = None
    ) -> list[Job]:
        """The newest jobs, of one status or job type if you like."""
        states = self._transport.run(operations.job_states(limit, status, job))
        return [Job(self._transport, state) for state in states]

    def catalog(self) -> dict[str, Any]:
        """Datasets, models, job types with their schema, and color layers of the service."""
        return self._transport.run(operations.catalog())

    def network(self, model: str | Mapping[str, Any]) -> dict[str, Any]:
        """Layers of a network with the shapes that they give for an image, and its input.

        Args:
            model: as ``"torchvision/convnext_tiny"``, or the fields of a spec; without ``weights`` they
                are random.

        Raises:
            SpecError: there is no such model, or it reads no images.
            LiveUnavailableError: the service cannot start a network.
        """
        return self._transport.run(operations.network(model))

    def open_map(self, job_id: str) -> Map:
        """A map by the id of its tiles or atlas job; raises `NotFoundError`."""
        return Map(
            self._transport,
            [Job(self._transport, self._transport.run(operations.map_state(job_id)))],
        )

    def map(
        self,
        dataset: object,
        model: str | ModelSpec | Mapping[str, Any] | None = None,
        *,
        layer: str | None = None,
        class_names: GivenNames | None = None,
        training: Job | str | None = None,
        perplexity: float | Literal["auto"] = "auto",
        seed: int = 0,
        title: str | None = None,
        reuse: bool = True,
        features: FeaturesOptions | None = None,
        embedding: EmbeddingOptions | None = None,
        tiles: TilesOptions | None = None,
        **vectors: Unpack[VectorFields],
    ) -> Map:
        """Make a map: features → embedding → tiles as three chained jobs; returns at once.

        Args:
            dataset: a name of the catalog (``"digits"``), a folder of images or of MNIST's IDX
                files, ``s3://bucket/prefix``, or a spec; or vectors: a file of them, or a table of pandas,
                polars or pyarrow, or an array (N, D).
            model: a name of the catalog, or a spec; None: the one of ``training``, or what the dataset's
                card names, trained by a job before the map where it has no weights of its own.
            layer: module path of the layer; None: the card's choice.
            class_names: names of the classes, the first of class 0, or ``{0: "cat"}`` for some; None: those
                that the dataset has.
            training: a `training` job of the model, or its id, whose weights are taken.
            perplexity: of the embedding, at most (N - 1) / 3; auto: 30, or (N - 1) / 3 where that is
                less, and below 8 examples a layout by PCA.
            seed: of all three jobs.
            title: a name for people.
            reuse: whether what earlier jobs made of the same files, with the same spec and code, is taken
                instead of computing it again.
            features: other options of the features job: ``FeaturesOptions(pooling="mean")``, or a dict.
            embedding: of the embedding job, as ``EmbeddingOptions(metric="cosine")``.
            tiles: of the tiles job, as ``TilesOptions(max_zoom=6)``.
            vectors: columns of vectors, as ``vector_column="clip"``; of what is in memory also ids and labels,
                and the folder that it is written to: see `VectorFields`.

        Raises:
            SpecError: a field is wrong, which the message names with its group; nothing was submitted then.
        """
        request = MapRequest(
            dataset=placed(dataset, vectors, self.url),
            model=model,
            layer=layer,
            class_names=class_names,
            training=training,
            perplexity=None if perplexity == "auto" else perplexity,
            common={"seed": seed, "title": title, "reuse": reuse},
            groups={"features": features, "embedding": embedding, "tiles": tiles},
        )
        states = self._transport.run(map_request.make_map(request))
        return Map(self._transport, [Job(self._transport, state) for state in states])

    def dataset(self, given: str | Path | DatasetSpec | Mapping[str, Any]) -> dict[str, Any]:
        """The dataset field of a spec that `map` makes of what it is given."""
        return self._transport.run(map_request.dataset(given))
