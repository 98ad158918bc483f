"""Every stage of a layout says how far it is, in steps of its own; features of any scale are laid out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from featurescape_jobs.errors import SpecError
from featurescape_jobs.kernels.numba_threads import Workers
from featurescape_jobs.layouts import affinities, field, neighbors
from featurescape_jobs.layouts.field import Field, TooWideError
from featurescape_jobs.layouts.neighbors import NeighborIndex, NeighborOptions, kneighbors
from featurescape_jobs.layouts.pca import fit_pca
from featurescape_jobs.layouts.quality import QualityOptions, quality
from featurescape_jobs.layouts.scaling import Scale, rows_in_range
from featurescape_jobs.layouts.tsne import LayoutOptions, layout

QUICK = LayoutOptions(perplexity=5, early_exaggeration_iterations=60, iterations=55)


class Heard:
    """The stages of a layout as they were reported."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.steps: dict[str, list[int]] = {}
        self.messages: list[str] = []

    @contextmanager
    def stage(self, name: str, total: int = 0) -> Iterator[None]:
        self.totals[name] = total
        self.steps[name] = []
        self.name = name
        yield

    def progress(self, done: int, total: int | None = None, *, message: str | None = None) -> None:
        self.steps[self.name].append(done)
        if message is not None:
            self.messages.append(message)


def points(n: int, d: int = 4, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(5, d)) * 6
    return (centers[np.arange(n) % 5] + rng.normal(size=(n, d))).astype(np.float32)


def test_every_stage_has_a_total_of_its_own_and_gets_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(affinities, "_CHUNK_ROWS", 100)
    monkeypatch.setattr(neighbors, "_BATCH_ROWS", (64, 64))
    heard = Heard()
    layout(points(300), QUICK, stages=heard)
    assert heard.totals == {
        "initialization": 0,
        "neighbors": 300,
        "affinities": 1200,
        "early exaggeration": 60,
        "optimization": 55,
    }
    assert heard.steps["neighbors"] == [64, 128, 192, 256, 300]
    assert heard.steps["affinities"] == list(range(100, 1201, 100))
    # 50 is said a second time, with the divergence.
    assert heard.steps["early exaggeration"] == [*range(50), 50, *range(50, 60)]
    assert heard.steps["optimization"] == [*range(50), 50, *range(50, 55)]
    assert all(message.startswith("KL divergence ") for message in heard.messages)
    assert len(heard.messages) == 2


def test_cells_are_built_step_by_step_and_the_search_does_not_depend_on_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features = points(2000)
    options = NeighborOptions(method="approximate")
    expected = kneighbors(features, 10, options)
    monkeypatch.setattr(neighbors, "_BATCH_ROWS", (256, 256))
    index = NeighborIndex(features, options)
    # 64 cells = the power of two next to 2 sqrt(2000) = 89; 8 iterations over all 2,000 examples, which
    # are fewer than 64 a cell; then 512 for the truth and for 8, 10, 12, 15, 18, 22, 27, 33, 41, 51, 63 cells.
    assert index.preparation_rows == 8 * 2000 + 2000 + 512 * 12
    steps: list[int] = []
    index.prepare(10, steps.append)
    assert steps[:8] == [2000 * iteration for iteration in range(1, 9)]
    assert steps[8:16] == [16_000 + done for done in (256, 512, 768, 1024, 1280, 1536, 1792, 2000)]
    # The sample in halves: the truth, and at least one number of cells.
    assert steps[16:] == [18_000 + 256 * half for half in range(1, len(steps) - 15)]
    assert len(steps) - 16 in range(4, 2 * 12 + 1, 2)
    found = index.among_themselves(10)
    assert (found.indices == expected.indices).all()
    assert (found.distances == expected.distances).all()


def test_measuring_counts_examples_in_features_and_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "_BATCH_ROWS", (64, 64))
    steps: list[tuple[int, int]] = []
    options = QualityOptions(examples=100)
    quality(points(200), points(200, 2), None, options, lambda *step: steps.append(step))
    assert steps == [(64, 200), (100, 200), (164, 200), (200, 200)]


def test_measuring_counts_the_labeled_once_more_where_labels_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbors, "_BATCH_ROWS", (64, 64))
    steps: list[tuple[int, int]] = []
    labels = np.where(np.arange(200) < 90, np.arange(200) % 5, -1)
    quality(
        points(200),
        points(200, 2),
        labels,
        QualityOptions(examples=100),
        lambda *step: steps.append(step),
    )
    assert steps == [(64, 290), (100, 290), (164, 290), (200, 290), (264, 290), (290, 290)]


@pytest.mark.parametrize(("n", "d"), [(200_000, 2), (200_000, 50), (200_000, 128)])
def test_a_batch_of_a_search_takes_a_bounded_number_of_steps(n: int, d: int) -> None:
    """Of 200,000 examples: at most 4e9 multiplications, or 1.3e8 distances of few columns, a batch."""
    index = object.__new__(NeighborIndex)
    index._vectors = np.broadcast_to(np.float32(0), (n, d))
    first = next(neighbors._batches(10_000, index._flat_work))
    rows = first.stop - first.start
    assert rows * n * d <= 4e9
    assert rows * n <= 1.3e8
    assert rows >= 64


@pytest.mark.parametrize("scale", [1e-43, 1e-38, 1e-25, 1e-12, 1e12, 1e19, 1e37])
def test_the_scale_of_the_features_does_not_change_the_neighbors(scale: float) -> None:
    features = points(200)
    if scale == 1e-43:  # whole numbers of the smallest there is
        features = features.round()
        scale = float(np.finfo(np.float32).smallest_subnormal)
    scaled = (features * np.float64(scale)).astype(np.float32)
    plain, found = kneighbors(features, 5), kneighbors(scaled, 5)
    assert found.distances == pytest.approx(plain.distances * scale, rel=1e-3, abs=1e-44)
    assert (found.indices == plain.indices).mean() > 0.99
    by_angle = kneighbors(scaled, 5, NeighborOptions(metric="cosine"))
    expected = kneighbors(features, 5, NeighborOptions(metric="cosine"))
    assert by_angle.distances == pytest.approx(expected.distances, abs=1e-5)


@pytest.mark.parametrize("scale", [1e-25, 1e19])
@pytest.mark.parametrize("n", [100, 4100])
def test_features_of_any_scale_are_laid_out(scale: float, n: int) -> None:
    features = points(n)
    scaled = (features * np.float64(scale)).astype(np.float32)
    made = layout(scaled, QUICK)
    assert np.isfinite(made.xy).all()
    report = quality(scaled, made.xy, np.arange(n) % 5)
    assert report.label_accuracy_fraction is not None
    assert report.label_accuracy_fraction > 0.95
    assert report.distance_correlation is not None
    assert report.distance_correlation > 0.2


def test_a_constant_beside_tiny_features_hides_nothing() -> None:
    tiny = points(50) * np.float32(1e-25)
    beside = np.hstack([tiny, np.ones((50, 1), np.float32)])
    assert (kneighbors(beside, 5).indices == kneighbors(points(50), 5).indices).all()


def test_an_outlier_leaves_the_others_apart() -> None:
    features = np.vstack([points(50), np.full((1, 4), 1e19, np.float32)])
    expected = kneighbors(points(50), 5).indices
    assert (kneighbors(features, 5).indices[:50] == expected).mean() > 0.9


def test_ordinary_features_are_left_as_they_are() -> None:
    features = points(20)
    for scaled in (features, features * np.float32(1e6), np.full((3, 2), 7, np.float32)):
        assert Scale.of(scaled).apply(scaled) is scaled
        assert rows_in_range(scaled) is scaled
    zeros = np.zeros((3, 2), np.float32)
    assert Scale.of(zeros).apply(zeros) is zeros
    wide = np.array([[0], [2.0**41]], np.float32)
    assert Scale.of(wide).apply(wide).tolist() == [[0], [2.0**31]]
    assert Scale.of(wide).distances(np.array([[2.0**31]], np.float32)).tolist() == [[2.0**41]]


@pytest.mark.parametrize("scale", [1e-30, 1e-25, 1e19])
def test_principal_components_do_not_depend_on_scale(scale: float) -> None:
    features = points(300) * np.array([4, 3, 2, 1], np.float32)
    scaled = (features * np.float64(scale)).astype(np.float32)
    plain, found = fit_pca([features], 2), fit_pca(np.array_split(scaled, 3), 2)
    assert found.components == pytest.approx(plain.components, abs=1e-4)
    assert found.explained_variance_fraction == pytest.approx(
        plain.explained_variance_fraction, abs=1e-4
    )


def test_a_layout_that_flies_apart_is_an_error_and_takes_no_memory() -> None:
    far = np.array([[0, 0], [3000, 3000]], np.float32)  # a mesh of 7,500 by 7,500
    with Workers(1) as workers, pytest.raises(TooWideError, match="3e\\+03 across"):
        Field(workers).spread(np.repeat(far, field.FEW, axis=0))


def test_a_learning_rate_that_is_too_large_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field, "EXACT_UP_TO", 10)
    monkeypatch.setattr(field, "MAX_MESH_POINTS", 200_000)
    options = LayoutOptions(perplexity=5, learning_rate=1e7)
    with pytest.raises(SpecError, match=r"learning_rate: the layout is .* across") as caught:
        layout(points(100), options)
    assert caught.value.detail["field"] == "learning_rate"
