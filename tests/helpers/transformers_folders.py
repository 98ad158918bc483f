"""Folders in Hugging Face's form, of tiny networks with random weights that transformers makes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

from featurescape_jobs.models.torchvision_shim import torchvision

VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
TEXT = {
    **{name: VISION[name] for name in list(VISION)[:4]},
    "max_position_embeddings": 16,
    "vocab_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WORDS = ("a", "photo", "of", "cat", "dog", "red", "green")


def library() -> Any:
    """transformers, once torchvision can be imported."""
    torchvision()
    return importlib.import_module("transformers")


def network_of(kind: str) -> Any:
    """A network of one of four kinds: clip, siglip, dinov2, vit."""
    t = library()
    torch.manual_seed(0)
    if kind == "clip":
        text, vision = {**TEXT, "projection_dim": 16}, {**VISION, "projection_dim": 16}
        return t.CLIPModel(t.CLIPConfig(vision_config=vision, text_config=text, projection_dim=16))
    if kind == "siglip":
        text = {**TEXT, "projection_size": 32}
        return t.SiglipModel(t.SiglipConfig(vision_config=VISION, text_config=text))
    if kind == "dinov2":
        return t.Dinov2Model(t.Dinov2Config(**VISION, mlp_ratio=2))
    return t.ViTForImageClassification(
        t.ViTConfig(**VISION, id2label={0: "cat", 1: "dog", 2: "hat"})
    )


def processor_of(kind: str) -> Any:
    """The image processor that goes with it."""
    t, square = library(), {"height": 32, "width": 32}
    if kind == "clip":
        return t.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=square)
    if kind == "siglip":
        return t.SiglipImageProcessor(size=square)
    if kind == "dinov2":
        return t.BitImageProcessor(size={"shortest_edge": 36}, crop_size=square)
    return t.ViTImageProcessor(size=square, rescale_factor=1 / 127.5)


def tokenizer() -> Any:
    """A tokenizer of a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: at for at, word in enumerate(("<pad>", "<s>", "</s>", "<unk>", *WORDS))}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return library().PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def save(kind: str, folder: Path) -> Any:
    """The network, whose folder this is now."""
    made = network_of(kind)
    made.save_pretrained(folder)
    processor_of(kind).save_pretrained(folder)
    return made.eval()
