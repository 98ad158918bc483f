"""Captioned datasets as files: COCO's JSON, Flickr8k's tokens, tables; and what is listed of them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Entry
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec
from helpers.tar_builders import png, write

TRAIN = "annotations/captions_train2017.json"
TOKENS = "Flickr8k.token.txt"


def entries(name: str, root: object, **fields: object) -> list[Entry]:
    spec = DatasetSpec(name=name, root=str(root), **fields)
    DATASETS[name].check(spec)
    return list(DATASETS[name].freeze(spec).entries)


def said(found: list[Entry]) -> dict[str, tuple[str, ...]]:
    return {entry.example_id: entry.references for entry in found}


def refused(name: str, root: object, **fields: object) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        entries(name, root, **fields)
    return caught.value


def coco_json(
    images: list[Any] | None = None, annotations: list[Any] | None = None
) -> dict[str, Any]:
    return {
        "info": {"id": 1},
        "licenses": [{"id": 1, "name": "CC"}],
        "images": [
            {"id": 9, "file_name": "b.jpg", "height": 2, "width": 3},
            {"id": 7, "file_name": "a.jpg", "height": 2, "width": 3},
        ]
        if images is None
        else images,
        "annotations": [
            {"id": 1, "image_id": 7, "caption": "A dog. "},
            {"id": 2, "image_id": 9, "caption": "A \u201cbig\u201d cat"},
            {"id": 3, "image_id": 7, "caption": "The dog\nruns"},
        ]
        if annotations is None
        else annotations,
    }


def coco(root: Path, body: object = None, **files: bytes) -> Path:
    said = body if isinstance(body, bytes) else json.dumps(body or coco_json()).encode()
    images = {"train2017/a.jpg": png(1), "train2017/b.jpg": png(2), "train2017/c.jpg": png(3)}
    return write(root, {TRAIN: said, **images, **files})


def image(**changes: object) -> dict[str, Any]:
    return coco_json([{"id": 7, "file_name": "a.jpg", **changes}], [])


def caption(**changes: object) -> dict[str, Any]:
    return coco_json(None, [{"id": 1, "image_id": 7, "caption": "A dog", **changes}])


LINES = (
    "a.jpg#0\tA dog .\na.jpg#1\tThe dog runs .\n"
    "2258277193_586949ec62.jpg.1#0\tA man\nb.jpg#0\tA cat\n\n"
)


def flickr(root: Path, lines: str = LINES, **files: bytes) -> Path:
    images = {f"Flicker8k_Dataset/{name}.jpg": png(n) for n, name in enumerate("abc")}
    return write(root, {TOKENS: lines.encode(), **images, **files})


IMAGES = {"in/a.png": png(1), "b.png": png(2)}


def csv_table(root: Path, text: str | bytes) -> Path:
    data = text if isinstance(text, bytes) else text.encode()
    return write(root, {"captions.csv": data, **IMAGES})


def parquet(root: Path, columns: dict[str, object], **options: Any) -> Path:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **options)
    return write(root, {"t.parquet": sink.getvalue(), **IMAGES})


def counted(name: str, root: Path, split: str = "all") -> dict[str, list[str]]:
    """The first names by reason, of a listing that was gone through."""
    listing = DATASETS[name].freeze(DatasetSpec(name=name, root=str(root), split=split))
    assert list(listing.entries)
    assert listing.source is not None
    return {one.reason: one.names for one in listing.source.passed_over.record().reasons}
