"""Dreams from end to end: the method, objectives, sums, guides, zooms."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from featurescape_jobs import dreams
from featurescape_jobs.engine.context import RunContext, seed_for
from featurescape_jobs.images.decode import decode
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.optvis import modes
from featurescape_jobs.optvis.deepdream import Dreamer
from featurescape_jobs.optvis.dream_worker import dream_options
from featurescape_jobs.optvis.objectives import Channel, Energy
from featurescape_jobs.optvis.pixels import build_pixels
from featurescape_jobs.specs.dreams import DreamsSpec
from helpers.dream_runs import JOB, dream, images, photos, rows_of, spec_of, write_photos
from helpers.pixel_networks import CPU, one_thread

__all__ = ["one_thread", "photos"]  # fixtures that work by being here


def test_a_dream_is_what_the_method_makes_of_the_image(tmp_path: Path, photos: Path) -> None:
    spec = spec_of(photos, seed=4)
    _, rows, _ = dream(tmp_path, spec)
    row = rows["01.png"]
    network = build_pixels(load_network(spec.model, seed=4), "blocks.10", "bfloat16", CPU)
    image = torch.from_numpy(np.array(Image.open(photos / "01.png"))).float()
    generator = np.random.default_rng(seed_for(4, "01.png"))
    dreamer = Dreamer(network, Energy(), dream_options(spec), least_px=16)
    expected = dreamer.dream(image[None], [generator])
    assert np.array_equal(decode(row["dream"]["bytes"]), expected.images[0].round().numpy())
    assert np.array_equal(decode(row["original"]["bytes"]), image.numpy())
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
    (folder / "bad.jpg").write_bytes(b"this is no image")
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


def test_large_images_are_reduced_to_the_cap(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "in", [(200, 100)])
    _, rows, _ = dream(tmp_path / "out", spec_of(folder, max_px=64))
    assert (rows["00.png"]["width"], rows["00.png"]["height"]) == (64, 32)


def test_octaves_can_be_left_out_and_images_stored_as_webp(tmp_path: Path, photos: Path) -> None:
    changed = spec_of(photos, keep_octaves=False, format="webp")
    _, rows, _ = dream(tmp_path, changed)
    row = rows["00.png"]
    assert row["octaves"] == []
    assert Image.open(io.BytesIO(row["dream"]["bytes"])).format == "WEBP"
    assert len(row["octave_sizes"]) == len(row["objective_ends"]) == 2
    assert (row["frames"], row["video"]) == ([], None)


def test_gray_networks_dream_gray_images_at_the_size_that_an_output_takes(
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
    image = torch.from_numpy(np.array(Image.open(photos / "01.png"))).float()
    generator = np.random.default_rng(seed_for(0, "01.png"))
    dreamer = Dreamer(network, objective, dream_options(spec), least_px=16)
    expected = dreamer.dream(image[None], [generator])
    assert np.array_equal(
        decode(rows["01.png"]["dream"]["bytes"]), expected.images[0].round().numpy()
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


def test_a_guide_is_kept_and_pulls_images_towards_it(tmp_path: Path, photos: Path) -> None:
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
