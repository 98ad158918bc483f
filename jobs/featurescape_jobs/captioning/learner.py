"""What a captioner's training changes: a decoder, and the encoder in front of it where that learns, too.

A fine-tuned encoder keeps the statistics of its batch norms, and leaves nothing out: what is said of a picture
does not depend on the batch that it was learned in. What lies behind the layers that are looked at stays as it is.

Memory: the networks, and for the backward pass the encoder's activations of a batch.
"""

from __future__ import annotations

import torch
from torch import nn

from featurescape_jobs.captioning.decoder import Decoder, Told
from featurescape_jobs.captioning.encoder import Encoder
from featurescape_jobs.networks import Capture


class Learner(nn.Module):
    """Pictures as the training keeps them, and words, to what follows each word.

    Args:
        decoder: with its weights.
        encoder: of which `fine_tuned` is true; None: what is kept of a picture is its grid.
    """

    def __init__(self, decoder: Decoder, encoder: Encoder | None = None) -> None:
        super().__init__()
        self.decoder = decoder
        self.network: nn.Module | None = None
        if encoder is not None:
            self.network = encoder.network.module
            self._encoder, self._capture = encoder, Capture(self.network, list(encoder.shapes))
            self._free()

    def _free(self) -> None:
        """Let those weights learn that have a part in the grids."""
        assert self.network is not None
        self.network.requires_grad_(True)
        card = self._encoder.network.picture_card
        self.grids(torch.zeros(1, card.channels, card.input_px, card.input_px)).sum().backward()  # type: ignore[no-untyped-call]
        for parameter in self.network.parameters():
            parameter.requires_grad_(parameter.grad is not None)
            parameter.grad = None

    def forward(self, seen: torch.Tensor, words: torch.Tensor) -> Told:
        """As `Decoder.forward`.

        Args:
            seen: grids (N, L, D), or with an encoder pictures (N, C, H, W), normalized.
            words: (N, T) int64.
        """
        told: Told = self.decoder(self.grids(seen), words)
        return told

    def grids(self, seen: torch.Tensor) -> torch.Tensor:
        """(N, L, D) of what is kept of N pictures."""
        if self.network is None:
            return seen
        pictures = seen.contiguous(memory_format=torch.channels_last)
        return self._encoder.grid(list(self._capture.follow(pictures).values()))

    def train(self, mode: bool = True) -> Learner:
        """The encoder stays in evaluation mode."""
        super().train(mode)
        if self.network is not None:
            self.network.eval()
        return self

    def groups(self, factor: float) -> list[dict[str, object]]:
        """For an optimizer: the weights that learn, with the ``scale`` of their learning rate."""
        groups: list[dict[str, object]] = [
            {"params": list(self.decoder.parameters()), "scale": 1.0}
        ]
        if self.network is not None:
            learning = [one for one in self.network.parameters() if one.requires_grad]
            groups.append({"params": learning, "scale": factor})
        return groups
