"""Scores of translations against references: BLEU, chrF2, TER.

All are sacrebleu's, of texts as they are, and come with its signature, which says how they were made: only equal
signatures can be compared. BLEU and chrF2 are 0 to 100, more is better; TER counts edits in 100 words of the
reference, fewer are better.

Sources: K. Papineni et al., "BLEU", 2002; M. Popović, "chrF", 2015; M. Snover et al., "A study of translation edit
rate", 2006; M. Post, "A call for clarity in reporting BLEU scores", 2018. Holds the texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple


class Translated(NamedTuple):
    """A translation, and what it is compared with."""

    hypothesis: str
    references: Sequence[str]
    """One at least."""


def corpus_scores(translated: Sequence[Translated]) -> dict[str, Any] | None:
    """Scores of a corpus with their signatures; None where it is empty."""
    if not translated:
        return None
    hypotheses = [one.hypothesis for one in translated]
    most = max(len(one.references) for one in translated)
    # To sacrebleu, None is no reference, so sentences may have different numbers of them.
    streams = [
        [one.references[at] if at < len(one.references) else None for one in translated]
        for at in range(most)
    ]
    scores, signatures = dict[str, float](), dict[str, str]()
    for name, metric in _metrics().items():
        # TER and chrF take no missing reference: one that is there again changes neither's best.
        given = streams if name == "bleu" else _filled(streams)
        scores[name] = round(metric.corpus_score(hypotheses, given).score, 4)
        signatures[name] = str(metric.get_signature())
    return {**scores, "signatures": signatures, "examples": len(translated)}


def sentence_chrf(translated: Translated) -> float:
    """chrF2 of one sentence, 0 to 100."""
    return float(
        _metrics()["chrf"].sentence_score(translated.hypothesis, translated.references).score
    )


def _filled(streams: list[list[str | None]]) -> list[list[str | None]]:
    first = streams[0]
    return [
        [one if one is not None else first[at] for at, one in enumerate(stream)]
        for stream in streams
    ]


@cache
def _metrics() -> dict[str, Any]:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    return {"bleu": BLEU(), "chrf": CHRF(), "ter": TER()}
