"""ShapeNet's renderings in folders, archives and artifacts give the same examples; nothing in them is trusted."""

from __future__ import annotations

import hashlib
import io
import json
import math
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from featurescape_jobs.artifacts import ArtifactRef, Manifest
from featurescape_jobs.datasets import DATASETS, cached_listing
from featurescape_jobs.datasets.base import Entry, SequenceReader
from featurescape_jobs.datasets.cached_listing import index_dataset
from featurescape_jobs.datasets.sources import tree
from featurescape_jobs.datasets.sources.shapenet_names import SYNSETS, Splits
from featurescape_jobs.datasets.sources.shapenet_views import (
    MAX_VIEWS,
    ModelReader,
    View,
    pack,
    unpack,
)
from featurescape_jobs.datasets.sources.tar_index import Member, archive_in_memory, members
from featurescape_jobs.datasets.sources.tree import LocalTree
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.images import decode
from featurescape_jobs.specs import DatasetSpec
from helpers.tar_builders import bucket, entry, png, tar_bytes, upload, write

SHAPENET = DATASETS["shapenet"]
VIEWS = 3
MODELS = {
    "02691156": ["1021a0914a7207aff927ed529ad90a11", "10155655850468db78d106ce0a280f87"],
    "03001627": ["1006be65e7bc937e9141f9b58470d646"],
    "99999999": ["a"],
}
"""In the order of no listing."""
NAMES = ("airplane", "chair", "99999999")
CAMERAS = ["148.548 29.75 0 0.7665 25", "0.25 -30.5 0 0.9 25", "349 25 0 0.65 25"]
ORDER = "00.png\n01.png\n02.png\n"


def shade(category: str, model: str, number: int) -> int:
    """The red by which a view is told."""
    return 40 * [*MODELS].index(category) + 10 * MODELS[category].index(model) + number


def rendering(shades: list[int]) -> dict[str, bytes]:
    """What is in the folder of a model's pictures, in no order."""
    pictures = {f"{n:02d}.png": png(value) for n, value in enumerate(shades)}
    cameras = "".join(f"{line}\n" for line in CAMERAS[: len(shades)])
    files = {**pictures, "renderings.txt": ORDER.encode()}
    return {"rendering_metadata.txt": cameras.encode(), **dict(reversed(files.items()))}


def files(prefix: str = "") -> dict[str, bytes]:
    return {
        f"{prefix}{category}/{model}/rendering/{name}": data
        for category, models in MODELS.items()
        for model in models
        for name, data in rendering([shade(category, model, n) for n in range(VIEWS)]).items()
    }


def model_files(name: str, **changed: bytes | None) -> dict[str, bytes]:
    """One model of one category, with other files; None: left out."""
    found: dict[str, bytes | None] = {**rendering([1, 2, 3]), **changed}
    return {f"03001627/{name}/rendering/{n}": d for n, d in found.items() if d is not None}


def one_tar() -> dict[str, bytes]:
    return {"ShapeNetRendering.tar": tar_bytes([*reversed(files("ShapeNetRendering/").items())])}


def parts() -> dict[str, bytes]:
    """Three archives; models lie in them in no order, and one is divided between two."""
    rows = [*reversed(files().items())]
    cut = [rows[:7], rows[7:11], rows[11:]]
    return {f"part-{2 - n}.tar": tar_bytes(part) for n, part in enumerate(cut)}


def tars_of_synsets() -> dict[str, bytes]:
    """One archive per synset, without its folder."""
    found: dict[str, dict[str, bytes]] = {category: {} for category in MODELS}
    for path, data in files().items():
        category, _, rest = path.partition("/")
        found[category][rest] = data
    return {f"{category}.tar": tar_bytes(inside) for category, inside in found.items()}


def rows_of(path: str, rows: list[dict[str, object]]) -> tuple[str, bytes]:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return path, sink.getvalue()


def artifact(rows: list[dict[str, object]] | None = None, job: str = "renders") -> dict[str, bytes]:
    """What a `renders` job leaves, and files that its manifest does not name."""
    found = {f"data/renders_tar-{n}-ab.tar": d for n, d in enumerate(parts().values())}
    if rows is not None:
        found.update([rows_of("data/renders-0-cd.parquet", rows)])
    refs = [
        ArtifactRef(
            path=path,
            kind="renders" if path.endswith("parquet") else "renders_tar",
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        for path, data in found.items()
    ]
    manifest = Manifest(
        job_id="renders-0123456789ab",
        job=job,
        attempt=1,
        spec={},
        seed=0,
        inputs={},
        created_at=datetime.now(UTC),
        versions={},
        files=refs,
        rows=4,
        error_rows=0,
        timings_seconds={},
        details={},
    )
    stray = {
        "data/renders_tar-9-zz.tar": tar_bytes({"stray/m/rendering/00.png": png(1)}),
        "03001627/stray/rendering/00.png": png(1),
        "taxonomy.json": b"broken",
        "all.csv": b"broken",
    }
    return {**found, **stray, "manifest.json": manifest.model_dump_json().encode()}


def layouts() -> dict[str, dict[str, bytes]]:
    return {
        "folders": files(),
        "folders in ShapeNetRendering": {
            **files("ShapeNetRendering/"),
            "ShapeNetVox32/03001627/a/model.binvox": b"x",
        },
        "one tar": one_tar(),
        "parts": parts(),
        "tars of synsets": tars_of_synsets(),
        "an artifact": artifact(),
    }


def freeze(root: object, **fields: object) -> tuple[list[Entry], tuple[str, ...]]:
    spec = DatasetSpec(name="shapenet", root=str(root), **fields)
    SHAPENET.check(spec)
    listing = SHAPENET.freeze(spec)
    return list(listing.entries), tuple(listing.classes)


def reader(root: object, example: str = "view") -> SequenceReader:
    spec = DatasetSpec(name="shapenet", root=str(root), example=example)
    return cast(SequenceReader, SHAPENET.open_reader(spec))


def ids(found: list[Entry]) -> list[str]:
    return [one.example_id for one in found]


def reds(pictures: list[np.ndarray]) -> list[int]:
    return [int(picture[0, 0, 0]) for picture in pictures]


def facts(root: object, example: str) -> list[tuple[object, ...]]:
    """All that is the same in every layout."""
    found, classes = freeze(root, example=example)
    read = reader(root, example)
    return [
        (e.example_id, e.label, classes[e.label or 0], e.attributes, *reds(read.read_sequence(e.locator)))
        for e in found
    ]  # fmt: skip


def camera(line: str) -> dict[str, float]:
    azimuth, elevation, _, distance, _ = map(float, line.split())
    return {"azimuth_degrees": azimuth, "elevation_degrees": elevation, "distance": distance}


ORDERED = [(k, c, m) for k, c in enumerate(sorted(MODELS)) for m in sorted(MODELS[c])]
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


# -- order and cameras -------------------------------------------------------------------------


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
    "no pictures": b"00.txt\n01.txt\n02.txt",
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
    pictures: dict[str, bytes | None] = dict.fromkeys(("00.png", "01.png", "02.png"))
    write(tmp_path / "a", model_files("m", **pictures, **names, **{"renderings.txt": order}))
    inside = model_files("m", **pictures, **names, **{"renderings.txt": order})
    write(tmp_path / "b", {"x.tar": tar_bytes([*reversed(inside.items())])})
    for root in (tmp_path / "a", tmp_path / "b"):
        (model,) = freeze(root, example="model")[0]
        assert reds(reader(root, "model").read_sequence(model.locator)) == [9, 10, 30, 20]


BAD_CAMERAS = {
    "missing": None,
    "empty": b"",
    "too few lines": b"1 2 0 1 25\n",
    "too many lines": b"1 2 0 1 25\n" * 4,
    "a picture": png(1),
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


def test_models_without_views_and_other_folders_are_no_examples(tmp_path: Path) -> None:
    write(tmp_path, model_files("m"))
    write(tmp_path, {"03001627/mesh/models/model.obj": b"x", "code/src/main.py": b"x"})
    write(tmp_path, {"03001627/.hidden/rendering/00.png": b"x", "03001627/readme.txt": b"x"})
    (tmp_path / "03001627/empty/rendering").mkdir(parents=True)
    found, classes = freeze(tmp_path, example="model")
    assert (ids(found), classes) == (["03001627/m"], ("chair",))
    assert counted(tmp_path) == {
        "a model without pictures": ["03001627/empty", "03001627/mesh"],
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
        "a picture with the number of another one": [f"{place('m')}/01.png"],
        "a picture that renderings.txt does not name": [f"{place('n')}/02.png"],
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
        "a model without pictures": ["04256520/c", "03001627/c"],
        "a picture outside the renderings": ["x.tar/03001627/m/views/0.png", "0.png"],
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


# -- the locator of a model --------------------------------------------------------------------


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
    monkeypatch.setattr(decode, "MAX_PIXELS", 17)  # two pictures of 3 × 2 fit
    with pytest.raises(RowError, match=r"view 02\.png: the views have 18 px") as caught:
        reader(tmp_path, "model").read_sequence(wide.locator)
    assert caught.value.code == "too_many_pixels"


# -- words -------------------------------------------------------------------------------------


def test_the_table_has_the_55_categories_of_shapenetcore_and_the_13_of_3d_r2n2() -> None:
    assert len(SYNSETS) == len(set(SYNSETS.values())) == 55
    thirteen = "02691156 02828884 02933112 02958343 03001627 03211117 03636649 03691459 04090263 "
    thirteen += "04256520 04379243 04401088 04530566"
    assert [SYNSETS[wnid] for wnid in thirteen.split()][:5] == [
        *("airplane", "bench", "cabinet", "car", "chair")
    ]


@pytest.mark.parametrize("where", ["", "ShapeNetRendering/", "in the archive"])
def test_a_taxonomy_goes_before_the_table(tmp_path: Path, where: str) -> None:
    words = {"02691156": "plane,jet", "03001627": "seat", "99999999": " seat , stool"}
    rows = [
        {"synsetId": synset, "name": name, "children": [], "numInstances": 1}
        for synset, name in words.items()
    ]
    said = json.dumps(rows).encode()
    if where == "in the archive":
        inside = {**files("ShapeNetRendering/"), "ShapeNetRendering/taxonomy.json": said}
        write(tmp_path, {"x.tar": tar_bytes(inside)})
    else:
        write(tmp_path, {**files(where), f"{where}taxonomy.json": said})
    assert freeze(tmp_path)[1] == ("plane", "seat (03001627)", "seat (99999999)")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\xff",
        b"{}",
        b"[]",
        b"[1]",
        b'[{"synsetId": "03001627"}]',
        b'[{"synsetId": 3001627, "name": "chair"}]',
        b"[" * 100_000,
    ],
    ids=["empty", "bytes", "object", "nothing", "number", "no name", "a number", "deep"],
)
def test_a_malformed_taxonomy_is_named(tmp_path: Path, said: bytes) -> None:
    write(tmp_path, {**files(), "taxonomy.json": said})
    with pytest.raises(DatasetError, match=r"taxonomy\.json: .*; write it again, or") as caught:
        freeze(tmp_path)
    assert caught.value.detail["field"] == "dataset.root"


def test_names_of_a_taxonomy_can_be_stored(tmp_path: Path) -> None:
    said = b'[{"synsetId": "03001627", "name": "<b>\\ud800chair"}, {"synsetId": "x", "name": ""}]'
    write(tmp_path, {**model_files("m"), "taxonomy.json": said})
    assert freeze(tmp_path)[1] == ("<b>\\ud800chair",)


# -- splits ------------------------------------------------------------------------------------

ALL_CSV = """id,synsetId,subSynsetId,modelId,split
1,02691156,02691156,10155655850468db78d106ce0a280f87,train
2,2691156,2691156,1021a0914a7207aff927ed529ad90a11,val
3,03001627,03001627,1006be65e7bc937e9141f9b58470d646,test
4,03001627,03001627,nobody,test
"""
SPLIT_JSON = {
    "train": {"02691156": {"10155655850468db78d106ce0a280f87": [0, 1, 2]}, "03001627": {}},
    "val": {"02691156": ["1021a0914a7207aff927ed529ad90a11"]},
    "test": {"03001627": {"1006be65e7bc937e9141f9b58470d646": [0]}},
}
IN_SPLITS = {
    "train": ["02691156/10155655850468db78d106ce0a280f87"],
    "val": ["02691156/1021a0914a7207aff927ed529ad90a11"],
    "test": ["03001627/1006be65e7bc937e9141f9b58470d646"],
}


@pytest.mark.parametrize("layout", ["folders", "folders in ShapeNetRendering", "parts"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("all.csv", ALL_CSV.encode()),
        ("all.csv", b"\xef\xbb\xbf" + ALL_CSV.replace("synsetId", "synsetid").encode()),
        ("split.json", json.dumps(SPLIT_JSON).encode()),
        ("pix2mesh_splits_val05.json", json.dumps(SPLIT_JSON).encode()),
    ],
    ids=["csv", "csv of a spreadsheet", "json", "json of 3D-R2N2"],
)
def test_splits_are_those_of_the_file(tmp_path: Path, layout: str, name: str, said: bytes) -> None:
    write(tmp_path, {**layouts()[layout], name: said})
    for split, models in IN_SPLITS.items():
        found, classes = freeze(tmp_path, example="model", split=split)
        assert (ids(found), classes) == (models, NAMES)
        views = ids(freeze(tmp_path, split=split)[0])
        assert views == [f"{model}/0{n}" for model in models for n in range(VIEWS)]
    assert len(freeze(tmp_path, example="model")[0]) == len(ORDERED)


def test_without_a_file_splits_are_by_model_and_none_is_in_two(tmp_path: Path) -> None:
    models = [f"{n:032x}" for n in range(60)]
    write(
        tmp_path,
        {f"{c}/{m}/rendering/0{n}.png": b"" for c in MODELS for m in models for n in range(2)},
    )
    found = {s: freeze(tmp_path, split=s)[0] for s in ("train", "val", "test", "all")}
    of = {s: {e.example_id.rpartition("/")[0] for e in rows} for s, rows in found.items()}
    assert sum(len(rows) for rows in found.values()) == 2 * len(found["all"])
    assert of["train"] | of["val"] | of["test"] == of["all"]
    assert len(of["train"]) + len(of["val"]) + len(of["test"]) == len(of["all"]) == 180
    # The same model in another category is in the same split.
    names = {s: {key.partition("/")[2] for key in keys} for s, keys in of.items()}
    assert not names["train"] & names["val"] | names["val"] & names["test"]
    again = freeze(tmp_path, split="val", example="model")[0]
    assert {e.example_id for e in again} == of["val"]


def test_a_hash_divides_ten_thousand_models_80_10_10() -> None:
    splits = [Splits(None).of("c", f"model {n}") for n in range(10_000)]
    shares = [splits.count(split) / 10_000 for split in ("train", "val", "test")]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.01)


def test_a_model_that_a_file_puts_into_two_splits_is_tested_and_not_trained_on(
    tmp_path: Path,
) -> None:
    model = MODELS["99999999"][0]
    both = {**SPLIT_JSON, "train": {"99999999": [model]}, "test": {"99999999": {model: [5]}}}
    write(tmp_path, {**files(), "split.json": json.dumps(both).encode()})
    assert ids(freeze(tmp_path, example="model", split="test")[0]) == ["99999999/a"]
    with pytest.raises(DatasetError, match=r"none of the models .* is in 'train'") as caught:
        freeze(tmp_path, split="train")
    assert caught.value.detail["field"] == "dataset.split"


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [
        ("all.csv", b"", "expected the columns synsetId, modelId, split"),
        ("all.csv", b"a,b\n1,2\n", "expected the columns synsetId, modelId, split"),
        ("all.csv", b"synsetId,modelId,split\n1,m,training\n", "line 2: 'training' is no split"),
        ("all.csv", b"synsetId,modelId,split\n1,m\n", "line 2: '' is no split"),
        ("all.csv", b"synsetId,modelId,split\n", "puts no model into"),
        ("all.csv", b'synsetId,modelId,split\n"' + b"x" * 200_000, "field larger than"),
        ("split.json", b"{", "is no JSON"),
        ("split.json", b"[]", "is no {split: {synset: models}}"),
        ("split.json", b'{"train": ["a/b"]}', "is no {split: {synset: models}}"),
        ("split.json", b'{"train": {"a": "b"}}', "is no {split: {synset: models}}"),
        ("split.json", b"{}", "puts no model into"),
    ],
)
def test_malformed_splits_are_named(tmp_path: Path, name: str, said: bytes, message: str) -> None:
    write(tmp_path, {**files(), name: said})
    with pytest.raises(DatasetError) as caught:
        freeze(tmp_path)
    assert message in caught.value.message
    assert caught.value.message.startswith(f"dataset.root: {name}: ")


# -- the artifact of a `renders` job -----------------------------------------------------------


def test_an_artifact_says_names_colors_and_categories(tmp_path: Path) -> None:
    key = f"03001627/{MODELS['03001627'][0]}"
    rows: list[dict[str, object]] = [
        {"example_id": key, "name": "Armchair", "category": "Living, room", "color": "brown"}
        | {"symmetry": 2, "footprint": 0.5},
        {"example_id": "99999999/a", "name": None, "category": "", "color": None}
        | {"symmetry": None, "footprint": math.inf},
    ]
    known = {"name": "Armchair", "color": "brown", "symmetry": 2, "footprint": 0.5}
    write(tmp_path, artifact(rows))
    found, classes = freeze(tmp_path, example="model")
    assert classes == ("airplane", "Living, room", "99999999")
    attributes = {e.example_id: e.attributes for e in found}
    assert attributes[key] == {"views": 3, **known}
    assert attributes["99999999/a"] == {"views": 3}
    view = next(e for e in freeze(tmp_path)[0] if e.example_id == f"{key}/01")
    assert view.attributes == {**camera(CAMERAS[1]), **known}


def changed(rows: object = None, **fields: object) -> bytes:
    found = json.loads(artifact(cast("list[dict[str, object]]", rows))["manifest.json"])
    return json.dumps({**found, **fields}).encode()


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"{}", "is not the manifest of an artifact"),
        (changed(job="features"), "is of a `features` job, not of `renders`"),
        (
            changed(
                files=[{"path": "../x.tar", "kind": "renders_tar", "size_bytes": 1, "sha256": ""}]
            ),
            "the manifest names not a relative path",
        ),
        (
            changed(files=[{"path": "all.csv", "kind": "renders", "size_bytes": 1, "sha256": ""}]),
            "cannot read example_id, category, name, color, symmetry, footprint of all.csv",
        ),
        (
            changed(
                files=[{"path": "no.tar", "kind": "renders_tar", "size_bytes": 1, "sha256": ""}]
            ),
            "cannot open no.tar",
        ),
    ],
    ids=["no manifest", "another job", "outside", "no rows", "gone"],
)
def test_a_root_with_another_manifest_is_refused(
    tmp_path: Path, manifest: bytes, message: str
) -> None:
    write(tmp_path, {**artifact(), "manifest.json": manifest})
    with pytest.raises(DatasetError) as caught:
        freeze(tmp_path)
    assert message in caught.value.message


# -- what is wrong with the whole, and what is hostile -----------------------------------------


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
    ids=["empty", "tgz", "pictures", "gzip", "no models", "cut off", "twice"],
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
        file.write(b"no picture")
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
