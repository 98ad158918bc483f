"""Locators of ShapeNet's models: many views in few characters, read with few requests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featurescape_jobs.datasets.sources.shapenet_views import (
    MAX_VIEWS,
    ModelReader,
    View,
    pack,
    unpack,
)
from featurescape_jobs.datasets.sources.tar_index import Member, archive_in_memory, members
from featurescape_jobs.datasets.sources.tree import LocalTree
from featurescape_jobs.errors import RowError
from featurescape_jobs.images import decode
from helpers.shapenet_files import VIEWS, freeze, model_files, one_tar, reader, reds
from helpers.tar_builders import png, tar_bytes, write


def test_a_locator_names_many_views_in_few_characters() -> None:
    names = [f"{n:02d}.png" for n in range(24)]
    place = f"ShapeNetRendering/02691156/{'a' * 32}/rendering"
    views = [View(name, place) for name in names]
    assert unpack(pack(views)) == views
    assert len(pack(views)) < len(place) + 20
    offsets = np.cumsum([5120] * 24).tolist()
    packed = [
        View(n, "a.tar", Member(n, o, 4300), 4300) for n, o in zip(names, offsets, strict=True)
    ]
    assert unpack(pack(packed)) == packed
    assert len(pack(packed)) < 24 * 12


@pytest.mark.parametrize(
    "names",
    [
        ["00-23.png"],
        ["0.png", "1.png", "3.png"],
        ["9.png", "10.png"],
        ["08.png", "09.png", "10.png"],
        ["1.png", "2.jpg"],
        ["a.png", '"],["x.png', "käse.png", "\udcff.png"],
        ["2.png", "1.png"],
        ["٣.png", "٤.png"],
    ],
)
def test_any_names_come_back_from_a_locator(names: list[str]) -> None:
    views = [View(name, "m\udcff") for name in names]
    mixed = [
        *views,
        View("x.png", "a.tar", Member("x.png", 7, 0, "link")),
        View("y.png", "a.tar", Member("y.png", 3, 9), 9),
        View("y.png", "b.tar", Member("y.png", 3, 9), 9),
        *views,
    ]
    assert pack(mixed).isascii()
    assert [v.locator() for v in unpack(pack(mixed))] == [v.locator() for v in mixed]
    assert [v.name for v in unpack(pack(mixed))] == [v.name for v in mixed]


class CountingTree(LocalTree):
    """Counts what is read."""

    requests = 0

    def read(self, path: str, start: int, length: int) -> bytes:
        self.requests += 1
        return super().read(path, start, length)


def test_a_model_of_an_archive_is_read_with_one_request(tmp_path: Path) -> None:
    write(tmp_path, one_tar())
    model = freeze(tmp_path, example="model")[0][0]
    counting = CountingTree(tmp_path)
    assert len(ModelReader(counting).read_sequence(model.locator)) == VIEWS
    assert counting.requests == 1


def test_views_that_lie_far_apart_are_read_one_by_one(tmp_path: Path) -> None:
    inside = {"m/00.png": png(1), "other.bin": bytes(200_000), "m/01.png": png(2)}
    data = tar_bytes(inside)
    write(tmp_path, {"x.tar": data})
    found = [m for m in members(archive_in_memory(data, "x.tar")) if m.name.endswith("png")]
    counting = CountingTree(tmp_path)
    locator = pack([View(m.name, "x.tar", m, m.size) for m in found])
    assert reds(ModelReader(counting).read_sequence(locator)) == [1, 2]
    assert counting.requests == 2


def test_an_archive_that_was_cut_since_is_an_error_of_its_view(tmp_path: Path) -> None:
    write(tmp_path, {"x.tar": tar_bytes(model_files("m"))})
    (model,) = freeze(tmp_path, example="model")[0]
    cut = unpack(model.locator)[0].member  # the first view lies last in the archive
    assert cut is not None
    path = tmp_path / "x.tar"
    path.write_bytes(path.read_bytes()[: cut.offset + 10])
    with pytest.raises(RowError, match=r"view 00\.png: x\.tar ends after 10 of") as caught:
        reader(tmp_path, "model").read_sequence(model.locator)
    assert caught.value.code == "truncated"


def test_too_many_views_or_pixels_are_a_row_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {f"{n:04d}.png": b"" for n in range(MAX_VIEWS + 1)}
    write(tmp_path, {f"03001627/long/rendering/{name}": data for name, data in names.items()})
    write(tmp_path, model_files("wide"))
    long, wide = freeze(tmp_path, example="model")[0]
    assert len(long.locator) < 100
    with pytest.raises(RowError) as caught:
        reader(tmp_path, "model").read_sequence(long.locator)
    assert caught.value.code == "too_many_frames"
    monkeypatch.setattr(decode, "MAX_PIXELS", 17)  # two images of 3 × 2 fit
    with pytest.raises(RowError, match=r"view 02\.png: the views have 18 px") as caught:
        reader(tmp_path, "model").read_sequence(wide.locator)
    assert caught.value.code == "too_many_pixels"
