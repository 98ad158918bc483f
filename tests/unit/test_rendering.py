"""A red box is red from every side, in the middle, whole, and the same in every run."""

import math
import time

import numpy as np
import pytest
import trimesh

from featurescape_jobs.datasets.base import RowError
from featurescape_jobs.rendering import cameras, color_names, loading, materials, polygons
from featurescape_jobs.rendering.cameras import Camera
from featurescape_jobs.rendering.loading import Source
from featurescape_jobs.rendering.mesh import UPRIGHT, Mesh, Part, Texture, normalized
from featurescape_jobs.rendering.renderer import Renderer, over_white, png
from featurescape_jobs.rendering.textures import NoFiles, Textures
from mesh_builders import (
    COLORS_MTL,
    SIDES,
    box_obj,
    glb,
    halves,
    square_obj,
    triangle_glb,
)
from mesh_builders import png as file_of

SIX = dict(zip(SIDES, ("red", "blue") * 3, strict=True))


class Beside:
    """Files by name; notes what was asked for."""

    def __init__(self, **files: str | bytes) -> None:
        self.files = {name.replace("_", "."): data for name, data in files.items()}
        self.asked: list[str] = []

    def read(self, reference: str, limit_bytes: int) -> bytes:
        self.asked.append(reference)
        if reference not in self.files:
            raise RowError("not_found", reference)
        data = self.files[reference]
        return data.encode() if isinstance(data, str) else data


def load(text: str | bytes, ending: str = ".obj", **files: str | bytes) -> Mesh:
    data = text.encode() if isinstance(text, str) else text
    return loading.load(Source(data, ending, Beside(**files)))


def box(
    materials: dict[str, str] | str = "red", size: tuple[float, float, float] = (1, 1, 1)
) -> Mesh:
    return normalized(load(box_obj(size, materials), box_mtl=COLORS_MTL))


def code_of(text: str | bytes, ending: str = ".obj") -> str:
    with pytest.raises(RowError) as caught:
        normalized(load(text, ending))
    return caught.value.code


@pytest.fixture(scope="module")
def renderer(mesa: None) -> Renderer:
    return Renderer(48)


# -- cameras -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("azimuth", "elevation", "position"),
    [
        (0, 0, (0, 0, 2)),
        (90, 0, (2, 0, 0)),
        (180, 30, (0, 1, -math.sqrt(3))),
        (270, 90, (0, 2, 0)),
    ],
)
def test_a_camera_stands_where_its_angles_say(
    azimuth: float, elevation: float, position: tuple[float, ...]
) -> None:
    assert Camera(azimuth, elevation, 2).position == pytest.approx(position, abs=1e-12)


def test_azimuths_are_even_and_elevations_within_their_range() -> None:
    sides = cameras.angles(0, "chair/a", 24, (25, 30))
    azimuths = np.array([azimuth for azimuth, _ in sides])
    steps = np.diff(azimuths) % 360
    assert np.allclose(steps, 15, atol=1e-3)
    assert 0 <= azimuths[0] < 15
    assert all(25 <= elevation <= 30 for _, elevation in sides)
    assert len({elevation for _, elevation in sides}) > 20


def test_the_sides_follow_from_seed_and_id_alone() -> None:
    one = cameras.angles(0, "chair/a", 24, (25, 30))
    assert one == cameras.angles(0, "chair/a", 24, (25, 30))
    assert one != cameras.angles(1, "chair/a", 24, (25, 30))
    assert one != cameras.angles(0, "chair/b", 24, (25, 30))


def test_the_distance_is_that_from_which_the_mesh_just_fits() -> None:
    """A plate of 3 × 4, so of diagonal 5, from the front: half its height is 0.4 diagonals."""
    plate = normalized(load("v 0 0 0\nv 3 0 0\nv 3 4 0\nv 0 4 0\nf 1 2 3 4\n"))
    (camera,) = cameras.around(plate, [(0, 0)])
    assert camera.distance == pytest.approx(
        cameras.MARGIN * 0.4 / math.tan(math.radians(12.5)), abs=1e-3
    )


def test_the_metadata_has_the_lines_of_shapenet_renderings() -> None:
    around = [Camera(8.25, 27.5, 2.1), Camera(23.25, 25.125, 2.1)]
    assert (
        cameras.metadata_text(around)
        == b"8.2500 27.5000 0 2.1000 25\n23.2500 25.1250 0 2.1000 25\n"
    )
    assert cameras.names_text(2) == b"00.png\n01.png\n"


# -- pictures ----------------------------------------------------------------------------------


def test_a_red_box_is_red_whole_and_in_the_middle_of_every_view(renderer: Renderer) -> None:
    mesh = box()
    renderer.load(mesh)
    for camera in cameras.around(mesh, cameras.angles(0, "box", 24, (25, 30))):
        picture = renderer.picture(camera)
        assert picture.shape == (48, 48, 4)
        solid = picture[picture[:, :, 3] == 255]
        assert (solid[:, 0] > 80).all()
        assert (solid[:, 1:3] == 0).all()
        rows, columns = np.nonzero(picture[:, :, 3])
        assert min(rows.min(), columns.min()) > 0
        assert max(rows.max(), columns.max()) < 47
        assert abs(columns.mean() - 23.5) < 2
        assert abs(rows.mean() - 23.5) < 3


def test_what_is_on_the_right_comes_to_the_front_at_90_degrees(renderer: Renderer) -> None:
    mesh = box({**dict.fromkeys(SIDES, "white"), "right": "green", "left": "blue"})
    renderer.load(mesh)
    right, left = (renderer.picture(Camera(azimuth, 0, 2)) for azimuth in (90, 270))
    assert list(right[24, 24, :3] > 100) == [False, True, False]
    assert list(left[24, 24, :3] > 100) == [False, False, True]


def test_opposite_sides_of_a_plate_are_mirrored(renderer: Renderer) -> None:
    """A pennant to the right of its pole: from behind it flies to the left."""
    flag = normalized(load("v 0 0 0\nv 2 1 0\nv 0 2 0\nf 1 2 3\n"))
    renderer.load(flag)
    front, back = (renderer.picture(Camera(azimuth, 0, 3))[:, :, 3] for azimuth in (0, 180))
    covered = np.abs(front.astype(int) - back[:, ::-1]) > 64
    assert covered.mean() < 0.02
    assert (np.abs(front.astype(int) - back) > 64).mean() > 0.05


def test_no_side_is_black_whichever_way_its_triangles_face(renderer: Renderer) -> None:
    inside_out = box_obj().replace("f ", "x ").splitlines()
    lines = [
        "f " + " ".join(reversed(line.split()[1:])) if line.startswith("x ") else line
        for line in inside_out
    ]
    mesh = normalized(load("\n".join(lines), box_mtl=COLORS_MTL))
    renderer.load(mesh)
    for azimuth in (20, 140, 260):
        picture = renderer.picture(Camera(azimuth, 30, 2.3))
        assert (picture[picture[:, :, 3] == 255][:, 0] > 80).all()


def test_the_same_mesh_gives_the_same_bytes_whatever_came_before(renderer: Renderer) -> None:
    mesh, camera = box(SIX), Camera(33, 27, 2.2)
    renderer.load(mesh)
    first = png(renderer.picture(camera))
    renderer.load(normalized(load(square_obj(), square_mtl="newmtl wood\nd 0.3\n")))
    renderer.picture(camera)
    renderer.load(box(SIX))
    assert png(renderer.picture(camera)) == first
    other = Renderer(48)
    other.load(mesh)
    assert png(other.picture(camera)) == first


def test_glass_is_half_clear_and_keeps_its_color(renderer: Renderer) -> None:
    text = square_obj("glass")
    renderer.load(normalized(load(text, square_mtl=COLORS_MTL)))
    red, green, blue, alpha = renderer.picture(Camera(0, 0, 2.5))[24, 24].tolist()
    assert abs(alpha - 128) <= 3
    assert (red > 200, green, blue) == (True, 0, 0)


def test_a_texture_lies_upright(renderer: Renderer) -> None:
    picture = file_of(halves((255, 0, 0), (0, 0, 255)))
    mesh = load(square_obj(), square_mtl="newmtl wood\nmap_Kd a.png\n", a_png=picture)
    renderer.load(normalized(mesh))
    view = renderer.picture(Camera(0, 0, 2.5))
    assert list(view[14, 24, :3] > 200) == [True, False, False]
    assert list(view[34, 24, :3] > 200) == [False, False, True]


def test_where_a_texture_has_no_surface_the_picture_is_clear(renderer: Renderer) -> None:
    leaf = file_of(halves((0, 255, 0, 255), (0, 255, 0, 0)))
    mesh = load(square_obj(), square_mtl="newmtl wood\nmap_Kd a.png\n", a_png=leaf)
    renderer.load(normalized(mesh))
    view = renderer.picture(Camera(0, 0, 2.5))
    assert list(view[14, 24] > 200) == [False, True, False, True]
    assert view[34, 24].tolist() == [0, 0, 0, 0]


def test_over_white_clear_is_white_and_solid_is_as_it_was() -> None:
    picture = np.array([[[9, 8, 7, 255], [0, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    assert over_white(picture).tolist() == [[[9, 8, 7], [255, 255, 255], [127, 127, 127]]]


def test_memory_of_meshes_is_given_back(renderer: Renderer) -> None:
    """A hundred textures of 4 MB would be seen; one stays."""
    import psutil

    rng = np.random.default_rng(0)
    process, sizes = psutil.Process(), []
    for number in range(40):
        pixels = rng.integers(0, 255, (512, 512, 3), np.uint8)
        part = load(square_obj(), square_mtl="newmtl wood\n").parts[0]
        mesh = Mesh((Part(**{**vars(part), "texture": Texture(pixels)}),))
        renderer.load(normalized(mesh))
        renderer.picture(Camera(0, 0, 2.5))
        if number >= 10:
            sizes.append(process.memory_info().rss)
    assert sizes[-1] - sizes[0] < 12 << 20


# -- colors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("color", "name"),
    [
        ((0, 0, 0), "black"),
        ((120, 120, 120), "gray"),
        ((240, 240, 240), "white"),
        ((200, 10, 10), "red"),
        ((255, 140, 0), "orange"),
        ((250, 230, 20), "yellow"),
        ((20, 120, 30), "green"),
        ((20, 60, 200), "blue"),
        ((110, 20, 130), "purple"),
        ((255, 180, 200), "pink"),
        ((110, 70, 35), "brown"),
    ],
)
def test_the_eleven_basic_colors_have_their_names(color: tuple[int, int, int], name: str) -> None:
    assert color_names.name_of(*color) == name


def test_the_dominant_color_is_that_of_most_pixels() -> None:
    pixels = np.array([[200, 0, 0]] * 3 + [[0, 0, 200]], np.uint8)
    found = color_names.dominant(pixels)
    assert found == color_names.Dominant("red", 0.75, "#c80000")
    assert color_names.dominant(pixels[:0]) is None


def test_colors_are_seen_without_light_and_shade(renderer: Renderer) -> None:
    renderer.load(box("green"))
    seen = renderer.colors(Camera(40, 30, 2.2))
    assert len(seen) > 500
    assert np.unique(seen, axis=0).tolist() == [[0, 255, 0]]


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


def test_missing_materials_and_textures_are_counted_and_left_out() -> None:
    assert load(box_obj()).missing == 1
    mesh = load(square_obj(), square_mtl="newmtl wood\nKd 0 1 0\nmap_Kd gone.png\n")
    assert mesh.missing == 1
    assert mesh.parts[0].color == (0, 1, 0, 1)
    assert mesh.parts[0].texture is None


def test_a_texture_that_is_no_picture_is_left_out() -> None:
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


def test_a_concave_polygon_leaves_its_notch_open(renderer: Renderer) -> None:
    """A frame of one polygon around a hole, its corners as a modeler writes them."""
    outer, inner = [(0, 0), (4, 0), (4, 4), (0, 4)], [(1, 1), (1, 3), (3, 3), (3, 1)]
    points = [*outer, outer[0], inner[0], *inner[1:], inner[0]]
    lines = [f"v {x} {y} 0" for x, y in points]
    text = "\n".join(lines) + "\nf " + " ".join(str(n + 1) for n in range(len(points))) + "\n"
    mesh = normalized(load(text))
    assert mesh.faces == len(points) - 2
    renderer.load(mesh)
    view = renderer.picture(Camera(0, 0, 2.5))
    assert view[24, 24, 3] == 0
    assert view[24, 10, 3] == 255


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
    (part,) = load("v 0 0 0\nv 0 0 1\nv 1 0 0\nf 1 2 3\n").turned(UPRIGHT["z"]).parts
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


def test_an_array_without_bytes_takes_no_memory() -> None:
    huge = [{"componentType": 5126, "count": 10**11, "type": "VEC3"}]
    start = time.monotonic()
    assert code_of(triangle_glb(accessors=huge), ".glb") == "too_many_bytes"
    assert time.monotonic() - start < 2


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
    picture = file_of(np.zeros((4, 4, 3), np.uint8))
    files = {f"a{n}_png": picture for n in range(5)}
    assert load(box_obj(materials="m0"), box_mtl=library, **files).missing == 3
    monkeypatch.setattr("featurescape_jobs.rendering.textures.MAX_PIXELS", 15)
    assert load(box_obj(materials="m0"), box_mtl="newmtl m0\nmap_Kd a0.png\n", **files).missing == 1


def test_a_large_texture_is_reduced() -> None:
    picture = file_of(np.zeros((10, 3000, 3), np.uint8))
    library = "newmtl wood\nmap_Kd a.png\n"
    texture = load(square_obj(), square_mtl=library, a_png=picture).parts[0].texture
    assert texture is not None
    assert texture.pixels.shape == (3, 1024, 3)
