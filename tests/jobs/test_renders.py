"""Every mesh is 24 images and a row, or an error row, and the same bytes on any worker."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from featurescape_jobs import renders
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError, SpecError
from featurescape_jobs.images.decode import decode
from featurescape_jobs.rendering import cameras
from featurescape_jobs.run import execute
from featurescape_jobs.specs import DatasetSpec, RendersSpec
from helpers.mesh_builders import COLORS_MTL, SIDES, box_obj, triangle_glb, write

JOB = "renders-0123456789ab"
TWO_COLORS = {**dict.fromkeys(SIDES, "blue"), "top": "green"}
CATALOG = "path,name,category\n" + "".join(
    f"{path},{name},{category}\n"
    for path, name, category in [
        ("a.obj", "Red box", "Boxes"),
        ("b.obj", "Blue block", "Bricks and blocks"),
        ("t.glb", "Triangle", "Boxes"),
        ("gone.obj", "Gone", "Boxes"),
        ("empty.obj", "Empty", "Boxes"),
        ("html.obj", "Page", "Boxes"),
        ("point.obj", "Point", "Boxes"),
        ("nan.ply", "No numbers", "Boxes"),
    ]
)
NAN_PLY = (
    "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    "nan 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Three meshes that can be rendered, and five that cannot."""
    return write(
        tmp_path / "shop",
        {
            "catalog.csv": CATALOG,
            "a.obj": box_obj(),
            "b.obj": box_obj(size=(3, 2, 2), materials=TWO_COLORS),
            "box.mtl": COLORS_MTL,
            "t.glb": triangle_glb(),
            "empty.obj": "",
            "html.obj": "<html>no</html>",
            "point.obj": "v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n",
            "nan.ply": NAN_PLY,
        },
    )


def spec_of(root: Path, **changes: object) -> RendersSpec:
    base = {"dataset": {"name": "meshes", "root": str(root)}, "image_px": 32, "views": 4}
    return RendersSpec.model_validate({**base, **changes})


def render(root: Path, spec: RendersSpec) -> tuple[Outcome, pa.Table, dict[str, bytes], RunContext]:
    """Outcome, rows, and the files of all archives by name."""
    context = RunContext(Storage(str(root)), JOB, 1, spec.seed, {})
    outcome = renders.run(spec, context)
    parts, members = [], {}
    for file in context.files:
        if file.kind == "renders":
            parts.append(context.storage.read_table(context.path(file.path)))
        elif file.kind == "renders_tar":
            body = io.BytesIO(context.storage.read(context.path(file.path)))
            with tarfile.open(fileobj=body) as tar:
                for member in tar:
                    assert member.name not in members
                    extracted = tar.extractfile(member)
                    assert extracted is not None
                    members[member.name] = extracted.read()
    return outcome, pa.concat_tables(parts), members, context


def rgba(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "RGBA"
        return np.asarray(image)


def test_images_lie_as_in_shapenet_renderings(mesa: None, tmp_path: Path, shop: Path) -> None:
    _, _, members, _ = render(tmp_path / "out", spec_of(shop, views=24))
    folders = ("Boxes/a", "Bricks-and-blocks/b", "Boxes/t")
    files = ["rendering_metadata.txt", "renderings.txt", *(f"{n:02d}.png" for n in range(24))]
    wanted = [f"{folder}/rendering/{file}" for folder in folders for file in files]
    assert sorted(members) == sorted(wanted)
    names = members["Boxes/a/rendering/renderings.txt"].decode().split()
    assert names == files[2:]
    lines = members["Boxes/a/rendering/rendering_metadata.txt"].decode().splitlines()
    numbers = np.array([line.split() for line in lines], float)
    sides = cameras.angles(0, "Boxes/a", 24, (25, 30))
    assert np.allclose(numbers[:, :2], sides)
    assert (numbers[:, 2] == 0).all()
    assert (numbers[:, 4] == 25).all()
    image = rgba(members["Boxes/a/rendering/07.png"])
    assert image.shape == (32, 32, 4)
    assert image[0, 0].tolist() == [0, 0, 0, 0]
    assert (image[16, 16, 0] > 80, image[16, 16, 1:].tolist()) == (True, [0, 0, 255])


def test_a_row_says_name_category_color_and_views(mesa: None, tmp_path: Path, shop: Path) -> None:
    outcome, table, _, _ = render(tmp_path / "out", spec_of(shop))
    red, blue, triangle = table.to_pylist()
    assert outcome.details["classes"] == ["Boxes", "Bricks and blocks"]
    assert (red["example_id"], red["name"], red["category"], red["label"]) == (
        "Boxes/a",
        "Red box",
        "Boxes",
        0,
    )
    assert (red["color"], red["color_share"], red["color_hex"]) == ("red", 1.0, "#ff0000")
    assert (blue["color"], blue["color_hex"], blue["label"]) == ("blue", "#0000ff", 1)
    assert 0.5 < blue["color_share"] < 1
    assert (red["faces"], triangle["faces"], red["missing"]) == (12, 1, 0)
    assert [row["symmetry"] for row in (red, blue, triangle)] == [4, 2, 1]
    assert [row["footprint"] for row in (red, blue, triangle)] == pytest.approx([1, 2 / 3, 0])
    assert len(red["azimuths"]) == len(red["elevations"]) == red["views"] == 4
    assert np.allclose(np.diff(red["azimuths"]) % 360, 90, atol=1e-3)
    assert decode(red["thumbnail"]["bytes"])[0, 0].tolist() == [255, 255, 255]


def test_a_mesh_that_cannot_be_rendered_is_an_error_row(
    mesa: None, tmp_path: Path, shop: Path
) -> None:
    outcome, table, members, context = render(tmp_path / "out", spec_of(shop))
    errors = context.storage.read_table(context.path("data/errors.parquet")).to_pylist()
    assert {row["example_id"]: row["code"] for row in errors} == {
        "Boxes/gone": "not_found",
        "Boxes/empty": "empty_file",
        "Boxes/html": "not_a_mesh",
        "Boxes/point": "no_surface",
        "Boxes/nan": "no_surface",
    }
    assert (outcome.rows, outcome.error_rows, table.num_rows) == (3, 5, 3)
    assert not any("gone" in name for name in members)


def test_shards_change_no_byte(mesa: None, tmp_path: Path, shop: Path) -> None:
    _, one, files, _ = render(tmp_path / "a", spec_of(shop))
    _, two, others, _ = render(tmp_path / "b", spec_of(shop, shard_size=1))
    assert one.equals(two)
    assert files == others


def test_the_seed_turns_the_cameras(mesa: None, tmp_path: Path, shop: Path) -> None:
    _, one, _, _ = render(tmp_path / "a", spec_of(shop))
    _, two, _, _ = render(tmp_path / "b", spec_of(shop, seed=1))
    assert one["azimuths"].to_pylist() != two["azimuths"].to_pylist()
    assert one["color"].equals(two["color"])


def test_a_view_from_above_shows_the_top(mesa: None, tmp_path: Path, shop: Path) -> None:
    spec = spec_of(shop, elevation_min_degrees=90, elevation_max_degrees=90, views=1)
    _, table, members, _ = render(tmp_path / "out", spec)
    image = rgba(members["Bricks-and-blocks/b/rendering/00.png"])
    solid = image[image[:, :, 3] == 255]
    assert (solid[:, 1] > 80).all()
    assert (solid[:, [0, 2]] == 0).all()
    assert table["color"].to_pylist()[1] == "green"


def test_the_dataset_shapenet_reads_what_the_job_made(
    mesa: None, tmp_path: Path, shop: Path
) -> None:
    storage = Storage(str(tmp_path / "out"))
    body = json.dumps({"spec": spec_of(shop).model_dump(mode="json"), "inputs": {}})
    storage.write(f"jobs/{JOB}/spec.json", body.encode())
    assert execute(storage, JOB, 1) is not None
    root = f"{storage.root}/jobs/{JOB}"
    spec = DatasetSpec(name="shapenet", root=root, example="model")
    listing = DATASETS["shapenet"].freeze(spec)
    entries = list(listing.entries)
    assert [entry.example_id for entry in entries] == ["Boxes/a", "Boxes/t", "Bricks-and-blocks/b"]
    assert list(listing.classes) == ["Boxes", "Bricks and blocks"]
    known = {"name": "Red box", "color": "red", "symmetry": 4, "footprint": 1.0}
    assert entries[0].attributes == {"views": 4, **known}
    reader = DATASETS["shapenet"].open_reader(spec)
    assert reader.read(entries[0].locator).shape == (32, 32, 3)


def test_cameras_in_rings(mesa: None, tmp_path: Path, shop: Path) -> None:
    spec = spec_of(
        shop,
        views=4,
        rings=2,
        azimuth_start_degrees=0,
        elevation_min_degrees=0,
        elevation_max_degrees=60,
    )
    _, table, _, _ = render(tmp_path / "out", spec)
    for row in table.to_pylist():
        assert (row["azimuths"], row["elevations"]) == ([0, 180, 0, 180], [0, 0, 60, 60])


def test_rings_share_the_views_evenly(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rings: 4 views cannot be shared evenly by 3"):
        spec_of(tmp_path, rings=3)


def test_only_meshes_are_rendered(tmp_path: Path) -> None:
    spec = RendersSpec.model_validate({"dataset": {"name": "digits"}})
    with pytest.raises(SpecError, match="gives images"):
        render(tmp_path, spec)


def test_an_empty_folder_is_an_error_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(DatasetError, match="no meshes"):
        render(tmp_path / "out", spec_of(tmp_path / "in"))


def test_a_shard_holds_64_megabytes_of_images(tmp_path: Path) -> None:
    assert renders.default_shard_size(spec_of(tmp_path, image_px=137, views=24)) == 64
    assert renders.default_shard_size(spec_of(tmp_path, image_px=1024, views=24)) == 4
    assert renders.default_shard_size(spec_of(tmp_path, image_px=1024, views=100)) == 1


@pytest.mark.data
def test_furniture_is_rendered_in_its_colors(mesa: None, tmp_path: Path, furniture: Path) -> None:
    spec = spec_of(furniture, views=24, image_px=137)
    limited = spec.model_copy(update={"dataset": spec.dataset.model_copy(update={"limit": 12})})
    outcome, table, members, _ = render(tmp_path / "out", limited)
    assert (outcome.rows, outcome.error_rows) == (12, 0)
    assert len(members) == 12 * 26
    rows = {row["example_id"]: row for row in table.to_pylist()}
    assert rows["Office/Blend-Swap-CC-0-armchair"]["color"] == "green"
    for example_id, row in rows.items():
        seen = rgba(members[f"{example_id}/rendering/00.png"])[:, :, 3] > 0
        assert not seen[[0, -1]].any(), example_id
        assert not seen[:, [0, -1]].any(), example_id
        assert seen.mean() > 0.02, example_id
        assert row["name"], example_id


@pytest.mark.ray
def test_two_workers_give_the_bytes_of_one(
    mesa: None, tmp_path: Path, shop: Path, ray_address: str
) -> None:
    _, one, files, _ = render(tmp_path / "a", spec_of(shop))
    spec = spec_of(shop, shard_size=2, resources={"workers": 2})
    context = RunContext(Storage(str(tmp_path / "b")), JOB, 1, 0, {}, ray_address=ray_address)
    outcome = renders.run(spec, context)
    parts = [f for f in context.files if f.kind == "renders"]
    two = pa.concat_tables([context.storage.read_table(context.path(f.path)) for f in parts])
    assert one.equals(two)
    assert outcome.error_rows == 5
    found = {}
    for file in context.files:
        if file.kind == "renders_tar":
            body = io.BytesIO(context.storage.read(context.path(file.path)))
            with tarfile.open(fileobj=body) as tar:
                found |= {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert found == files
