"""Every picture is dreamt at its own size, the same on any shard, worker or attempt."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from sklearn.datasets import load_sample_images

from featurescape_jobs import dreams
from featurescape_jobs.engine.context import Outcome, RunContext, seed_for
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError, LayerError, SpecError
from featurescape_jobs.images.decode import decode
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.optvis import modes
from featurescape_jobs.optvis.deepdream import Dreamer
from featurescape_jobs.optvis.dream_worker import dream_options
from featurescape_jobs.optvis.objectives import Channel, Energy
from featurescape_jobs.optvis.pixels import build_pixels
from featurescape_jobs.specs import parse_spec
from featurescape_jobs.specs.dreams import DreamsSpec
from featurescape_jobs.tables.dreams import DREAMS
from helpers.pixel_networks import CPU, one_thread

__all__ = ["one_thread"]  # a fixture that works by being here

JOB = "dreams-0123456789ab"
QUICK = {"iterations": 2, "octaves": 2, "format": "png", "execution": "bfloat16"}
TERM = {"objective": "channel", "channel": 5}
Rows = dict[str, dict[str, Any]]


def write_photos(folder: Path, sizes: list[tuple[int, int]]) -> Path:
    """Photos of these widths and heights."""
    folder.mkdir()
    photos = load_sample_images().images
    for number, size in enumerate(sizes):
        photo = Image.fromarray(photos[number % 2]).resize(size)
        photo.save(folder / f"{number:02d}.png")
    return folder


def spec_of(root: Path, **changes: Any) -> DreamsSpec:
    base = {
        "dataset": {"name": "images", "root": str(root)},
        "model": {"name": "efficientnet_lite0"},
    }
    return DreamsSpec.model_validate({**base, **QUICK, **changes})


def dream(root: Path, spec: DreamsSpec, **of_context: Any) -> tuple[Outcome, Rows, RunContext]:
    context = RunContext(Storage(str(root)), JOB, 1, spec.seed, {}, **of_context)
    outcome = dreams.run(spec, context)
    return outcome, rows_of(context), context


def rows_of(context: RunContext) -> Rows:
    files = [file.path for file in context.files if file.kind == "dreams"]
    table = pa.concat_tables([context.storage.read_table(context.path(path)) for path in files])
    assert table.schema.equals(DREAMS)
    return {row["example_id"]: row for row in table.to_pylist()}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photos of two sizes."""
    folder = tmp_path_factory.mktemp("photos") / "in"
    return write_photos(folder, [(50, 40), (44, 60), (50, 40), (44, 60), (50, 40)])


def test_a_dream_is_what_the_method_makes_of_the_picture(tmp_path: Path, photos: Path) -> None:
    spec = spec_of(photos, seed=4)
    _, rows, _ = dream(tmp_path, spec)
    row = rows["01.png"]
    network = build_pixels(load_network(spec.model, seed=4), "blocks.10", "bfloat16", CPU)
    picture = torch.from_numpy(np.array(Image.open(photos / "01.png"))).float()
    generator = np.random.default_rng(seed_for(4, "01.png"))
    dreamer = Dreamer(network, Energy(), dream_options(spec), least_px=16)
    expected = dreamer.dream(picture[None], [generator])
    assert np.array_equal(decode(row["dream"]["bytes"]), expected.pictures[0].round().numpy())
    assert np.array_equal(decode(row["original"]["bytes"]), picture.numpy())
    assert row["objective_starts"] == pytest.approx(expected.starts[0])
    assert row["objective_ends"] == pytest.approx(expected.ends[0])
    assert row["octave_sizes"] == [[31, 43], [44, 60]]
    assert [decode(octave["bytes"]).shape[:2] for octave in row["octaves"]] == [(43, 31), (60, 44)]
    assert row["octaves"][-1] == row["dream"]


@pytest.mark.parametrize(
    "change", [{"shard_size": 1}, {"shard_size": 3}, {"resources": {"cpus_per_worker": 3}}]
)
def test_shards_and_threads_change_no_pixel(
    tmp_path: Path, photos: Path, change: dict[str, Any]
) -> None:
    _, one, _ = dream(tmp_path / "a", spec_of(photos))
    _, other, _ = dream(tmp_path / "b", spec_of(photos, **change))
    assert one == other
    assert list(one) == [f"{number:02d}.png" for number in range(5)]


def test_another_seed_is_another_dream(tmp_path: Path, photos: Path) -> None:
    _, one, _ = dream(tmp_path / "a", spec_of(photos))
    _, other, _ = dream(tmp_path / "b", spec_of(photos, seed=1))
    assert one["00.png"]["dream"] != other["00.png"]["dream"]


def test_after_a_resume_every_pixel_is_the_same(tmp_path: Path, photos: Path) -> None:
    spec = spec_of(photos, shard_size=2, execution="auto")
    _, rows, context = dream(tmp_path, spec)
    work = context.storage.local_path(context.path("work"))
    for marker in sorted((work / "markers").iterdir())[1:]:
        marker.unlink()
    second = RunContext(context.storage, JOB, 2, spec.seed, {})
    dreams.run(spec, second)
    kept = {file.path for file in context.files} & {file.path for file in second.files}
    assert len([path for path in kept if "dreams" in path]) == 1
    assert rows_of(second) == rows


def test_forty_sizes_gray_alpha_and_a_bad_file_are_one_job(tmp_path: Path) -> None:
    sizes = [(34 + number, 80 - number) for number in range(40)]
    folder = write_photos(tmp_path / "in", sizes)
    for number, mode in ((3, "L"), (4, "RGBA"), (5, "1"), (6, "P")):
        path = folder / f"{number:02d}.png"
        Image.open(path).convert(mode).save(path)
    (folder / "bad.jpg").write_bytes(b"this is no picture")
    Image.new("RGB", (60, 12)).save(folder / "tiny.png")
    spec = spec_of(folder, octaves=3, iterations=1)
    outcome, rows, context = dream(tmp_path / "out", spec)
    assert (outcome.rows, outcome.error_rows) == (40, 2)
    errors = context.storage.read_table(context.path("data/errors.parquet")).to_pylist()
    codes = {row["example_id"]: row["code"] for row in errors}
    assert codes == {"bad.jpg": "not_an_image", "tiny.png": "too_small"}
    assert outcome.details["error_codes"] == {"not_an_image": 1, "too_small": 1}
    for number, (width, height) in enumerate(sizes):
        row = rows[f"{number:02d}.png"]
        assert (row["width"], row["height"]) == (width, height)
        assert decode(row["dream"]["bytes"]).shape == (height, width, 3)
        assert np.array_equal(np.array(row["octave_sizes"]).min(1) >= 16, [True] * 3)
        assert row["objective_ends"][-1] > row["objective_starts"][-1]


def test_large_pictures_are_reduced_to_the_cap(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "in", [(200, 100)])
    _, rows, _ = dream(tmp_path / "out", spec_of(folder, max_px=64))
    assert (rows["00.png"]["width"], rows["00.png"]["height"]) == (64, 32)


def test_octaves_can_be_left_out_and_pictures_stored_as_webp(tmp_path: Path, photos: Path) -> None:
    changed = spec_of(photos, keep_octaves=False, format="webp")
    _, rows, _ = dream(tmp_path, changed)
    row = rows["00.png"]
    assert row["octaves"] == []
    assert Image.open(io.BytesIO(row["dream"]["bytes"])).format == "WEBP"
    assert len(row["octave_sizes"]) == len(row["objective_ends"]) == 2
    assert (row["frames"], row["video"]) == ([], None)


def test_gray_networks_dream_gray_pictures_at_the_size_that_an_output_takes(
    tmp_path: Path,
) -> None:
    spec = DreamsSpec(
        dataset={"name": "digits", "limit": 3},
        model={"name": "lenet", "weights": "random"},
        objective="class",
        channel=3,
        iterations=4,
        jitter_px=0,
    )
    outcome, rows, _ = dream(tmp_path, spec)
    assert (outcome.details["layer"], outcome.details["least_px"]) == ("head", 28)
    assert outcome.details["execution"]["mode"] == "folded"
    for row in rows.values():
        assert (row["width"], row["height"], len(row["octave_sizes"])) == (28, 28, 1)
        assert row["objective_ends"][0] > row["objective_starts"][0]


def test_a_recurrent_network_dreams_too(tmp_path: Path) -> None:
    spec = DreamsSpec(
        dataset={"name": "digits", "limit": 2},
        model={"name": "row_lstm", "weights": "random"},
        objective="class",
        channel=0,
        jitter_px=0,
        iterations=4,
    )
    outcome, rows, _ = dream(tmp_path, spec)
    assert outcome.details["execution"]["mode"] == "float32"
    assert all(row["objective_ends"][0] > row["objective_starts"][0] for row in rows.values())


@pytest.mark.parametrize("objective", ["channel", "neuron", "class"])
def test_numbered_objectives_grow(tmp_path: Path, photos: Path, objective: str) -> None:
    outcome, rows, _ = dream(tmp_path, spec_of(photos, objective=objective, channel=5))
    assert outcome.details["layer"] == ("classifier" if objective == "class" else "blocks.10")
    gains = [row["objective_ends"][-1] - row["objective_starts"][-1] for row in rows.values()]
    assert np.mean(gains) > 0


def test_a_sum_of_layers_is_what_the_method_makes_of_the_sum(tmp_path: Path, photos: Path) -> None:
    terms = [
        {"objective": "channel", "channel": 3},
        {"weight": -1, "objective": "channel", "channel": 5, "layer": "blocks.8"},
    ]
    spec = spec_of(photos, objective="sum", terms=terms, layer="blocks.10", execution="folded")
    outcome, rows, _ = dream(tmp_path, spec)
    assert outcome.details["objective"] == "sum"
    assert outcome.details["description"] == "channel 3 of blocks.10 − channel 5 of blocks.8"
    assert (outcome.details["layer"], outcome.details["layers"]) == (
        None,
        ["blocks.10", "blocks.8"],
    )
    paths = ("blocks.8", "blocks.10")
    network = build_pixels(load_network(spec.model, seed=0), paths, "folded", CPU)
    objective = Channel(3, layer="blocks.10") - Channel(5, layer="blocks.8")
    picture = torch.from_numpy(np.array(Image.open(photos / "01.png"))).float()
    generator = np.random.default_rng(seed_for(0, "01.png"))
    dreamer = Dreamer(network, objective, dream_options(spec), least_px=16)
    expected = dreamer.dream(picture[None], [generator])
    assert np.array_equal(
        decode(rows["01.png"]["dream"]["bytes"]), expected.pictures[0].round().numpy()
    )
    assert rows["01.png"]["objective_ends"] == pytest.approx(expected.ends[0])


def test_a_sum_of_one_term_is_the_objective_itself(tmp_path: Path, photos: Path) -> None:
    single = spec_of(photos, objective="channel", channel=5)
    summed = spec_of(photos, objective="sum", terms=[{"objective": "channel", "channel": 5}])
    found, same = (dream(tmp_path / spec.objective, spec) for spec in (single, summed))
    assert found[1] == same[1]
    assert found[0].details["description"] == same[0].details["description"]


def test_a_guide_can_be_a_term(tmp_path: Path, photos: Path) -> None:
    guide = {"dataset": {"name": "images", "root": str(photos)}, "example_id": "01.png"}
    terms = [{"objective": "guided"}, {"objective": "layer", "weight": -0.5}]
    spec = spec_of(photos, objective="sum", terms=terms, guide=guide)
    outcome, rows, _ = dream(tmp_path, spec)
    said = "likeness to the guide of blocks.10 − 0.5 × energy of blocks.10"
    assert outcome.details["description"] == said
    assert all(row["objective_ends"][-1] > row["objective_starts"][-1] for row in rows.values())


def test_a_guide_is_kept_and_pulls_pictures_towards_it(tmp_path: Path, photos: Path) -> None:
    guide = {"dataset": {"name": "images", "root": str(photos)}, "example_id": "01.png"}
    spec = spec_of(photos, objective="guided", guide=guide)
    _, rows, context = dream(tmp_path, spec)
    (kept,) = [file for file in context.files if file.kind == "guide"]
    assert np.array_equal(
        decode(context.storage.read(context.path(kept.path))),
        np.array(Image.open(photos / "01.png")),
    )
    assert all(row["objective_ends"][-1] > row["objective_starts"][-1] for row in rows.values())


def test_a_zoom_has_its_frames_and_an_animation(tmp_path: Path, photos: Path) -> None:
    spec = spec_of(photos, zoom={"frames": 3}, dataset={**images(photos), "limit": 1})
    _, rows, _ = dream(tmp_path, spec)
    (row,) = rows.values()
    assert [decode(frame["bytes"]).shape for frame in row["frames"]] == [(40, 50, 3)] * 3
    assert row["frames"][0] == row["dream"]
    assert row["video"]["path"] == "zoom.webp"
    with Image.open(io.BytesIO(row["video"]["bytes"])) as video:
        assert video.n_frames == 3


def images(root: Path) -> dict[str, Any]:
    return {"name": "images", "root": str(root)}


def test_the_mode_is_measured_once_and_told_and_holds_for_equal_jobs(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However busy the machine is when the second one runs."""
    spec = spec_of(photos, execution="auto", zoom={"frames": 2})
    outcome, rows, context = dream(tmp_path, spec)
    said = outcome.details["execution"]
    assert [row["mode"] for row in said["measured"]] == ["folded", "bfloat16"]
    assert json.loads(context.storage.read(context.path("work/execution.json"))) == said
    monkeypatch.setattr(modes, "choose", lambda *_: 1 / 0)
    shutil.rmtree(tmp_path / "jobs")
    again, same_rows, _ = dream(tmp_path, spec)
    assert again.details["execution"] == said
    assert same_rows == rows
    shutil.rmtree(tmp_path / "jobs")
    term = {"objective": "layer"}
    equal = spec.model_dump() | {"objective": "sum", "terms": [term]}
    assert dream(tmp_path, DreamsSpec.model_validate(equal))[1] == rows
    shutil.rmtree(tmp_path / "jobs")
    others: list[dict[str, Any]] = [
        {"objective": "channel", "channel": 3},
        {"objective": "sum", "terms": [term | {"weight": -1}]},
        {"objective": "sum", "terms": [term, term | {"layer": "blocks.8"}]},
    ]
    for other in others:  # another objective gains another amount
        with pytest.raises(ZeroDivisionError):
            dream(tmp_path, DreamsSpec.model_validate(spec.model_dump() | other))


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"layer": "blocks.99"}, LayerError, "no layer 'blocks.99'"),
        ({"layer": "pool", "max_px": 24}, SpecError, "max_px: .* from 32 px on"),
        ({"objective": "channel", "channel": 112}, SpecError, "channel: 112 is not in blocks.10"),
        (
            {"objective": "sum", "terms": [TERM, TERM | {"layer": "blocks.99"}]},
            LayerError,
            r"terms\.1\.layer: the network has no layer 'blocks.99'",
        ),
        (
            {"objective": "sum", "terms": [TERM, TERM | {"channel": 112}]},
            SpecError,
            r"terms\.1\.channel: 112 is not in blocks\.10",
        ),
        ({"dataset": {"name": "images", "root": "/nowhere"}}, DatasetError, "dataset.root"),
        (
            {"model": {"name": "row_lstm", "weights": "random"}, "execution": "auto"},
            SpecError,
            "layer: the card of row_lstm",
        ),
        (
            {"model": {"name": "row_lstm", "weights": "random"}, "layer": "head"},
            SpecError,
            "execution: bfloat16 is not possible",
        ),
    ],
)
def test_mistakes_are_found_before_any_work(
    tmp_path: Path, photos: Path, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        dream(tmp_path, spec_of(photos, **changes))
    assert list(tmp_path.rglob("*.parquet")) == []


@pytest.mark.parametrize("example_id", ["missing.png", "bad.png"])
def test_a_guide_that_is_not_there_is_found_before_any_work(
    tmp_path: Path, photos: Path, example_id: str
) -> None:
    folder = write_photos(tmp_path / "guides", [(40, 40)])
    (folder / "bad.png").write_text("no picture")
    guide = {"dataset": images(folder), "example_id": example_id}
    with pytest.raises(DatasetError, match="guide"):
        dream(tmp_path / "out", spec_of(photos, objective="guided", guide=guide))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"objective": "channel"}, "channel: objective channel needs a number"),
        ({"channel": 3}, "channel: objective layer takes none"),
        ({"objective": "guided"}, "guide: give it for objective guided"),
        ({"terms": [TERM]}, "terms: give them for objective sum, and for no other"),
        ({"objective": "sum"}, "terms: give them for objective sum"),
        ({"objective": "sum", "terms": [TERM], "channel": 3}, "channel: objective sum takes none"),
        (
            {"objective": "sum", "terms": [TERM | {"objective": "guided", "channel": None}]},
            "guide:",
        ),
        ({"octaves": 0}, "greater than or equal to 1"),
        ({"octave_scale": 1.0}, "greater than or equal to 1.05"),
        ({"iterations": -1}, "greater than or equal to 0"),
        ({"zoom": {"frames": 1}}, "greater than or equal to 2"),
        ({"step": float("nan")}, "finite number"),
    ],
)
def test_specs_that_mean_nothing_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        spec_of(Path("/photos"), **changes)


@pytest.mark.parametrize(
    ("terms", "field", "says"),
    [
        ([], "terms", "at least 1 item"),
        ([TERM] * 17, "terms", "at most 16 items"),
        ([TERM, TERM | {"weight": float("nan")}], "terms.1.weight", "finite number"),
        ([TERM, TERM | {"weight": float("inf")}], "terms.1.weight", "finite number"),
        ([TERM, TERM | {"weight": 0}], "terms.1.weight", "from 0.001 to 1,000, not 0"),
        ([TERM, TERM | {"weight": -1001}], "terms.1.weight", "from 0.001 to 1,000, not -1001"),
        ([TERM, {"objective": "channel"}], "terms.1", "channel: objective channel needs a number"),
        ([TERM, {"objective": "sum"}], "terms.1.objective", "'layer', 'channel'"),
        ([TERM, TERM | {"wieght": 1}], "terms.1.wieght", "did you mean weight?"),
    ],
)
def test_terms_that_mean_nothing_are_refused_by_their_name(
    terms: list[dict[str, Any]], field: str, says: str
) -> None:
    spec = spec_of(Path("/photos")).model_dump() | {"objective": "sum", "terms": terms}
    with pytest.raises(SpecError) as refused:
        parse_spec(spec)
    assert refused.value.detail["field"] == field
    assert says in refused.value.message


def test_a_sum_comes_back_from_json_and_older_specs_stay_valid() -> None:
    terms = [TERM, TERM | {"weight": -0.5, "layer": "blocks.8"}]
    spec = spec_of(Path("/photos"), objective="sum", terms=terms)
    assert parse_spec(spec.model_dump_json()) == spec
    older = spec_of(Path("/photos"), objective="channel", channel=3).model_dump()
    del older["terms"]
    assert parse_spec(older) == spec_of(Path("/photos"), objective="channel", channel=3)


def test_the_time_that_a_picture_may_take_grows_with_its_work() -> None:
    small, large = spec_of(Path("/p"), max_px=64), spec_of(Path("/p"), max_px=4096, iterations=100)
    assert 60 < dreams.picture_seconds(small) < 62
    assert dreams.picture_seconds(large) > 3600
    zoom = spec_of(Path("/p"), max_px=64, zoom={"frames": 99})
    assert dreams.picture_seconds(zoom) - 60 == pytest.approx(
        100 * (dreams.picture_seconds(small) - 60)
    )
