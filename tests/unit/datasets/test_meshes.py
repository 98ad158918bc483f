"""Meshes by folder or catalog, in a bucket too."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from featurescape_jobs.datasets.base import Entry
from featurescape_jobs.datasets.meshes import MeshReader, slug
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.specs import DatasetSpec
from helpers.mesh_builders import (
    COLORS_MTL,
    LIBRARY,
    LIBRARY_FILES,
    box_obj,
    halves,
    png,
    sh3f,
    square_obj,
    triangle_glb,
    write,
)
from helpers.mesh_listings import MESHES, TEXTURED, code_of, reader, spec_of
from helpers.tar_builders import bucket, upload

BOX = {"box.mtl": COLORS_MTL}


def listed(root: Path) -> tuple[list[Entry], list[str]]:
    listing = MESHES.freeze(spec_of(root))
    return list(listing.entries), list(listing.classes)


def test_the_first_folder_is_the_category_and_ids_are_where_images_go(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "chair/a.obj": box_obj(),
            "chair/b/model.glb": triangle_glb(),
            "02691156/c/models/model_normalized.obj": box_obj(),
            "02691156/c/models/model_normalized.json": "{}",
            "lamp/train/one.off": "OFF",
            "lamp/train/two.off": "OFF",
            "sofa/c.obj": box_obj(),
            "sofa/c.ply": "ply",
            "notes/readme.txt": "no mesh",
        },
    )
    entries, classes = listed(tmp_path)
    assert classes == ["02691156", "chair", "lamp", "sofa"]
    found = {entry.example_id: (classes[entry.label or 0], entry.locator) for entry in entries}
    assert found == {
        "02691156/c": ("02691156", "02691156/c/models/model_normalized.obj"),
        "chair/a": ("chair", "chair/a.obj"),
        "chair/b": ("chair", "chair/b/model.glb"),
        "lamp/train-one": ("lamp", "lamp/train/one.off"),
        "lamp/train-two": ("lamp", "lamp/train/two.off"),
        "sofa/c.obj": ("sofa", "sofa/c.obj"),
        "sofa/c.ply": ("sofa", "sofa/c.ply"),
    }
    assert entries[1].attributes == {"category": "chair"}


def test_a_flat_folder_gives_no_labels(tmp_path: Path) -> None:
    entries, classes = listed(write(tmp_path, {"a.obj": box_obj(), "b.obj": box_obj()}))
    assert classes == []
    assert [(e.example_id, e.label, e.attributes) for e in entries] == [
        ("meshes/a", None, None),
        ("meshes/b", None, None),
    ]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Living room", "Living-room"),
        ("Küche", "Kuche"),
        ("../..", None),
        ("椅子", None),
        (".hidden", "hidden"),
        ("a/b\\c\0d", "a-b-c-d"),
    ],
)
def test_a_slug_is_safe_as_a_file_name(words: str, name: str | None) -> None:
    found = slug(words)
    assert found == (name or found)
    assert found.strip(".-") == found != ""
    assert all(c.isascii() and (c.isalnum() or c in "._-") for c in found)


def test_models_that_would_share_an_id_get_a_number(tmp_path: Path) -> None:
    entries, _ = listed(write(tmp_path, {"x/a b.obj": box_obj(), "x/a-b.obj": box_obj()}))
    ids = [entry.example_id for entry in entries]
    assert ids[0] == "x/a-b"
    assert ids[1].startswith("x/a-b-")
    assert len(set(ids)) == 2


def test_a_name_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    write(tmp_path, {os.fsdecode(b"chair/\xff.obj"): box_obj()})
    ((entry,), _) = listed(tmp_path)
    assert reader(tmp_path).read_mesh(entry.locator).faces == 12


@pytest.mark.parametrize("files", [{}, {"a.txt": "x"}, {"x/a.stl": "solid"}])
def test_a_root_without_meshes_is_an_error(tmp_path: Path, files: dict[str, str]) -> None:
    write(tmp_path, files)
    with pytest.raises(DatasetError, match="no meshes"):
        MESHES.check(spec_of(tmp_path))


def test_a_single_mesh_is_no_root_as_what_lies_beside_it_is_read_too(tmp_path: Path) -> None:
    write(tmp_path, {"a.obj": box_obj()})
    with pytest.raises(DatasetError, match="folder"):
        MESHES.check(spec_of(tmp_path / "a.obj"))


def test_the_axis_that_points_up_is_turned_up_but_for_glb(tmp_path: Path) -> None:
    tall = box_obj(size=(1, 1, 4))
    write(tmp_path, {"x/a.obj": tall, "x/box.mtl": COLORS_MTL, "x/t.glb": triangle_glb()})
    (part,) = reader(tmp_path).read_mesh("x/a.obj", "z").parts
    assert np.ptp(part.positions, axis=0).tolist() == [1, 4, 1]
    (part,) = reader(tmp_path).read_mesh("x/t.glb", "z").parts
    assert part.positions[2].tolist() == [0, 1, 0]


def test_a_catalog_says_path_name_and_category(tmp_path: Path) -> None:
    catalog = (
        "\ufeffPath, Category ,name,extra\n"
        'chair/a.obj,chair,"A chair, with arms",1\n'
        "b.obj,,,\n"
        "chair/a.obj,sofa,,\n"
    )
    write(tmp_path, {"catalog.csv": catalog, "chair/a.obj": box_obj(), "unlisted.obj": ""})
    entries, classes = listed(tmp_path)
    assert classes == ["chair", "sofa"]
    assert [(e.example_id, e.locator, e.label) for e in entries] == [
        ("chair/a", "chair/a.obj", 0),
        ("meshes/b", "b.obj", None),
        ("sofa/chair-a", "chair/a.obj", 1),
    ]
    assert entries[0].attributes == {"name": "A chair, with arms", "category": "chair"}
    assert entries[1].attributes is None


@pytest.mark.parametrize(
    ("catalog", "says"),
    [
        ("file,name\na.obj,x\n", "no column path"),
        ("", "no column path"),
        ("path\na.obj\n \n", "row 3"),
        (b"path\n\xff.obj\n", "UTF-8"),
        ('path\n"a.obj\n', "catalog.csv"),
    ],
)
def test_a_catalog_that_is_none_is_an_error(
    tmp_path: Path, catalog: str | bytes, says: str
) -> None:
    write(tmp_path, {"catalog.csv": catalog})
    with pytest.raises(DatasetError, match=says):
        listed(tmp_path)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("gone.obj", "not_found"),
        ("../outside.obj", "refused"),
        ("x/../../outside.obj", "refused"),
        ("/etc/passwd.obj", "refused"),
        ("C:/a.obj", "refused"),
        ("x\\a.obj", "refused"),
        ("raw:zz.obj", "refused"),
        ("notes.txt", "not_a_mesh"),
        ("folder.obj", "not_found"),
        ("../x.sh3f#1", "refused"),
        ("gone.sh3f#1", "not_found"),
    ],
)
def test_what_a_catalog_may_not_name_is_a_row_error(tmp_path: Path, path: str, code: str) -> None:
    root = tmp_path / "root"
    write(tmp_path, {"outside.obj": box_obj(), "root/notes.txt": "x"})
    (root / "folder.obj").mkdir()
    write(root, {"catalog.csv": f"path\n{path}\n"})
    ((entry,), _) = listed(root)
    assert code_of(root, entry.locator) == code


@pytest.fixture(scope="module")
def s3_root() -> Iterator[str]:
    with bucket("meshes") as root:
        yield root


def test_a_bucket_gives_the_same_meshes(tmp_path: Path, s3_root: str) -> None:
    image = png(halves((255, 0, 0), (0, 0, 255)))
    write(
        tmp_path,
        {
            "chair/a.obj": square_obj(),
            "chair/square.mtl": TEXTURED.format("../images/wood.png"),
            "images/wood.png": image,
        },
    )
    sh3f(tmp_path / "lib.sh3f", LIBRARY_FILES, LIBRARY)
    upload(tmp_path, s3_root)
    there = MESHES.freeze(DatasetSpec(name="meshes", root=s3_root))
    entries, classes = listed(tmp_path)
    assert list(there.classes) == classes
    assert [entry.example_id for entry in there.entries] == [e.example_id for e in entries]
    opened = MESHES.open_reader(DatasetSpec(name="meshes", root=s3_root))
    assert isinstance(opened, MeshReader)
    mesh = opened.read_mesh("chair/a.obj")
    assert (mesh.faces, mesh.missing) == (2, 0)
    assert opened.read_mesh("lib.sh3f#1").faces == 12
    with pytest.raises(RowError) as caught:
        opened.read_mesh("chair/gone.obj")
    assert caught.value.code == "not_found"


def test_what_is_no_mesh_is_counted_by_what_it_is(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "chair/a.obj": box_obj(),
            **{f"chair/{name}": data for name, data in BOX.items()},
            "chair/wood.png": png(halves((255, 0, 0), (0, 0, 255))),
            "chair/b.stl": "solid b",
            "chair/page": "<html>",
            "chair/.hidden.obj": box_obj(),
            "table/c.obj": box_obj(),
        },
    )

    def counted() -> dict[str, list[str]]:
        listing = MESHES.freeze(spec_of(tmp_path))
        assert len(list(listing.entries)) in (1, 2)
        assert listing.source is not None
        return {one.reason: one.names for one in listing.source.passed_over.record().reasons}

    others = {
        "a hidden file": ["chair/.hidden.obj"],
        "a .stl file": ["chair/b.stl"],
        "an HTML page: download the file itself again": ["chair/page"],
    }
    assert counted() == others
    write(tmp_path, {"catalog.csv": "path\nchair/a.obj\n"})
    assert counted() == {**others, "a mesh that the catalog does not list": ["table/c.obj"]}


@pytest.mark.data
def test_the_furniture_libraries_have_820_models_that_can_be_read(furniture: Path) -> None:
    entries, classes = listed(furniture)
    assert len(entries) == len({entry.example_id for entry in entries}) == 820
    assert len(classes) == 12
    assert all(entry.attributes and entry.attributes["name"] for entry in entries)
    opened = reader(furniture)
    for entry in entries[::50]:
        assert opened.read_mesh(entry.locator).faces > 0, entry.example_id
