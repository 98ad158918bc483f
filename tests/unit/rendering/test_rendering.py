"""A red box is red from every side, in the middle, whole, and the same in every run."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from featurescape_jobs.rendering import cameras, color_terms, symmetry
from featurescape_jobs.rendering.cameras import Camera
from featurescape_jobs.rendering.mesh import Mesh, Part, Texture, normalized
from featurescape_jobs.rendering.renderer import Renderer, over_white, png
from helpers.mesh_builders import COLORS_MTL, SIDES, box_obj, halves, load, square_obj
from helpers.mesh_builders import png as file_of

SIX = dict(zip(SIDES, ("red", "blue") * 3, strict=True))


def box(
    materials: dict[str, str] | str = "red", size: tuple[float, float, float] = (1, 1, 1)
) -> Mesh:
    return normalized(load(box_obj(size, materials), box_mtl=COLORS_MTL))


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


def test_cameras_stand_in_rings_one_above_the_other() -> None:
    sides = cameras.angles(0, "chair/a", 8, (-20, 40), cameras.Rings(2, start_degrees=30))
    around = [30, 120, 210, 300]
    assert sides == [*((at, -20) for at in around), *((at, 40) for at in around)]
    assert [up for _, up in cameras.angles(0, "a", 3, (10, 50), cameras.Rings(3))] == [10, 30, 50]
    assert [up for _, up in cameras.angles(0, "a", 2, (10, 50), cameras.Rings(1))] == [10, 10]
    start = cameras.angles(0, "chair/a", 8, (-20, 40))[0][0]
    drawn = cameras.angles(0, "chair/a", 8, (-20, 40), cameras.Rings(1))
    assert [at for at, _ in drawn] == [(start + 45 * n) % 360 for n in range(8)]


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


# -- images ----------------------------------------------------------------------------------


def test_a_red_box_is_red_whole_and_in_the_middle_of_every_view(renderer: Renderer) -> None:
    mesh = box()
    renderer.load(mesh)
    for camera in cameras.around(mesh, cameras.angles(0, "box", 24, (25, 30))):
        image = renderer.image(camera)
        assert image.shape == (48, 48, 4)
        solid = image[image[:, :, 3] == 255]
        assert (solid[:, 0] > 80).all()
        assert (solid[:, 1:3] == 0).all()
        rows, columns = np.nonzero(image[:, :, 3])
        assert min(rows.min(), columns.min()) > 0
        assert max(rows.max(), columns.max()) < 47
        assert abs(columns.mean() - 23.5) < 2
        assert abs(rows.mean() - 23.5) < 3


def test_what_is_on_the_right_comes_to_the_front_at_90_degrees(renderer: Renderer) -> None:
    mesh = box({**dict.fromkeys(SIDES, "white"), "right": "green", "left": "blue"})
    renderer.load(mesh)
    right, left = (renderer.image(Camera(azimuth, 0, 2)) for azimuth in (90, 270))
    assert list(right[24, 24, :3] > 100) == [False, True, False]
    assert list(left[24, 24, :3] > 100) == [False, False, True]


def test_opposite_sides_of_a_plate_are_mirrored(renderer: Renderer) -> None:
    """A pennant to the right of its pole: from behind it flies to the left."""
    flag = normalized(load("v 0 0 0\nv 2 1 0\nv 0 2 0\nf 1 2 3\n"))
    renderer.load(flag)
    front, back = (renderer.image(Camera(azimuth, 0, 3))[:, :, 3] for azimuth in (0, 180))
    covered = np.abs(front.astype(int) - back[:, ::-1]) > 64
    assert covered.mean() < 0.02
    assert (np.abs(front.astype(int) - back) > 64).mean() > 0.05


def test_the_top_is_bright_and_what_is_below_is_dark_from_wherever_one_looks(
    renderer: Renderer,
) -> None:
    mesh = box("white")
    renderer.load(mesh)

    def brightness(azimuth: float, elevation: float) -> float:
        image = renderer.image(Camera(azimuth, elevation, 2))
        return float(image[24, 24, :3].mean())

    for azimuth in (0, 90, 200):
        top, front, below = (brightness(azimuth, at) for at in (90, 0, -90))
        assert top > front > 1.3 * below
        assert below > 80
        # The lights go around with the camera: no side is brighter than another.
        assert front == pytest.approx(brightness(0, 0), abs=1 if azimuth == 90 else 20)


# -- which sides differ ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mesh", "order", "footprint"),
    [
        (box("red", (1, 2, 1)), 4, 1.0),
        (box("red", (4, 2, 2)), 2, 0.5),
        (box("red", (2, 2, 4)), 2, 2.0),
        (box({**dict.fromkeys(SIDES, "white"), "front": "red"}, (4, 2, 2)), 1, 0.5),
        (box({**dict.fromkeys(SIDES, "white"), "top": "red"}, (1, 1, 1)), 4, 1.0),
        (box({**dict.fromkeys(SIDES, "white"), "left": "red"}, (1, 1, 1)), 1, 1.0),
    ],
    ids=["pillar", "long", "deep", "with a front", "with a top", "with a left"],
)
def test_sides_differ_where_one_sees_it(
    renderer: Renderer, mesh: Mesh, order: int, footprint: float
) -> None:
    renderer.load(mesh)
    assert symmetry.order(renderer, mesh) == order
    assert symmetry.footprint(mesh) == pytest.approx(footprint)


def test_two_images_are_unlike_by_the_area_in_which_they_differ() -> None:
    one, other = (np.zeros((4, 4, 4), np.uint8) for _ in range(2))
    assert symmetry.unlike(one, other) == 0
    one[0, :2] = 255
    assert symmetry.unlike(one, one) == 0
    assert symmetry.unlike(one, other) == 1
    other[0, 1:3] = 255
    assert symmetry.unlike(one, other) == pytest.approx(2 / 3)
    one[..., :3] = 7  # where nothing is, the color is none
    assert symmetry.unlike(one, one[::-1] * 0) == pytest.approx(1)


def test_what_has_no_width_has_no_footprint() -> None:
    flat = normalized(load("v 0 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\n"))
    assert symmetry.footprint(flat) is None


def test_no_side_is_black_whichever_way_its_triangles_face(renderer: Renderer) -> None:
    inside_out = box_obj().replace("f ", "x ").splitlines()
    lines = [
        "f " + " ".join(reversed(line.split()[1:])) if line.startswith("x ") else line
        for line in inside_out
    ]
    mesh = normalized(load("\n".join(lines), box_mtl=COLORS_MTL))
    renderer.load(mesh)
    for azimuth in (20, 140, 260):
        image = renderer.image(Camera(azimuth, 30, 2.3))
        assert (image[image[:, :, 3] == 255][:, 0] > 80).all()


def test_the_same_mesh_gives_the_same_bytes_whatever_came_before(renderer: Renderer) -> None:
    mesh, camera = box(SIX), Camera(33, 27, 2.2)
    renderer.load(mesh)
    first = png(renderer.image(camera))
    renderer.load(normalized(load(square_obj(), square_mtl="newmtl wood\nd 0.3\n")))
    renderer.image(camera)
    renderer.load(box(SIX))
    assert png(renderer.image(camera)) == first
    other = Renderer(48)
    other.load(mesh)
    assert png(other.image(camera)) == first


def test_glass_is_half_clear_and_keeps_its_color(renderer: Renderer) -> None:
    text = square_obj("glass")
    renderer.load(normalized(load(text, square_mtl=COLORS_MTL)))
    red, green, blue, alpha = renderer.image(Camera(0, 0, 2.5))[24, 24].tolist()
    assert abs(alpha - 128) <= 3
    assert (red > 200, green, blue) == (True, 0, 0)


def test_a_texture_lies_upright(renderer: Renderer) -> None:
    image = file_of(halves((255, 0, 0), (0, 0, 255)))
    mesh = load(square_obj(), square_mtl="newmtl wood\nmap_Kd a.png\n", a_png=image)
    renderer.load(normalized(mesh))
    view = renderer.image(Camera(0, 0, 2.5))
    assert list(view[14, 24, :3] > 200) == [True, False, False]
    assert list(view[34, 24, :3] > 200) == [False, False, True]


def test_where_a_texture_has_no_surface_the_image_is_clear(renderer: Renderer) -> None:
    leaf = file_of(halves((0, 255, 0, 255), (0, 255, 0, 0)))
    mesh = load(square_obj(), square_mtl="newmtl wood\nmap_Kd a.png\n", a_png=leaf)
    renderer.load(normalized(mesh))
    view = renderer.image(Camera(0, 0, 2.5))
    assert list(view[14, 24] > 200) == [False, True, False, True]
    assert view[34, 24].tolist() == [0, 0, 0, 0]


def test_over_white_clear_is_white_and_solid_is_as_it_was() -> None:
    image = np.array([[[9, 8, 7, 255], [0, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    assert over_white(image).tolist() == [[[9, 8, 7], [255, 255, 255], [127, 127, 127]]]


def growth_bytes(renderer: Renderer, kept: list[Mesh] | None) -> int:
    """What this process grew by over thirty meshes with textures of 3 MB, after ten to warm up."""
    import psutil

    rng = np.random.default_rng(0)
    process, sizes = psutil.Process(), []
    for number in range(40):
        pixels = rng.integers(0, 255, (1024, 1024, 3), np.uint8)
        part = load(square_obj(), square_mtl="newmtl wood\n").parts[0]
        mesh = Mesh((Part(**{**vars(part), "texture": Texture(pixels)}),))
        renderer.load(normalized(mesh))
        renderer.image(Camera(0, 0, 2.5))
        if kept is not None:
            kept.append(mesh)
        if number >= 10:
            sizes.append(process.memory_info().rss)
    return sizes[-1] - sizes[0]


def test_memory_of_meshes_is_given_back(renderer: Renderer) -> None:
    assert growth_bytes(renderer, None) < 40 << 20
    assert growth_bytes(renderer, []) > 60 << 20, "where each is kept"


def test_a_concave_polygon_leaves_its_notch_open(renderer: Renderer) -> None:
    """A frame of one polygon around a hole, its corners as a modeler writes them."""
    outer, inner = [(0, 0), (4, 0), (4, 4), (0, 4)], [(1, 1), (1, 3), (3, 3), (3, 1)]
    points = [*outer, outer[0], inner[0], *inner[1:], inner[0]]
    lines = [f"v {x} {y} 0" for x, y in points]
    text = "\n".join(lines) + "\nf " + " ".join(str(n + 1) for n in range(len(points))) + "\n"
    mesh = normalized(load(text))
    assert mesh.faces == len(points) - 2
    renderer.load(mesh)
    view = renderer.image(Camera(0, 0, 2.5))
    assert view[24, 24, 3] == 0
    assert view[24, 10, 3] == 255


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
    assert named(color) == name


def named(color: Sequence[int]) -> str:
    found = color_terms.dominant(np.array([color], np.uint8))
    assert found is not None
    return found.name


@pytest.mark.parametrize(
    ("survey_name", "name"),
    [
        ("beige", "brown"),
        ("tan", "brown"),
        ("sand", "brown"),
        ("cream", "white"),
        ("ivory", "white"),
        ("off white", "white"),
        ("light grey", "gray"),
        ("mustard", "yellow"),
        ("navy", "blue"),
        ("chocolate", "brown"),
        ("salmon", "pink"),
    ],
)
def test_named_colors_have_the_basic_term_that_people_would_say(
    survey_name: str, name: str
) -> None:
    color = [round(255 * value) for value in to_rgb(f"xkcd:{survey_name}")]
    assert named(color) == name


def test_most_colors_of_the_survey_get_their_term_from_the_others() -> None:
    survey = color_terms.read_survey()
    found = color_terms.agreement(survey)
    colors, agreeing = sum(one.colors for one in found), sum(one.agreeing for one in found)
    assert colors == 577
    assert agreeing / colors > 0.85
    shuffled = np.random.default_rng(0).permutation(survey.terms)
    by_chance = color_terms.agreement(color_terms.Survey(survey.oklab, shuffled))
    assert sum(one.agreeing for one in by_chance) / colors < 0.3


def test_the_dominant_color_is_that_of_most_pixels() -> None:
    pixels = np.array([[200, 0, 0]] * 3 + [[0, 0, 200]], np.uint8)
    found = color_terms.dominant(pixels)
    assert found == color_terms.Dominant("red", 0.75, "#c80000")
    assert color_terms.dominant(pixels[:0]) is None


def test_a_thing_of_glass_has_the_color_of_its_glass(renderer: Renderer) -> None:
    renderer.load(normalized(load(square_obj("glass"), square_mtl=COLORS_MTL)))
    found = color_terms.dominant(renderer.colors(Camera(0, 0, 2.5)))
    assert found is not None
    assert (found.name, found.share) == ("red", 1.0)


def test_colors_are_seen_without_light_and_shade(renderer: Renderer) -> None:
    renderer.load(box("green"))
    seen = renderer.colors(Camera(40, 30, 2.2))
    assert len(seen) > 500
    assert np.unique(seen, axis=0).tolist() == [[0, 255, 0]]
