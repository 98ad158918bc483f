"""Beam search as people write it, over a captioner's own weights: one image at a time, and in batches."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from featurescape_jobs.captioning.loading import LoadedCaptioner
from featurescape_jobs.images.decode import decode
from featurescape_jobs.models.attention_decoder.decoder import Decoder
from featurescape_jobs.networks.capture import Capture
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.sequences.vocabulary import END, UNKNOWN

BEAM, MAX_WORDS = 5, 30
ENCODED, SEARCHED = 16, 32
"""Images that the strong peer takes through encoder and search together."""


class Loop:
    """Tutorial captioner: encoder and search of one image, the grid projected anew at every step."""

    def __init__(self, captioner: LoadedCaptioner) -> None:
        self.captioner = captioner
        encoder = captioner.encoder
        module = copy.deepcopy(encoder.network.module).to(memory_format=torch.contiguous_format)
        self.capture = Capture(module, list(encoder.shapes))  # as it comes, before our loader

    def run(self, files: list[Path]) -> list[list[str]]:
        """Captions, image by image."""
        decode_words = self.captioner.vocabulary.decode
        return [decode_words(self.search(self.encode(file))) for file in files]

    def encode(self, file: Path) -> torch.Tensor:
        """The grid of one image, (1, L, D)."""
        encoder = self.captioner.encoder
        pixels = prepare([decode(file.read_bytes())], encoder.network.image_card)
        found = self.capture.run(torch.from_numpy(pixels))
        return encoder.grid([found[layer] for layer in encoder.shapes]).contiguous()

    @torch.no_grad()
    def search(self, grid: torch.Tensor) -> list[int]:
        """Beam search of one image; where no caption has ended in time, the best one so far."""
        net: Decoder = self.captioner.decoder
        k = BEAM
        grid = (grid - net.get_buffer("mean")) / net.get_buffer("std")
        h, c = torch.tanh(net.start[0](grid.mean(1))).expand(k, -1).chunk(2, 1)
        grid = grid.expand(k, *grid.shape[1:])
        words = torch.full((k, 1), net.vocabulary_size)
        scores, done = torch.zeros(k), list[tuple[float, list[int]]]()
        for step in range(MAX_WORDS + 1):
            cut = float(scores[0]), words[0, 1:].tolist()  # the best goes first
            chances, h, c = self._step(net, grid[:k], words[:, -1], h, c)
            chances[:, UNKNOWN] = -torch.inf
            if step == 0:
                chances[:, END] = -torch.inf
                chances[1:] = -torch.inf  # all beams are the same yet
            scores, best = (scores[:, None] + chances).flatten().topk(k)
            rows, following = best // chances.shape[1], best % chances.shape[1]
            words = torch.cat([words[rows], following[:, None]], 1)
            ended = following == END
            done += zip(scores[ended].tolist(), words[ended, 1:-1].tolist(), strict=True)
            left = ~ended
            k = int(left.sum())
            if k == 0:
                break
            words, scores, h, c = words[left], scores[left], h[rows[left]], c[rows[left]]
        return max(done, key=lambda one: one[0])[1] if done else cut[1]

    @torch.no_grad()
    def score(self, grid: torch.Tensor, said: Sequence[int]) -> float:
        """Log probability in nats of words, without an end, of one image."""
        net: Decoder = self.captioner.decoder
        grid = (grid - net.get_buffer("mean")) / net.get_buffer("std")
        h, c = torch.tanh(net.start[0](grid.mean(1))).chunk(2, 1)
        word, total = torch.tensor([net.vocabulary_size]), 0.0
        for following in said:
            chances, h, c = self._step(net, grid, word, h, c)
            total += float(chances[0, following])
            word = torch.tensor([following])
        return total

    def _step(
        self, net: Decoder, grid: torch.Tensor, words: torch.Tensor, *state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        h, c = state
        attention = net.attention
        keys = attention.key(grid)  # (k, L, A), anew at every step
        together = torch.tanh(keys + attention.query(h)[:, None])
        weights = attention.score(together)[:, :, 0].softmax(1)
        context = torch.sigmoid(net.gate(h)) * (grid * weights[:, :, None]).sum(1)
        embedded = net.embedding(words)
        lstm: Any = net.cells[0]
        h, c = torch.lstm_cell(
            torch.cat([embedded, context], 1),
            (h, c),
            lstm.weight_ih_l0,
            lstm.weight_hh_l0,
            lstm.bias_ih_l0,
            lstm.bias_hh_l0,
        )
        logits = net.output(torch.tanh(embedded + net.from_hidden(h) + net.from_context(context)))
        return functional.log_softmax(logits, 1), h, c


class Batched:
    """Optimized captioner: the encoder in batches and channels_last, keys once, all beams in one tensor.

    Args:
        captioner: whose weights are used.
        bfloat16: whether the encoder runs in autocast.
    """

    def __init__(self, captioner: LoadedCaptioner, *, bfloat16: bool) -> None:
        self.captioner, self._bfloat16 = captioner, bfloat16
        encoder = captioner.encoder
        module = copy.deepcopy(encoder.network.module).to(memory_format=torch.channels_last)
        self.capture = Capture(module, list(encoder.shapes))

    def run(self, files: list[Path]) -> list[list[str]]:
        """Captions of all images."""
        found: list[list[int]] = []
        for at in range(0, len(files), SEARCHED):
            found += self.search(self.encode(files[at : at + SEARCHED]))
        return [self.captioner.vocabulary.decode(words) for words in found]

    def encode(self, files: list[Path]) -> torch.Tensor:
        """The grids of images, (N, L, D)."""
        encoder, grids = self.captioner.encoder, []
        for at in range(0, len(files), ENCODED):
            images = [decode(file.read_bytes()) for file in files[at : at + ENCODED]]
            pixels = torch.from_numpy(prepare(images, encoder.network.image_card))
            with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
                found = self.capture.run(pixels)
            grids.append(encoder.grid([found[layer].float() for layer in encoder.shapes]))
        return torch.cat(grids).contiguous()

    @torch.inference_mode()
    def search(self, grids: torch.Tensor) -> list[list[int]]:
        """Beam search of N images; those whose beams have all ended leave the batch."""
        net: Decoder = self.captioner.decoder
        grids = (grids - net.get_buffer("mean")) / net.get_buffer("std")
        n, k, v = len(grids), BEAM, net.vocabulary_size
        keys = net.attention.key(grids)[:, None]  # (N, 1, L, A), once
        h, c = torch.tanh(net.start[0](grids.mean(1)))[:, None].expand(n, k, -1).chunk(2, 2)
        words = torch.full((n, k, 1), v)
        scores = torch.full((n, k), -torch.inf)
        scores[:, 0] = 0  # all beams are the same yet
        room = torch.full((n,), k)
        rows = torch.arange(n)
        best: list[tuple[float, list[int]]] = [(-np.inf, [])] * n
        cut: dict[int, list[int]] = {}
        for step in range(MAX_WORDS + 1):
            if step == MAX_WORDS:  # what has not ended after one more step is cut here
                first = words[torch.arange(len(rows)), scores.argmax(1), 1:]
                cut = dict(zip(rows.tolist(), first.tolist(), strict=True))
            chances, h, c = self._step(net, keys, grids, words[:, :, -1], h, c)
            chances[:, :, UNKNOWN] = -torch.inf
            if step == 0:
                chances[:, :, END] = -torch.inf
            scores, chosen = (scores[:, :, None] + chances).flatten(1).topk(k)
            scores[torch.arange(k) >= room[:, None]] = -torch.inf
            before, following = chosen // v, chosen % v
            at = before[:, :, None]
            words = torch.cat([words.gather(1, at.expand_as(words)), following[:, :, None]], 2)
            h, c = (x.gather(1, at.expand_as(x)) for x in (h, c))
            ended = (following == END) & scores.isfinite()
            for row, beam in ended.nonzero().tolist():
                image, score = int(rows[row]), float(scores[row, beam])
                if score > best[image][0]:
                    best[image] = score, words[row, beam, 1:-1].tolist()
            scores[ended] = -torch.inf
            room -= ended.sum(1)
            going = room > 0
            if not going.any():
                break
            if not going.all():
                rows, room, scores, words = rows[going], room[going], scores[going], words[going]
                keys, grids, h, c = keys[going], grids[going], h[going], c[going]
        return [found if score > -np.inf else cut[at] for at, (score, found) in enumerate(best)]

    def _step(
        self,
        net: Decoder,
        keys: torch.Tensor,
        grids: torch.Tensor,
        words: torch.Tensor,
        *state: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        h, c = state  # (N, k, H)
        n, k, _ = h.shape
        together = torch.tanh(keys + net.attention.query(h)[:, :, None])
        weights = net.attention.score(together)[..., 0].softmax(2)
        context = torch.sigmoid(net.gate(h)) * (weights @ grids)
        embedded = net.embedding(words)
        lstm: Any = net.cells[0]
        h, c = torch.lstm_cell(
            torch.cat([embedded, context], 2).flatten(0, 1),
            (h.flatten(0, 1), c.flatten(0, 1)),
            lstm.weight_ih_l0,
            lstm.weight_hh_l0,
            lstm.bias_ih_l0,
            lstm.bias_hh_l0,
        )
        h, c = h.view(n, k, -1), c.view(n, k, -1)
        logits = net.output(torch.tanh(embedded + net.from_hidden(h) + net.from_context(context)))
        return functional.log_softmax(logits, 2), h, c
