"""Pairs of sentences as subword indices, in a file that every process of a training reads.

Memory: the listing with its texts (their bytes, and some 100 each), and 4 bytes a subword.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors import numpy as safetensors

from featurescape_jobs.datasets.text_reader import open_texts
from featurescape_jobs.engine.shard_worker import error_row
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import RowError
from featurescape_jobs.sequences.subwords import Subwords
from featurescape_jobs.sequences.vocabulary import END
from featurescape_jobs.specs import DatasetSpec
from featurescape_jobs.trainers.split import TRAINING, Parts
from featurescape_jobs.trainers.word_pairs import Pairs, Ragged


@dataclass(frozen=True)
class Texts:
    """Texts of a listing that have translations."""

    example_ids: list[str]
    sources: list[str]
    references: list[list[str]]
    """Of each source, one at least."""
    errors: list[dict[str, Any]]
    untranslated: int
    """Examples without a translation, which are left out."""

    @classmethod
    def read(cls, table: pa.Table, dataset: DatasetSpec) -> Texts:
        """Read all texts of a listing (`tables.INPUT`); what cannot be read is an error row."""
        reader = open_texts(dataset)
        ids, sources, references = list[str](), list[str](), list[list[str]]()
        errors, untranslated = list[dict[str, Any]](), 0
        for example in table.to_pylist():
            if not example["references"]:
                untranslated += 1
                continue
            try:
                sources.append(reader.read_text(example["locator"]).text)
            except RowError as error:
                errors.append(error_row(example, error.code, error.message))
                continue
            ids.append(example["example_id"])
            references.append(example["references"])
        return cls(ids, sources, references, errors, untranslated)

    def __add__(self, other: Texts) -> Texts:
        """Both, one after the other."""
        return Texts(
            self.example_ids + other.example_ids,
            self.sources + other.sources,
            self.references + other.references,
            self.errors + other.errors,
            self.untranslated + other.untranslated,
        )


@dataclass(frozen=True)
class PairsFile:
    """Sources and translations as subwords, and the part of each source."""

    sources: Ragged
    pairs: Pairs
    """``pairs.sources`` are indices of `sources`."""
    parts: Parts
    """Of each source."""

    @classmethod
    def of(
        cls, texts: Texts, parts: Parts, subwords: Subwords, max_words: int
    ) -> tuple[PairsFile, int]:
        """Pairs of texts, and how many are left out as a side has more than ``max_words`` subwords."""
        sources = [subwords.encode(text, max_words) for text in texts.sources]
        places, sentences, too_long = list[int](), list[list[int]](), 0
        for place, references in enumerate(texts.references):
            for reference in references:
                words = subwords.encode(reference, max_words)
                if END not in words or END not in sources[place]:
                    too_long += 1
                    continue
                places.append(place)
                sentences.append(words)
        return cls(Ragged.of(sources), Pairs.of(places, sentences), parts), too_long

    def write(self, storage: Storage, path: str) -> None:
        """Write the arrays."""
        arrays: dict[str, np.ndarray[Any, Any]] = {
            "sources": self.sources.words,
            "source_starts": self.sources.starts,
            "pairs": self.pairs.sources,
            "words": self.pairs.sentences.words,
            "word_starts": self.pairs.sentences.starts,
            "parts": self.parts,
        }
        storage.write(path, safetensors.save(arrays))

    @classmethod
    def load(cls, storage: Storage, path: str) -> PairsFile:
        """Read what `write` wrote."""
        found = safetensors.load(storage.read(path))
        sentences = Ragged(found["words"], found["word_starts"])
        sources = Ragged(found["sources"], found["source_starts"])
        return cls(sources, Pairs(found["pairs"], sentences), found["parts"])

    @property
    def pair_parts(self) -> Parts:
        """The part of each pair."""
        of_pairs: Parts = self.parts[self.pairs.sources]
        return of_pairs


def learn_subwords(texts: Texts, parts: Parts, size: int) -> Subwords:
    """Subwords of both sides of the training part, as often as they are there."""
    learned = np.flatnonzero(parts == TRAINING)
    sides: Sequence[str] = [
        *(texts.sources[row] for row in learned),
        *(reference for row in learned for reference in texts.references[row]),
    ]
    return Subwords.train(sides, size)
