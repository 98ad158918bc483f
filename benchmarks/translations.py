"""Translations: beam search of one sentence at a time, in batches, and ours.

    python benchmarks/translations.py [--n 256] [--peer-n 64] [--repeats 5] [--threads 2]

Input: sentences of 4 to 20 words of a made-up language, whose translation has other words in the reverse order.
The translator has 320 units, 192 values a word and a vocabulary of 4,000, and learns such sentences first (not
timed), so that translations are as long and as certain as of a trained one. All search with width 5 and rank by
the mean of a word, in float32, on all threads.

Popular peer: each sentence by itself; attention projects the memory anew at every step for every beam, and the
search goes on until all beams have ended. Its time a sentence does not depend on their number, so it is timed on
the first ``--peer-n``. Strong peer: sentences of like length 32 at a time, padded, keys of the attention once per
sentence, all beams in one tensor, sentences that are done leave it. Ours is the search of the job `translations`
(`SourceSearch`), with attention maps, alternatives and word probabilities.

Gate, of the first ``--peer-n`` sentences: 99.5 % of the translations have the popular peer's words, and 90 % are
right, so that there is something to translate. Controls: the translations of other sentences (shuffled), and
those of the sentences without their last word.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import harness
import numpy as np
import torch
from harness import Comparison, Contender, Gate, Outputs, Role, Run, Verdict
from translation_peers import BEAM, MAX_WORDS, Batched, Loop, Sentences

from featurescape_jobs.models.translator.network import Translator
from featurescape_jobs.sequences.beam_search import BeamOptions
from featurescape_jobs.sequences.vocabulary import END
from featurescape_jobs.trainers.translator.task import Material, TranslationTask
from featurescape_jobs.trainers.word_pairs import Pairs, Ragged
from featurescape_jobs.translating.translating import SourceSearch

MIN_EQUAL, MIN_RIGHT = 0.995, 0.9
VOCABULARY = 4_000
KNOWN = 60
"""Words of the source language; as many translations behind them."""
PLAIN = "one at a time"
BATCH, LEARNING_RATE = 32, 1.5e-3


@dataclass(frozen=True)
class Shape:
    """Shape of the translator, as examples/translation.py has it."""

    cell: str = "lstm"
    layers: int = 1
    embedding_units: int = 192
    attention_units: int = 192
    hidden_units: int = 320
    dropout: float = 0.0


SMALL = Shape(embedding_units=64, attention_units=64, hidden_units=128)
"""For the controls."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a translator, then compare; the exit status."""
    options = _parser().parse_args(arguments)
    if options.controls:
        options.n = options.peer_n = 24
        options.steps, options.longest = min(options.steps, 700), 8
    torch.set_num_threads(options.threads)
    network = trained(options)
    return harness.finish([harness.compare(comparison_of(network, options), options)], options)


def sentences(n: int, seed: int, words: tuple[int, int]) -> Sentences:
    """Random sentences of the source language, with their end."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(words[0], words[1] + 1, n)
    return [[*rng.integers(2, 2 + KNOWN, length).tolist(), END] for length in lengths]


def translation(source: list[int]) -> list[int]:
    """The right translation, without its end."""
    return [word + KNOWN for word in reversed(source[:-1])]


def trained(options: argparse.Namespace) -> Translator:
    """A translator that has learned some steps, short sentences first."""
    torch.manual_seed(0)
    shape, vocabulary = (SMALL, 200) if options.controls else (Shape(), VOCABULARY)
    network = Translator(shape, vocabulary)
    rate = 2 * LEARNING_RATE if options.controls else LEARNING_RATE
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.0)
    started, loss = time.monotonic(), 0.0
    for step in range(options.steps):
        longest = 5 + 2 * options.longest * step // options.steps
        sources = sentences(BATCH, 1_000 + step, (3, min(options.longest, longest)))
        pairs = Pairs.of(range(BATCH), [[*translation(one), END] for one in sources])
        rows = np.arange(BATCH)
        material = Material(Ragged.of(sources), pairs, rows, rows)
        task = TranslationTask(network, material, BATCH, 0.0, torch.device("cpu"))
        (batch,) = task.epoch(1)
        found = task.measure(network, batch, task.size_of(batch))
        optimizer.zero_grad(set_to_none=True)
        found.loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        loss = found.nats / found.targets
    print(
        f"trained {options.steps} steps in {time.monotonic() - started:.0f} s: {loss:.3f} nats a word"
    )
    return network.eval().requires_grad_(False)


def comparison_of(network: Translator, options: argparse.Namespace) -> Comparison:
    """The same sentences by all."""
    sources = sentences(options.n, 0, (4, options.longest))
    few = sources[: options.peer_n]
    loop, strong = Loop(network), Batched(network)
    search = SourceSearch(network, torch.device("cpu"))

    def popular() -> Run:
        start = time.perf_counter()
        said = loop.run(few)
        return Run((time.perf_counter() - start) * len(sources) / len(few), said)

    def ours() -> Sentences:
        beams = BeamOptions(BEAM, MAX_WORDS, 2, 1.0)
        return [best.words for best, *_ in search.run(sources, beams)]

    contenders = [
        Contender(PLAIN, Role.POPULAR, popular),
        Contender("batched by length", Role.STRONG, lambda: strong.run(sources)),
        Contender("featurescape", Role.OURS, ours),
    ]
    right = [translation(source) for source in few]

    def judge(said: Sentences, outputs: Outputs) -> Verdict:
        first = said[: len(few)]
        same = _share(first, outputs[PLAIN])
        true = _share(first, right)
        words = f"{same:.1%} have the words of {PLAIN}, {true:.1%} are right"
        return Verdict(same >= MIN_EQUAL and true >= MIN_RIGHT, words)

    def controls(outputs: Outputs) -> Mapping[str, Sentences]:
        shortened = [[*source[:-2], END] for source in few]
        return {
            "translations of other sentences": [*outputs[PLAIN][1:], outputs[PLAIN][0]],
            "sentences without their last word": strong.run(shortened),
        }

    stage = f"translation of {len(sources)} sentences, beam {BEAM}, same words"
    return Comparison(stage, "trained on them", contenders, Gate(judge, controls), len(sources))


def _share(said: Sentences, expected: Sentences) -> float:
    pairs = zip(said, expected, strict=False)
    return sum(one == other for one, other in pairs) / len(expected)


def _parser() -> argparse.ArgumentParser:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", type=int, default=256, help="sentences that are translated")
    parser.add_argument("--peer-n", type=int, default=64, help="of them by the loop")
    parser.add_argument("--longest", type=int, default=20, help="words of a sentence")
    parser.add_argument("--steps", type=int, default=1200, help="of training, before")
    return parser


if __name__ == "__main__":
    sys.exit(main())
