"""Peers of `translations.py` over a translator's own weights: one sentence at a time, and in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from featurescape_jobs.models.attention_decoder.decoder import Decoder
from featurescape_jobs.models.translator.network import Translator
from featurescape_jobs.sequences.vocabulary import END, UNKNOWN

BEAM, MAX_WORDS = 5, 40
SEARCHED = 32
"""Sentences that the strong peer searches together."""
Sentences = list[list[int]]


def rank(score: float, words: int) -> float:
    """Log probability by a word, its end counted."""
    return score / (words + 1)


class Loop:
    """Translation of one sentence, as tutorials have it: the memory projected anew at every step."""

    def __init__(self, network: Translator) -> None:
        self._network = network

    def run(self, sources: Sequence[list[int]]) -> Sentences:
        """Translations, sentence by sentence."""
        return [self.search(source) for source in sources]

    @torch.no_grad()
    def search(self, source: list[int]) -> list[int]:
        """Beam search of one sentence."""
        net, k = self._network.decoder, BEAM
        memory = self._network.memories(torch.tensor([source]))
        h, c = torch.tanh(net.start[0](memory.mean(1))).expand(k, -1).chunk(2, 1)
        memory = memory.expand(k, *memory.shape[1:])
        words = torch.full((k, 1), net.vocabulary_size)
        scores, done = torch.zeros(k), list[tuple[float, list[int]]]()
        for step in range(MAX_WORDS + 1):
            cut = words[0, 1:].tolist()
            chances, h, c = self._step(net, memory[:k], words[:, -1], h, c)
            chances[:, UNKNOWN] = -torch.inf
            if step == 0:
                chances[:, END] = -torch.inf
                chances[1:] = -torch.inf  # all beams are the same yet
            scores, best = (scores[:, None] + chances).flatten().topk(k)
            rows, following = best // chances.shape[1], best % chances.shape[1]
            words = torch.cat([words[rows], following[:, None]], 1)
            ended = following == END
            for score, said in zip(
                scores[ended].tolist(), words[ended, 1:-1].tolist(), strict=True
            ):
                done.append((rank(score, len(said)), said))
            left = ~ended
            k = int(left.sum())
            if k == 0:
                break
            words, scores, h, c = words[left], scores[left], h[rows[left]], c[rows[left]]
        return max(done, key=lambda one: one[0])[1] if done else cut

    def _step(
        self, net: Decoder, memory: torch.Tensor, words: torch.Tensor, *state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        h, c = state
        weights = net.attention.weights(net.attention.key(memory), h)
        context = (memory * weights[:, :, None]).sum(1)
        embedded = net.embedding(words)
        h, c = _lstm(net, torch.cat([embedded, context], 1), h, c)
        return _chances(net, embedded, h, context), h, c


class Batched:
    """Translation in batches: sentences of like length, keys once, all beams in one tensor, those done leave."""

    def __init__(self, network: Translator) -> None:
        self._network = network

    def run(self, sources: Sequence[list[int]]) -> Sentences:
        """Translations of all sentences."""
        order = sorted(range(len(sources)), key=lambda at: len(sources[at]))
        found: Sentences = [[] for _ in sources]
        for start in range(0, len(order), SEARCHED):
            part = order[start : start + SEARCHED]
            for at, said in zip(part, self.search([sources[at] for at in part]), strict=True):
                found[at] = said
        return found

    @torch.inference_mode()
    def search(self, sources: list[list[int]]) -> Sentences:
        """Beam search of N sentences."""
        net, k, n = self._network.decoder, BEAM, len(sources)
        v = net.vocabulary_size
        memories, mean = self._memories(sources)
        h, c = torch.tanh(net.start[0](mean))[:, None].expand(n, k, -1).chunk(2, 2)
        words = torch.full((n, k, 1), v)
        scores = torch.full((n, k), -torch.inf)
        scores[:, 0] = 0
        room, rows = torch.full((n,), k), torch.arange(n)
        best: list[tuple[float, list[int]]] = [(-float("inf"), [])] * n
        for step in range(MAX_WORDS + 1):
            if step == MAX_WORDS:
                self._cut(best, rows, words, scores)
            chances, h, c = self._step(net, memories, words[:, :, -1], h, c)
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
                said = words[row, beam, 1:-1].tolist()
                found = rank(float(scores[row, beam]), len(said)), said
                best[int(rows[row])] = max(best[int(rows[row])], found, key=lambda one: one[0])
            scores[ended] = -torch.inf
            room -= ended.sum(1)
            going = room > 0
            if not going.any():
                break
            if not going.all():
                rows, room, scores, words = rows[going], room[going], scores[going], words[going]
                memories = tuple(one[going] for one in memories)
                h, c = h[going], c[going]
        return [said for _, said in best]

    def _memories(self, sources: list[list[int]]) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """Keys (N, 1, L, A), memories (N, L, D) and their mask (N, L), once; and their means (N, D)."""
        lengths = torch.tensor([len(source) for source in sources])
        padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(one) for one in sources], True, END)
        memory = self._network.memories(padded, lengths)
        there = torch.arange(padded.shape[1]) < lengths[:, None]
        keys = self._network.decoder.attention.key(memory)[:, None]
        return (keys, memory, there), memory.sum(1) / lengths[:, None]

    def _cut(
        self,
        best: list[tuple[float, list[int]]],
        rows: torch.Tensor,
        words: torch.Tensor,
        scores: torch.Tensor,
    ) -> None:
        """Of sentences without an ended translation the best live one, which any ended one passes."""
        first = words[torch.arange(len(rows)), scores.argmax(1), 1:].tolist()
        for row, said in zip(rows.tolist(), first, strict=True):
            if not best[row][1]:
                best[row] = -float("inf"), said

    def _step(
        self, net: Decoder, memories: tuple[torch.Tensor, ...], words: torch.Tensor, *state: Any
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        h, c = state  # (N, k, H)
        keys, memory, there = memories
        n, k, _ = h.shape
        together = torch.tanh(keys + net.attention.query(h)[:, :, None])
        scores = net.attention.score(together)[..., 0].masked_fill(~there[:, None], -torch.inf)
        context = scores.softmax(2) @ memory
        embedded = net.embedding(words)
        inputs = torch.cat([embedded, context], 2).flatten(0, 1)
        h, c = _lstm(net, inputs, h.flatten(0, 1), c.flatten(0, 1))
        h, c = h.view(n, k, -1), c.view(n, k, -1)
        return _chances(net, embedded, h, context), h, c


def _lstm(net: Decoder, inputs: torch.Tensor, *state: torch.Tensor) -> tuple[torch.Tensor, ...]:
    lstm: Any = net.cells[0]
    h, c = torch.lstm_cell(
        inputs, state, lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, lstm.bias_hh_l0
    )
    return h, c


def _chances(
    net: Decoder, embedded: torch.Tensor, hidden: torch.Tensor, context: torch.Tensor
) -> torch.Tensor:
    deep = torch.tanh(embedded + net.from_hidden(hidden) + net.from_context(context))
    weight = net.embedding.weight[: net.vocabulary_size]
    return functional.log_softmax(functional.linear(deep, weight, net.output.bias), -1)
