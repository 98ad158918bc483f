"""The Python client, awaited: the calls of `Client` for programs under asyncio.

async with AsyncClient() as client:
    job = await client.submit(FeaturesSpec(dataset=…, model=…))
    table = await (await (await job.wait()).artifact()).table()
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Unpack

from featurescape import map_request, operations
from featurescape.async_handles import AsyncJob, AsyncMap
from featurescape.map_options import EmbeddingOptions, FeaturesOptions, TilesOptions
from featurescape.map_request import MapRequest
from featurescape.tables_at import VectorFields, placed
from featurescape.transport import AsyncTransport
from featurescape_jobs.specs import BaseJobSpec, DatasetSpec, ModelSpec
from featurescape_jobs.specs.class_names import GivenNames


class AsyncClient:
    """A connection to one featurescape service, with the calls, errors and retries of `Client`.

    Args:
        url: address of the service; None: FEATURESCAPE_URL, or ``http://127.0.0.1:8090``.
        token: the service's token; None: FEATURESCAPE_TOKEN, if there is one.

    A call that is cancelled gives back what it holds (connections, temporary files). Jobs that were submitted go
    on; where a `submit` was cut off, the same ``key`` says whether there is a job, and gives it.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self._transport = AsyncTransport(url, token)

    @property
    def url(self) -> str:
        """Address of the service."""
        return self._transport.url

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; jobs go on."""
        await self._transport.close()

    async def submit(
        self, spec: BaseJobSpec | Mapping[str, Any], key: str | None = None
    ) -> AsyncJob:
        """Submit a job, as `Client.submit`; returns at once."""
        return AsyncJob(self._transport, await self._transport.run(operations.submit(spec, key)))

    async def job(self, job_id: str) -> AsyncJob:
        """A job by its id; raises `NotFoundError`."""
        return AsyncJob(self._transport, await self._transport.run(operations.job_state(job_id)))

    async def jobs(
        self, limit: int = 100, *, status: str | None = None, job: str | None = None
    ) -> list[AsyncJob]:
        """The newest jobs, of one status or job type if you like."""
        states = await self._transport.run(operations.job_states(limit, status, job))
        return [AsyncJob(self._transport, state) for state in states]

    async def catalog(self) -> dict[str, Any]:
        """Datasets, models, job types with their schema, and color layers of the service."""
        return await self._transport.run(operations.catalog())

    async def network(self, model: str | Mapping[str, Any]) -> dict[str, Any]:
        """Layers of a network with the shapes that they give, and its input; as `Client.network`."""
        return await self._transport.run(operations.network(model))

    async def open_map(self, job_id: str) -> AsyncMap:
        """A map by the id of its tiles or atlas job; raises `NotFoundError`."""
        state = await self._transport.run(operations.map_state(job_id))
        return AsyncMap(self._transport, [AsyncJob(self._transport, state)])

    async def map(
        self,
        dataset: object,
        model: str | ModelSpec | Mapping[str, Any] | None = None,
        *,
        layer: str | None = None,
        class_names: GivenNames | None = None,
        training: AsyncJob | str | None = None,
        perplexity: float | Literal["auto"] = "auto",
        seed: int = 0,
        title: str | None = None,
        reuse: bool = True,
        features: FeaturesOptions | None = None,
        embedding: EmbeddingOptions | None = None,
        tiles: TilesOptions | None = None,
        **vectors: Unpack[VectorFields],
    ) -> AsyncMap:
        """Make a map, as `Client.map`; returns at once.

        Cancelled in the middle, it leaves the jobs that were submitted; the same call later takes what they made.
        """
        request = MapRequest(
            dataset=await asyncio.to_thread(placed, dataset, vectors, self.url),
            model=model,
            layer=layer,
            class_names=class_names,
            training=training,
            perplexity=None if perplexity == "auto" else perplexity,
            common={"seed": seed, "title": title, "reuse": reuse},
            groups={"features": features, "embedding": embedding, "tiles": tiles},
        )
        states = await self._transport.run(map_request.make_map(request))
        return AsyncMap(self._transport, [AsyncJob(self._transport, state) for state in states])

    async def dataset(self, given: str | Path | DatasetSpec | Mapping[str, Any]) -> dict[str, Any]:
        """The dataset field of a spec that `map` makes of what it is given."""
        return await self._transport.run(map_request.dataset(given))
