"""Search of a map as its actor answers: by row, by image, and what cannot be asked for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from featurescape_jobs.artifacts import folders_of
from featurescape_jobs.errors import ImageError, NotFoundError, SpecError
from featurescape_jobs.live.actor import SearchActor
from featurescape_jobs.live.map_search import MapSearch
from featurescape_jobs.live.requests import SearchQuestion
from helpers.artifact_builders import png
from helpers.searched_maps import IDS, SearchedMap, searched_map

N = 60
LENET: dict[str, Any] = {
    "dataset": {"name": "digits", "limit": N},
    "model": {"name": "lenet", "weights": "random"},
    "shard_size": 25,  # three files of features
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> SearchedMap:
    return searched_map(tmp_path_factory.mktemp("map"), {**LENET, "layers": ["pool2", "fc1"]})


def vectors_of(searched: SearchedMap, column: str = "features") -> np.ndarray:
    """(N, D) in the order of the map."""
    return np.array(searched.features(column))


def digit(number: int) -> tuple[str, bytes]:
    """An example of the map as somebody has it: the pixels of scikit-learn's digit, as PNG."""
    pixels = (load_digits().images[number] * 255 / 16).round().astype(np.uint8)
    data = png(pixels)
    return hashlib.sha256(data).hexdigest(), data


def test_the_nearest_of_a_row_are_those_of_its_features(digits: SearchedMap) -> None:
    found = MapSearch(digits.setup).nearest(SearchQuestion(row=17, k=9))
    vectors = vectors_of(digits)
    truth = cdist(vectors[17:18], vectors)[0]
    truth[17] = np.inf
    assert found["rows"] == truth.argsort(kind="stable")[:9].tolist()
    np.testing.assert_allclose(found["distances"], np.sort(truth)[:9], rtol=1e-4)
    assert (found["examples"], found["metric"], found["method"]) == (N, "euclidean", "exact")
    assert (found["recall"], found["recall_at"]) == (1.0, None)


def test_metric_and_layer_are_those_of_the_embedding(tmp_path: Path) -> None:
    features = {**LENET, "layers": ["pool2", "fc1"]}
    searched = searched_map(tmp_path, features, layer="fc1", metric="cosine")
    found = MapSearch(searched.setup).nearest(SearchQuestion(row=3, k=5))
    vectors = vectors_of(searched, "features_2")
    truth = cdist(vectors[3:4], vectors, "cosine")[0]
    assert (found["metric"], found["dimensions"]) == ("cosine", vectors.shape[1])
    assert found["rows"] == truth.argsort(kind="stable")[1:6].tolist()


def test_an_image_of_the_map_finds_itself_first(digits: SearchedMap) -> None:
    search = MapSearch(digits.setup)
    for number in [int(each.removeprefix("digits-")) for each in (digits.ids[0], digits.ids[41])]:
        image, data = digit(number)
        assert not search.load_image(image, None)
        assert search.load_image(image, data)
        assert search.load_image(image, None)
        found = search.nearest(SearchQuestion(image=image, k=4))
        own = digits.ids.index(f"digits-{number:04d}")
        assert found["rows"][0] == own
        assert found["distances"][0] == pytest.approx(0, abs=1e-4)
        # The others are those of the example itself.
        assert found["rows"][1:] == search.nearest(SearchQuestion(row=own, k=3))["rows"]


def test_a_recurrent_network_encodes_images_too(tmp_path: Path) -> None:
    model = {"name": "row_lstm", "weights": "random"}
    searched = searched_map(tmp_path, {**LENET, "model": model})
    search = MapSearch(searched.setup)
    image, data = digit(int(searched.ids[5].removeprefix("digits-")))
    search.load_image(image, data)
    assert search.nearest(SearchQuestion(image=image))["rows"][0] == 5


def test_a_map_of_steps_is_searched_by_its_steps(tmp_path: Path) -> None:
    model = {"name": "row_lstm", "weights": "random"}
    features = {**LENET, "model": model, "pooling": "steps"}
    searched = searched_map(tmp_path, features, max_states=100)
    search = MapSearch(searched.setup)
    found = search.nearest(SearchQuestion(row=8, k=6))
    places = [searched.ids[row].split("#") for row in (8, *found["rows"])]
    of_example = zip(searched.features("example_id"), searched.features("features"), strict=True)
    steps = {example: np.array(states) for example, states in of_example}
    vectors = np.stack([steps[example][int(step)] for example, step in places])
    distances = np.linalg.norm(vectors[1:] - vectors[0], axis=1)
    np.testing.assert_allclose(found["distances"], distances, rtol=1e-4)
    image, data = digit(5)
    with pytest.raises(SpecError, match="one of steps") as caught:
        search.load_image(image, data)
    assert caught.value.detail == {"field": "image"}


@pytest.mark.parametrize(
    "data", [b"no image", b"\x89PNG\r\n\x1a\n", png(np.zeros((1, 1), np.uint8))[:40]]
)
def test_what_is_no_image_is_refused(digits: SearchedMap, data: bytes) -> None:
    search = MapSearch(digits.setup)
    with pytest.raises(ImageError):
        search.load_image(hashlib.sha256(data).hexdigest(), data)
    with pytest.raises(ImageError, match="not the one"):
        search.load_image("0" * 64, digit(0)[1])


def test_words_need_a_text_tower(digits: SearchedMap) -> None:
    with pytest.raises(
        SpecError, match="lenet has no text tower; make a map with a model"
    ) as caught:
        MapSearch(digits.setup).nearest(SearchQuestion(text="a seven"))
    assert caught.value.detail == {"field": "text"}


def test_a_row_that_is_not_there_is_not_found(digits: SearchedMap) -> None:
    with pytest.raises(NotFoundError, match="row 60"):
        MapSearch(digits.setup).nearest(SearchQuestion(row=N))


def test_the_index_of_a_large_map_is_kept_with_its_recall_and_built_again_where_damaged(
    digits: SearchedMap,
) -> None:
    first = MapSearch(digits.setup, exact_up_to=N - 1).describe()
    assert first["method"] == "approximate"
    # The job's own folder, and what goes with it.
    [folder] = [each for each in folders_of(IDS["tiles"]) if each.startswith("search/")]
    paths = digits.storage.list_files(folder)
    assert [path.rpartition(".")[2] for path in paths] == ["faiss", "json"]
    said = json.loads(digits.storage.read(paths[1]))
    assert said["sha256"] == digits.storage.sha256(paths[0])
    assert round(said["recall"]["fraction"], 4) == first["recall"]
    # What the storage says is what is stated: nothing is built a second time.
    marked = {**said, "recall": {"fraction": 0.5, "at": 7, "queries": 3}}
    digits.storage.write(paths[1], json.dumps(marked).encode())
    again = MapSearch(digits.setup, exact_up_to=N - 1).describe()
    assert (again["recall"], again["recall_at"], again["recall_queries"]) == (0.5, 7, 3)
    digits.storage.write(paths[0], b"damaged")
    assert MapSearch(digits.setup, exact_up_to=N - 1).describe() == first
    assert digits.storage.sha256(paths[0]) == json.loads(digits.storage.read(paths[1]))["sha256"]


def test_an_actor_answers_as_json_and_asks_for_the_image(digits: SearchedMap) -> None:
    actor = SearchActor(digits.setup.model_dump(mode="json"))
    assert json.loads(actor.describe())["examples"] == N
    image, data = digit(3)
    assert actor.nearest({"image": image}, None) is None
    answer = actor.nearest({"image": image, "k": 2}, data)
    assert answer is not None
    assert len(json.loads(answer)["rows"]) == 2
