"""Task of word pretraining: multi-label detection of the captions' words, before a decoder learns sentences.

Word by word a caption says little of the network that looks: the words before explain most of it, and what is
left goes through the decoder. Here every word of an image's captions is asked for at once, yes or no, of what
lies where in the grid::

    p(word | image) = σ(prior + e)

e is what a `tag_head.TagHead` makes of the grid. Every epoch sees each image otherwise (`augmentation`),
so that a network learns from few things what others are like.

Batch norms keep their statistics, and nothing is left out in the encoder: what is said of an image does not
depend on the batch. What lies behind the layers that are looked at stays as it is; so do depthwise filters,
whose gradient would take longer than all else. Where the device has bfloat16, the encoder runs in it.

Memory: a batch of images, and the encoder's activations of it for the backward pass.

Source: H. Fang et al., "From captions to visual concepts and back", 2015: words, learned as detectors first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from featurescape_jobs.captioning.encoder import Encoder
from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.kernels.depthwise_gradient import QuickDepthwise, is_depthwise
from featurescape_jobs.kernels.fused_conv import can_fuse
from featurescape_jobs.models.captioner.tag_head import TagHead
from featurescape_jobs.networks.capture import Capture
from featurescape_jobs.trainers.augmentation import DRAWS, augment
from featurescape_jobs.trainers.captioner.mirror import Mirror
from featurescape_jobs.trainers.checkpoints import EpochRow
from featurescape_jobs.trainers.loop import Batch, BatchLoss, BatchSize, Indices, batched
from featurescape_jobs.trainers.tensor_cache import CachedTensors
from featurescape_jobs.trainers.word_pairs import Pairs

WEIGHT_DECAY = 0.02
NETWORK, HEAD = "network.", "head."
"""What the names of the weights of a `WordDetector` begin with: the encoder's, and those behind it."""
_FRESH_FACTOR = 2.0
"""Of the encoder's learning rate, that of the layers behind it, which know nothing yet."""
_RAREST = 1e-4
"""Least part of the images that a word is taken to be said of, before anything is learned."""
Tags = NDArray[np.bool_]
"""(N, V): which words some caption of each image has."""
_COUNTED = 1024
"""Images whose tags are held at a time while words are counted."""


def tags_of(pairs: Pairs, images: Indices, vocabulary_size: int) -> Tags:
    """Words of all captions of some images."""
    tags = np.zeros((len(images), vocabulary_size), np.bool_)
    first = np.searchsorted(pairs.sources, images, side="left")
    last = np.searchsorted(pairs.sources, images, side="right")
    for row, start, stop in zip(
        tags, pairs.sentences.starts[first], pairs.sentences.starts[last], strict=True
    ):
        row[pairs.sentences.words[start:stop]] = True
    return tags


def shares_of(pairs: Pairs, images: Indices, vocabulary_size: int) -> torch.Tensor:
    """(V,): of how many of some images each word is said, 0 to 1."""
    counts = np.zeros(vocabulary_size, np.int64)
    for part in batched(images, _COUNTED):
        counts += tags_of(pairs, part, vocabulary_size).sum(0)
    return torch.from_numpy(counts / len(images)).float()


class WordDetector(nn.Module):
    """Images (N, C, H, W), normalized, to logits (N, V) of the words.

    Args:
        encoder: whose weights are to learn.
        shares: (V,), of how many of the images each word is said, 0 to 1.
        dropout: part of the values in front of the words that is left out while it learns.
        device: where it runs.
    """

    def __init__(
        self, encoder: Encoder, shares: torch.Tensor, dropout: float, device: torch.device
    ) -> None:
        super().__init__()
        self.network = encoder.network.module
        self._encoder, self._capture = encoder, Capture(self.network, list(encoder.shapes))
        self.head = TagHead(encoder.layout, len(shares))
        self.dropout = nn.Dropout(dropout)
        self.prior = nn.Parameter(torch.logit(shares.clamp(_RAREST, 1 - _RAREST)))
        self._device = device
        self._free()
        self.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _free(self) -> None:
        """Let those weights learn that have a part in the grids, but for depthwise filters."""
        self.network.requires_grad_(True)
        card = self._encoder.network.image_card
        blank = torch.zeros(1, card.channels, card.input_px, card.input_px)
        self._grids(blank).sum().backward()  # type: ignore[no-untyped-call]
        for module in self.network.modules():
            depthwise = is_depthwise(module)
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(parameter.grad is not None and not depthwise)
                parameter.grad = None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of all words."""
        seen = images.contiguous(memory_format=torch.channels_last)
        quick = has_bfloat16(self._device)
        with QuickDepthwise(), torch.autocast(self._device.type, torch.bfloat16, enabled=quick):
            grids = self._grids(seen)
        evidence: torch.Tensor = self.head.words(self.dropout(self.head.values(grids)))
        return self.prior + evidence

    def _grids(self, images: torch.Tensor) -> torch.Tensor:
        found = self._capture.follow(images)
        return self._encoder.grid([found[layer].float() for layer in self._encoder.shapes])

    def train(self, mode: bool = True) -> WordDetector:
        """The encoder stays in evaluation mode."""
        super().train(mode)
        self.network.eval()
        return self


def has_bfloat16(device: torch.device) -> bool:
    """True if products of bfloat16 are quicker there than those of float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not can_fuse(device, torch.bfloat16):
        return False
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16") or known.get("arm_bf16"))


@dataclass(frozen=True)
class WordDetectorTask:
    """A `trainers.loop.TrainingTask`; its examples are images."""

    module: WordDetector
    store: CachedTensors
    """Of what the encoder reads."""
    pairs: Pairs
    vocabulary_size: int
    training: Indices
    """Which of the images."""
    validation: Indices
    mean: tuple[float, ...]
    """Per channel, as the encoder's images are normalized."""
    std: tuple[float, ...]
    batch_size: int
    device: torch.device
    mirror: Mirror | None = None
    """In which half of what is learned from is seen; None: all is as it is."""
    seed: int = 0
    """Of the training."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The encoder, and what is behind it."""
        behind = [*self.module.head.parameters(), self.module.prior]
        learning = [one for one in self.module.network.parameters() if one.requires_grad]
        return [
            {"params": learning, "scale": 1.0},
            {"params": behind, "scale": _FRESH_FACTOR},
        ]

    def epoch(self, number: int) -> list[Batch]:
        """Every image once."""
        generator = np.random.default_rng(seed_for(self.seed, f"epoch {number}"))
        mixed = generator.permutation(self.training)
        parts = batched(mixed, self.batch_size)
        return [Batch(part, generator.random((len(part), DRAWS))) for part in parts]

    def held_out(self) -> list[Batch]:
        """Validation batches in order, without augmentation."""
        return [Batch(part) for part in batched(self.validation, self.batch_size)]

    def size_of(self, batch: Batch) -> BatchSize:
        """Images, and words of their captions."""
        return BatchSize(len(batch), int(self._tags(batch).sum()))

    def _tags(self, batch: Batch) -> Tags:
        return tags_of(self.pairs, batch.indices, self.vocabulary_size)

    def measure(self, module: nn.Module, batch: Batch, total: BatchSize) -> BatchLoss:
        """Cross entropy of yes and no, for every word that is said; right: those among as many likeliest words."""
        images, tags = self.store.batch(batch.indices), self._tags(batch)
        if batch.draws is not None:
            images = augment(images, batch.draws, self.mean, self.std)
            if self.mirror is not None:
                mirrored = self.mirror.chosen(batch.draws)
                images, tags = (
                    self.mirror.images(images, mirrored),
                    self.mirror.tags(tags, mirrored),
                )
        logits = module(images.to(self.device))
        said = torch.from_numpy(tags).to(self.device)
        nats = functional.binary_cross_entropy_with_logits(logits, said.float(), reduction="sum")
        words = said.sum(1)
        ranks = logits.detach().argsort(1, descending=True).argsort(1)
        n_correct = int(((ranks < words[:, None]) & said).sum())
        return BatchLoss(nats / total.targets, float(nats.detach()), n_correct, int(words.sum()))

    def score(self, row: EpochRow) -> float:
        """The lowest loss of the validation part is the best."""
        return -row.validation_loss
