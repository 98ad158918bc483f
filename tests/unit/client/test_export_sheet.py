"""What stands beside the map on its image: names with room, title, legend, and letters that no font has."""

from __future__ import annotations

import json
import warnings
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featurescape.export_letters import Face, Letters
from featurescape.export_progress import Shown, say
from featurescape.export_sheet import (
    MOST_CLASSES,
    Sheet,
    Writing,
    chosen_names,
    names_at,
    sheet_of,
    unit_of,
)
from featurescape.export_strips import Drawing
from featurescape_jobs.artifacts import ColorLayerInfo, Legend, LegendClass, MapInfo
from featurescape_jobs.errors import RequestError
from helpers.artifact_builders import TILES_ID, make_manifest

MANIFEST = make_manifest(TILES_ID, [], 0)


def classes(count: int) -> Legend:
    made = [
        LegendClass(index=i, name=f"class {i}", color="#0000ff", count=1000 - i)
        for i in range(count)
    ]
    return Legend(kind="category", classes=made)


def drawing(side: int = 1000, legend: Legend | None = None, **changes: Any) -> Drawing:
    layer = ColorLayerInfo(
        name="category",
        title="Classes",
        path="data/category.pmtiles",
        media_type="image/png",
        min_zoom=0,
        max_zoom=3,
        legend=legend or classes(2),
        drawn=[700, 750, 790, 796],
    )
    info = MapInfo(
        tile_px=512,
        max_zoom=3,
        bounds=(0, 0, 1, 1),
        examples=796,
        has_labels=True,
        classes=[],
        layers=[layer],
        points="",
        points_zoom=0,
        embedding="",
        features="",
    )
    given = {"arrangement": "exact", "colormap": "magma", "theme": "dark"} | changes
    return Drawing(map_id=TILES_ID, info=info, layer=layer, side=side, **given)


def name(text: str, x: float, y: float, count: int = 10, key: Any = None) -> dict[str, Any]:
    return {"text": text, "x": x, "y": y, "count": count, "kind": "class", "key": key or text}


def sheet(at: Drawing, title: str | None = None, zoom: int | None = None) -> Sheet:
    return sheet_of(at, MANIFEST, Writing([], title, zoom), Letters.found(None))


def test_names_have_room_and_none_lies_over_another_or_beside_the_map() -> None:
    rng = np.random.default_rng(0)
    many = [name(f"name {i}", *rng.random(2), count=int(rng.integers(1, 500))) for i in range(200)]
    side = 2000
    items = names_at(drawing(side), many, Letters.found(None), above=100)
    assert 20 < len(items) < 200
    boxes = [
        (
            each.x,
            each.x + each.font.getlength(each.text),
            each.y - each.size / 2,
            each.y + each.size / 2,
        )
        for each in items
    ]
    for one, other in combinations(boxes, 2):
        assert one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]
    assert min(box[0] for box in boxes) >= 0
    assert max(box[1] for box in boxes) <= side
    assert min(box[2] for box in boxes) >= 100
    assert max(box[3] for box in boxes) <= 100 + side
    most = max(many, key=lambda each: each["count"])
    assert items[0].text == most["text"], "the largest comes first"


def test_two_places_of_a_class_are_far_apart() -> None:
    near = [name("a", 0.4, 0.5, key=1), name("a", 0.5, 0.9, key=1), name("b", 0.5, 0.2, key=2)]
    letters = Letters.found(None)
    # 412 of 1,000 pixels between the two: they have room, but not within 260 of each other.
    assert [each.text for each in names_at(drawing(), near, letters, 0)] == ["a", "a", "b"]
    near[1] |= {"y": 0.7}
    assert [each.text for each in names_at(drawing(), near, letters, 0)] == ["a", "b"]


def test_the_names_are_those_of_the_image_s_zoom_in_its_arrangement() -> None:
    bands = {
        "exact": [{"zoom": z, "names": [name(f"exact {z}", 0, 0)]} for z in range(4)],
        "grid": [{"zoom": 0, "names": [name("grid 0", 0, 0)]}],
    }

    def text(at: Drawing) -> str:
        (found,) = chosen_names(json.dumps(bands).encode(), at, "class")
        return str(found["text"])

    # Letters are as large on 1,000 pixels as in the viewer, and 8 times on 16,000: log2(2000 / 512) is 1.97.
    assert (unit_of(1000), unit_of(16_000), unit_of(500)) == (1, pytest.approx(8), 1)
    assert [text(drawing(side)) for side in (500, 1000, 16_000, 60_000)] == [
        "exact 0",
        "exact 1",
        "exact 2",
        "exact 2",
    ]
    assert text(drawing(16_000, arrangement="grid")) == "grid 0"
    with pytest.raises(RequestError, match=r"no names of that kind \(cluster\); it has class"):
        chosen_names(json.dumps(bands).encode(), drawing(), "cluster")


def test_a_legend_says_classes_counts_how_many_and_when() -> None:
    made = sheet(drawing(), "Stamps", zoom=1)
    texts = [each.text for each in made.items if each.text]
    assert texts[0] == "Stamps"
    assert "Classes · 750 of 796 examples drawn · exact places" in texts[1]
    assert f"{MANIFEST.created_at:%Y-%m-%d}" in texts[1]
    assert texts[2:] == ["class 0", "1,000", "class 1", "999"]
    swatches = [each for each in made.items if not each.text]
    assert [each.color for each in swatches] == [(0, 0, 255)] * 2
    assert all(made.above + 1000 < each.y < made.height for each in swatches)
    assert (made.above, made.height) == (52, 52 + 1000 + made.below)
    assert sheet(drawing()).height == 1000


def test_a_legend_is_bounded_and_says_so() -> None:
    made = sheet(drawing(legend=classes(MOST_CLASSES + 5)), zoom=3)
    assert sum(not each.text for each in made.items) == MOST_CLASSES
    assert "5 smaller classes are not listed" in made.items[0].text
    assert max(each.y + each.size for each in made.items) < made.height


def test_strips_show_the_same_as_the_whole() -> None:
    made = sheet(drawing(600), "A title", zoom=0)
    whole = made.write(Image.new("RGB", (600, made.height)), 0)
    for top in range(0, made.height, 50):
        rows = min(50, made.height - top)
        strip = made.write(Image.new("RGB", (600, rows)), top)
        assert strip.tobytes() == whole.crop((0, top, 600, top + rows)).tobytes()


def test_hostile_texts_become_one_plain_line() -> None:
    letters = Letters.found(None)
    text = "a\nb\x00\u202ec\u200f" + "x" * 5000
    plain = letters.plain(text)
    assert plain.startswith("a bcx")
    assert len(plain) <= 200
    shown, font, width = letters.fitted(text, 20, 150)
    assert shown.endswith("…")
    assert font.getlength(shown) == width <= 150


def test_a_character_that_no_font_has_is_left_out_and_said() -> None:
    letters = Letters.found(None)
    nowhere = "\U0001d8ff"  # a part of SignWriting that no usual font has
    assert letters.plain(f"cat {nowhere} dog") == "cat dog"
    remark = letters.remark()
    assert remark is not None
    assert "U+1D8FF" in remark
    assert "--font" in remark
    with pytest.warns(UserWarning, match="U\\+1D8FF"):
        say(remark, Shown(show=False))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        say(Letters.found(None).remark(), Shown(show=False))


def test_a_text_is_set_in_a_font_that_has_all_of_it() -> None:
    class Fake:
        """Has the letters that it is told, each as a mask of its own."""

        def __init__(self, known: str) -> None:
            self.known = known

        def getmask(self, character: str) -> Any:
            value = ord(character) % 251 + 1 if character in self.known else 0
            return Image.new("L", (1, 1), value).im

    faces = [Face(lambda size, known=known: Fake(known)) for known in ("abc…", "bcd…", "…")]
    letters = Letters(faces)
    assert letters.face(letters.plain("abc")) is faces[0]
    assert letters.face(letters.plain("bcd")) is faces[1]
    assert letters.plain("xa") == "a"
    assert list(letters.missing) == ["x"]


def test_a_font_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.ttf").write_bytes(b"no font")
    with pytest.raises(RequestError, match=r"font: .*f\.ttf cannot be read as a font"):
        Letters.found(tmp_path / "f.ttf")
