"""A folder as CLIP's is read from end to end: features of its vision tower, a map, and words by its text tower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from featurescape_jobs.errors import SpecError
from featurescape_jobs.live.map_search import MapSearch
from featurescape_jobs.live.requests import SearchQuestion
from helpers.extras import needs
from helpers.searched_maps import SearchedMap, searched_map
from helpers.transformers_folders import processor_of, save, tokenizer

pytestmark = needs("transformers")

N, K = 40, 7
TEXTS = ("a photo of a cat", "red", "green dog of a photo")
DIGITS = {"name": "digits", "limit": N}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The folder, and the model that it is of; its weights are random."""
    folder = tmp_path_factory.mktemp("clip")
    made = save("clip", folder)
    tokenizer().save_pretrained(folder)
    return folder, made


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, clip: tuple[Path, Any]) -> SearchedMap:
    model = {"name": "transformers", "weights": str(clip[0])}
    return searched_map(tmp_path_factory.mktemp("map"), {"dataset": DIGITS, "model": model})


def unit(values: Any) -> np.ndarray:
    found = np.asarray(getattr(values, "pooler_output", values), np.float64)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def test_features_are_those_of_the_library(searched: SearchedMap, clip: tuple[Path, Any]) -> None:
    numbers = [int(each.removeprefix("digits-")) for each in searched.features("example_id")]
    pixels = (load_digits().images[numbers] * 255 / 16).round().astype(np.uint8)
    images = [Image.fromarray(each).convert("RGB") for each in pixels]
    given = processor_of("clip")(images=images, return_tensors="pt")
    with torch.no_grad():
        expected = unit(clip[1].get_image_features(**given))
    found = unit(np.array(searched.features("features")))
    assert (found * expected).sum(1).min() > 0.999
    # Control: an image is not as near to the features of another one.
    assert (found * np.roll(expected, 1, axis=0)).sum(1).min() < 0.999


@pytest.mark.parametrize("text", TEXTS)
def test_words_find_what_the_library_finds(
    searched: SearchedMap, clip: tuple[Path, Any], text: str
) -> None:
    tokens = tokenizer()([text], padding="max_length", max_length=16, return_tensors="pt")
    with torch.no_grad():
        said = clip[1].get_text_features(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        )
    distances = 1 - unit(np.array(searched.features("features"))) @ unit(said)[0]
    answer = MapSearch(searched.setup).nearest(SearchQuestion(text=text, k=K))
    assert (answer["metric"], answer["method"]) == ("cosine", "exact")
    np.testing.assert_allclose(answer["distances"], np.sort(distances)[:K], atol=1e-4)
    np.testing.assert_allclose(distances[answer["rows"]], answer["distances"], atol=1e-4)


def test_a_map_of_another_layer_has_no_words(tmp_path: Path, clip: tuple[Path, Any]) -> None:
    model = {"name": "transformers", "weights": str(clip[0])}
    layer = "vision_model.post_layernorm"
    features = {"dataset": DIGITS, "model": model, "layers": layer}
    other = MapSearch(searched_map(tmp_path, features).setup)
    assert len(other.nearest(SearchQuestion(row=0, k=3))["rows"]) == 3
    with pytest.raises(SpecError, match="cannot be searched by words"):
        other.nearest(SearchQuestion(text="red"))
