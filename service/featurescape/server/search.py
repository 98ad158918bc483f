"""Search of a map by words, an image or one of its examples.

The service knows by what a map can be searched; the vectors and the network are an actor's, behind the bridge to
live networks (`live`), where a map that is searched counts as one network.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from featurescape.server.live import Call, Live, Subject
from featurescape.server.maps import Maps, OpenMap
from featurescape_jobs.errors import LiveUnavailableError, NotFoundError
from featurescape_jobs.live.requests import MOST_FOUND, SearchQuestion, SearchText
from featurescape_jobs.live.searchable import (
    check_image,
    check_text,
    column_of,
    image_problem,
    metric_of,
    text_problem,
)
from featurescape_jobs.specs import SHA256_PATTERN, Spec

START_SECONDS = 3600.0
"""How long the vectors of a map may be read, and the index of a large one built."""
ANSWER_SECONDS = 45.0
"""After so long the asker is told that the map is being read: before clients and proxies give up."""


class MapQuestion(Spec):
    """Search of a map as it is asked for over HTTP."""

    text: SearchText | None = Field(default=None, description="Words.")
    image: str | None = Field(
        default=None, pattern=SHA256_PATTERN, description="Id of an uploaded image."
    )
    like: str | None = Field(
        default=None, min_length=1, max_length=4096, description="Id of an example of the map."
    )
    k: int = Field(default=20, ge=1, le=MOST_FOUND, description="How many are wanted.")

    @model_validator(mode="after")
    def _one(self) -> MapQuestion:
        if sum(each is not None for each in (self.text, self.image, self.like)) != 1:
            raise ValueError("give one of text, image and like")
        return self


@dataclass(frozen=True)
class Search:
    """All searching of maps that one service does."""

    maps: Maps
    live: Live

    def about(self, job_id: str) -> dict[str, Any]:
        """Searches that a map allows; the reasons for those it does not."""
        opened = self._opened(job_id)
        column = column_of(opened.embedding, opened.features)
        return {
            "examples": opened.info.examples,
            "layer": column.layer,
            "metric": metric_of(opened.embedding, column),
            "text_problem": text_problem(opened.features, column),
            "image_problem": image_problem(opened.features, column),
        }

    async def nearest(self, job_id: str, asked: MapQuestion) -> bytes:
        """The examples nearest to what is asked for, as JSON.

        Raises:
            SpecError: the map cannot be searched by it; ``detail["field"]`` says by what.
            NotFoundError: no such map or example, or the image is not kept any more.
            LiveUnavailableError: Ray is not there, or the map is still being read.
        """
        opened, question = await asyncio.to_thread(self._question, job_id, asked)
        call = Call("nearest", question)
        answering = self.live.answer(_subject(opened), call, asked.image)
        try:
            found = json.loads(await asyncio.wait_for(answering, ANSWER_SECONDS))
        except TimeoutError:
            raise LiveUnavailableError(
                f"the vectors of {opened.info.examples:,} examples are being read for search; ask again in "
                "a minute"
            ) from None
        return await asyncio.to_thread(self._answer, opened, found)

    def _opened(self, job_id: str) -> OpenMap:
        """A map with a vector for each point; raises `NotFoundError`."""
        opened = self.maps.open(job_id)
        if opened.features.job_id == job_id:
            raise NotFoundError(
                f"the points of {job_id} are cells, which have no vector of one example: search the map of a "
                "tiles job"
            )
        return opened

    def _question(self, job_id: str, asked: MapQuestion) -> tuple[OpenMap, SearchQuestion]:
        """The map and the question for its actor, checked as far as manifests and ids go."""
        opened = self._opened(job_id)
        column = column_of(opened.embedding, opened.features)
        row = None
        if asked.text is not None:
            check_text(opened.features, column)
        elif asked.image is not None:
            check_image(opened.features, column)
        else:
            row = self.maps.row_of(opened, str(asked.like))
        return opened, SearchQuestion(text=asked.text, image=asked.image, row=row, k=asked.k)

    def _answer(self, opened: OpenMap, found: dict[str, Any]) -> bytes:
        """Rows and distances of an actor, with the examples there."""
        cosine = found["metric"] == "cosine"
        results = []
        for row, distance in zip(found.pop("rows"), found.pop("distances"), strict=True):
            similarity = round(1 - distance, 6) if cosine else None
            place = self.maps.place(opened, row)
            results.append({**place, "distance": distance, "similarity": similarity})
        return json.dumps({**found, "results": results}, allow_nan=False).encode()


def _subject(opened: OpenMap) -> Subject:
    job_id = opened.manifest.job_id
    setup = {
        "map": job_id,
        "embedding": opened.embedding.job_id,
        "features": opened.features.job_id,
    }
    return Subject("search", f"the search of {job_id}", setup, START_SECONDS)
