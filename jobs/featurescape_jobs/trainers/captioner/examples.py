"""Training examples of a captioner: captions as word indices, beside the images that they are of.

Which part an example is in follows from a hash of the job's seed and its id (`trainers.split`).

Memory: the listing with its captions (some 100 bytes a caption), and 4 bytes a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from featurescape_jobs.errors import SpecError
from featurescape_jobs.sequences.vocabulary import Vocabulary, tokens
from featurescape_jobs.trainers.loop import Indices
from featurescape_jobs.trainers.split import TRAINING, Parts, draw_parts
from featurescape_jobs.trainers.word_pairs import Pairs


@dataclass(frozen=True)
class CaptionedExamples:
    """N examples with captions, as a listing has them."""

    table: pa.Table
    """Rows of `tables.INPUT`, all with captions."""
    parts: Parts

    @classmethod
    def drawn(cls, table: pa.Table, validation: float, test: float, seed: int) -> CaptionedExamples:
        """Examples of a listing that have captions, in parts as `draw_parts` draws them."""
        has = table.filter(pc.is_valid(table["references"]))
        return cls(has, draw_parts(has["example_id"].to_pylist(), validation, test, seed))

    def vocabulary(self, min_count: int) -> Vocabulary:
        """The words of the training part; raises `SpecError` where there are none."""
        rows = self.table["references"].filter(pa.array(self.parts == TRAINING))
        known = (tokens(text) for captions in rows for text in captions.as_py())
        vocabulary = Vocabulary.of(known, min_count)
        if not vocabulary.words:
            raise SpecError(
                f"options.min_count: no word of the training part is there {min_count} times; "
                "take a smaller one",
                field="options.min_count",
            )
        return vocabulary

    def references(self, rows: Indices) -> list[list[list[str]]]:
        """All captions of some rows that have words, cut into them."""
        captions = self.table["references"].take(pa.array(rows)).to_pylist()
        return [[words for text in of if (words := tokens(text))] for of in captions]


def pairs_of(captions: Sequence[Sequence[str]], vocabulary: Vocabulary, max_words: int) -> Pairs:
    """Pairs of every image with each of its captions that has a word.

    Args:
        captions: of every grid, in its order.
        vocabulary: of the captioner.
        max_words: the rest of a caption is cut.
    """
    images, encoded = list[int](), list[list[int]]()
    for image, texts in enumerate(captions):
        for text in texts:
            if words := tokens(text):
                images.append(image)
                encoded.append(vocabulary.encode(words, max_words))
    return Pairs.of(images, encoded)


def one_of_each(pairs: Pairs, chosen: Indices, seed: int) -> Indices:
    """One of the chosen captions of every image, drawn."""
    mixed = np.random.default_rng(seed).permutation(chosen)
    _, first = np.unique(pairs.sources[mixed], return_index=True)
    return mixed[np.sort(first)]
