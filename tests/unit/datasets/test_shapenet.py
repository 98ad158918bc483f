"""ShapeNet's renderings: every layout gives the same examples, order and cameras."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from featurescape_jobs.errors import RowError
from helpers.shapenet_files import (
    CAMERAS,
    NAMES,
    ORDERED,
    VIEWS,
    camera,
    freeze,
    ids,
    layouts,
    model_files,
    one_tar,
    reader,
    reds,
    shade,
)
from helpers.tar_builders import bucket, png, tar_bytes, upload, write


def facts(root: object, example: str) -> list[tuple[object, ...]]:
    """All that is the same in every layout."""
    found, classes = freeze(root, example=example)
    read = reader(root, example)
    return [
        (e.example_id, e.label, classes[e.label or 0], e.attributes, *reds(read.read_sequence(e.locator)))
        for e in found
    ]  # fmt: skip


EXPECTED = {
    "view": [
        (f"{c}/{m}/{n:02d}", k, NAMES[k], camera(CAMERAS[n]), shade(c, m, n))
        for k, c, m in ORDERED
        for n in range(VIEWS)
    ],
    "model": [
        (f"{c}/{m}", k, NAMES[k], {"views": VIEWS}, *(shade(c, m, n) for n in range(VIEWS)))
        for k, c, m in ORDERED
    ],
}


@pytest.mark.parametrize("example", ["view", "model"])
@pytest.mark.parametrize("layout", list(layouts()))
def test_every_layout_gives_the_same_examples(tmp_path: Path, layout: str, example: str) -> None:
    write(tmp_path, layouts()[layout])
    assert facts(tmp_path, example) == EXPECTED[example]


@pytest.fixture(scope="module")
def s3_root() -> Iterator[str]:
    with bucket("shapenet") as root:
        yield root


@pytest.mark.parametrize("layout", ["folders", "parts", "an artifact"])
def test_a_bucket_gives_the_same_examples(tmp_path: Path, layout: str, s3_root: str) -> None:
    root = upload(write(tmp_path, layouts()[layout]), f"{s3_root}/{len(layout)}")
    assert facts(root, "view") == EXPECTED["view"]
    assert facts(root, "model") == EXPECTED["model"]


def test_an_archive_can_be_the_root_itself(tmp_path: Path) -> None:
    write(tmp_path, one_tar())
    assert facts(tmp_path / "ShapeNetRendering.tar", "model") == EXPECTED["model"]


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    sink = io.BytesIO()
    Image.new("RGBA", (4, 4), (200, 0, 0, 0)).save(sink, "PNG")
    write(tmp_path, model_files("m", **{"00.png": sink.getvalue()}))
    first = reader(tmp_path).read(freeze(tmp_path)[0][0].locator)
    assert first.shape == (4, 4, 3)
    assert (first == 255).all()


def test_the_sequence_is_that_of_renderings_txt(tmp_path: Path) -> None:
    write(tmp_path, model_files("m", **{"renderings.txt": b"02.png\r\n00.png\r\n01.png\r\n"}))
    (model,) = freeze(tmp_path, example="model")[0]
    assert reds(reader(tmp_path, "model").read_sequence(model.locator)) == [3, 1, 2]
    assert reader(tmp_path, "model").read(model.locator)[0, 0, 0] == 3
    views = freeze(tmp_path)[0]
    assert ids(views) == [f"03001627/m/{n}" for n in ("02", "00", "01")]
    assert [e.attributes for e in views] == [camera(line) for line in CAMERAS]


BAD_ORDERS = {
    "missing": None,
    "empty": b"\n\n",
    "not UTF-8": b"\xff\xfe",
    "leads outside": b"../../../secret.png\n00.png\n01.png",
    "absolute": b"/etc/passwd.png\n",
    "no images": b"00.txt\n01.txt\n02.txt",
    "twice": b"00.png\n00.png\n01.png",
    "hidden": b".png\n.00.png",
    "control characters": b"0\x000.png\n1\x1b.png",
    "long": b"9" * 300 + b".png",
    "huge": b"00.png\n" * 60_000,
}


@pytest.mark.parametrize("order", BAD_ORDERS.values(), ids=list(BAD_ORDERS))
def test_without_a_sound_renderings_txt_views_come_by_number(
    tmp_path: Path, order: bytes | None
) -> None:
    names = {"9.png": png(9), "10.png": png(10), "b.png": png(20), "a.png": png(30)}
    images: dict[str, bytes | None] = dict.fromkeys(("00.png", "01.png", "02.png"))
    write(tmp_path / "a", model_files("m", **images, **names, **{"renderings.txt": order}))
    inside = model_files("m", **images, **names, **{"renderings.txt": order})
    write(tmp_path / "b", {"x.tar": tar_bytes([*reversed(inside.items())])})
    for root in (tmp_path / "a", tmp_path / "b"):
        (model,) = freeze(root, example="model")[0]
        assert reds(reader(root, "model").read_sequence(model.locator)) == [9, 10, 30, 20]


BAD_CAMERAS = {
    "missing": None,
    "empty": b"",
    "too few lines": b"1 2 0 1 25\n",
    "too many lines": b"1 2 0 1 25\n" * 4,
    "an image": png(1),
    "huge": b"1 2 0 1 25\n" * 30_000,
}


@pytest.mark.parametrize("cameras", BAD_CAMERAS.values(), ids=list(BAD_CAMERAS))
def test_a_wrong_number_of_cameras_gives_none_and_keeps_the_views(
    tmp_path: Path, cameras: bytes | None
) -> None:
    inside = model_files("m", **{"rendering_metadata.txt": cameras})
    write(tmp_path / "a", inside)
    write(tmp_path / "b", {"x.tar": tar_bytes(inside)})
    for root in (tmp_path / "a", tmp_path / "b"):
        found = freeze(root)[0]
        assert ids(found) == [f"03001627/m/0{n}" for n in range(3)]
        assert [e.attributes for e in found] == [None] * 3


@pytest.mark.parametrize(
    "line", ["x 2 0 1 25", "1 2 0 1", "nan 2 0 1 25", "1 2 inf 1 25", "1 2 0 1 25 7", "", "\x00"]
)
def test_a_line_that_is_not_five_numbers_is_no_camera_of_its_view_only(
    tmp_path: Path, line: str
) -> None:
    lines = f"{CAMERAS[0]}\n{line}\n{CAMERAS[2]}\n\n"
    write(tmp_path, model_files("m", **{"rendering_metadata.txt": lines.encode()}))
    found = [e.attributes for e in freeze(tmp_path)[0]]
    assert found == [camera(CAMERAS[0]), None, camera(CAMERAS[2])]


@pytest.mark.parametrize("packed", [False, True])
def test_a_view_that_is_missing_or_broken_is_an_error_that_names_it(
    tmp_path: Path, packed: bool
) -> None:
    broken: dict[str, bytes | None] = {"01.png": None, "02.png": b"<svg>"}
    inside = {**model_files("good"), **model_files("bad", **broken)}
    write(tmp_path, {"x.tar": tar_bytes(inside)} if packed else inside)
    found = freeze(tmp_path)[0]
    assert ids(found) == [f"03001627/{m}/0{n}" for m in ("bad", "good") for n in range(3)]
    read = reader(tmp_path)
    assert read.read(found[0].locator)[0, 0, 0] == 1
    for row, code in ((1, "not_found"), (2, "not_an_image")):
        with pytest.raises(RowError) as caught:
            read.read(found[row].locator)
        assert caught.value.code == code
    bad, good = freeze(tmp_path, example="model")[0]
    assert (bad.attributes, good.attributes) == ({"views": 3}, {"views": 3})
    whole = reader(tmp_path, "model")
    with pytest.raises(RowError, match=r"view 01\.png: ") as caught:
        whole.read_sequence(bad.locator)
    assert caught.value.code == "not_found"
    assert whole.read(bad.locator)[0, 0, 0] == 1
    assert reds(whole.read_sequence(good.locator)) == [1, 2, 3]
