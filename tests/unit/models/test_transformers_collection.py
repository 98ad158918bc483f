"""Vision and text towers of transformers, from folders that are made here with tiny random networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from featurescape_jobs.errors import SpecError, UnknownNameError, WeightsError
from featurescape_jobs.extraction.columns import plan_columns
from featurescape_jobs.models import TwoTowerModel, resolve
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks import execution
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.specs import FeaturesSpec, ModelSpec
from helpers.extras import needs
from helpers.plain_features import smooth
from helpers.transformers_folders import library, processor_of, save, tokenizer

pytestmark = needs("transformers")


def named(folder: Path, **more: Any) -> ModelSpec:
    return ModelSpec(name="transformers", weights=str(folder), **more)


def theirs(kind: str, made: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Pooled features as the library gives them."""
    with torch.no_grad():
        if kind in ("clip", "siglip"):
            found = made.get_image_features(pixel_values=pixels)
            return getattr(found, "pooler_output", found)  # type: ignore[no-any-return]
        if kind == "dinov2":
            return made(pixels).pooler_output  # type: ignore[no-any-return]
        return made.vit(pixels).last_hidden_state[:, 0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["clip", "siglip", "dinov2", "vit"])
def test_features_are_those_that_the_library_gives(kind: str, tmp_path: Path) -> None:
    made = save(kind, tmp_path)
    network = load_network(named(tmp_path), seed=0)
    spec = FeaturesSpec(dataset={"name": "digits"}, model=named(tmp_path))
    columns = plan_columns(network, spec, several_views=False)
    images = [smooth(70, 100), smooth(64, 48)[::-1].copy()]
    inputs = prepare(images, network.image_card)
    target = execution.Target(network, columns, torch.device("cpu"))
    (found,) = execution.build(target, "float32")(inputs)
    expected = theirs(kind, made, torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3
    outputs = network.module(torch.from_numpy(inputs))
    assert outputs.shape == (2, 3 if kind == "vit" else expected.shape[1])


@pytest.mark.parametrize("kind", ["clip", "siglip", "dinov2", "vit"])
def test_preprocessing_is_that_of_the_image_processor(kind: str, tmp_path: Path) -> None:
    save(kind, tmp_path)
    card = resolve(named(tmp_path)).card
    assert isinstance(card, ImageCard)
    image = smooth(70, 101)
    pixels = processor_of(kind)(images=Image.fromarray(image), return_tensors="np")["pixel_values"]
    levels = np.abs(prepare([image], card) - pixels) * 255
    levels *= np.array(card.std, np.float32)[None, :, None, None]
    assert levels.max() <= 1.01


def test_a_classifier_names_its_classes_and_its_blocks(tmp_path: Path) -> None:
    save("vit", tmp_path)
    model = resolve(named(tmp_path))
    assert model.classes() == ("cat", "dog", "hat")
    assert model.card.name == f"transformers/{tmp_path.name}"
    assert {"vit.layers.0", "vit.layers.1", "classifier"} <= set(model.card.layers)
    assert "vit" not in model.card.layers, "it gives several values by name, no activation"


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_texts_lie_where_the_library_puts_them(kind: str, tmp_path: Path) -> None:
    made = save(kind, tmp_path)
    tokenizer().save_pretrained(tmp_path)
    model = resolve(named(tmp_path))
    assert isinstance(model, TwoTowerModel)
    tower = model.text_tower()
    texts = ["a photo of a cat", "red dog", " ".join(["green"] * 50)]
    found = tower.encode(texts)
    card = model.card
    assert isinstance(card, ImageCard)
    assert card.text_layer == card.default_layer
    assert found.shape == (3, card.n_classes)
    tokens = tokenizer()(
        texts, padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    )
    given = {"input_ids": tokens["input_ids"], "attention_mask": tokens["attention_mask"]}
    with torch.no_grad():
        said = made.get_text_features(**given)
    expected = getattr(said, "pooler_output", said)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tower.encode(texts[1:2])[0], found[1], rtol=1e-4, atol=1e-5)
    assert tower.encode([]).shape == (0, card.n_classes)


def test_a_model_with_one_tower_says_so(tmp_path: Path) -> None:
    save("dinov2", tmp_path)
    model = resolve(named(tmp_path))
    assert isinstance(model.card, ImageCard)
    assert model.card.text_layer is None
    with pytest.raises(WeightsError, match="no text tower"):
        model.text_tower()  # type: ignore[attr-defined]


def test_missing_weights_are_refused_and_not_drawn(tmp_path: Path) -> None:
    save("dinov2", tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    del state["layernorm.weight"]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"lacks weights.*layernorm\.weight"):
        load_network(named(tmp_path), seed=0)


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    made = save("dinov2", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(made.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="safetensors"):
        load_network(named(tmp_path), seed=0)


def test_code_in_the_folder_is_not_run(tmp_path: Path) -> None:
    save("vit", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "evil.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    mark = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Config: pass\n")
    with pytest.raises(SpecError):
        resolve(named(tmp_path))
    assert not mark.exists()


def test_another_kind_of_network_is_refused(tmp_path: Path) -> None:
    library().BertConfig().save_pretrained(tmp_path)
    with pytest.raises(UnknownNameError, match="clip"):
        resolve(named(tmp_path))


def test_a_folder_or_a_name_is_needed(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        resolve(ModelSpec(name="transformers"))
    assert caught.value.detail["field"] == "model.architecture"
    with pytest.raises(WeightsError, match=r"config\.json"):
        resolve(named(tmp_path))
    with pytest.raises(WeightsError, match="not below an allowed root"):
        resolve(named(tmp_path), allowed_roots=("/elsewhere",))
