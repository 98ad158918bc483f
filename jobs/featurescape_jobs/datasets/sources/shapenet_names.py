"""ShapeNet's categories in words, and the splits that its models are divided into.

Words, the first there is: ``taxonomy.json`` as ShapeNet ships it, what a `renders` job says, the 55 categories
of ShapeNetCore v2 (which have the 13 of 3D-R2N2 among them), the folder's own name. Splits: ``all.csv`` of
ShapeNet, ``split.json`` or ``pix2mesh_splits_val05.json`` (split → synset → models, as with 3D-R2N2's
renderings), else 80 % training, 10 % validation, 10 % test by the hash of the model's id. Holds these files.

Source: A. Chang et al., "ShapeNet: An Information-Rich 3D Model Repository", 2015.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from featurescape_jobs.errors import DatasetError

TAXONOMY = "taxonomy.json"
SPLIT_CSV = "all.csv"
SPLIT_JSON = ("split.json", "pix2mesh_splits_val05.json")
KNOWN = (TAXONOMY, SPLIT_CSV, *SPLIT_JSON)
MAX_FILE_BYTES = 16 << 20
SPLITS = ("train", "val", "test")
_MAX_NAME_CHARACTERS = 200
_COLUMNS = {"synsetid": "synsetId", "modelid": "modelId", "split": "split"}
SYNSETS: Mapping[str, str] = {
    "02691156": "airplane",
    "02747177": "ashcan",
    "02773838": "bag",
    "02801938": "basket",
    "02808440": "bathtub",
    "02818832": "bed",
    "02828884": "bench",
    "02843684": "birdhouse",
    "02871439": "bookshelf",
    "02876657": "bottle",
    "02880940": "bowl",
    "02924116": "bus",
    "02933112": "cabinet",
    "02942699": "camera",
    "02946921": "can",
    "02954340": "cap",
    "02958343": "car",
    "02992529": "cellular telephone",
    "03001627": "chair",
    "03046257": "clock",
    "03085013": "computer keyboard",
    "03207941": "dishwasher",
    "03211117": "display",
    "03261776": "earphone",
    "03325088": "faucet",
    "03337140": "file",
    "03467517": "guitar",
    "03513137": "helmet",
    "03593526": "jar",
    "03624134": "knife",
    "03636649": "lamp",
    "03642806": "laptop",
    "03691459": "loudspeaker",
    "03710193": "mailbox",
    "03759954": "microphone",
    "03761084": "microwave",
    "03790512": "motorcycle",
    "03797390": "mug",
    "03928116": "piano",
    "03938244": "pillow",
    "03948459": "pistol",
    "03991062": "pot",
    "04004475": "printer",
    "04074963": "remote control",
    "04090263": "rifle",
    "04099429": "rocket",
    "04225987": "skateboard",
    "04256520": "sofa",
    "04330267": "stove",
    "04379243": "table",
    "04401088": "telephone",
    "04460130": "tower",
    "04468005": "train",
    "04530566": "vessel",
    "04554684": "washer",
}
"""ShapeNetCore v2: the first word that its taxonomy gives each synset."""


@dataclass(frozen=True)
class Beside:
    """A file that was found beside the models."""

    path: str
    data: bytes

    def wrong(self, problem: str) -> DatasetError:
        """Error of what is wrong with it."""
        return DatasetError(
            f"dataset.root: {self.path}: {problem}; write it again, or move it out of the dataset",
            field="dataset.root",
        )

    def json(self) -> Any:
        """Its content; raises `DatasetError`."""
        try:
            return json.loads(self.data)
        except (ValueError, RecursionError) as error:
            raise self.wrong(f"is no JSON ({str(error)[:200]})") from None


def clean(words: str) -> str:
    """Text that can be stored: halves of UTF-16 pairs, which JSON may have, as ``\\uNNNN``."""
    return words.encode("utf-8", "backslashreplace").decode()[:_MAX_NAME_CHARACTERS]


# -- words -------------------------------------------------------------------------------------


def taxonomy(file: Beside | None) -> dict[str, str]:
    """Synset → its first word in a ``taxonomy.json``; raises `DatasetError`, which names the file."""
    if file is None:
        return {}
    rows = file.json()
    if not isinstance(rows, list) or not rows:
        raise file.wrong("is no list of synsets, as [{synsetId, name, children, numInstances}, …]")
    words = {}
    for number, row in enumerate(rows):
        synset, name = (row.get("synsetId"), row.get("name")) if isinstance(row, dict) else (0, 0)
        if not isinstance(synset, str) or not isinstance(name, str):
            raise file.wrong(f"entry {number} has no synsetId and name that are text")
        words[synset] = name.split(",")[0].strip()
    return words


def class_names(categories: list[str], *sources: Mapping[str, str]) -> tuple[str, ...]:
    """A name for each category, with the category behind it where two share one.

    Args:
        categories: names of folders, as they can be stored.
        sources: category → name, the first goes before the others.
    """
    names = []
    for category in categories:
        said = (clean(source.get(category, "")) for source in (*sources, SYNSETS))
        names.append(next(filter(None, said), category))
    times = Counter(names)
    return tuple(
        name if times[name] == 1 or name == category else f"{name} ({category})"
        for name, category in zip(names, categories, strict=True)
    )


# -- splits ------------------------------------------------------------------------------------


class Splits:
    """Splits by model."""

    def __init__(self, said: dict[str, str] | None) -> None:
        self._said = said

    def of(self, category: str, model: str) -> str | None:
        """The split of a model; None where the file that has the splits does not name it."""
        if self._said is not None:
            return self._said.get(f"{category}/{model}")
        tenth = int.from_bytes(hashlib.sha256(model.encode()).digest()[:8]) % 10
        return SPLITS[max(0, tenth - 7)]


def read_splits(file: Beside | None) -> Splits:
    """The splits of a file, without one by hash; raises `DatasetError`, which names the file.

    A model that the file puts into two (3D-R2N2's has eight whose views are divided) is in the later of
    train, val and test: what is tested on was not trained on.
    """
    if file is None:
        return Splits(None)
    rows = _csv_rows(file) if file.path.endswith(".csv") else _json_rows(file)
    said: dict[str, str] = {}
    for model, split in rows:
        said[model] = max(split, said.get(model, split), key=SPLITS.index)
    if not said:
        raise file.wrong("puts no model into train, val or test")
    return Splits(said)


def _csv_rows(file: Beside) -> Iterator[tuple[str, str]]:
    lines = csv.DictReader(io.StringIO(file.data.decode("utf-8-sig", "replace")))
    try:
        header = {name.strip().lower(): name for name in lines.fieldnames or () if name}
        if not set(_COLUMNS) <= set(header):
            raise file.wrong(f"expected the columns {', '.join(_COLUMNS.values())}")
        for row in lines:
            synset, model, split = ((row[header[key]] or "").strip() for key in _COLUMNS)
            if split.lower() not in SPLITS:
                raise file.wrong(f"line {lines.line_num}: {split[:40]!r} is no split")
            # Tables drop the zero in front of a synset.
            yield f"{synset.zfill(8) if synset.isdecimal() else synset}/{model}", split.lower()
    except csv.Error as error:
        raise file.wrong(str(error)) from None


def _json_rows(file: Beside) -> Iterator[tuple[str, str]]:
    found = file.json()
    shape = "is no {split: {synset: models}} of train, val and test"
    if not isinstance(found, dict):
        raise file.wrong(shape)
    for split in SPLITS:
        synsets = found.get(split, {})
        if not isinstance(synsets, dict):
            raise file.wrong(shape)
        for synset, models in synsets.items():
            if not isinstance(models, dict | list):
                raise file.wrong(shape)
            yield from ((f"{synset}/{model}", split) for model in models)
