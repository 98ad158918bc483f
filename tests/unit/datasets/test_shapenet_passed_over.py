"""What lies beside ShapeNet's views, and what is hostile or broken."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

from featurescape_jobs.datasets import cached_listing
from featurescape_jobs.datasets.cached_listing import index_dataset
from featurescape_jobs.datasets.sources import tree
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.specs import DatasetSpec
from helpers.shapenet_files import (
    MODELS,
    ORDERED,
    SHAPENET,
    VIEWS,
    files,
    freeze,
    ids,
    layouts,
    model_files,
    reader,
    reds,
)
from helpers.tar_builders import entry, png, tar_bytes, write


def test_models_without_views_and_other_folders_are_no_examples(tmp_path: Path) -> None:
    write(tmp_path, model_files("m"))
    write(tmp_path, {"03001627/mesh/models/model.obj": b"x", "code/src/main.py": b"x"})
    write(tmp_path, {"03001627/.hidden/rendering/00.png": b"x", "03001627/readme.txt": b"x"})
    (tmp_path / "03001627/empty/rendering").mkdir(parents=True)
    found, classes = freeze(tmp_path, example="model")
    assert (ids(found), classes) == (["03001627/m"], ("chair",))
    assert counted(tmp_path) == {
        "a model without images": ["03001627/empty", "03001627/mesh"],
        "a hidden folder": ["03001627/.hidden"],
        "a .txt file": ["03001627/readme.txt"],
        "a folder without renderings": ["code"],
    }


def counted(root: Path, split: str = "all") -> dict[str, list[str]]:
    """The first names by reason, of a listing that was gone through."""
    spec = DatasetSpec(name="shapenet", root=str(root), split=split, example="model")
    listing = SHAPENET.freeze(spec)
    assert list(listing.entries)
    assert listing.source is not None
    return {one.reason: one.names for one in listing.source.passed_over.record().reasons}


HTML = b"<!DOCTYPE html><html>"
ODD = {
    "01.jpg": png(2),  # without a list, it takes the number of 01.png
    "page.html": HTML,
    "notes": b"plain",
    ".x": b"",
}


@pytest.mark.parametrize("tar", [False, True])
def test_what_lies_in_a_model_and_is_no_view_is_counted(tmp_path: Path, tar: bool) -> None:
    inside = {
        **model_files("m", **{"renderings.txt": None}, **ODD),
        **model_files("n", **{"renderings.txt": b"00.png\n01.png\n"}),
        "03001627/m/mesh.off": b"OFF",
    }
    before = "x.tar/" if tar else ""
    write(tmp_path, {"x.tar": tar_bytes(inside)} if tar else inside)
    model = f"{before}03001627/m"
    place = "03001627/{}/rendering".format
    assert counted(tmp_path) == {
        "an image with the number of another one": [f"{place('m')}/01.png"],
        "an image that renderings.txt does not name": [f"{place('n')}/02.png"],
        "an HTML page: download the file itself again": [f"{model}/rendering/page.html"],
        "plain text": [f"{model}/rendering/notes", f"{model}/mesh.off"]
        if tar
        else [f"{model}/mesh.off", f"{model}/rendering/notes"],
        "a hidden file": [f"{model}/rendering/.x"],
    }


def test_what_lies_beside_archives_is_counted(tmp_path: Path) -> None:
    cameras = {"03001627/c/rendering/rendering_metadata.txt": b"1 2 3 4 5\n"}
    alone = {"04256520/c/rendering/rendering_metadata.txt": b"1 2 3 4 5\n"}
    words = b'[{"synsetId": "03001627", "name": "chair", "children": []}]'
    outside = {"03001627/m/views/0.png": png(1), "taxonomy.json": words}
    write(tmp_path, {"x.tar": tar_bytes({**model_files("m"), **cameras, **alone, **outside})})
    write(tmp_path, {"page": HTML, "0.png": png(1), "code/a.py": b"x", "taxonomy.json": words})
    assert counted(tmp_path) == {
        "a model without images": ["04256520/c", "03001627/c"],
        "an image outside the renderings": ["x.tar/03001627/m/views/0.png", "0.png"],
        "an HTML page: download the file itself again": ["page"],
        "a folder without renderings": ["code"],
    }


def test_archives_beside_folders_and_other_folders_beside_the_base_are_counted(
    tmp_path: Path,
) -> None:
    write(tmp_path, layouts()["folders in ShapeNetRendering"])
    write(tmp_path, {"x.tar": tar_bytes({"a": b"x"}), "ShapeNetRendering/more/a.txt": b"x"})
    expected = {
        "a folder without renderings": ["ShapeNetVox32", "ShapeNetRendering/more"],
        "a tar archive: unpack it": ["x.tar"],
    }
    assert counted(tmp_path) == expected
    assert counted(tmp_path, "train") == expected  # the models of other splits are no loss


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ({"readme.txt": b""}, r"no renderings in .*looked for <synset>/<model>/rendering/"),
        ({"ShapeNetRendering.tgz": b"x"}, r"ShapeNetRendering\.tgz is packed.*unpack it"),
        ({"a/b/c/00.png": b"x"}, "are read by the dataset images"),
        ({"x.tar": b"\x1f\x8b" + bytes(600)}, "is packed with gzip.*unpack it to a plain .tar"),
        ({"x.tar": tar_bytes({"a/00.png": b""})}, "no renderings in"),
        ({"x.tar": tar_bytes(files()).rstrip(b"\0")}, "x.tar is cut off"),
        (
            {"a.tar": tar_bytes(files()), "b.tar": tar_bytes(files())},
            r"02691156/.*/rendering/.*\.png is twice in the archives \(a\.tar, b\.tar\)",
        ),
    ],
    ids=["empty", "tgz", "images", "gzip", "no models", "cut off", "twice"],
)
def test_what_is_missing_or_broken_is_said(
    tmp_path: Path, inside: dict[str, bytes], message: str
) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        freeze(write(tmp_path, inside))
    assert caught.value.detail["field"] == "dataset.root"


def test_a_packed_archive_as_the_root_is_refused_with_the_remedy(tmp_path: Path) -> None:
    write(tmp_path, {"ShapeNetRendering.tgz": b"x"})
    with pytest.raises(DatasetError, match=r"to a plain \.tar"):
        freeze(tmp_path / "ShapeNetRendering.tgz")


def test_links_and_names_that_lead_outside_are_error_rows(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        link = entry("c/m/rendering/00.png", kind=tarfile.SYMTYPE)
        link.linkname = "/etc/passwd"
        archive.addfile(link)
        for name in ("c/m/rendering/01.png", "../c/out/rendering/00.png", "c/../rendering/00.png"):
            archive.addfile(entry(name, png(7)), io.BytesIO(png(7)))
        order = entry("c/m/rendering/renderings.txt", kind=tarfile.LNKTYPE)
        order.linkname = "/etc/passwd"
        archive.addfile(order)
    write(tmp_path, {"x.tar": sink.getvalue()})
    found = freeze(tmp_path)[0]
    assert ids(found) == ["c/m/00", "c/m/01", "c/out/00"]
    codes = []
    for row in found:
        try:
            codes.append(str(reader(tmp_path).read(row.locator)[0, 0, 0]))
        except RowError as error:
            codes.append(error.code)
    assert codes == ["refused", "7", "refused"]
    bad = freeze(tmp_path, example="model")[0][0]
    with pytest.raises(RowError, match=r"view 00\.png: the archive's entry is a link"):
        reader(tmp_path, "model").read_sequence(bad.locator)


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_names_that_are_not_utf8_are_read_too(tmp_path: Path) -> None:
    folder = bytes(tmp_path) + b"/caf\xe9/m\xff/rendering"
    Path(folder.decode("utf-8", "surrogateescape")).mkdir(parents=True)
    for name, value in ((b"a\xfe.png", 1), (b"b:0:9.png", 2)):
        with open(folder + b"/" + name, "wb") as file:  # noqa: PTH123 - pathlib has no bytes paths
            file.write(png(value))
    with open(folder + b"/c\xfe.png", "wb") as file:  # noqa: PTH123
        file.write(b"no image")
    views, classes = freeze(tmp_path)
    assert classes == ("caf\\xe9",)
    names = ("a\\xfe", "b:0:9", "c\\xfe")
    assert ids(views) == [f"caf\\xe9/m\\xff/{name}" for name in names]
    assert reds([reader(tmp_path).read(e.locator) for e in views[:2]]) == [1, 2]
    (model,) = freeze(tmp_path, example="model")[0]
    assert model.locator.isascii()
    with pytest.raises(RowError) as caught:
        reader(tmp_path, "model").read_sequence(model.locator)
    assert caught.value.message.startswith("view c\\xfe.png: ")


def test_a_kept_listing_is_made_anew_when_a_camera_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_listing, "MIN_EXAMPLES", 1)
    monkeypatch.setattr(tree, "SETTLE_SECONDS", 0.0)
    root = write(tmp_path / "data", files())
    spec = DatasetSpec(name="shapenet", root=str(root))
    storage = Storage(str(tmp_path / "storage"))
    first, second = (index_dataset(SHAPENET, spec, storage) for _ in range(2))
    assert (first.reused, second.reused) == (False, True)
    assert second.table.equals(first.table)
    whole = index_dataset(SHAPENET, spec.model_copy(update={"example": "model"}), storage)
    assert (whole.reused, whole.table.num_rows) == (False, len(ORDERED))
    path = root / "03001627" / MODELS["03001627"][0] / "rendering" / "rendering_metadata.txt"
    path.write_text("\n".join(["1 2 0 0.5 25"] * VIEWS))
    third = index_dataset(SHAPENET, spec, storage)
    assert not third.reused
    said = [json.loads(row) for row in third.table["attributes"].to_pylist()]
    assert [row["distance"] for row in said].count(0.5) == VIEWS
