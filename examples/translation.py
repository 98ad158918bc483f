"""English to German, learned from Debian's package descriptions and their translations.

    featurescape serve &
    python examples/translation.py [--root FOLDER] [--epochs 16] [--url http://127.0.0.1:8090]

``apt-get update`` brings descriptions in the languages that it is asked for: here English and German, into a
folder below ``--root`` and not into the system's own lists. Paragraphs with the same md5 sum of their English text
are joined, and cut into sentences where both have equally many. The parts (train, val, test) are drawn by the
source package, so that `libfoo1` and `libfoo-dev`, which share paragraphs, are in the same one. What Debian has
changes from day to day, and so do the figures.

A `translator` learns the training part; a `translations` job translates the test part. Printed are BLEU, chrF2 and
TER with their signatures, beside those of copying the source and of a translation memory: the translation of that
sentence of the training part whose source is most like the one asked for, by chrF2.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from sacrebleu.metrics.chrf import CHRF

from featurescape import Artifact, Client

TITLE = "Debian's descriptions, English to German"
LANGUAGES = ("en", "de")
PARTS = (("test", 0.05), ("val", 0.1), ("train", 1.0))
"""Parts, and up to which fraction of the source packages each goes."""
SHAPE = {
    "family": "translator",
    "subwords": 4_000,
    "embedding_units": 192,
    "attention_units": 192,
    "hidden_units": 320,
}
"""Small enough for two cores and some 15 minutes."""
MOST_CHARACTERS = 400
_SENTENCE = re.compile(r"(?<=[.!?:])\s+(?=[A-ZÄÖÜ\"(])")
NEAREST = 50
"""Sentences with most words in common that a translation memory compares by chrF2."""
MEMORY_OF = 500
"""Test sentences that a translation memory is asked for."""

Description = tuple[str, list[str]]
"""Package, and paragraphs, the first of which is the title."""


def main() -> None:
    """Fetch, train, translate, and print what it is worth."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", default=None, help="of the service")
    parser.add_argument("--root", type=Path, default=Path.home() / ".cache/featurescape/debian")
    parser.add_argument("--epochs", type=int, default=16)
    options = parser.parse_args()
    folder = options.root / "pairs"
    if not (folder / "train.de").exists():
        write_pairs(options.root, folder)
    client = Client(options.url)
    dataset = {"name": "parallel_texts", "root": str(folder)}
    dataset |= {"source_language": "en", "target_language": "de"}
    started = time.monotonic()
    training = client.submit(training_spec(dataset, options.epochs)).wait(show=False)
    print(f"trained in {time.monotonic() - started:.0f} s, with all that came before it")
    model = {"name": "translator", "training": training.id}
    test = {**dataset, "split": "test"}
    spec = {"job": "translations", "title": TITLE, "dataset": test, "model": model}
    report(client.submit(spec).wait(show=False).artifact(), folder)


def training_spec(dataset: dict[str, str], epochs: int) -> dict[str, object]:
    """The training: what chooses the epoch is of other source packages than what is learned from."""
    return {
        "job": "training",
        "title": TITLE,
        "dataset": {**dataset, "split": "train"},
        "model": {"name": "translator", "shape": SHAPE},
        "epochs": epochs,
        "options": {"family": "translator", "validation_split": "val"},
    }


def report(artifact: Artifact, folder: Path) -> None:
    """Print the scores, those of the baselines, and some sentences."""
    details = artifact.manifest.details
    for name in ("scores", "copied"):
        found = details[name]
        print(f"{name}: BLEU {found['bleu']:.1f} chrF2 {found['chrf']:.1f} TER {found['ter']:.1f}")
    print(f"signatures: {details['scores']['signatures']}")
    rows = artifact.table().select(["source", "translation", "references"])
    print(f"translation memory: chrF2 {memory_score(folder, rows.to_pylist()[:MEMORY_OF]):.1f}")
    for row in rows.slice(0, 5).to_pylist():
        print(f"  {row['source']}\n  {row['translation']}\n  {row['references'][0]}\n")


# -- data --------------------------------------------------------------------------------------


def write_pairs(root: Path, folder: Path) -> None:
    """Fetch the descriptions and write pairs of sentences, a file for each part and language."""
    texts = {language: fetch(root, language) for language in LANGUAGES}
    sources = source_packages(root)
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, dict[tuple[str, str], None]] = {name: {} for name, _ in PARTS}
    for digest in sorted(texts["en"].keys() & texts["de"].keys()):
        (package, english), (_, german) = texts["en"][digest], texts["de"][digest]
        part = part_of(sources.get(package, package))
        parts[part] |= dict.fromkeys(sentence_pairs(english, german))
    seen: set[str] = set()
    for name, _ in reversed(PARTS):  # what the training part has is nobody else's
        pairs = [pair for pair in parts[name] if pair[0] not in seen]
        seen |= {source for source, _ in pairs}
        for place, language in enumerate(LANGUAGES):
            lines = "".join(pair[place] + "\n" for pair in pairs)
            (folder / f"{name}.{language}").write_text(lines, "utf-8")
        print(f"{name}: {len(pairs)} pairs")


def fetch(root: Path, language: str) -> dict[str, Description]:
    """Descriptions by the md5 sum of their English text."""
    lists = root / f"lists-{language}"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    options = [f"Dir::State::lists={lists}", f"Acquire::Languages={language}"]
    flags = [flag for option in options for flag in ("-o", option)]
    subprocess.run(["apt-get", *flags, "update", "-qq"], check=True)
    found: dict[str, Description] = {}
    for path in sorted(lists.glob(f"*_Translation-{language}*")):
        for stanza in stanzas(path):
            text = stanza.get(f"Description-{language}")
            if text and "Description-md5" in stanza:
                found[stanza["Description-md5"]] = (stanza["Package"], paragraphs(text))
    print(f"{len(found)} descriptions in {language}")
    return found


def source_packages(root: Path) -> dict[str, str]:
    """The source package of each package that has another name than it."""
    lists = root / f"lists-{LANGUAGES[0]}"
    return {
        stanza["Package"]: stanza["Source"].partition(" ")[0]
        for path in sorted(lists.glob("*_Packages*"))
        for stanza in stanzas(path)
        if "Source" in stanza
    }


def stanzas(path: Path) -> Iterator[dict[str, str]]:
    """The records of a list, whichever way it is packed."""
    helper = "/usr/lib/apt/apt-helper"
    text = subprocess.run([helper, "cat-file", str(path)], capture_output=True, check=True).stdout
    for record in text.decode("utf-8", "replace").split("\n\n"):
        found: dict[str, str] = {}
        name = ""
        for line in record.splitlines():
            if line[:1].isspace():
                found[name] += "\n" + line
            elif ":" in line:
                name, _, value = line.partition(":")
                found[name] = value.strip()
        if found:
            yield found


def paragraphs(text: str) -> list[str]:
    """The title, and the paragraphs behind it, each on one line; those with a list are left out."""
    title, *lines = text.split("\n")
    found, last = [title], list[str]()
    for line in [*lines, " ."]:
        if line.strip() not in (".", ""):
            last.append(line)
            continue
        if last and not any(one.startswith("  ") for one in last):
            found.append(" ".join(map(str.strip, last)))
        last = []
    return found


def sentence_pairs(english: list[str], german: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of sentences, of descriptions with equally many paragraphs and these of sentences."""
    if len(english) != len(german):
        return
    for one, other in zip(english, german, strict=True):
        sides = _SENTENCE.split(one), _SENTENCE.split(other)
        if len(sides[0]) == len(sides[1]):
            for pair in zip(*sides, strict=True):
                if pair[0] != pair[1] and max(map(len, pair)) <= MOST_CHARACTERS and all(pair):
                    yield pair


def part_of(source: str) -> str:
    """The part of a source package, by a hash of its name."""
    drawn = int.from_bytes(hashlib.sha256(source.encode()).digest()[:4], "little") / 2**32
    return next(name for name, end in PARTS if drawn < end)


# -- translation memory ------------------------------------------------------------------------


def memory_score(folder: Path, rows: list[dict[str, object]]) -> float:
    """chrF2 of what a translation memory says of some sentences."""
    sides = [(folder / f"train.{one}").read_text("utf-8").splitlines() for one in LANGUAGES]
    words = [frozenset(line.lower().split()) for line in sides[0]]
    chrf = CHRF()
    said = []
    for row in rows:
        asked = frozenset(str(row["source"]).lower().split())
        common = [2 * len(asked & one) / (len(asked) + len(one)) for one in words]
        near = sorted(range(len(words)), key=lambda at: -common[at])[:NEAREST]
        best = max(
            near,
            key=lambda at: chrf.sentence_score(sides[0][at], [str(row["source"])]).score,
        )
        said.append(sides[1][best])
    references = [[str(row["references"][0]) for row in rows]]  # type: ignore[index]
    return float(chrf.corpus_score(said, references).score)


if __name__ == "__main__":
    main()
