"""Names of clusters: from class names, else from what is written of their examples, else numbers.

A cluster of which at least half has labels is called as its classes, with their shares where it is mixed: ``cat``,
``cat 62 %``, ``cat 40 %, dog 35 %``. Others are called by the words of their captions that tell them apart (see
`class_tfidf`), else of all their texts, else by their values of categories; where there are none ``Cluster 7``,
the largest is 1. At most `MAX_TEXTS` texts are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.artifacts import AttributeInfo
from featurescape_jobs.tables.attributes import MAX_CATEGORY_CHARACTERS
from featurescape_jobs.tiling.class_tfidf import ClassWords, telling_words, words_of
from featurescape_jobs.tiling.inputs import MapInputs
from featurescape_jobs.tiling.scene import NO_LABEL

MAX_TEXTS = 100_000
_WORDS = 3
_PURE = 0.9
_MOST = 0.5
_CAPTION = "caption"


def cluster_names(inputs: MapInputs, clusters: NDArray[np.int32]) -> list[str]:
    """The name of each cluster, as people are to read it; several may have the same.

    Args:
        inputs: N examples.
        clusters: (N,) the cluster of each, below 0: of none.
    """
    n = int(clusters.max(initial=-1)) + 1
    rows = _rows_of(clusters, n)
    of_texts = _described(inputs, rows)
    names = []
    for cluster, said in enumerate(of_texts):
        of_classes = _of_classes(inputs.classes[clusters == cluster], inputs.class_names)
        name = of_classes or ", ".join(said) or f"Cluster {cluster + 1}"
        names.append(name[:MAX_CATEGORY_CHARACTERS])
    return names


def distinct_names(names: Sequence[str]) -> list[str]:
    """The names, with a number behind one that an earlier cluster has: ``cat``, ``cat (2)``."""
    taken = set[str]()
    distinct = []
    for name in names:
        found, number = name, 1
        while found in taken:
            number += 1
            found = f"{name} ({number})"
        taken.add(found)
        distinct.append(found)
    return distinct


def _of_classes(classes: NDArray[np.uint16], names: Sequence[str]) -> str:
    """Name of a cluster by the classes of its examples; empty where too few have one."""
    labeled = classes[classes != NO_LABEL]
    if not len(labeled) or len(labeled) < _MOST * len(classes):
        return ""
    counts = np.bincount(labeled, minlength=len(names))
    order: list[int] = np.argsort(-counts, kind="stable").tolist()
    first, share = names[order[0]], counts[order[0]] / len(labeled)
    if share >= _PURE:
        return first
    if share >= _MOST or len(order) < 2:
        return f"{first} {_percent(share)}"
    second = counts[order[1]] / len(labeled)
    return f"{first} {_percent(share)}, {names[order[1]]} {_percent(second)}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _rows_of(clusters: NDArray[np.int32], n: int) -> list[NDArray[np.int64]]:
    """Rows of each cluster that are read: evenly spread ones."""
    most = max(1, MAX_TEXTS // max(1, n))
    found = []
    for cluster in range(n):
        rows = np.flatnonzero(clusters == cluster)
        found.append(rows[:: -(-len(rows) // most)])
    return found


def _described(inputs: MapInputs, rows: Sequence[NDArray[np.int64]]) -> list[list[str]]:
    """Words that tell the clusters apart, of captions, texts or categories; empty lists where there are none."""
    texts = [info for info in inputs.infos if info.type == "text"]
    captions = [info for info in texts if info.name == _CAPTION]
    categories = [info for info in inputs.infos if info.type == "category"]
    split: Callable[[str], list[str]] = words_of
    if not texts:
        split = _whole
    infos = captions or texts or categories
    if not infos or not rows:
        return [[] for _ in rows]
    return telling_words([_class_words(inputs, infos, each, split) for each in rows], _WORDS)


def _whole(value: str) -> list[str]:
    """The value of a category, as one word without characters that cannot be seen."""
    plain = "".join(each for each in value if each.isprintable()).strip()
    return [plain] if plain else []


def _class_words(
    inputs: MapInputs,
    infos: Sequence[AttributeInfo],
    rows: NDArray[np.int64],
    split: Callable[[str], list[str]],
) -> ClassWords:
    places = pa.array(rows)
    columns = [inputs.typed(info).take(places).cast(pa.string()).to_pylist() for info in infos]
    examples = ([value for value in values if value] for values in zip(*columns, strict=True))
    return ClassWords.of([word for value in values for word in split(value)] for values in examples)
