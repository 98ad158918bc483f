"""Tiles in color and single examples of a map."""

from __future__ import annotations

import io
import json
import runpy
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from featurescape.server.colormaps import COLORMAPS, color_value, lookup_table
from featurescape_jobs.artifacts import ValueScale, job_dir
from helpers.gallery_builders import run_job
from helpers.service_fakes import FEATURES_SPEC, RunningService, png, webp

WEB = Path(__file__).parents[2] / "service/web"


def pixels(answer: httpx.Response) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def test_a_density_tile_is_colored_where_something_is(http: httpx.Client, map_id: str) -> None:
    answer = http.get(f"/v1/maps/{map_id}/tiles/density/0/0/0.png?colormap=magma")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    found = pixels(answer)
    assert found.shape == (512, 512, 4)
    assert found[0, 0].tolist() == [*lookup_table("magma")[255].tolist(), 255]
    assert not found[1:, 1:, 3].any()


def test_a_category_tile_has_the_color_of_the_class_unless_hidden(
    http: httpx.Client, map_id: str
) -> None:
    address = f"/v1/maps/{map_id}/tiles/category/0/0/0.png"
    shown = pixels(http.get(address))
    assert shown[0, 0].tolist() == [0, 0, 4, 130 + 25]
    assert not shown[1:, 1:, 3].any()
    assert pixels(http.get(address, params={"hide": "0,1"}))[0, 0, 3] == 155
    assert not pixels(http.get(address, params={"hide": "1,3"}))[..., 3].any()


def test_a_layer_of_an_attribute_is_asked_for_by_its_name_whatever_that_is(
    http: httpx.Client, map_id: str
) -> None:
    for name in ("value:a/b", "value:?#", "value:../../x y"):
        answer = http.get(f"/v1/maps/{map_id}/tiles/{quote(name, safe='')}/0/0/0.png")
        assert answer.status_code == 404
        assert f"no color layer {name!r}" in answer.json()["error"]["message"]


def test_means_are_colored_over_their_range_and_diverge_at_zero() -> None:
    data = np.zeros((1, 5, 3), np.uint8)
    for place, step in enumerate((0, 65535 // 3, 65535 // 2, 65535)):
        data[0, place] = [step >> 8, step & 255, 1 + 12 * place]
    fields = {"attribute": "n", "type": "number", "extent": (-3, 6), "below": 0, "above": 0}
    scale = ValueScale(**fields, range=(0, 3), encoded=(-3, 6), missing=0, diverging=False)
    found = color_value(data, scale, "viridis")
    table = lookup_table("viridis")
    assert found[0, :4, :3].tolist() == table[[0, 0, 127, 255]].tolist()
    assert found[0, :, 3].tolist() == [131, 143, 155, 167, 0]
    across = scale.model_copy(update={"range": (-3, 3), "encoded": (-3, 3), "diverging": True})
    found = color_value(data, across, "viridis")
    low, middle, high = (found[0, place, :3].astype(int) for place in (0, 2, 3))
    assert np.ptp(middle) < 8
    assert low[2] > low[0] + 50
    assert high[0] > high[2] + 50


def test_thumbnails_come_as_they_are(http: httpx.Client, map_id: str) -> None:
    answer = http.get(f"/v1/maps/{map_id}/tiles/thumbnails/0/0/0.webp")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert http.get(f"/v1/maps/{map_id}/tiles/thumbnails/0/0/0.png").status_code == 404


def test_a_background_has_tiles_too(
    http: httpx.Client, service: RunningService, map_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/v1/maps/{map_id}/tiles/background/0/0/0.webp"
    assert http.get(address).status_code == 404
    maps = service.embedded.app.state.services.maps
    opened = maps.open(map_id)
    background = opened.layer("thumbnails").model_copy(update={"name": "background"})
    info = opened.info.model_copy(update={"background": background})
    monkeypatch.setattr(maps, "open", lambda _: replace(opened, info=info))
    answer = http.get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert answer.content == webp()


def test_a_preview_shows_the_images_of_a_map_that_draws_some(
    http: httpx.Client, service: RunningService, map_id: str
) -> None:
    answer = http.get(f"/v1/maps/{map_id}/preview")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (640, 640)
        assert image.mode == "RGBA"
    again = http.get(
        f"/v1/maps/{map_id}/preview", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304
    features = service.commit.started(FEATURES_SPEC)
    service.commit.finish(features)
    assert http.get(f"/v1/maps/{features}/preview").status_code == 404


def test_an_empty_tile_is_transparent(http: httpx.Client, map_id: str) -> None:
    answer = http.get(f"/v1/maps/{map_id}/tiles/density/1/1/1.png")
    assert answer.status_code == 200
    assert not pixels(answer)[..., 3].any()


@pytest.mark.parametrize(
    "place", ["9999/0/0", "2/0/0", "0/1/0", "1/0/2", "0/-1/0", f"1/{10**18}/0", "-1/0/0"]
)
def test_there_are_no_tiles_outside_of_the_map(http: httpx.Client, map_id: str, place: str) -> None:
    assert http.get(f"/v1/maps/{map_id}/tiles/density/{place}.png").status_code == 404


@pytest.mark.parametrize(
    "path", ["density/x/0/0.png", "density/0/0/0.png?colormap=jet", "category/0/0/0.png?hide=a"]
)
def test_wrong_tile_parameters_are_named(http: httpx.Client, map_id: str, path: str) -> None:
    answer = http.get(f"/v1/maps/{map_id}/tiles/{path}")
    assert answer.status_code == 422


def test_an_unknown_layer_is_not_found_and_the_known_are_told(
    http: httpx.Client, map_id: str
) -> None:
    answer = http.get(f"/v1/maps/{map_id}/tiles/nothing/0/0/0.png")
    assert answer.status_code == 404
    assert "thumbnails" in answer.json()["error"]["message"]


def test_an_example_of_an_earlier_version_has_no_cell(
    http: httpx.Client, service: RunningService
) -> None:
    job_id = service.commit.digits_map()
    path = f"jobs/{job_id}/data/points.parquet"
    points = service.storage.read_table(path).drop_columns(["grid_x", "grid_y"])
    service.storage.write_table(path, points)
    found = http.get(f"/v1/maps/{job_id}/examples/3").json()
    assert found["x"] == pytest.approx(0.4)
    assert found["grid_x"] is found["grid_y"] is found["neighbors"][0]["grid_x"] is None


def test_an_example_is_shown_with_its_neighbors(http: httpx.Client, map_id: str) -> None:
    found = http.get(f"/v1/maps/{map_id}/examples/3").json()
    assert found["example_id"] == "digits-0003"
    assert (found["label"], found["class_name"]) == (3, "3")
    assert (found["width"], found["height"]) == (8, 8)
    assert found["x"] == pytest.approx(0.4)
    assert found["attributes"] == {}
    known = http.get(f"/v1/maps/{map_id}/examples/1").json()["attributes"]
    assert known == {"name": "a <b>one</b>", "azimuth_degrees": 30.5}
    assert [near["row"] for near in found["neighbors"]] == [2, 0]
    assert found["neighbors"][0]["class_name"] is None
    near = found["neighbors"][1]
    assert (near["row"], near["example_id"], near["distance"]) == (0, "digits-0000", 1.0)
    assert (near["label"], near["class_name"]) == (0, "0")
    assert (near["x"], near["y"]) == (pytest.approx(0.1), pytest.approx(0.5))
    assert (near["grid_x"], near["grid_y"]) == (0.4375, 0.4375)
    assert (found["grid_x"], found["grid_y"]) == (0.5625, 0.5625)


@pytest.mark.parametrize("row", ["4", "-1", str(10**15)])
def test_a_row_outside_of_the_map_is_not_found(http: httpx.Client, map_id: str, row: str) -> None:
    for what in ("", "/thumbnail", "/image"):
        assert http.get(f"/v1/maps/{map_id}/examples/{row}{what}").status_code == 404


def test_the_thumbnail_is_the_stored_one_also_of_a_second_file(
    http: httpx.Client, map_id: str
) -> None:
    for row in (0, 2, 3):
        answer = http.get(f"/v1/maps/{map_id}/examples/{row}/thumbnail")
        assert answer.content == png(row)
        assert answer.headers["content-type"] == "image/png"


def test_an_example_without_an_image_has_no_size_and_no_thumbnail(
    http: httpx.Client, service: RunningService
) -> None:
    map_id = service.commit.digits_map(images=False)
    example = http.get(f"/v1/maps/{map_id}/examples/1").json()
    assert (example["example_id"], example["width"], example["height"]) == (
        "digits-0001",
        None,
        None,
    )
    answer = http.get(f"/v1/maps/{map_id}/examples/1/thumbnail")
    assert answer.status_code == 404
    assert "has no image" in answer.json()["error"]["message"]


def test_the_image_is_read_from_the_dataset_and_encoded_anew(
    http: httpx.Client, map_id: str
) -> None:
    answer = http.get(f"/v1/maps/{map_id}/examples/2/image")
    assert answer.headers["content-type"] == "image/png"
    expected = np.rint(load_digits().images[2] * (255 / 16))
    assert np.array_equal(pixels(answer)[..., 0], expected)


def test_examples_are_found_by_id_or_its_start(http: httpx.Client, map_id: str) -> None:
    address = f"/v1/maps/{map_id}/examples"
    exact = http.get(address, params={"example_id": "digits-0002"}).json()["examples"]
    assert exact == [{"row": 2, "example_id": "digits-0002", "class_name": None}]
    started = http.get(address, params={"example_id": "digits-"}).json()["examples"]
    assert [example["row"] for example in started] == [0, 1, 2, 3]
    assert http.get(address, params={"example_id": "%_"}).json()["examples"] == []
    assert http.get(address).status_code == 422


@pytest.fixture(scope="module")
def atlas_id(service: RunningService) -> str:
    """An atlas of digits, made in this process."""
    spec = {
        "job": "atlas",
        "dataset": {"name": "digits", "limit": 80},
        "model": {"name": "lenet", "weights": "random"},
        "layer": "conv2",
        **{"perplexity": 8, "iterations": 50, "grid": 2, "steps": 2, "icon_px": 16, "max_zoom": 1},
    }
    return run_job(service, spec)


def test_an_atlas_is_a_map_whose_examples_it_holds_itself(
    http: httpx.Client, atlas_id: str
) -> None:
    icons = http.get(f"/v1/maps/{atlas_id}/tiles/icons/0/0/0.webp")
    assert (icons.status_code, icons.headers["content-type"]) == (200, "image/webp")
    assert pixels(icons)[..., 3].any()
    density = pixels(http.get(f"/v1/maps/{atlas_id}/tiles/density/0/0/0.png"))
    assert density[..., 3].any()
    found = http.get(f"/v1/maps/{atlas_id}/examples/5").json()
    assert (found["width"], found["height"], len(found["neighbors"])) == (8, 8, 12)
    assert found["row"] not in [near["row"] for near in found["neighbors"]]
    for what in ("thumbnail", "image"):
        answer = http.get(f"/v1/maps/{atlas_id}/examples/5/{what}")
        assert answer.headers["content-type"] == "image/png"
    refused = http.get(f"/v1/maps/{atlas_id}/search")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")
    shown = pixels(http.get(f"/v1/maps/{atlas_id}/examples/5/image"))[..., 0]
    locator = int(found["example_id"].rpartition("-")[2])
    assert np.array_equal(shown, np.rint(load_digits().images[locator] * (255 / 16)))
    listed = http.get(f"/v1/maps/{atlas_id}/examples", params={"example_id": "digits-"})
    assert len(listed.json()["examples"]) == 50


def test_only_a_job_that_draws_one_is_a_map(http: httpx.Client, service: RunningService) -> None:
    job_id = service.commit.started(FEATURES_SPEC)
    service.commit.finish(job_id)
    answer = http.get(f"/v1/maps/{job_id}/examples/0")
    assert answer.status_code == 404
    assert "not a map" in answer.json()["error"]["message"]


def test_the_viewer_has_the_colormaps_of_the_service() -> None:
    script = runpy.run_path(str(WEB / "scripts/colormap_tables.py"))
    assert (WEB / "src/tiles/colormap-tables.ts").read_text() == script["text"]()


def test_colormaps_are_the_published_ones() -> None:
    published = {"viridis": "440154 21918c fde725", "magma": "000004 b73779 fcfdbf"}
    for name, colors in published.items():
        found = lookup_table(name)[[0, 128, 255]]
        assert " ".join(color.tobytes().hex() for color in found) == colors


def test_colormaps_run_from_dark_to_light_or_across_the_hues() -> None:
    for name in COLORMAPS:
        table = lookup_table(name)
        assert table.shape == (256, 3)
        if name != "turbo":
            luminance = table @ np.array([0.2126, 0.7152, 0.0722])
            assert (np.diff(luminance) > -1).all(), name


def test_a_tile_is_that_of_the_arrangement_that_is_asked_for(
    http: httpx.Client, service: RunningService
) -> None:
    job_id = service.commit.digits_map()
    storage = service.storage
    path = f"{job_dir(job_id)}/manifest.json"
    manifest = json.loads(storage.read(path))
    grid = {"name": "category", "path": "data/density.pmtiles", "min_zoom": 0, "max_zoom": 0}
    manifest["details"]["map"]["arrangements"] = [
        {
            "name": "grid",
            "extent": [0, 0, 1, 1],
            "layers": [grid | {"drawn": [4]}],
            "points": "data/points.pmtiles",
            "points_zoom": 0,
        }
    ]
    storage.overwrite(path, json.dumps(manifest).encode())
    tile = f"/v1/maps/{job_id}/tiles/category/0/0/0.png"
    exact, arranged = (http.get(f"{tile}?arrangement={name}") for name in ("exact", "grid"))
    assert exact.status_code == arranged.status_code == 200
    assert exact.content == http.get(tile).content != arranged.content
    other = http.get(f"/v1/maps/{job_id}/tiles/density/0/0/0.png?arrangement=grid")
    assert (other.status_code, other.json()["error"]["message"]) == (
        404,
        "this map has no color layer 'density' in the grid; it has category",
    )
    assert http.get(f"{tile}?arrangement=spiral").status_code == 422
