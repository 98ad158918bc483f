"""Subwords of texts: a vocabulary in which every text can be written.

Byte pair encoding: the most frequent pairs of neighbors become one, until there are so many pieces. What no piece
covers is written byte by byte, so that there is no unknown word, and a rare name can be copied. Texts are taken as
they are (NFC is the dataset's business), but for spaces, of which several are one.

Number 0 is the end of a sentence; number 1, an unknown word, is never there. A sentence is read from a start that
is no subword: its number is the one behind the last, as in `vocabulary`.

Sources: R. Sennrich et al., "Neural machine translation of rare words with subword units", 2016; T. Kudo and J.
Richardson, "SentencePiece", 2018, whose library this is.

Memory: the pieces; while they are learned the texts, some 20 times.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

from featurescape_jobs.errors import ArtifactError, SpecError
from featurescape_jobs.sequences.vocabulary import END, UNKNOWN

LEAST = 512
"""Pieces that are asked for at least: 256 are bytes, two the end and the unknown word."""
_OWN_CHARACTERS = 0.5
"""Of the other pieces, how many may be single characters; rarer ones are written byte by byte."""
_BYTES = 258
_SPACE = "▁"
"""How the library writes a space before a piece."""


class Subwords:
    """A vocabulary of pieces.

    Args:
        model: as `train` makes it and an artifact keeps it.
        source: where it comes from, for messages.

    Raises:
        ArtifactError: it is none of these.
    """

    def __init__(self, model: bytes, source: str) -> None:
        self.model = model
        processor = _library().SentencePieceProcessor()
        try:
            processor.LoadFromSerializedProto(model)
        except (RuntimeError, ValueError) as error:
            raise ArtifactError(f"{source} is no subwords ({str(error)[:200]})") from None
        if (processor.eos_id(), processor.unk_id()) != (END, UNKNOWN):
            raise ArtifactError(f"{source} has another end or unknown word than a translator's")
        self._processor = processor

    @classmethod
    def train(cls, texts: Iterable[str], size: int) -> Subwords:
        """Learn pieces of texts; the same texts in the same order give the same pieces.

        Args:
            texts: of both languages, where a vocabulary is for both.
            size: V, at most, and `LEAST` or more; fewer where the texts are too few.

        Raises:
            SpecError: there is no text.
        """
        lines = [line for text in texts if (line := " ".join(text.split()))]
        if not lines:
            raise SpecError("dataset: it has no text to learn subwords from", field="dataset")
        written = io.BytesIO()
        _library().SentencePieceTrainer.train(
            sentence_iterator=iter(_without_rare(lines, size)),
            model_writer=written,
            vocab_size=size,
            model_type="bpe",
            character_coverage=1.0,
            byte_fallback=True,
            hard_vocab_limit=False,
            normalization_rule_name="identity",
            shuffle_input_sentence=False,
            max_sentence_length=1 << 16,
            num_threads=1,
            eos_id=END,
            unk_id=UNKNOWN,
            bos_id=-1,
            pad_id=-1,
            minloglevel=2,
        )
        return cls(written.getvalue(), "what was learned")

    @property
    def size(self) -> int:
        """V."""
        return int(self._processor.vocab_size())

    @property
    def start(self) -> int:
        """The number that a sentence is read from."""
        return self.size

    def encode(self, text: str, max_words: int) -> list[int]:
        """Numbers of the first ``max_words`` pieces, and the end where none is cut off."""
        numbers: list[int] = self._processor.encode(text)
        return numbers[:max_words] if len(numbers) > max_words else [*numbers, END]

    def decode(self, numbers: Sequence[int]) -> str:
        """The text of pieces, without the end; bytes that are no UTF-8 become U+FFFD."""
        text: str = self._processor.decode([one for one in numbers if one != END])
        return text

    def pieces(self, numbers: Sequence[int]) -> list[str]:
        """Each piece as it is shown: a space before it where a word begins; a byte as `<0xE4>`."""
        return [self._pieces[one].replace(_SPACE, " ") for one in numbers]

    @cached_property
    def _pieces(self) -> list[str]:
        return [self._processor.id_to_piece(number) for number in range(self.size)]


def _without_rare(lines: list[str], size: int) -> list[str]:
    """Lines with spaces for characters that are too rare to be pieces, of which the library makes one each."""
    counts = Counter(chain.from_iterable(lines))
    most = int((size - _BYTES) * _OWN_CHARACTERS)
    if len(counts) <= most:
        return lines
    kept = {character for character, _ in counts.most_common(most)}
    rare = str.maketrans({character: " " for character in counts if character not in kept})
    return [line.translate(rare) for line in lines]


def _library() -> Any:
    import sentencepiece

    return sentencepiece
