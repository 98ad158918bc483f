"""An embedding keeps neighbors together, in the order of the features, and says how well."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load

from featurescape_jobs import embedding
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import EmbeddingSpec
from helpers.artifact_builders import (
    EMBEDDING_ID,
    FEATURES_ID,
    class_names_said,
    commit_features,
    random_examples,
)


def clusters(n: int = 300, dimensions: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    centers = rng.normal(scale=8, size=(3, dimensions))
    return (centers[labels] + rng.normal(size=(n, dimensions))).astype(np.float32), labels


def embed(root: Path, **options: object) -> tuple[Outcome, RunContext, pa.Table]:
    storage = Storage(str(root))
    features, labels = clusters()
    examples = random_examples(len(features))
    examples.features, examples.labels = features, [int(label) for label in labels]
    commit_features(storage, examples)
    spec = EmbeddingSpec(features=FEATURES_ID, iterations=100, **options)
    inputs = {"features": FEATURES_ID}
    context = RunContext(storage, EMBEDDING_ID, 1, spec.seed, inputs)
    outcome = embedding.run(spec, context)
    path = next(file.path for file in context.files if file.kind == "embedding")
    return outcome, context, storage.read_table(context.path(path))


def test_rows_keep_the_order_of_the_features(tmp_path: Path) -> None:
    outcome, _, table = embed(tmp_path)
    assert outcome.rows == 300
    assert table["example_id"].to_pylist() == random_examples(300).ids
    assert table["label"].to_pylist()[:4] == [0, 1, 2, 0]


def test_its_table_says_the_names_of_the_labels(tmp_path: Path) -> None:
    _, context, _ = embed(tmp_path)
    assert class_names_said(context) == {"embedding": random_examples(300).classes}


def test_clusters_stay_apart(tmp_path: Path) -> None:
    outcome, _, _ = embed(tmp_path)
    report = outcome.details["quality"]
    assert report["label_accuracy_fraction"] == 1.0
    assert report["majority_fraction"] == pytest.approx(1 / 3, abs=0.01)
    assert 0.3 < report["neighbors_kept_fraction"] <= 1


def test_the_kl_divergence_is_told_every_fifty_iterations_and_falls(tmp_path: Path) -> None:
    outcome, _, _ = embed(tmp_path)
    history = outcome.details["kl_history"]
    assert [iteration for iteration, _ in history] == [50, 100, 150, 200, 250, 300, 350]
    assert history[-1][1] < history[4][1]
    assert outcome.details["quality"]["kl_divergence"] == pytest.approx(history[-1][1], rel=0.02)


def test_neighbors_are_the_nearest_in_feature_space(tmp_path: Path) -> None:
    _, context, _ = embed(tmp_path, pca_components=None)
    path = next(file.path for file in context.files if file.kind == "neighbors")
    stored = context.storage.read_table(context.path(path))["neighbor_rows"].to_pylist()
    features, _ = clusters()
    distances = np.linalg.norm(features[:, None] - features[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert [rows[0] for rows in stored] == distances.argmin(axis=1).tolist()


def test_what_places_new_examples_is_kept(tmp_path: Path) -> None:
    _, context, _ = embed(tmp_path, pca_components=4)
    pca = load(context.storage.read(context.path("data/pca.safetensors")))
    reference = context.storage.read_table(context.path("data/reference.parquet"))["features"]
    features, _ = clusters()
    again = (features - pca["mean"]) @ pca["components"].T
    assert np.allclose(np.array(reference.to_pylist()), again, atol=1e-4)


def test_the_same_seed_gives_the_same_layout(tmp_path: Path) -> None:
    _, _, one = embed(tmp_path / "a", seed=3)
    _, _, two = embed(tmp_path / "b", seed=3)
    assert one.equals(two)


def test_fewer_examples_than_components_are_laid_out_too(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    examples = random_examples(20)
    examples.features = clusters(20, 60)[0]
    commit_features(storage, examples)
    spec = EmbeddingSpec(features=FEATURES_ID, iterations=20, perplexity=5, pca_components=50)
    context = RunContext(storage, EMBEDDING_ID, 1, 0, {"features": FEATURES_ID})
    assert embedding.run(spec, context).rows == 20
