"""A `features` job without a model: the vectors as they are, exactly once, and the map that follows from them."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from featurescape_jobs import embedding, features, tiles
from featurescape_jobs.artifacts import MapInfo, job_dir
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import AllRowsFailedError, SpecError
from featurescape_jobs.images.decode import decode
from featurescape_jobs.specs import EmbeddingSpec, FeaturesSpec, TilesSpec, parse_spec
from featurescape_jobs.tiling.archive import ArchiveReader
from helpers.artifact_builders import commit, make_manifest, png, solid
from helpers.vector_files import FORMATS, Rows, fixed

FEATURES, EMBEDDING, TILES = "features-000000000001", "embedding-000000000002", "tiles-000000000003"


@dataclass(frozen=True)
class Ran:
    """A job that ended, with its artifact committed."""

    storage: Storage
    outcome: Outcome
    context: RunContext

    def table(self, kind: str) -> pa.Table:
        paths = [ref.path for ref in self.context.files if ref.kind == kind]
        folder = job_dir(self.context.job_id)
        return pa.concat_tables([self.storage.read_table(f"{folder}/{path}") for path in paths])


def ran(out: Path, job: str, inputs: dict[str, str] | None = None, **fields: Any) -> Ran:
    """Run a job here and commit what it made."""
    job_id = {"features": FEATURES, "embedding": EMBEDDING, "tiles": TILES}[job]
    spec = parse_spec({"job": job, **(inputs or {}), **fields})
    context = RunContext(Storage(str(out)), job_id, 1, spec.seed, inputs or {})
    if isinstance(spec, FeaturesSpec):
        outcome = features.run(spec, context)
    elif isinstance(spec, EmbeddingSpec):
        outcome = embedding.run(spec, context)
    else:
        assert isinstance(spec, TilesSpec)
        outcome = tiles.run(spec, context)
    said = {"inputs": context.inputs, "details": outcome.details, "error_rows": outcome.error_rows}
    commit(context.storage, make_manifest(job_id, context.files, outcome.rows, **said))
    return Ran(context.storage, outcome, context)


def vectors_of(out: Path, **dataset: Any) -> Ran:
    return ran(out, "features", dataset={"name": "vectors", **dataset})


def laid_out(out: Path, **fields: Any) -> Ran:
    return ran(out, "embedding", {"features": FEATURES}, **fields)


def drawn(out: Path, **fields: Any) -> tuple[MapInfo, Ran]:
    found = ran(out, "tiles", {"embedding": EMBEDDING}, **fields)
    return MapInfo.model_validate(found.outcome.details["map"]), found


def as_matrix(table: pa.Table) -> np.ndarray:
    return np.stack(table["features"].to_numpy(zero_copy_only=False))


# -- the same map whatever the format ----------------------------------------------------------


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rows, pa.Table]:
    """Features of 120 digits by a network, and the map of them."""
    root = tmp_path_factory.mktemp("network")
    model = {"name": "lenet", "weights": "random"}
    of_network = ran(root, "features", dataset={"name": "digits", "limit": 120}, model=model)
    table = of_network.table("features")
    rows = Rows(as_matrix(table), table["example_id"].to_pylist(), table["label"].to_pylist())
    return rows, laid_out(root, iterations=30).table("embedding")


@pytest.mark.parametrize("name", FORMATS)
def test_vectors_of_a_network_give_the_map_that_its_features_give(
    tmp_path: Path, digits: tuple[Rows, pa.Table], name: str
) -> None:
    rows, of_network = digits
    folder = tmp_path / "files"
    folder.mkdir()
    options = FORMATS[name](rows, folder)
    copied = vectors_of(tmp_path / "out", **options)
    assert copied.outcome.rows == 120
    assert np.array_equal(as_matrix(copied.table("features")), rows.vectors)
    found = laid_out(tmp_path / "out", iterations=30).table("embedding")
    same = ("label", "x", "y") if name == "safetensors" else ("example_id", "label", "x", "y")
    for column in same:
        assert found[column].combine_chunks().equals(of_network[column].combine_chunks()), column


def test_vectors_without_images_become_a_map_without_a_layer_of_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pq.write_table(pa.table({"vector": fixed(rng.normal(size=(40, 5)))}), tmp_path / "a.parquet")
    copied = vectors_of(tmp_path / "out", root=str(tmp_path / "a.parquet"))
    assert copied.outcome.details["model"] is None
    [column] = copied.outcome.details["layers"]
    assert (column["layer"], column["pooling"], column["dimensions"]) == ("vector", "none", 5)
    laid_out(tmp_path / "out", iterations=10)
    info, drawing = drawn(tmp_path / "out")
    assert [layer.name for layer in info.layers] == ["density"]
    assert set(drawing.outcome.details["left_out"]) == {"category", "thumbnails"}


# -- exactly once ------------------------------------------------------------------------------


@pytest.mark.parametrize("shard_size", [None, 1, 7])
def test_every_row_is_a_vector_or_an_error_row_once(tmp_path: Path, shard_size: int | None) -> None:
    nan = float("nan")
    lists = [[float(row), 1.0] for row in range(30)]
    for row, wrong in ((3, None), (8, [1.0]), (9, [nan, 1.0]), (20, [0.0, 0.0]), (29, [1e39, 0.0])):
        lists[row] = wrong  # type: ignore[call-overload]
    (tmp_path / "in").mkdir()
    kinds = pa.list_(pa.float64())
    table = pa.table({"key": [f"k{row}" for row in range(30)], "v": pa.array(lists, kinds)})
    pq.write_table(table.slice(0, 13), tmp_path / "in/a.parquet", row_group_size=4)
    pq.write_table(table.slice(13), tmp_path / "in/b.parquet", row_group_size=4)
    copied = ran(
        tmp_path / "out", "features", shard_size=shard_size,
        dataset={
            "name": "vectors", "root": str(tmp_path / "in"), "id_column": "key",
            "zero_vectors": "error",
        },
    )  # fmt: skip
    errors = {row["example_id"]: row for row in copied.table("errors").to_pylist()}
    assert {name: row["code"] for name, row in errors.items()} == {
        "k3": "no_vector", "k8": "wrong_length", "k9": "not_finite", "k20": "zero_vector",
        "k29": "not_finite",
    }  # fmt: skip
    assert errors["k20"]["locator"] == "b.parquet#7"
    ids = copied.table("features")["example_id"].to_pylist()
    assert ids == [f"k{row}" for row in range(30) if row not in (3, 8, 9, 20, 29)]
    assert copied.outcome.details["error_codes"] == Counter(row["code"] for row in errors.values())


@pytest.mark.parametrize("shard_size", [None, 2])
def test_zero_vectors_that_are_kept_are_counted_and_named(
    tmp_path: Path, shard_size: int | None
) -> None:
    vectors = np.ones((12, 2))
    vectors[[1, 2, 4, 5, 8, 9, 11]] = 0
    pq.write_table(pa.table({"v": fixed(vectors)}), tmp_path / "a.parquet")
    dataset = {"name": "vectors", "root": str(tmp_path / "a.parquet")}
    copied = ran(tmp_path / "out", "features", dataset=dataset, shard_size=shard_size)
    assert (copied.outcome.rows, copied.outcome.error_rows) == (12, 0)
    assert copied.outcome.details["remarks"] == {
        "zero_vector": {"rows": 7, "first": [f"a.parquet#{row}" for row in (1, 2, 4, 5, 8)]}
    }
    dataset["zero_vectors"] = "error"
    refused = ran(tmp_path / "refused", "features", dataset=dataset, shard_size=shard_size)
    assert (refused.outcome.error_rows, refused.outcome.details["remarks"]) == (7, {})


def test_vectors_that_are_all_wrong_are_a_job_that_fails(tmp_path: Path) -> None:
    pq.write_table(pa.table({"v": fixed(np.full((5, 2), np.nan))}), tmp_path / "a.parquet")
    with pytest.raises(AllRowsFailedError, match="5 not_finite"):
        vectors_of(tmp_path / "out", root=str(tmp_path / "a.parquet"))


def test_half_the_precision_is_stored_where_it_is_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1.0, 65_000.0], [1.0, 70_000.0]]))
    dataset = {"name": "vectors", "root": str(tmp_path / "a.npy")}
    copied = ran(tmp_path / "out", "features", dataset=dataset, dtype="float16")
    assert copied.table("features").schema.field("features").type.value_type == pa.float16()
    assert copied.table("errors")["code"].to_pylist() == ["not_finite"]


def test_images_of_the_rows_become_thumbnails(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/red.png").write_bytes(solid((255, 0, 0), 100, 50))
    cells = [
        {"bytes": solid((0, 0, 255), 4, 3), "path": None}, {"bytes": None, "path": "red.png"}, None,
        {"bytes": b"no image", "path": None}, {"bytes": None, "path": "gone.png"},
    ]  # fmt: skip
    pq.write_table(pa.table({"v": fixed(np.eye(5)), "img": cells}), tmp_path / "in/a.parquet")
    copied = vectors_of(tmp_path / "out", root=str(tmp_path / "in"), image_column="img")
    found = copied.table("features").to_pylist()
    assert [(row["width"], row["height"]) for row in found] == [(4, 3), (100, 50), (None, None)]
    assert found[2]["thumbnail"] is None
    assert decode(found[0]["thumbnail"]["bytes"]).shape == (3, 4, 3)
    assert decode(found[1]["thumbnail"]["bytes"]).shape == (32, 64, 3)
    codes = {row["example_id"]: row["code"] for row in copied.table("errors").to_pylist()}
    assert codes == {"3": "not_an_image", "4": "not_found"}


def test_a_model_is_needed_of_images_and_refused_of_vectors(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(3))
    dataset = {"name": "vectors", "root": str(tmp_path / "a.npy")}
    with pytest.raises(SpecError, match="leave the model out") as caught:
        ran(tmp_path, "features", dataset=dataset, model={"name": "lenet", "weights": "random"})
    assert caught.value.detail["field"] == "dataset"
    with pytest.raises(SpecError, match="digits gives images") as caught:
        ran(tmp_path, "features", dataset={"name": "digits"})
    assert caught.value.detail["field"] == "model"


@pytest.mark.parametrize("option", [{"layers": "fc1"}, {"pooling": "mean"}, {"batch_size": 4}])
def test_options_of_a_network_are_refused_without_one(option: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="vectors are taken as they are") as caught:
        parse_spec({"job": "features", "dataset": {"name": "vectors"}, **option})
    assert caught.value.detail["field"] == next(iter(option))


# -- coordinates -------------------------------------------------------------------------------


def places(folder: Path, **columns: list[Any]) -> Ran:
    """Features that are the two coordinates themselves."""
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "places.parquet")
    return vectors_of(folder, root=str(folder / "places.parquet"), vector_column=["x", "y"])


def test_coordinates_are_the_map_and_its_quality_is_measured(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform(-5, 5, (30, 2)).astype(np.float32)
    places(tmp_path / "a", x=xy[:, 0].tolist(), y=xy[:, 1].tolist())
    laid = laid_out(tmp_path / "a", coordinates=["x", "y"])
    found = laid.table("embedding")
    assert np.array_equal(np.stack([found["x"], found["y"]], axis=1), xy)
    details = laid.outcome.details
    assert details["method"] == "coordinates"
    assert details["perplexity"] is None
    # The features are the coordinates: every neighbor is kept.
    assert details["quality"]["neighbors_kept_fraction"] == 1
    assert details["quality"]["distance_correlation"] == pytest.approx(1)
    nearest = laid.table("neighbors")["neighbor_rows"][0].as_py()
    distances = np.linalg.norm(xy - xy[0], axis=1)
    assert nearest == np.argsort(distances, kind="stable")[1:13].tolist()


def test_an_example_without_coordinates_is_named_and_left_out(tmp_path: Path) -> None:
    pq.write_table(
        pa.table(
            {
                "v": fixed(np.arange(12.0).reshape(6, 2)),
                "x": [1.0, 2.0, None, float("nan"), 5.0, 6.0],
                "y": [0.0] * 6,
                "word": ["1"] * 6,
            }
        ),
        tmp_path / "a.parquet",
    )
    vectors_of(tmp_path, root=str(tmp_path / "a.parquet"))
    laid = laid_out(tmp_path, coordinates=["x", "y"])
    assert laid.table("embedding")["example_id"].to_pylist() == ["0", "1", "4", "5"]
    errors = laid.table("errors")
    assert errors["example_id"].to_pylist() == ["2", "3"]
    assert set(errors["code"].to_pylist()) == {"no_coordinates"}
    assert laid.outcome.error_rows == 2
    info, drawing = drawn(tmp_path, color_layers=["density"])
    assert info.examples == 4
    assert drawing.table("points")["features_row"].to_pylist() == [0, 1, 4, 5]
    with pytest.raises(AllRowsFailedError, match="no number"):
        laid_out(tmp_path, coordinates=["x", "word"])


@pytest.mark.parametrize(
    ("y_axis", "extent", "highest"),
    [("up", [0, 0, 40, 30], "2"), ("down", [0, 30, 40, 0], "0")],
)
def test_the_map_and_its_background_are_the_right_way_up(
    tmp_path: Path, y_axis: str, extent: list[float], highest: str
) -> None:
    """Red is the upper half of the image, which the highest example lies on."""
    places(tmp_path / "a", x=[10.0, 20.0, 30.0], y=[5.0, 14.0, 25.0])
    laid_out(tmp_path / "a", coordinates=["x", "y"], y_axis=y_axis)
    plan = np.zeros((300, 400, 3), np.uint8)
    plan[:150, :, 0] = 255
    plan[150:, :, 2] = 255
    (tmp_path / "plan.png").write_bytes(png(plan))
    background = {"image": str(tmp_path / "plan.png"), "extent": extent}
    info, drawing = drawn(tmp_path / "a", color_layers=["density"], background=background)
    points = drawing.table("points").to_pylist()
    assert min(points, key=lambda row: row["y"])["example_id"] == highest
    assert info.background is not None
    archive = ArchiveReader(drawing.storage, f"{job_dir(TILES)}/{info.background.path}")
    with Image.open(io.BytesIO(archive.get(0, 0, 0) or b"")) as tile:
        pixels = np.asarray(tile.convert("RGBA"))
    colors = {
        row["example_id"]: pixels[int(row["y"] * 512), int(row["x"] * 512)].tolist()
        for row in points
    }
    assert np.allclose(colors[highest], [255, 0, 0, 255], atol=12)
    lowest = {"0": "2", "2": "0"}[highest]
    assert np.allclose(colors[lowest], [0, 0, 255, 255], atol=12)
    # The map shows the square around the wider background, so its corners are transparent.
    assert pixels[0, 0, 3] == 0
    inside = np.argwhere(pixels[..., 3] == 255)
    height, width = np.ptp(inside, axis=0) + 1
    assert width / height == pytest.approx(4 / 3, abs=0.01)


@pytest.mark.parametrize(
    ("background", "field", "said"),
    [
        ({"image": "gone.png", "extent": [0, 0, 1, 1]}, "background.image", "cannot read"),
        ({"image": "note.txt", "extent": [0, 0, 1, 1]}, "background.image", "cannot read"),
        ({"image": "note.txt", "extent": [0, 1, 1, 0]}, "background.extent", "exchange the two"),
        ({"image": "note.txt", "extent": [1, 0, 1, 1]}, "background.extent", "left is less than right"),
    ],
)  # fmt: skip
def test_a_background_that_cannot_be_drawn_is_named(
    tmp_path: Path, background: dict[str, Any], field: str, said: str
) -> None:
    places(tmp_path / "a", x=[0.0, 1.0], y=[0.0, 1.0])
    laid_out(tmp_path / "a", coordinates=["x", "y"])
    (tmp_path / "note.txt").write_text("no image")
    background = {**background, "image": str(tmp_path / background["image"])}
    with pytest.raises(SpecError, match=said) as caught:
        drawn(tmp_path / "a", background=background)
    assert caught.value.detail["field"] == field


@pytest.mark.parametrize("option", [{"max_states": 100}, {"perplexity": 5}])
def test_coordinates_take_the_place_of_tsne(option: dict[str, Any]) -> None:
    fields = {"job": "embedding", "features": FEATURES, "coordinates": ["x", "y"]}
    with pytest.raises(SpecError) as caught:
        parse_spec({**fields, **option})
    assert caught.value.detail["field"] == "coordinates"
