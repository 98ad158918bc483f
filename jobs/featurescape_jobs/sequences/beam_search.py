"""Beam search for many sources at once, each as if it were alone.

A source starts with one empty sentence and K slots. At each step all its live sentences are extended by every
word, and the best extensions fill its slots; one that ends takes its slot with it, so that K sentences are
found in the end. Sentences that have ended are ranked by log P / T^α: T counts their words and the end, and α is
the length penalty as fairseq and transformers have it (0: by the log probability itself; Y. Wu et al., "Google's
Neural Machine Translation System", 2016, divide by ((5 + T) / 6)^α). A source is done earlier where enough have
ended and the best live one can get no better: log probabilities only fall, and the longest sentence divides them
by most. After ``max_words`` words a sentence may still end, then the rest is dropped; where none has ended the
live ones are the answer, truncated.

A sentence has a word at least, and never the unknown word. With one slot that is the greedy choice of each word;
with as many slots as there are sentences it is the most probable of all.

The attention of a word is that which the word was chosen by. Memory: of every step the words and attention of all
live sentences: (max_words + 1) × R × L values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from featurescape_jobs.sequences.vocabulary import END, UNKNOWN

_NEVER = float("-inf")
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


class Stepped(Protocol[S_co]):
    """Result of a step, as `incremental_decoder.Step`."""

    @property
    def log_probabilities(self) -> torch.Tensor: ...
    @property
    def attention(self) -> torch.Tensor: ...
    @property
    def gates(self) -> torch.Tensor: ...
    @property
    def states(self) -> S_co: ...


class Stepper(Protocol[S]):
    """Decoder of N sources, as `IncrementalDecoder`; the start is the word behind the last."""

    @property
    def vocabulary_size(self) -> int: ...
    def init_state(self) -> S: ...
    def step(
        self, words: torch.Tensor, states: S, rows: torch.Tensor, sources: torch.Tensor
    ) -> Stepped[S]: ...


@dataclass(frozen=True)
class BeamOptions:
    """Options of beam search."""

    beam: int = 5
    """K, sentences that are followed at a time."""
    max_words: int = 30
    alternatives: int = 0
    """Sentences beside the best, at most K - 1."""
    length_penalty: float = 0.0
    """α ≥ 0; larger values favor longer sentences."""

    def rank(self, log_probability: float, length: int) -> float:
        """Rank of an ended sentence; ``length`` is of its words and the end."""
        return float(log_probability / length**self.length_penalty)

    @property
    def longest(self) -> int:
        """Words of a sentence, at most, and its end."""
        return self.max_words + 1


@dataclass(frozen=True)
class Hypothesis:
    """A sentence of T words."""

    words: list[int]
    log_probability: float
    """In nats, with the end; where it is truncated, without."""
    truncated: bool
    attention: NDArray[np.float32]
    """α of every word, (T, L)."""
    gates: NDArray[np.float32]
    """β of every word, (T,)."""
    word_log_probabilities: NDArray[np.float32]
    """(T,), in nats."""


@dataclass
class _Live:
    """R sentences that go on; those of a source lie one after the other, the best first."""

    sources: torch.Tensor
    """(R,), ascending."""
    words: torch.Tensor
    """The last word of each."""
    scores: torch.Tensor
    """Log probabilities, float64."""
    parents: torch.Tensor
    """The place of each among those of the step before."""

    def taken(self, rows: torch.Tensor) -> _Live:
        return _Live(self.sources[rows], self.words[rows], self.scores[rows], self.parents[rows])


@dataclass(frozen=True)
class _Moment:
    """A step as it is kept: what was live, and what was looked at to extend it."""

    words: NDArray[np.int64]
    scores: NDArray[np.float64]
    parents: NDArray[np.int64]
    attention: NDArray[np.float32]
    gates: NDArray[np.float32]


@dataclass(frozen=True)
class _Found:
    """A sentence that is done: that of row ``row`` at step ``step``, and its end if it has one."""

    step: int
    row: int
    score: float
    rank: float
    """As in `BeamOptions.rank`."""
    truncated: bool


def search(stepper: Stepper[S], n: int, options: BeamOptions) -> list[list[Hypothesis]]:
    """Sentences of N sources: of each the best one and, where there are, alternatives, best first."""
    with torch.inference_mode():
        return _Search(stepper, n, options).run()


class _Search(Generic[S]):
    def __init__(self, stepper: Stepper[S], n: int, options: BeamOptions) -> None:
        self._stepper, self._n, self._options = stepper, n, options
        self._moments: list[_Moment] = []
        self._found: list[list[_Found]] = [[] for _ in range(n)]
        self._slots = torch.full((n,), options.beam)
        self._to_beat = torch.full((n,), _NEVER, dtype=torch.float64)

    def run(self) -> list[list[Hypothesis]]:
        states, everyone = self._stepper.init_state(), torch.arange(self._n)
        start = torch.full_like(everyone, self._stepper.vocabulary_size)
        live = _Live(everyone, start, torch.zeros(self._n, dtype=torch.float64), everyone)
        for number in range(self._options.max_words + 1):
            step = self._stepper.step(live.words, states, live.parents, live.sources)
            self._note(live, step)
            after = self._unfinished(self._extended(live, step.log_probabilities), number)
            if number == self._options.max_words or len(after.words) == 0:
                break
            live, states = after, step.states
        self._truncate(live)
        return [[self._traced(found) for found in self._best(of)] for of in self._found]

    def _note(self, live: _Live, step: Stepped[S]) -> None:
        seen = (step.attention.float().cpu().numpy(), step.gates.float().cpu().numpy())
        said = (live.words.numpy(), live.scores.numpy(), live.parents.numpy())
        self._moments.append(_Moment(*said, *seen))

    def _extended(self, live: _Live, log_probabilities: torch.Tensor) -> _Live:
        """The best extensions of the live sentences, for each source as many as it has slots."""
        chances = log_probabilities.clone()
        chances[:, UNKNOWN] = _NEVER
        if not self._moments[1:]:
            chances[:, END] = _NEVER
        k = self._options.beam
        top, words = chances.topk(min(k, chances.shape[1]), 1)  # a source takes at most K of a row
        top, words = top.cpu(), words.cpu()
        sources, places, counts = torch.unique_consecutive(
            live.sources, return_inverse=True, return_counts=True
        )
        first = counts.cumsum(0) - counts
        at = torch.arange(len(places)) - first[places]
        m, c = len(sources), top.shape[1]
        scores = torch.full((m, int(counts.max()), c), _NEVER, dtype=torch.float64)
        scores[places, at] = live.scores[:, None] + top
        ranked, order = scores.flatten(1).sort(dim=1, descending=True, stable=True)
        ranked, order = ranked[:, :k], order[:, :k]
        fits = torch.arange(ranked.shape[1]) < self._slots[sources][:, None]
        which, rank = (fits & (ranked > _NEVER)).nonzero(as_tuple=True)
        chosen = order[which, rank]
        parents = first[which] + chosen // c
        return _Live(sources[which], words[parents, chosen % c], ranked[which, rank], parents)

    def _unfinished(self, extended: _Live, step: int) -> _Live:
        """Note the sentences that have ended, and drop those that cannot win any more."""
        has_ended = extended.words == END
        ended = extended.taken(has_ended.nonzero()[:, 0])
        for source, row, score in zip(
            ended.sources.tolist(), ended.parents.tolist(), ended.scores.tolist(), strict=True
        ):
            found = self._found[source]
            rank = self._options.rank(score, step + 1)
            found.append(_Found(step, row, score, rank, truncated=False))
            self._slots[source] -= 1
            if len(found) > self._options.alternatives:
                self._to_beat[source] = self._best(found)[-1].rank
        best_case = extended.scores / self._options.longest**self._options.length_penalty
        can_win = best_case > self._to_beat[extended.sources]
        return extended.taken((~has_ended & can_win).nonzero()[:, 0])

    def _best(self, found: list[_Found]) -> list[_Found]:
        ranked = sorted(found, key=lambda one: -one.rank)
        return ranked[: self._options.alternatives + 1]

    def _truncate(self, live: _Live) -> None:
        """Sources of which no sentence has ended have those that were live last."""
        step = len(self._moments) - 1
        for row, (source, score) in enumerate(
            zip(live.sources.tolist(), live.scores.tolist(), strict=True)
        ):
            of = self._found[source]
            if not of or of[0].truncated:
                of.append(_Found(step, row, score, score, truncated=True))

    def _traced(self, found: _Found) -> Hypothesis:
        """The sentence from its end back to its start."""
        words, rows = list[int](), list[int]()
        row = found.row
        for step in range(found.step, 0, -1):
            words.append(int(self._moments[step].words[row]))
            rows.append(row)
            row = int(self._moments[step].parents[row])
        rows = [row, *reversed(rows)]  # of every step from the start on
        looks = [(self._moments[at], row) for at, row in enumerate(rows)]
        scores = np.array([moment.scores[row] for moment, row in looks])
        return Hypothesis(
            words=words[::-1],
            log_probability=found.score,
            truncated=found.truncated,
            attention=np.stack([moment.attention[row] for moment, row in looks])[: len(words)],
            gates=np.array([moment.gates[row] for moment, row in looks], np.float32)[: len(words)],
            word_log_probabilities=np.diff(scores).astype(np.float32),
        )
