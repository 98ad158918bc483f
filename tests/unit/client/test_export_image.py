"""A map as one image: the tiles put together, whatever the strips; and the formats and sizes that there are."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from featurescape import export_image as module
from featurescape import export_strips
from featurescape.export_image import side_of
from featurescape.export_png import PngWriter
from featurescape.export_progress import ExportProgress
from featurescape.export_strips import BACKGROUNDS, Drawing, Scaled, dot_radius
from featurescape.handles import Job, Map
from featurescape.steps import Send, Step
from featurescape_jobs.errors import NotFoundError, RequestError
from helpers.artifact_builders import TILES_ID, commit, random_examples
from helpers.map_builders import commit_map
from helpers.storage_transport import StorageTransport

SIDE = 512


NAMES: dict[str, Any] = {}
"""As `data/names.json` has them."""


def tile(z: int, x: int, y: int) -> Image.Image:
    """A tile of noise, half of it transparent."""
    rng = np.random.default_rng([z, x, y])
    pixels = rng.integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
    pixels[..., 3] = np.where(rng.random((SIDE, SIDE)) < 0.5, 255, 0)
    return Image.fromarray(pixels, "RGBA")


class Tiles(StorageTransport):
    """Answers for tiles and files, too."""

    def __init__(self, storage: Any) -> None:
        super().__init__(storage)
        self.asked: list[Any] = []

    def _do(self, step: Step) -> Any:
        if isinstance(step, Send) and "/files/" in step.path:
            return httpx.Response(200, content=json.dumps(NAMES).encode())
        if not isinstance(step, Send) or "/tiles/" not in step.path:
            return super()._do(step)
        self.asked.append(step.params)
        z, x, y = (int(part) for part in step.path.removesuffix(".png").split("/")[-3:])
        sink = io.BytesIO()
        tile(z, x, y).save(sink, "PNG", compress_level=0)
        return httpx.Response(200, content=sink.getvalue())


@pytest.fixture
def view(tmp_path: Path) -> Map:
    transport = Tiles(commit_map(tmp_path / "storage", random_examples(100)).storage)
    manifest = transport.artifact(TILES_ID).manifest
    manifest.details["map"]["layers"][0]["max_zoom"] = 2  # as of a map of more examples
    commit(transport.storage, manifest)
    return Map(transport, [Job(transport, {"id": TILES_ID, "job": "tiles"})])


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels are pixels, not discs."""
    monkeypatch.setattr(export_strips, "_LARGEST_DOT", 0.0)


def put_together(zoom: int, theme: str) -> Image.Image:
    """All tiles of a zoom, by Pillow."""
    side = SIDE << zoom
    whole = Image.new("RGB", (side, side), BACKGROUNDS[theme])
    for x in range(1 << zoom):
        for y in range(1 << zoom):
            made = tile(zoom, x, y)
            whole.paste(made, (x * SIDE, y * SIDE), made)
    return whole


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("rows", [256, 100])
def test_an_image_as_large_as_the_tiles_is_the_tiles(
    view: Map, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theme: Any, rows: int
) -> None:
    monkeypatch.setattr(module, "STRIP_ROWS", rows)
    path = view.export_image(tmp_path / "map.png", size=1024, theme=theme)
    with Image.open(path) as image:
        image.load()
        assert image.size == (1024, 1024)
        assert round(image.info["dpi"][0]) == 300
        assert np.array_equal(np.asarray(image), np.asarray(put_together(1, theme)))


@pytest.mark.usefixtures("plain")
def test_another_size_is_scaled_without_seams_between_strips(
    view: Map, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STRIP_ROWS", 64)
    with Image.open(view.export_image(tmp_path / "map.png", size=700)) as image:
        found = np.asarray(image).astype(int)
    whole = put_together(1, "dark").resize((700, 700), Image.Resampling.BOX)
    assert np.abs(found - np.asarray(whole).astype(int)).max() <= 1  # a strip begins within a pixel


@pytest.mark.usefixtures("plain")
def test_no_more_than_a_few_rows_of_tiles_are_held(
    view: Map, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    row = export_strips._Rows._row

    def counted(self: Any, y: int) -> Any:
        held.append(len(self._rows) + 1)
        return (yield from row(self, y))

    monkeypatch.setattr(export_strips._Rows, "_row", counted)
    view.export_image(tmp_path / "map.png", size=2048)
    assert len(held) == 4, "each row of tiles is asked for once"
    assert max(held) <= 2


def as_classes(view: Map, **changes: Any) -> None:
    """Make the layer of counts one of two classes, and change what the map says of itself."""
    manifest = view._transport.artifact(TILES_ID).manifest
    (layer,) = manifest.details["map"]["layers"]
    classes = [
        {"index": 0, "name": "north", "color": "#ff0000", "count": 1234},
        {"index": 1, "name": "<b>south", "color": "#00ff00", "count": 56},
    ]
    layer |= {"title": "Classes", "legend": {"kind": "category", "classes": classes}}
    manifest.details["map"] |= changes
    commit(view._transport.storage, manifest)


def drawing_of(view: Map, **changes: Any) -> Drawing:
    info = view.info()
    given = {"map_id": TILES_ID, "info": info, "layer": info.layers[0], "arrangement": "exact"}
    look = {"colormap": "magma", "theme": "dark", "side": 1000}
    return Drawing(**(given | look | changes))


def test_sparse_layers_at_exact_places_are_drawn_in_dots(view: Map) -> None:
    info = view.info()
    dense = info.model_copy(update={"examples": 1_000_000})
    assert dot_radius(drawing_of(view)) == 2.8
    # A tenth of the square is (0.3 / (pi n))^0.5 a dot: of 60,000 the radius is 1.26 thousandths.
    middle = info.model_copy(update={"examples": 60_000})
    assert dot_radius(drawing_of(view, info=middle)) == pytest.approx(1.2616, abs=1e-4)
    assert dot_radius(drawing_of(view, info=dense)) == 0
    assert dot_radius(drawing_of(view, arrangement="grid")) == 0
    deep = info.layers[0].model_copy(update={"max_zoom": 6})
    zooms = [
        Scaled(drawing_of(view, layer=deep, side=side), ExportProgress()).zoom
        for side in (512, 513, 1024, 20_000, 60_000)
    ]
    assert zooms == [0, 1, 1, 6, 6]  # 512 * 2^6 = 32,768


@pytest.mark.parametrize("rows", [256, 37])
def test_a_dot_is_a_disc_at_its_place_whatever_the_strips(
    view: Map, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(module, "STRIP_ROWS", rows)
    as_classes(view)
    lone = Image.new("RGBA", (SIDE, SIDE))
    lone.putpixel((100, 300), (255, 0, 0, 200))
    empty = Image.new("RGBA", (SIDE, SIDE))
    monkeypatch.setattr(sys.modules[__name__], "tile", lambda z, x, y: empty if x or y else lone)
    with Image.open(view.export_image(tmp_path / "map.png", size=2000)) as image:
        pixels = np.asarray(image).astype(int)
    drawn = np.argwhere((pixels != BACKGROUNDS["dark"]).any(axis=2))
    # Pixel (100, 300) of a map of 2,048 is at (98.1, 293.5) of one of 2,000; 2.8 thousandths are 5.6.
    assert drawn.mean(axis=0) + 0.5 == pytest.approx([293.5, 98.1], abs=0.5)
    red = BACKGROUNDS["dark"][0]
    covered = ((pixels[..., 0] - red) / (255 - red)).sum()
    assert covered == pytest.approx(np.pi * 5.6**2, rel=0.05)
    assert tuple(pixels[293, 98]) == (255, 0, 0)


@pytest.mark.usefixtures("plain")
def test_an_arrangement_is_asked_for_by_its_name(view: Map, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no arrangement 'grid'"):
        view.export_image(tmp_path / "map.png", size=512, arrangement="grid")
    manifest = view._transport.artifact(TILES_ID).manifest
    cells = {
        "name": "density",
        "path": "data/g.pmtiles",
        "min_zoom": 0,
        "max_zoom": 0,
        "drawn": [9],
    }
    arranged = {
        "name": "grid",
        "extent": [0, 0, 1, 1],
        "layers": [cells],
        "points": "",
        "points_zoom": 0,
    }
    manifest.details["map"]["arrangements"] = [arranged]
    commit(view._transport.storage, manifest)
    view.export_image(tmp_path / "map.png", size=512, arrangement="grid")
    assert {params["arrangement"] for params in view._transport.asked} == {"grid"}
    with pytest.raises(NotFoundError, match="'category' in the grid; it has density"):
        view.export_image(tmp_path / "2.png", size=512, arrangement="grid", layer="category")


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(("suffix", "kind"), [("jpg", "JPEG"), ("webp", "WEBP")])
def test_other_formats_by_their_suffix(view: Map, tmp_path: Path, suffix: str, kind: str) -> None:
    with Image.open(view.export_image(tmp_path / f"map.{suffix}", size=512)) as image:
        assert (image.format, image.size) == (kind, (512, 512))


@pytest.mark.usefixtures("plain")
def test_a_pdf_has_the_image_on_one_page(view: Map, tmp_path: Path) -> None:
    pytest.importorskip("img2pdf")
    import pikepdf

    path = view.export_image(tmp_path / "map.pdf", size=600)
    with pikepdf.open(path) as document:
        (page,) = document.pages
        assert [round(float(each)) for each in page.mediabox] == [0, 0, 144, 144]  # 2 inches
    assert [each.name for each in tmp_path.glob("*part*")] == []


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("map.gif", {}, r"end in one of \.png"),
        ("map.jpg", {"size": 20_000}, "JPEG is for at most 100,000,000 pixels"),
        ("map.png", {"size": 0}, "a side of 1 to 60,000 pixels"),
        ("nowhere/map.png", {}, "there is no folder"),
    ],
)
def test_what_cannot_be_written_is_refused(
    view: Map, tmp_path: Path, name: str, options: Any, said: str
) -> None:
    with pytest.raises(RequestError, match=said):
        view.export_image(tmp_path / name, **options)
    with pytest.raises(NotFoundError, match=r"no color layer 'x'; it has density"):
        view.export_image(tmp_path / "map.png", layer="x")


def test_a_side_is_said_once_or_twice() -> None:
    assert side_of("20000x20000") == side_of("20000") == 20_000
    for text in ("20000x100", "x", "-3", "1x1x1"):
        with pytest.raises(RequestError, match="image:"):
            side_of(text)


def test_strips_of_any_height_make_the_same_image(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (10, 7, 3), dtype=np.uint8)
    sink = io.BytesIO()
    writer = PngWriter(sink, 7, 10)
    for top, bottom in ((0, 1), (1, 4), (4, 10)):
        writer.add(Image.fromarray(pixels[top:bottom]))
    writer.finish()
    with Image.open(sink) as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_a_notebook_keeps_an_image_of_the_map(view: Map) -> None:
    from featurescape import notebook

    preview = view._transport.run(notebook.preview(TILES_ID))
    assert preview is not None
    assert preview.startswith("data:image/png;base64,")
    page = notebook.map_html({"status": "SUCCEEDED"}, "http://x/maps/1", preview)
    assert f'<img src="{preview}"' in page
    assert '<iframe src="http://x/maps/1"' in page
