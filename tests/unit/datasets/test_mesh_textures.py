"""What a mesh names: textures and materials, found inside of its root only."""

import os
from pathlib import Path

import numpy as np
import pytest

from featurescape_jobs.datasets.sources.mesh_files import inside_path
from featurescape_jobs.errors import RowError
from helpers.mesh_builders import (
    box_obj,
    halves,
    png,
    sh3f,
    square_obj,
    write,
)
from helpers.mesh_listings import TEXTURED, code_of, reader


@pytest.mark.parametrize(
    "reference",
    [
        "wood.png",
        "./wood.png",
        "../x/wood.png",
        "C:\\Users\\me\\wood.png",
        "/home/me/textures/wood.png",
        "..\\..\\..\\wood.png",
    ],
)
def test_a_texture_is_found_by_path_or_by_its_name_beside_the_mesh(
    tmp_path: Path, reference: str
) -> None:
    image = png(halves((255, 0, 0), (0, 0, 255)))
    library = TEXTURED.format(reference)
    write(tmp_path, {"x/a.obj": square_obj(), "x/square.mtl": library, "x/wood.png": image})
    mesh = reader(tmp_path).read_mesh("x/a.obj")
    assert mesh.missing == 0
    assert mesh.parts[0].texture is not None


@pytest.mark.parametrize(
    "reference", ["TEX/WOOD.PNG", "tex/Wood.png", '"TEX/wood.PNG"', "wOOD.png"]
)
def test_a_texture_is_found_whatever_the_case_of_its_name(tmp_path: Path, reference: str) -> None:
    files: dict[str, bytes | str] = {
        "a.obj": square_obj(),
        "SQUARE.mtl": TEXTURED.format(reference),
        "Tex/wood.png" if "/" in reference else "Wood.PNG": png(halves((255, 0, 0), (0, 0, 255))),
    }
    write(tmp_path / "x", files)
    sh3f(tmp_path / "lib.sh3f", files, "id#1=a\nname#1=a\ncategory#1=c\nmodel#1=/a.obj\n")
    for locator in ("x/a.obj", "lib.sh3f#1"):
        mesh = reader(tmp_path).read_mesh(locator)
        assert mesh.missing == 0, locator
        assert mesh.parts[0].texture is not None


def test_a_texture_called_exactly_so_comes_before_one_in_another_case(tmp_path: Path) -> None:
    write(
        tmp_path / "x",
        {
            "a.obj": square_obj(),
            "square.mtl": TEXTURED.format("wood.png"),
            "WOOD.png": png(halves((255, 0, 0), (255, 0, 0))),
            "wood.png": png(halves((0, 0, 255), (0, 0, 255))),
        },
    )
    texture = reader(tmp_path).read_mesh("x/a.obj").parts[0].texture
    assert texture is not None
    assert texture.mean == pytest.approx((0, 0, 1))


def test_textures_in_a_folder_beside_the_meshes_are_read_as_shapenetcore_has_them(
    tmp_path: Path,
) -> None:
    image = png(np.zeros((4, 4, 3), np.uint8))
    library = TEXTURED.format("../images/texture0.png")
    write(
        tmp_path,
        {
            "02691156/c/models/model.obj": square_obj(),
            "02691156/c/models/square.mtl": library,
            "02691156/c/images/texture0.png": image,
        },
    )
    assert reader(tmp_path).read_mesh("02691156/c/models/model.obj").missing == 0


def test_nothing_outside_of_the_root_is_read(tmp_path: Path) -> None:
    """By ``..``, by an absolute path, by links to files and folders, by a pipe."""
    image = png(np.zeros((4, 4, 3), np.uint8))
    root = write(tmp_path / "root", {"x/a.obj": square_obj(), "x/b.obj": box_obj()})
    secret = write(tmp_path, {"secret.png": image, "secret/b.png": image}) / "secret.png"
    (root / "x/link.png").symlink_to(secret)
    (root / "x/folder").symlink_to(tmp_path / "secret")
    (root / "x/loop.png").symlink_to(root / "x/loop.png")
    os.mkfifo(root / "x/pipe.png")
    for name in (
        "../../secret.png",
        str(secret),
        "link.png",
        "folder/b.png",
        "loop.png",
        "pipe.png",
    ):
        write(root, {"x/square.mtl": TEXTURED.format(name)})
        mesh = reader(root).read_mesh("x/a.obj")
        assert (mesh.missing, mesh.parts[0].texture) == (1, None), name
    (root / "x/c.obj").symlink_to(root / "x/b.obj")
    assert reader(root).read_mesh("x/c.obj").faces == 12
    write(tmp_path, {"outside.obj": box_obj()})
    (root / "x/d.obj").symlink_to(tmp_path / "outside.obj")
    assert code_of(root, "x/d.obj") == "refused"


def test_a_path_stays_inside() -> None:
    assert inside_path("a/b", "../c//./d.png") == "a/c/d.png"
    for reference in ("../../../x", "/x", "c:x", "a\\b", "a\0"):
        with pytest.raises(RowError, match="outside"):
            inside_path("a/b", reference)


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from featurescape_jobs.rendering import loading

    monkeypatch.setattr(loading, "MAX_BYTES", 100)
    assert code_of(write(tmp_path, {"x/a.obj": box_obj()}), "x/a.obj") == "too_many_bytes"
