"""A handful of examples is laid out by PCA; the perplexity goes with their number."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from featurescape.tables import highlights
from featurescape_jobs.errors import SpecError
from featurescape_jobs.layouts.few import principal_plane
from featurescape_jobs.layouts.quality import quality
from featurescape_jobs.layouts.tsne import LayoutOptions, layout
from featurescape_jobs.specs import AtlasSpec, EmbeddingSpec, parse_spec
from helpers.artifact_builders import EMBEDDING_ID, FEATURES_ID, make_manifest

ATLAS = {"job": "atlas", "dataset": {"name": "digits"}, "model": {"name": "lenet"}}


@pytest.mark.parametrize(
    ("examples", "perplexity"),
    [(1, None), (7, None), (8, 7 / 3), (40, 13), (90, 89 / 3), (91, 30), (70_000, 30)],
)
def test_auto_is_thirty_or_a_third_of_the_others(examples: int, perplexity: float | None) -> None:
    assert EmbeddingSpec(features=FEATURES_ID).perplexity_for(examples) == perplexity


@pytest.mark.parametrize("examples", [8, 9, 40, 77, 90])
def test_a_third_of_the_others_makes_neighbors_of_all_of_them(examples: int) -> None:
    perplexity = EmbeddingSpec(features=FEATURES_ID).perplexity_for(examples)
    assert perplexity is not None
    assert int(3 * perplexity) == examples - 1


@pytest.mark.parametrize(("examples", "perplexity"), [(7, None), (91, 30), (151, 50), (900, 50)])
def test_an_atlas_takes_fifty(examples: int, perplexity: float | None) -> None:
    spec = parse_spec(ATLAS)
    assert isinstance(spec, AtlasSpec)
    assert spec.perplexity_for(examples) == perplexity


@pytest.mark.parametrize(
    ("perplexity", "examples", "message"),
    [
        (30, 90, r"perplexity: 30 is too large for 90 examples; at most 29\.7"),
        (2, 7, "perplexity: 7 examples are too few for t-SNE, which takes 8; leave"),
        (30, 0, "no examples"),
        ("auto", 0, "no examples"),
    ],
)
def test_what_cannot_be_laid_out_is_refused(perplexity: float, examples: int, message: str) -> None:
    spec = EmbeddingSpec(features=FEATURES_ID, perplexity=perplexity)
    with pytest.raises(SpecError, match=message):
        spec.perplexity_for(examples)
    with pytest.raises(SpecError, match=message):
        spec.check_input("features", examples)


def test_of_states_the_number_of_examples_says_nothing() -> None:
    spec = EmbeddingSpec(features=FEATURES_ID, perplexity=30, max_states=91)
    spec.check_input("features", 2)
    with pytest.raises(SpecError, match=r"^perplexity: .*30 is too large for max_states 90"):
        parse_spec(spec.model_dump() | {"max_states": 90})


def test_a_wrong_perplexity_is_named_by_its_field() -> None:
    for wrong in ("Auto", 1, None):
        with pytest.raises(SpecError, match=r"^perplexity"):
            parse_spec({"job": "embedding", "features": FEATURES_ID, "perplexity": wrong})


def test_one_is_at_the_origin_and_two_are_a_line() -> None:
    assert principal_plane(np.array([[3, 4]], np.float32)).tolist() == [[0, 0]]
    two = principal_plane(np.array([[1, 1, 1], [3, 5, 1]], np.float32))
    assert np.abs(two[:, 0]).tolist() == [1, 1]
    assert two[:, 0].sum() == 0
    assert two[:, 1].tolist() == [0, 0]


def test_three_keep_their_distances() -> None:
    triangle = np.array([[0, 0, 7], [3, 0, 7], [0, 4, 7]], np.float32)
    placed = principal_plane(triangle)
    sides = [np.linalg.norm(placed[a] - placed[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert np.array(sides) / sides[0] * 3 == pytest.approx([3, 4, 5], rel=1e-5)
    assert np.abs(placed).max() == pytest.approx(1)


@pytest.mark.parametrize("factor", [1e-38, 1e-25, 1, 1e19, 1e37])
def test_the_scale_of_the_features_does_not_matter(factor: float) -> None:
    features = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    scaled = (features * np.float64(factor)).astype(np.float32)
    assert principal_plane(scaled) == pytest.approx(principal_plane(features), abs=1e-5)


def test_equal_examples_stand_around_their_place() -> None:
    pair = principal_plane(np.array([[0.0], [0], [1]], np.float32))
    assert 0.1 < np.linalg.norm(pair[0] - pair[1]) < 0.2
    assert abs(pair[0, 0] - pair[2, 0]) > 1
    equal = principal_plane(np.full((1000, 3), 0.1, np.float32))
    radius = np.linalg.norm(equal, axis=1)
    assert radius.max() < 0.1
    # An even disc: a quarter of the examples within half of the radius.
    assert (radius < 0.05).mean() == pytest.approx(0.25, abs=0.005)
    assert len(np.unique(equal.round(4), axis=0)) == 1000


@pytest.mark.parametrize("n", [8, 40, 300])
def test_where_all_examples_are_equal_they_are_spread(n: int) -> None:
    perplexity = EmbeddingSpec(features=FEATURES_ID).perplexity_for(n)
    made = layout(np.ones((n, 3)), LayoutOptions(perplexity=perplexity))
    assert made.method == "PCA"
    assert len(np.unique(made.xy.round(4), axis=0)) == n


def test_where_all_examples_are_equally_far_apart_they_are_spread() -> None:
    made = layout(np.eye(10), LayoutOptions(perplexity=3, early_exaggeration_iterations=9))
    assert made.method == "PCA"
    assert np.ptp(made.xy, axis=0).min() > 0.1


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_all_others_are_the_neighbors_of_a_handful(metric: str) -> None:
    features = np.array([[1, 0], [1, 0.1], [0, 1]], np.float32)
    made = layout(features, LayoutOptions(perplexity=None, metric=metric))  # type: ignore[arg-type]
    assert made.neighbors.indices.tolist() == [[1, 2], [0, 2], [1, 0]]
    assert made.kl is None
    assert made.kl_history == ()
    alone = layout(features[:1], LayoutOptions(perplexity=None))
    assert alone.neighbors.indices.shape == (1, 0)


def figures(features: NDArray[np.float32]) -> tuple[float | None, float | None, int]:
    found = quality(features, principal_plane(features), [0] * len(features))
    return found.neighbors_kept_fraction, found.label_accuracy_fraction, found.k


def test_quality_is_measured_where_there_is_something_to_measure() -> None:
    points = np.array([[0, 0], [1, 0], [5, 0]], np.float32)
    assert figures(points[:1]) == (None, None, 0)
    assert figures(points[:2]) == (1, 1, 1)
    assert figures(points) == (1, 1, 2)


@pytest.mark.parametrize(
    ("rows", "details", "text"),
    [
        (40, {"method": "t-SNE", "perplexity": 13.0}, "t-SNE, perplexity 13"),
        (7, {"method": "PCA", "perplexity": None}, "PCA, as 7 examples are too few for t-SNE"),
        (9, {"method": "PCA"}, "PCA, as all examples are equally far from one another"),
        (1, {"method": "PCA", "perplexity": None}, "PCA, as 1 example is too few for t-SNE"),
    ],
)
def test_the_summary_says_how_it_was_laid_out(
    rows: int, details: dict[str, object], text: str
) -> None:
    manifest = make_manifest(EMBEDDING_ID, [], rows, details=details)
    assert list(highlights(manifest)) == [("layout", text)]
