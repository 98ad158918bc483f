"""States of words know their word, and a color layer draws the most frequent ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.color_layers.category import decode_categories
from featurescape_jobs.color_layers.data_tiles import decode_rgb
from featurescape_jobs.color_layers.palette import NO_LABEL_COLOR
from featurescape_jobs.color_layers.token import MAX_NAMED, OTHERS
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.tiling.archive import ArchiveReader
from featurescape_jobs.tiling.scene import MapScene
from featurescape_jobs.tiling.states import States
from featurescape_jobs.tiling.tokens import Tokens

HOSTILE = "<img src=x>"


def scene_of(tokens: Tokens) -> MapScene:
    """A state per pixel of the upper left, in their order."""
    n = len(tokens.codes)
    y, x = np.divmod(np.arange(n), 32)
    return MapScene(
        x=((x + 0.5) / 512).astype(np.float32),
        y=((y + 0.5) / 512).astype(np.float32),
        classes=np.zeros(n, np.uint16),
        class_names=("a",),
        max_zoom=2,
        thumbnail_px=64,
        images=None,
        threads=1,
        progress=lambda done, total: None,
        tokens=tokens,
    )


def states_of(words: list[list[str]], unit: str = "word") -> tuple[States, pa.ChunkedArray]:
    """All states of captions, and the attributes of each state's example."""
    lengths = [len(of) for of in words]
    numbers = [np.repeat(np.arange(len(words)), lengths).astype(np.int32)] * 2
    step = np.concatenate([np.arange(length) for length in lengths]).astype(np.int32)
    steps = np.repeat(lengths, lengths).astype(np.int32)
    attributes = [json.dumps({"words": of, "row": row}) for row, of in enumerate(words) for _ in of]
    return States(*numbers, step, steps, unit), pa.chunked_array([attributes])  # type: ignore[arg-type]


def test_words_are_numbered_by_how_often_they_are_said() -> None:
    tokens = Tokens.of(["b", "a", "c", "c", "b", "c"])
    assert tokens.names == ("c", "b", "a")
    assert tokens.codes.tolist() == [1, 2, 0, 0, 1, 0]
    assert Tokens.of(["b", "a"]).names == ("a", "b"), "of equal frequency by the alphabet"


def test_a_state_has_the_word_of_its_step_among_its_attributes() -> None:
    states, attributes = states_of([["ein", "grüner", HOSTILE], ["ein"]])
    described = states.described(attributes)
    found = [json.loads(text) for text in described.attributes.to_pylist()]
    assert [entry["token"] for entry in found] == ["ein", "grüner", HOSTILE, "ein"]
    assert [(entry["row"], entry["step"], entry["steps"]) for entry in found] == [
        (0, 0, 3), (0, 1, 3), (0, 2, 3), (1, 0, 1)
    ]  # fmt: skip
    assert "grüner" in described.attributes[1].as_py(), "a search finds other letters than ASCII"
    assert described.tokens is not None
    assert described.tokens.names[0] == "ein"


def test_words_that_a_dataset_knows_are_no_tokens() -> None:
    states, attributes = states_of([["a", "b"]], unit="row")
    described = states.described(attributes)
    assert described.tokens is None
    assert "token" not in json.loads(described.attributes[0].as_py())


@pytest.mark.parametrize(
    "text", [None, "{}", '{"words": ["a"]}', '{"words": [1, 2]}', '{"words": 7}']
)
def test_states_without_their_words_are_refused(text: str | None) -> None:
    states, _ = states_of([["a", "b"]])
    with pytest.raises(ArtifactError, match="2 states of words has other words"):
        states.described(pa.chunked_array([pa.array([text, text], pa.string())]))


def test_the_frequent_words_have_a_color_and_the_others_share_one(tmp_path: Path) -> None:
    """Word k is said 60 - k times: forty by name, ten together."""
    said = [f"word {k}" for k in range(50) for _ in range(60 - k)]
    np.random.default_rng(0).shuffle(said)
    drawn = COLOR_LAYERS["token"].draw(scene_of(Tokens.of(said)), tmp_path / "token.pmtiles")
    legend = drawn.legend.classes
    assert [entry.name for entry in legend] == [*(f"word {k}" for k in range(40)), OTHERS]
    assert [entry.index for entry in legend] == list(range(MAX_NAMED + 1))
    assert [entry.count for entry in legend] == [
        *range(60, 20, -1),
        sum(60 - k for k in range(40, 50)),
    ]
    assert sum(entry.count for entry in legend) == len(said)
    assert drawn.counts == [len(said)] * (drawn.max_zoom + 1)
    assert len({entry.color for entry in legend}) == MAX_NAMED + 1
    assert legend[-1].color == NO_LABEL_COLOR
    tile = ArchiveReader(Storage(str(tmp_path)), "token.pmtiles").get(0, 0, 0)
    assert tile is not None
    pixels = decode_categories(decode_rgb(tile))
    names = [legend[index].name for index in pixels.classes[:, :32].reshape(-1)[: len(said)]]
    expected = [word if int(word[5:]) < MAX_NAMED else OTHERS for word in said]
    assert names == expected


def test_few_words_leave_no_others_and_hostile_ones_stay_text(tmp_path: Path) -> None:
    tokens = Tokens.of([HOSTILE, "a", HOSTILE])
    drawn = COLOR_LAYERS["token"].draw(scene_of(tokens), tmp_path / "token.pmtiles")
    assert [(entry.name, entry.count) for entry in drawn.legend.classes] == [(HOSTILE, 2), ("a", 1)]
