"""Words find images: two towers learn from stamps and captions here, and a map of the stamps is searched by
captions that no image of the training had."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.live.map_search import MapSearch
from featurescape_jobs.live.requests import SearchQuestion
from featurescape_jobs.models import MODELS
from featurescape_jobs.specs import DatasetSpec
from helpers.searched_maps import SearchedMap, run_and_commit, searched_map
from helpers.two_towers import NAME, StampTowers, train

pytestmark = pytest.mark.data

K = 10
STAMPS = {"name": "stamps"}


@dataclass(frozen=True)
class Stamps:
    """The stamps with what a network without words sees of them."""

    features: NDArray[np.float32]
    captions: list[str]

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """One in five, by the text of the caption: all images that have it, or none."""
        return np.array([hashlib.sha256(c.encode()).digest()[0] < 51 for c in self.captions])


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory, stamps: Path) -> Stamps:
    root = tmp_path_factory.mktemp("features")
    spec = {"job": "features", "dataset": STAMPS, "model": {"name": "efficientnet_lite0"}}
    run_and_commit(root, spec)
    searched = SearchedMap.at(root)
    listing = DATASETS["stamps"].freeze(DatasetSpec(name="stamps"))
    caption_of = {each.example_id: each.references for each in listing.entries}
    captions = [caption_of[each] for each in searched.features("example_id")]
    rows = [row for row, said in enumerate(captions) if said]
    features = np.array(searched.features("features"), np.float32)
    return Stamps(features[rows], [captions[row][0] for row in rows])


def recall(ranks: list[list[str]], asked: list[str]) -> float:
    """Part of the captions that an image with it is among the first `K` of."""
    return float(
        np.mean([caption in found[:K] for found, caption in zip(ranks, asked, strict=True)])
    )


def chance(captions: list[str], asked: list[str]) -> float:
    """The recall of images drawn at random: 1 - C(N - m, K) / C(N, K) of a caption that m images have."""
    n = len(captions)
    missed = [math.comb(n - captions.count(each), K) / math.comb(n, K) for each in asked]
    return 1 - float(np.mean(missed))


def ranked(towers: StampTowers, stamps: Stamps, asked: list[str]) -> list[list[str]]:
    """Captions of all images by their cosine to each text, largest first."""
    projected = towers._projection(torch.from_numpy(stamps.features)).detach().numpy()
    said = towers.text_tower().encode(asked)
    cosines = said @ (projected / np.linalg.norm(projected, axis=1, keepdims=True)).T
    return [[stamps.captions[row] for row in order] for order in (-cosines).argsort(axis=1)]


def test_captions_that_were_not_seen_find_their_images(
    described: Stamps,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = ~described.held_out
    asked = sorted(
        {c for c, out in zip(described.captions, described.held_out, strict=True) if out}
    )
    assert not set(asked) & {c for c, kept in zip(described.captions, seen, strict=True) if kept}
    towers = train(
        described.features[seen],
        [c for c, kept in zip(described.captions, seen, strict=True) if kept],
    )
    monkeypatch.setitem(MODELS._entries, NAME, towers)
    searched = searched_map(tmp_path, {"dataset": STAMPS, "model": {"name": NAME}})
    listing = DATASETS["stamps"].freeze(DatasetSpec(name="stamps"))
    caption_of = {each.example_id: (*each.references, "")[0] for each in listing.entries}
    on_map = [caption_of[each] for each in searched.ids]
    found = {}
    for name, exact_up_to in (("exact", len(on_map)), ("index", len(on_map) - 1)):
        search = MapSearch(searched.setup, exact_up_to)
        answers = [search.nearest(SearchQuestion(text=text, k=K)) for text in asked]
        assert {each["metric"] for each in answers} == {"cosine"}
        found[name] = recall([[on_map[row] for row in each["rows"]] for each in answers], asked)
    by_chance = chance(on_map, asked)
    with capsys.disabled():
        print(
            f"\nrecall at {K} of {len(asked)} held-out captions among {len(on_map)} stamps: {found['exact']:.3f} "
            f"exact, {found['index']:.3f} by an index; by chance {by_chance:.3f}"
        )
    assert found["exact"] >= 5 * by_chance
    assert found["index"] == pytest.approx(found["exact"], abs=0.05)


def test_with_the_captions_of_other_images_nothing_is_learned(
    described: Stamps, capsys: pytest.CaptureFixture[str]
) -> None:
    """Control: the gate is not passed by any towers."""
    seen = np.flatnonzero(~described.held_out)
    shuffled = np.random.default_rng(0).permutation(seen)
    towers = train(described.features[seen], [described.captions[row] for row in shuffled])
    asked = sorted({described.captions[row] for row in np.flatnonzero(described.held_out)})
    found = recall(ranked(towers, described, asked), asked)
    by_chance = chance(described.captions, asked)
    with capsys.disabled():
        print(f"\ntrained with shuffled captions: {found:.3f}; by chance {by_chance:.3f}")
    assert found < 5 * by_chance
