"""Mesh files are read as they say; what is none, or too much, says why."""

import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import trimesh

from featurescape_jobs.errors import RowError
from featurescape_jobs.rendering import materials, polygons
from featurescape_jobs.rendering.mesh import UPRIGHT, normalized
from featurescape_jobs.rendering.textures import NoFiles, Textures
from helpers.mesh_builders import COLORS_MTL, box_obj, glb, halves, load, square_obj, triangle_glb
from helpers.mesh_builders import png as file_of


def code_of(text: str | bytes, ending: str = ".obj") -> str:
    with pytest.raises(RowError) as caught:
        normalized(load(text, ending))
    return caught.value.code


# -- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".obj", ".ply", ".off", ".glb"])
def test_a_box_is_twelve_triangles_in_every_format(ending: str) -> None:
    data = trimesh.creation.box().export(file_type=ending[1:])
    mesh = normalized(load(data, ending))
    assert mesh.faces == 12
    corner = np.abs(np.concatenate([part.positions for part in mesh.parts])).max()
    assert corner == pytest.approx(0.5 / math.sqrt(3))


def test_a_material_has_its_color_its_opacity_and_its_texture() -> None:
    library = (
        "newmtl a b\nKd 0.2 0.4 2\nd 0.25\nnewmtl c\nTr 0.25\nKd x y z\nnewmtl d\nd -halo 0.5\n"
    )
    found = materials.parse(library, Textures(NoFiles()))
    assert found["a b"].color == (0.2, 0.4, 1.0, 0.25)
    assert found["c"].color == (0.8, 0.8, 0.8, 0.75)
    assert found["d"].color[3] == 0.5


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("wood.jpg", "wood.jpg"),
        ("my wood.jpg", "my wood.jpg"),
        ("-s 1 1 1 -o 0 0 my wood.jpg", "my wood.jpg"),
        ("-bm 0.5 -clamp on wood.jpg", "wood.jpg"),
        ("-mm 0 1 3.png", "3.png"),
        ("-odd.png", "-odd.png"),
    ],
)
def test_the_options_of_a_texture_are_not_its_name(words: str, name: str) -> None:
    assert materials.file_of(words) == name


def test_quotes_around_the_name_of_a_texture_are_not_in_it() -> None:
    assert materials.file_of('"my wood.jpg"') == "my wood.jpg"
    assert materials.file_of("-clamp on 'wood.jpg'") == "wood.jpg"
    assert materials.file_of('"') == '"'


@pytest.mark.parametrize("line", ["b.mtl a.mtl", "a.mtl b.mtl", '"b.mtl" "a.mtl"', "b.MTL  a.mtl"])
def test_a_line_may_name_several_libraries(line: str) -> None:
    beside = {"a_mtl": "newmtl red\nKd 1 0 0\n", "b_mtl": "newmtl z\nKd 0 0 1\n"}
    beside["b_MTL"] = beside["b_mtl"]
    mesh = load(box_obj().replace("box.mtl", line), **beside)
    assert (mesh.missing, mesh.parts[0].color) == (0, (1, 0, 0, 1))


def test_of_several_libraries_the_first_that_has_the_material_counts() -> None:
    beside = {"a_mtl": "newmtl red\nKd 1 0 0\n", "b_mtl": "newmtl red\nKd 0 0 1\n"}
    mesh = load(box_obj().replace("box.mtl", "b.mtl a.mtl gone.mtl"), **beside)
    assert (mesh.missing, mesh.parts[0].color) == (1, (0, 0, 1, 1))


def test_a_library_with_spaces_in_its_name_is_one() -> None:
    library = "newmtl red\nKd 1 0 0\n"
    mesh = load(box_obj().replace("box.mtl", "my b.mtl"), **{"my b_mtl": library})
    assert (mesh.missing, mesh.parts[0].color) == (0, (1, 0, 0, 1))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-16-be", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_text_is_read_in_any_encoding_and_with_any_ends_of_lines(encoding: str, end: str) -> None:
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    said = ("# Tür\n" + box_obj()).replace("\n", end)
    library = COLORS_MTL.replace("\n", end).encode(encoding)
    mesh = normalized(load(mark + said.encode(encoding), box_mtl=mark + library))
    assert (mesh.faces, mesh.missing, mesh.parts[0].color) == (12, 0, (1, 0, 0, 1))
    off = trimesh.creation.box().export(file_type="off").replace("\n", end)
    assert normalized(load(mark + off.encode(encoding), ".off")).faces == 12


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n"


@pytest.mark.parametrize("ending", [".obj", ".off", ".ply", ".glb"])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (POINTER, "a Git LFS pointer: run git lfs pull"),
        ("<html>not found v</html>", "an HTML page"),
        ("<html>\nv 0 0 0\nf 1 2 9\n</html>", "an HTML page"),
        (file_of(halves((255, 0, 0), (0, 0, 255))), "a PNG image"),
    ],
)
def test_what_is_no_mesh_is_named(data: str | bytes, said: str, ending: str) -> None:
    with pytest.raises(RowError, match=said) as caught:
        load(data, ending)
    assert caught.value.code == "not_a_mesh"


def test_a_mesh_under_the_ending_of_another_format_is_named() -> None:
    with pytest.raises(RowError, match=r"a glTF model under the ending \.obj: rename it"):
        load(triangle_glb(), ".obj")


def test_a_mesh_that_can_be_read_is_one_whatever_its_comment_looks_like() -> None:
    assert load("# see /a/.git/annex/objects/b\n" + box_obj(), box_mtl=COLORS_MTL).faces == 12


def test_missing_materials_and_textures_are_counted_and_left_out() -> None:
    assert load(box_obj()).missing == 1
    mesh = load(square_obj(), square_mtl="newmtl wood\nKd 0 1 0\nmap_Kd gone.png\n")
    assert mesh.missing == 1
    assert mesh.parts[0].color == (0, 1, 0, 1)
    assert mesh.parts[0].texture is None


def test_a_texture_that_is_no_image_is_left_out() -> None:
    library = "newmtl wood\nmap_Kd a.png\n"
    assert load(square_obj(), square_mtl=library, a_png="<html>").missing == 1


def test_a_texture_without_coordinates_leaves_its_mean_color() -> None:
    library = "newmtl red\nmap_Kd a.png\n"
    mesh = load(box_obj(), box_mtl=library, a_png=file_of(halves((255, 0, 0), (0, 0, 255))))
    assert mesh.parts[0].color == (0.5, 0.0, 0.5, 1.0)


def test_normals_of_the_file_are_kept() -> None:
    text = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvn 0 0.6 0.8\nf 1//1 2//1 3//1\n"
    (part,) = load(text).parts
    assert part.normals is not None
    assert np.allclose(part.normals, [0, 0.6, 0.8])


NOTCHED = [(0, 0), (4, 0), (4, 4), (2, 1), (0, 4)]


@pytest.mark.parametrize("turn", range(5))
@pytest.mark.parametrize("mirror", [1, -1])
def test_ears_cover_a_concave_polygon_once(turn: int, mirror: int) -> None:
    """Whichever corner comes first and whichever way it faces: 16, less the notch of 6."""
    points = np.roll(NOTCHED, turn, axis=0) * [mirror, 1]
    text = "".join(f"v {x} 7 {y}\n" for x, y in points) + "f 1/1 2/2 3/3 4/4 5/5\n"
    cut = polygons.triangulated(text).splitlines()[5:]
    triangles = [[int(corner.partition("/")[0]) - 1 for corner in line.split()[1:]] for line in cut]
    areas = [
        np.linalg.det(np.stack([points[b] - points[a], points[c] - points[a]])) / 2
        for a, b, c in triangles
    ]
    assert len(triangles) == 3
    assert np.sign(areas).tolist() == [mirror] * 3
    assert np.abs(areas).sum() == pytest.approx(10)


def test_a_file_of_concave_polygons_takes_no_longer_than_the_cap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(polygons, "MAX_WORK", 2 * 5**2)
    text = "".join(f"v {x} {y} 0\n" for x, y in NOTCHED) + "f 1 2 3 4 5\n" * 3
    assert polygons.triangulated(text).splitlines()[5:].count("f 1 2 3 4 5") == 1


def test_convex_flat_and_huge_polygons_stay_as_they_are() -> None:
    convex = "v 0 0 0\nv 2 0 0\nv 3 1 0\nv 2 2 0\nv 0 2 0\nf 1 2 3 4 5\n"
    flat = "v 0 0 0\nf 1 1 1 1 1\nusemtl a\nf 1 1 1\n"
    star = [(math.cos(n) * (1 + n % 2), math.sin(n) * (1 + n % 2)) for n in range(300)]
    huge = "".join(f"v {x} {y} 0\n" for x, y in star)
    huge += "f " + " ".join(str(n + 1) for n in range(len(star))) + "\n"
    for text in (convex, flat, huge):
        assert polygons.triangulated(text) == text


def test_a_base_color_is_linear_and_shown_as_a_screen_shows_it() -> None:
    (part,) = load(triangle_glb(), ".glb").parts
    assert part.color == pytest.approx((0.7354, 0, 0, 1), abs=1e-4)


def test_a_node_moves_and_turns_its_triangles() -> None:
    """Scaled by 2, then turned a quarter around Z, then moved: (1 0 0) → (5, 2, 0)."""
    half = math.sqrt(0.5)
    nodes = [
        {"mesh": 0, "scale": [2, 2, 2], "rotation": [0, 0, half, half], "translation": [5, 0, 0]}
    ]
    (part,) = load(triangle_glb(nodes=nodes), ".glb").parts
    assert np.allclose(part.positions, [[5, 0, 0], [5, 2, 0], [3, 0, 0]])


def test_colors_of_vertices_and_of_faces_are_kept() -> None:
    shape = trimesh.creation.box()
    shape.visual.vertex_colors = [[10, 20, 30, 255]] * 8
    for ending in (".ply", ".glb"):
        (part,) = load(shape.export(file_type=ending[1:]), ending).parts
        assert part.colors is not None
        assert part.colors[0].tolist() == [10, 20, 30, 255]
    shape.visual.face_colors = [[n, 0, 0, 255] for n in range(12)]
    (part,) = load(shape.export(file_type="ply"), ".ply").parts
    assert part.colors is not None
    assert part.colors[::3, 0].tolist() == list(range(12))


def test_what_points_up_is_turned_up() -> None:
    (part,) = load("v 0 0 0\nv 0 0 1\nv 1 0 0\nf 1 2 3\n").rotated(UPRIGHT["z"]).parts
    assert np.allclose(part.positions[1], [0, 1, 0])


# -- hostile files -----------------------------------------------------------------------------

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty_file"),
        ("hello", "not_a_mesh"),
        ("v 0 0 0\nv 1 1 1\n", "no_surface"),
        ("v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "no_surface"),
        ("v 1e308 0 0\nv -1e308 0 0\nv 0 1 0\nf 1 2 3\n", "no_surface"),
        ("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "no_surface"),
        ("v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n", "decode_error"),
        (TRIANGLE + "f 1 2 9\n", "decode_error"),
        (TRIANGLE + "f 1 2 x\n", "decode_error"),
        (TRIANGLE + "f 1 2 3 1 99\n", "decode_error"),
        ("\0" * 100 + "v", "no_surface"),
    ],
)
def test_an_obj_that_is_no_mesh_says_why(text: str, code: str) -> None:
    assert code_of(text) == code


@pytest.mark.parametrize(
    ("data", "ending", "code"),
    [
        (b"ply\nformat ascii 1.0\nelement vertex 9999999999\nend_header\n", ".ply", "decode_error"),
        (b"no", ".ply", "not_a_mesh"),
        (b"OFF\n9999999999 1 0\n", ".off", "decode_error"),
        (b"<html>", ".off", "not_a_mesh"),
        (b"glTF", ".glb", "not_a_mesh"),
        (triangle_glb()[:60], ".glb", "truncated"),
        (triangle_glb()[:-8], ".glb", "truncated"),
        (triangle_glb(materials=[{"pbrMetallicRoughness": 7}]), ".glb", "decode_error"),
        (triangle_glb(extensionsRequired=["KHR_draco_mesh_compression"]), ".glb", "not_a_mesh"),
        (glb({"scenes": "x"}, b""), ".glb", "decode_error"),
    ],
)
def test_other_formats_that_are_no_mesh_say_why(data: bytes, ending: str, code: str) -> None:
    assert code_of(data, ending) == code


def peak_bytes(run: Callable[[], object]) -> int:
    """Most that Python and numpy held at once."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_array_without_bytes_takes_no_memory() -> None:
    huge = [{"componentType": 5126, "count": 10**11, "type": "VEC3"}]
    data = triangle_glb(accessors=huge)
    assert peak_bytes(lambda: np.zeros((1000, 1000, 3), np.float32)) > 10_000_000
    assert peak_bytes(lambda: code_of(data, ".glb")) < 10_000_000
    assert code_of(data, ".glb") == "too_many_bytes"


def test_too_many_triangles_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurescape_jobs.rendering.mesh.MAX_FACES", 11)
    assert code_of(box_obj()) == "too_many_faces"


def test_the_same_triangles_placed_often_count_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurescape_jobs.rendering.mesh.MAX_FACES", 99)
    many = {"nodes": [{"mesh": 0}] * 100, "scenes": [{"nodes": list(range(100))}]}
    assert code_of(triangle_glb(**many), ".glb") == "too_many_faces"


def test_textures_have_a_number_and_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurescape_jobs.rendering.textures.MAX_TEXTURES", 2)
    library = "".join(f"newmtl m{n}\nmap_Kd a{n}.png\n" for n in range(5))
    image = file_of(np.zeros((4, 4, 3), np.uint8))
    files = {f"a{n}_png": image for n in range(5)}
    assert load(box_obj(materials="m0"), box_mtl=library, **files).missing == 3
    monkeypatch.setattr("featurescape_jobs.rendering.textures.MAX_PIXELS", 15)
    assert load(box_obj(materials="m0"), box_mtl="newmtl m0\nmap_Kd a0.png\n", **files).missing == 1


def test_a_large_texture_is_reduced() -> None:
    image = file_of(np.zeros((10, 3000, 3), np.uint8))
    library = "newmtl wood\nmap_Kd a.png\n"
    texture = load(square_obj(), square_mtl=library, a_png=image).parts[0].texture
    assert texture is not None
    assert texture.pixels.shape == (3, 1024, 3)
