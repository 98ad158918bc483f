"""Captions as an attribute of a map's points. Memory: the captions and attributes of all examples, as text."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa

from featurescape_jobs.engine.context import InputArtifact
from featurescape_jobs.errors import SpecError
from featurescape_jobs.tables import CAPTION
from featurescape_jobs.tiling.inputs import MapInputs


def with_captions(inputs: MapInputs, captions: InputArtifact) -> MapInputs:
    """The inputs with the caption of each example that has one among its attributes.

    Raises:
        SpecError: none of the map's examples has one.
    """
    by_id: dict[str, str] = {}
    for table in captions.tables("captions", ["example_id", "caption"]):
        by_id.update(zip(*(column.to_pylist() for column in table.columns), strict=True))
    found = [by_id.get(example_id) for example_id in inputs.example_ids.to_pylist()]
    if not any(caption is not None for caption in found):
        raise SpecError(
            f"captions: {captions.manifest.job_id} describes none of the map's examples; describe the "
            "dataset that the features are of",
            field="captions",
        )
    known = zip(inputs.attributes.to_pylist(), found, strict=True)
    texts = [text if caption is None else _put(text, caption) for text, caption in known]
    return replace(inputs, attributes=pa.chunked_array([pa.array(texts, pa.string())]))


def _put(attributes: str | None, caption: str) -> str:
    known = {**json.loads(attributes or "{}"), CAPTION: caption}
    return json.dumps(known, ensure_ascii=False)  # so that a search finds other letters than ASCII
