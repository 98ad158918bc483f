"""An atlas from end to end, with a network that was trained here: vectors, cells, icons and tiles."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.activation_atlas.icon_tiles import edges
from featurescape_jobs.activation_atlas.vectors import position
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.layouts.whitening import Whitening
from featurescape_jobs.networks.loading import LoadedNetwork, load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.optvis.pixels import build_pixels
from featurescape_jobs.specs import DatasetSpec, ModelSpec
from featurescape_jobs.tables import EMBEDDING, NEIGHBORS, POINTS
from featurescape_jobs.tables.atlas import CELLS
from featurescape_jobs.tiling.archive import ArchiveReader
from featurescape_jobs.tiling.geometry import bins
from helpers.atlas_runs import GRID, JOB, LAYER, Made, made, make, spec_of, trained
from helpers.pixel_networks import CPU, one_thread

__all__ = ["made", "one_thread", "trained"]  # fixtures that work by being here


@pytest.fixture(scope="module")
def network(trained: ModelSpec) -> LoadedNetwork:
    return load_network(trained, seed=0)


def test_the_artifact_is_a_map_with_icons_images_and_counts(made: Made) -> None:
    info = made.info
    assert (made.outcome.rows, made.outcome.error_rows, info.examples) == (500, 0, 500)
    assert [layer.name for layer in info.layers] == ["icons", "thumbnails", "density", "category"]
    assert (info.embedding, info.features) == (JOB, JOB)
    assert info.classes == [str(digit) for digit in range(10)]
    kinds = {file.kind for file in made.context.files}
    assert kinds == {
        *("features", "errors", "whitening", "embedding", "neighbors", "cells", "cells_errors"),
        *("icons", "thumbnails", "density", "category", "points_tiles", "points"),
    }
    for file in made.context.files:
        path = made.context.path(file.path)
        assert made.context.storage.sha256(path) == file.sha256
    ids = made.table("features")["example_id"]
    for kind, schema in (("embedding", EMBEDDING), ("neighbors", NEIGHBORS), ("points", POINTS)):
        table = made.table(kind)
        assert table.schema.equals(schema)
        assert table["example_id"].equals(ids)
    assert made.table("cells").schema.equals(CELLS)
    assert set(made.context.timings_seconds) == {
        *("check", "freeze input", "vectors", "whiten", "icons"),
        *("initialization", "neighbors", "affinities", "early exaggeration", "optimization"),
        *("images", "thumbnails", "density", "category", "points"),
    }


def test_a_vector_is_what_the_layer_gives_at_the_position_of_the_seed(
    made: Made, network: LoadedNetwork
) -> None:
    table = made.table("features")
    reader = DATASETS["digits"].open_reader(DatasetSpec(name="digits"))
    read = [reader.read(locator) for locator in table["locator"].to_pylist()]
    found: list[torch.Tensor] = []
    hook = network.module.get_submodule(LAYER).register_forward_hook(
        lambda *args: found.append(args[2])
    )
    network.module(torch.from_numpy(prepare(read, network.image_card)))
    hook.remove()
    maps = found[0].numpy()
    _, _, height, width = maps.shape
    rows = zip(table["example_id"].to_pylist(), maps, made.vectors(), strict=True)
    places = zip(table["position_y"].to_pylist(), table["position_x"].to_pylist(), strict=True)
    for (example_id, activation, vector), place in zip(rows, places, strict=True):
        assert place == position(seed_for(0, example_id), height, width, edge=1)
        assert np.allclose(vector, activation[:, place[0], place[1]], atol=1e-5)


def test_vectors_do_not_depend_on_batches_and_shards(tmp_path: Path, trained: ModelSpec) -> None:
    one = make(tmp_path / "a", spec_of(trained))
    other = make(tmp_path / "b", spec_of(trained, batch_size=5, shard_size=17))
    left = ("example_id", "label", "locator", "thumbnail", "position_y", "position_x")
    tables = [run.table("features").select(left).combine_chunks() for run in (one, other)]
    assert tables[0].equals(tables[1])
    assert np.allclose(one.vectors(), other.vectors(), atol=1e-5)
    another = make(tmp_path / "c", spec_of(trained, seed=1)).table("features")
    assert (
        not another["position_y"].combine_chunks().equals(tables[0]["position_y"].combine_chunks())
    )


def test_cells_are_those_of_the_points_and_their_means_those_of_numpy(made: Made) -> None:
    points, vectors, cells = made.table("points"), made.vectors(), made.cells()
    x, y = (points[name].to_numpy() for name in ("x", "y"))
    whitening = whitening_of(made)
    assert sum(cell["vectors"] for cell in cells) == 500
    for cell in cells:
        inside = (bins(x, GRID) == cell["column"]) & (bins(y, GRID) == cell["row"])
        mean = vectors[inside].mean(0)
        assert cell["vectors"] == inside.sum()
        assert np.allclose(cell["mean"], mean, atol=1e-5)
        assert np.allclose(cell["whitened"], whitening(mean[None])[0], atol=1e-4)
        labels = points["label"].to_numpy()[inside]
        assert cell["label"] == np.bincount(labels).argmax()
        assert cell["label_share"] == pytest.approx((labels == cell["label"]).mean())
        assert inside[cell["typical_row"]]
        assert points["example_id"][cell["typical_row"]].as_py() == cell["typical_id"]


def whitening_of(made: Made) -> Whitening:
    (file,) = [file for file in made.context.files if file.kind == "whitening"]
    return Whitening.from_bytes(made.context.storage.read(made.context.path(file.path)))


def test_only_cells_with_enough_vectors_have_an_icon(made: Made) -> None:
    cells = made.cells()
    for cell in cells:
        has_icon = cell["vectors"] > 10
        assert (cell["icon"] is not None) == has_icon
        assert (cell["objective"] is not None) == (cell["cosine"] is not None) == has_icon
    with_icon = [cell["vectors"] for cell in cells if cell["vectors"] > 10]
    assert len(with_icon) > 5
    assert made.outcome.details["icons"] == made.info.layers[0].legend.icons == [len(with_icon)]
    assert made.info.layers[0].drawn == [sum(with_icon)]


def test_the_cell_of_fewest_vectors_has_no_icon_where_more_are_asked_for(
    tmp_path: Path, trained: ModelSpec
) -> None:
    """How many lie in a cell follows from how the layout was rounded: asked for are more than the fewest."""
    counts = [cell["vectors"] for cell in make(tmp_path / "a", spec_of(trained)).cells()]
    asked = make(tmp_path / "b", spec_of(trained, least_vectors=min(counts)))
    assert [cell["icon"] is not None for cell in asked.cells()] == [n > min(counts) for n in counts]
    assert 0 < len(asked.icons()) < len(counts)


def images_of(made: Made) -> torch.Tensor:
    """(K, 1, H, W): the icons."""
    read = [np.asarray(Image.open(io.BytesIO(data))) for data in made.icons().values()]
    return torch.from_numpy(np.stack(read))[:, None].float()


def cosines(made: Made, network: LoadedNetwork, images: torch.Tensor) -> NDArray[np.float64]:
    """(K, cells): of whitened activations with the whitened means, at the best position of each."""
    with torch.no_grad():
        maps = build_pixels(network, LAYER, "folded", CPU)(images).flatten(2).numpy()
    columns = maps.transpose(0, 2, 1) @ whitening_of(made).matrix
    columns = columns / np.linalg.norm(columns, axis=2, keepdims=True)
    means = np.array([cell["whitened"] for cell in made.cells() if cell["icon"]])
    found: NDArray[np.float64] = columns @ (means / np.linalg.norm(means, axis=1)[:, None]).T
    return found.max(1)


def test_the_icon_nearest_to_a_cell_is_its_own(made: Made, network: LoadedNetwork) -> None:
    found = cosines(made, network, images_of(made))
    own = np.arange(len(found))
    assert (found.argmax(0) == own).mean() > 0.6
    assert (np.roll(found, 1, 0).argmax(0) == own).mean() < 0.4, "the icon of another cell"
    said = [cell["cosine"] for cell in made.cells() if cell["icon"]]
    assert np.allclose(found.diagonal(), said, atol=0.02)  # pixels are stored as whole numbers


def test_icons_please_more_than_noise(made: Made, network: LoadedNetwork) -> None:
    icons = images_of(made)
    noise = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, icons.shape)).float()
    reached = cosines(made, network, icons).diagonal()
    assert (reached > cosines(made, network, noise).diagonal()).all()
    assert all(cell["objective"] > 0 for cell in made.cells() if cell["icon"])


def test_the_pixels_of_a_tile_are_those_of_the_icon_of_the_cell(made: Made) -> None:
    layer = made.info.layers[0]
    archive = ArchiveReader(made.context.storage, made.context.path(layer.path))
    tile = archive.get(0, 0, 0)
    assert (layer.max_zoom, tile is not None) == (0, True)
    pixels = np.asarray(Image.open(io.BytesIO(tile or b"")).convert("RGBA")).astype(int)
    drawn = np.zeros((512, 512), bool)
    for cell in made.cells():
        (y0, y1), (x0, x1) = (edges(cell[name], 512 / GRID) for name in ("row", "column"))
        if cell["icon"]:
            drawn[y0:y1, x0:x1] = True
            icon = Image.open(io.BytesIO(cell["icon"]["bytes"])).resize((x1 - x0, y1 - y0), 1)
            shown = pixels[y0:y1, x0:x1, :3].mean(2)
            assert np.abs(shown - np.asarray(icon)).mean() < 8  # WebP loses a little
    assert np.array_equal(pixels[..., 3] > 0, drawn)


@pytest.mark.parametrize(
    "change",
    [{"cells_per_shard": 2}, {"resources": {"cpus_per_worker": 3}}],
    ids=["shards", "threads"],
)
def test_icons_do_not_depend_on_shards_and_threads(
    tmp_path: Path, trained: ModelSpec, change: dict[str, Any]
) -> None:
    one = make(tmp_path / "a", spec_of(trained))
    other = make(tmp_path / "b", spec_of(trained, **change))
    assert len(one.icons()) > 3
    assert one.icons() == other.icons()
    attributions = [
        [cell["attribution"] for cell in run.cells() if cell["icon"]] for run in (one, other)
    ]
    assert np.allclose(*attributions, atol=1e-5)


def test_finer_grids_have_their_own_icons(tmp_path: Path, trained: ModelSpec) -> None:
    made = make(tmp_path, spec_of(trained, grid=2, levels=2))
    assert made.outcome.details["grids"] == [2, 4]
    by_grid = [[c for c in made.cells() if c["grid"] == grid] for grid in (2, 4)]
    assert [sum(c["vectors"] for c in cells) for cells in by_grid] == [120, 120]
    assert [len([c for c in cells if c["icon"]]) for cells in by_grid] == made.outcome.details[
        "icons"
    ]
    few = make(tmp_path / "few", spec_of(trained, grid=None))
    assert few.outcome.details["grids"] == [2]  # 120 examples are not enough for more


def test_after_a_resume_everything_is_the_same(tmp_path: Path, trained: ModelSpec) -> None:
    spec = spec_of(trained, shard_size=40, cells_per_shard=3)
    first = make(tmp_path, spec)
    storage, work = first.context.storage, first.context.path("work")
    for folder in ("markers", "cells/markers"):
        for marker in sorted((storage.local_path(work) / folder).iterdir())[1:]:
            marker.unlink()
    second = make(tmp_path, spec, attempt=2, threads=2)
    kept = {file.path for file in first.context.files} & {
        file.path for file in second.context.files
    }
    assert len([path for path in kept if "features" in path]) == 1
    assert len([path for path in kept if "cells-" in path]) == 1
    for kind in ("features", "embedding", "neighbors", "cells", "points"):
        assert first.table(kind).equals(second.table(kind))
    tiles = [
        {file.kind: file.sha256 for file in run.context.files if file.path.endswith(".pmtiles")}
        for run in (first, second)
    ]
    assert tiles[0] == tiles[1]


@pytest.mark.parametrize("execution", ["float32", "bfloat16"])
def test_icons_are_made_in_the_mode_that_was_asked_for(
    tmp_path: Path, trained: ModelSpec, execution: str
) -> None:
    dataset = {"name": "digits", "limit": 60}
    made = make(tmp_path, spec_of(trained, dataset=dataset, grid=2, execution=execution))
    assert made.outcome.details["execution"] == execution
    assert made.icons()


@pytest.mark.ray
def test_two_workers_make_the_same_atlas_as_one_process(
    tmp_path: Path, trained: ModelSpec, ray_address: str
) -> None:
    spec = spec_of(trained, shard_size=40, cells_per_shard=3)
    alone = make(tmp_path / "a", spec)
    together = make(tmp_path / "b", spec, ray_address=ray_address)
    for kind in ("features", "embedding", "cells"):
        assert alone.table(kind).equals(together.table(kind))
