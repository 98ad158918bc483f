"""Texts in made-up languages: words of two syllables each, of which every language has its own."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

SYLLABLES = {
    "aba": ("ba", "da", "ka", "na", "ra"),
    "ebe": ("be", "de", "ke", "ne", "re"),
    "obo": ("бо", "до", "ко", "но", "ро"),
}


def sentence(language: str, source: random.Random, words: int = 5) -> str:
    """A sentence in one of the languages."""
    syllables = SYLLABLES[language]
    return " ".join("".join(source.choices(syllables, k=2)) for _ in range(words))


def sentences(language: str, n: int, seed: int = 0) -> list[str]:
    """``n`` different sentences."""
    source, found = random.Random(f"{language}{seed}"), dict[str, None]()
    while len(found) < n:
        found[sentence(language, source)] = None
    return list(found)


def write_languages(root: Path, n: int = 60) -> Path:
    """A folder for each language, with a file of ``n`` lines."""
    for language in SYLLABLES:
        folder = root / language
        folder.mkdir(parents=True)
        (folder / "lines.txt").write_text("\n".join(sentences(language, n)) + "\n", "utf-8")
    return root


def write_files(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Files by their paths; text in UTF-8."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root
