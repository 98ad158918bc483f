"""Search among vectors: exact as brute force by scipy, an index with the recall that it states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from featurescape_jobs.layouts import vector_search
from featurescape_jobs.layouts.neighbors import Metric
from featurescape_jobs.layouts.vector_search import VectorFile, VectorSearch, build_index

Floats = NDArray[np.float32]


def clustered(n: int, d: int, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    centers = rng.normal(0, 3, (40, d))
    return (centers[rng.integers(40, size=n)] + rng.normal(0, 1, (n, d))).astype(np.float32)


def written(folder: Path, vectors: Floats, metric: Metric = "euclidean") -> VectorFile:
    """The vectors in a file, given in two blocks of which each has every second row."""
    rows = np.arange(len(vectors))
    blocks = ((part, vectors[part]) for part in (rows[1::2], rows[::2]))
    return VectorFile.write(folder / "vectors", vectors.shape, metric, blocks)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_nearest_are_those_of_brute_force_over_many_blocks(
    tmp_path: Path, metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_search, "_BLOCK_BYTES", 4 * 9 * 37)  # 37 or 41 rows: no whole number
    vectors, query = clustered(500, 8), clustered(1, 8, seed=9)[0]
    search = VectorSearch(written(tmp_path, vectors, metric))
    found = search.nearest(search.file.of_query(query), 30)
    truth = cdist(query[None].astype(float), vectors.astype(float), metric)[0]
    assert found.rows.tolist() == truth.argsort(kind="stable")[:30].tolist()
    np.testing.assert_allclose(found.distances, np.sort(truth)[:30], atol=1e-5)
    assert (search.method, search.recall) == ("exact", None)


def test_an_example_is_not_near_itself_and_its_copies_are(tmp_path: Path) -> None:
    vectors = np.vstack([np.full((3, 4), 1000.1, np.float32), clustered(9, 4)])
    search = VectorSearch(written(tmp_path, vectors))
    found = search.nearest(search.file.of_row(1), 2, without=1)
    assert (found.rows.tolist(), found.distances.tolist()) == ([0, 2], [0, 0])


def test_no_more_are_found_than_there_are(tmp_path: Path) -> None:
    search = VectorSearch(written(tmp_path, clustered(5, 4)))
    assert len(search.nearest(search.file.of_row(0), 200).rows) == 5
    assert len(search.nearest(search.file.of_row(0), 200, without=0).rows) == 4


def test_a_vector_of_length_zero_is_at_cosine_distance_one(tmp_path: Path) -> None:
    vectors = np.array([[0, 0], [2, 0], [3, 4]], np.float32)
    search = VectorSearch(written(tmp_path, vectors, "cosine"))
    found = search.nearest(search.file.of_row(0), 3, without=0)
    assert found.distances.tolist() == [1, 1]
    found = search.nearest(search.file.of_query(np.array([9, 0], np.float32)), 3)
    np.testing.assert_allclose(found.distances, [0, 1 - 3 / 5, 1], atol=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_an_index_has_the_recall_that_it_states(tmp_path: Path, metric: Metric) -> None:
    vectors = clustered(6000, 16)
    file = written(tmp_path, vectors, metric)
    built = build_index(file)
    search = VectorSearch(file, (built.index, built.recall))
    queries, at = built.query_rows, built.recall.at
    truth = cdist(vectors[queries].astype(float), vectors.astype(float), metric)
    truth[np.arange(len(queries)), queries] = np.inf
    hits = 0
    for row, distances in zip(queries, truth, strict=True):
        found = search.nearest(file.of_row(row), at, without=row)
        hits += len(set(found.rows) & set(distances.argsort(kind="stable")[:at]))
        np.testing.assert_allclose(found.distances, distances[found.rows], atol=1e-4)
    assert (built.recall.queries, at, search.method) == (256, 20, "approximate")
    assert hits / (256 * 20) == pytest.approx(built.recall.fraction, abs=1e-9)
    assert built.recall.fraction >= 0.99


def test_one_list_of_many_has_a_lower_recall(tmp_path: Path) -> None:
    """Control: what is measured is the index, not that it is one."""
    file = written(tmp_path, np.random.default_rng(0).normal(size=(4000, 16)).astype(np.float32))
    built = build_index(file)
    assert built.index.nprobe > 1
    built.index.nprobe = 1
    search = VectorSearch(file, (built.index, built.recall))
    exact = VectorSearch(file)
    shared = [
        len(set(search.nearest(query, 20).rows) & set(exact.nearest(query, 20).rows))
        for query in (file.of_row(row) for row in built.query_rows[:50])
    ]
    assert np.mean(shared) / 20 < 0.9


def test_lists_that_hold_too_few_do_not_shorten_an_answer(tmp_path: Path) -> None:
    file = written(tmp_path, clustered(300, 4))
    built = build_index(file)
    built.index.nprobe = 1
    search = VectorSearch(file, (built.index, built.recall))
    assert len(search.nearest(file.of_row(7), 200).rows) == 200
