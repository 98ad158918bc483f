"""Pairs of sentences to a trained translator, and its translations with what each word looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from featurescape_jobs import training, translations
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import SpecError, WeightsError
from featurescape_jobs.run import _commit
from featurescape_jobs.sequences.beam_search import BeamOptions
from featurescape_jobs.specs import ModelSpec, parse_spec
from featurescape_jobs.translating.loading import load_translator
from featurescape_jobs.translating.translating import SentenceTranslator

MODULES: dict[str, Any] = {"training": training, "translations": translations}
TRAINING_ID, TRANSLATIONS_ID = "training-00000000000b", "translations-00000000000c"
OTHER_ID = "translations-00000000000f"
WORDS = {
    **{"sun": "Sonne", "moon": "Mond", "star": "Stern", "tree": "Baum", "bird": "Vogel"},
    **{"fish": "Fisch", "house": "Haus", "road": "Weg", "snow": "Schnee", "rain": "Regen"},
}
SHAPE = {
    "family": "translator",
    "cell": "gru",
    "subwords": 512,
    "embedding_units": 32,
    "attention_units": 32,
    "hidden_units": 64,
    "dropout": 0.0,
}


def pairs(n: int, seed: int) -> list[tuple[str, str]]:
    """Sentences of two to four different words, and the German words in reverse."""
    rng, found = np.random.default_rng(seed), dict[str, str]()
    known = list(WORDS)
    while len(found) < n:
        words = [known[at] for at in rng.permutation(len(known))[: rng.integers(2, 5)]]
        found[" ".join(words)] = " ".join(WORDS[word] for word in reversed(words))
    return list(found.items())


def write_pairs(root: Path) -> Path:
    root.mkdir(parents=True)
    whole = pairs(1_300, seed=0)
    for name, part in {"train": whole[100:], "val": whole[50:100], "test": whole[:50]}.items():
        for language, side in zip(("en", "de"), zip(*part, strict=True), strict=True):
            (root / f"{name}.{language}").write_text("\n".join(side) + "\n", "utf-8")
    return root


def run_job(root: Path, job_id: str, **fields: Any) -> tuple[Outcome, RunContext]:
    """Run and commit a job."""
    spec = parse_spec({"job": job_id.partition("-")[0], **fields})
    context = RunContext(Storage(str(root / "storage")), job_id, 1, spec.seed, {})
    outcome = MODULES[spec.job].run(spec, context)
    assert _commit(spec, context, outcome) is not None
    return outcome, context


def dataset(root: Path, split: str) -> dict[str, Any]:
    languages = {"source_language": "en", "target_language": "de"}
    return {"name": "parallel_texts", "root": str(root / "pairs"), "split": split, **languages}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    root = tmp_path_factory.mktemp("translator")
    write_pairs(root / "pairs")
    outcome, _ = run_job(
        root,
        TRAINING_ID,
        dataset=dataset(root, "train"),
        model={"name": "translator", "shape": SHAPE},
        epochs=20,
        batch_size=16,
        learning_rate=0.004,
        options={
            "family": "translator",
            "validation_split": "val",
            "label_smoothing": 0.0,
            "patience": 20,
        },
    )
    return root, outcome


MODEL = {"name": "translator", "training": TRAINING_ID}


def test_a_training_says_what_it_learned_from(trained: tuple[Path, Outcome]) -> None:
    _, outcome = trained
    details = outcome.details
    assert details["training_examples"] == 1_200
    assert details["validation_examples"] + details["test_examples"] == 50
    assert (details["untranslated"], details["too_long"]) == (0, 0)
    assert details["validation_accuracy"] > 0.9
    assert details["translator"]["hidden_units"] == 64


def test_what_was_learned_beats_copying(trained: tuple[Path, Outcome]) -> None:
    root, _ = trained
    outcome, context = run_job(root, TRANSLATIONS_ID, dataset=dataset(root, "test"), model=MODEL)
    assert outcome.rows == 50
    scores, copied = outcome.details["scores"], outcome.details["copied"]
    assert scores["chrf"] > 80
    assert copied["chrf"] < 40
    assert scores["examples"] == copied["examples"] == 50
    rows = rows_of(context)
    assert [row["example_id"] for row in rows[:2]] == ["test.en#1", "test.en#2"]
    assert [row["source"] for row in rows] == [source for source, _ in pairs(1_300, 0)[:50]]
    assert np.mean([row["translation"] == row["references"][0] for row in rows]) > 0.7


def rows_of(context: RunContext) -> list[dict[str, Any]]:
    files = [file for file in context.files if file.kind == "translations"]
    tables = [context.storage.read_table(context.path(file.path)) for file in files]
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
    return rows


def test_rows_are_what_the_translator_says_of_each_text_alone(
    trained: tuple[Path, Outcome],
) -> None:
    root, _ = trained
    spec = dataset(root, "test")
    _, context = run_job(root, "translations-00000000000d", dataset=spec, model=MODEL, beam=3)
    loaded = load_translator(ModelSpec(**MODEL), Storage(str(root / "storage")))
    alone = SentenceTranslator(loaded.network, loaded.subwords, torch.device("cpu"))
    for row in rows_of(context)[::7]:
        (said,) = alone.translate([row["source"]], BeamOptions(3, 80, 2, 1.0))
        best = said.found[0]
        assert row["translation"] == alone.text(best)
        assert row["words"] == loaded.subwords.pieces(best.words)
        assert "".join(row["words"]).strip() == row["translation"]
        assert row["log_probability"] == pytest.approx(best.log_probability, abs=1e-3)
        assert np.shape(row["attention"]) == (len(row["words"]), len(row["source_words"]))
        assert np.allclose(np.sum(row["attention"], 1), 1, atol=5e-3)
        assert row["source_words"][-1] == ""
        assert len(row["alternatives"]) == 2


def test_what_is_too_long_is_cut_and_remarked_on(trained: tuple[Path, Outcome]) -> None:
    root, _ = trained
    outcome, context = run_job(
        root, "translations-00000000000e", dataset=dataset(root, "test"), model=MODEL, max_words=2
    )
    cut = [row for row in rows_of(context) if row["source_truncated"]]
    assert 0 < len(cut) < 50
    assert outcome.details["remarks"]["truncated_source"]["rows"] == len(cut)
    assert all(len(row["source_words"]) == 2 for row in cut)


@pytest.mark.parametrize(
    ("model", "kind", "said"),
    [
        ({**MODEL, "shape": {**SHAPE, "layers": 2}}, SpecError, "trained another shape"),
        ({**MODEL, "training": OTHER_ID}, WeightsError, "trained no translator"),
    ],
)
def test_another_training_is_refused_before_any_work(
    trained: tuple[Path, Outcome], model: dict[str, Any], kind: type[Exception], said: str
) -> None:
    root, _ = trained
    if not (root / "storage/jobs" / OTHER_ID / "manifest.json").exists():
        run_job(root, OTHER_ID, dataset=dataset(root, "test"), model=MODEL)
    with pytest.raises(kind, match=said):
        load_translator(ModelSpec(**model), Storage(str(root / "storage")))


def test_a_dataset_without_translations_is_refused_at_submit(tmp_path: Path) -> None:
    spec = parse_spec(
        {
            "job": "training",
            "dataset": {"name": "texts", "root": str(tmp_path)},
            "model": {"name": "translator"},
        }
    )
    with pytest.raises(SpecError, match="a translator learns from parallel_texts"):
        training.run(spec, RunContext(Storage(str(tmp_path)), TRAINING_ID, 1, 0, {}))
