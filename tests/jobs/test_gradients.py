"""Gradients explain the target that was asked for, alike in any batch and shard."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_images

from featurescape_jobs import gradients, tables
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import LayerError, SpecError
from featurescape_jobs.images.decode import decode
from featurescape_jobs.interpret.attribution import METHODS
from featurescape_jobs.interpret.attribution import Method as Attribution
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.specs import GradientsSpec, ModelSpec
from featurescape_jobs.specs.gradients import Method

LENET = {"name": "lenet", "weights": "random"}
CHEAP = {"integration_steps": 8, "smoothgrad_samples": 4, "occlusion_px": 8}
OF_CONVOLUTIONS = [name for name, method in METHODS.items() if not method.needs_attention]


def explained(root: Path, **changes: Any) -> tuple[Outcome, pa.Table, RunContext]:
    base = {"dataset": {"name": "digits", "limit": 6}, "model": LENET, **CHEAP}
    spec = GradientsSpec(**{**base, **changes})
    context = RunContext(Storage(str(root)), "gradients-0123456789ab", 1, spec.seed, {})
    outcome = gradients.run(spec, context)
    files = [file for file in context.files if file.kind == "gradients"]
    parts = [context.storage.read_table(context.path(file.path)) for file in files]
    return outcome, pa.concat_tables(parts), context


def map_of(table: pa.Table, row: int, method: str) -> dict[str, Any]:
    return next(entry for entry in table["maps"][row].as_py() if entry["method"] == method)


def lenet_inputs(table: pa.Table) -> tuple[torch.nn.Module, torch.Tensor]:
    spec = GradientsSpec(dataset={"name": "digits"}, model=LENET)
    network = load_network(spec.model, seed=0)
    reader = DATASETS["digits"].open_reader(spec.dataset)
    read = [reader.read(locator) for locator in table["locator"].to_pylist()]
    return network.module, torch.from_numpy(prepare(read, network.image_card))


def test_the_methods_of_the_spec_are_those_there_are() -> None:
    assert set(get_args(Method)) == set(METHODS)


@pytest.mark.parametrize("target", ["label", "prediction", 7])
def test_the_saliency_is_the_gradient_of_the_target(tmp_path: Path, target: Any) -> None:
    outcome, table, _ = explained(tmp_path, target=target, methods=["saliency"])
    module, inputs = lenet_inputs(table)
    logits = module(inputs.requires_grad_())
    assert table["prediction"].to_pylist() == logits.argmax(1).tolist()
    wanted = {"label": table["label"].to_pylist(), "prediction": logits.argmax(1).tolist()}
    targets = wanted.get(target, [target] * 6)
    assert table["target"].to_pylist() == targets
    probabilities = logits.softmax(1)[range(6), targets]
    assert np.allclose(table["probability"].to_numpy(), probabilities.detach(), atol=1e-5)
    logits[range(6), targets].sum().backward()
    assert inputs.grad is not None
    for row in range(6):
        entry = map_of(table, row, "saliency")
        assert entry["shape"] == [28, 28]
        assert np.allclose(entry["values"], inputs.grad[row, 0].abs().reshape(-1), atol=1e-6)
    assert (outcome.rows, outcome.error_rows) == (6, 0)


def test_alone_in_a_batch_and_on_another_shard_every_map_is_equal(tmp_path: Path) -> None:
    methods = OF_CONVOLUTIONS
    _, one, _ = explained(tmp_path / "a", methods=methods, batch_size=1, layer="relu2")
    _, two, _ = explained(
        tmp_path / "b", methods=methods, batch_size=4, shard_size=5, layer="relu2"
    )
    assert one["example_id"].equals(two["example_id"])
    for row in range(6):
        for method in methods:
            left, right = map_of(one, row, method), map_of(two, row, method)
            assert np.allclose(left["values"], right["values"], atol=1e-5), method


def test_every_method_has_a_map_a_scale_and_an_overlay(tmp_path: Path) -> None:
    outcome, table, _ = explained(
        tmp_path, methods=OF_CONVOLUTIONS, dataset={"name": "digits", "limit": 2}
    )
    assert outcome.details["layer"] == "relu2"
    assert [entry["method"] for entry in table["maps"][0].as_py()] == OF_CONVOLUTIONS
    for entry in table["maps"][0].as_py():
        values = np.array(entry["values"], np.float32).reshape(entry["shape"])
        assert entry["shape"] == ([4, 4] if entry["method"] == "gradcam" else [28, 28])
        magnitudes = np.abs(values)
        assert entry["scale"] == pytest.approx(
            np.percentile(magnitudes, 99) or magnitudes.max(), rel=1e-4
        )
        with Image.open(pa.BufferReader(entry["overlay"]["bytes"])) as overlay:
            assert (overlay.mode, overlay.size) == ("RGBA", (28, 28))
        has_relief = entry["method"] in ("guided_backprop", "deconvolution", "guided_gradcam")
        assert (entry["relief"] is not None) == has_relief
        assert (entry["completeness_error"] is not None) == (
            entry["method"] == "integrated_gradients"
        )


def test_the_image_is_what_the_network_saw(tmp_path: Path) -> None:
    _, table, _ = explained(tmp_path, methods=["saliency"])
    _, inputs = lenet_inputs(table)
    seen = decode(table["image"][0].as_py()["bytes"])
    assert np.array_equal(seen, np.rint((inputs[0, 0].numpy() * 0.5 + 0.5) * 255))


def test_the_noise_of_smoothgrad_follows_the_seed_of_the_job(tmp_path: Path) -> None:
    network = load_network(ModelSpec(**LENET), seed=0)
    weights = tmp_path / "weights.safetensors"
    save_file(network.module.state_dict(), weights)  # the seed must not change the weights, too
    model = {"name": "lenet", "weights": str(weights)}
    found = [
        explained(tmp_path / str(n), model=model, seed=seed, methods=["smoothgrad", "saliency"])[1]
        for n, seed in enumerate((1, 1, 2))
    ]
    one, again, other = (np.array(map_of(t, 0, "smoothgrad")["values"]) for t in found)
    assert np.array_equal(one, again)
    assert not np.allclose(one, other, atol=1e-6)
    plain = [map_of(t, 0, "saliency")["values"] for t in found]
    assert plain[0] == plain[2]


def test_an_example_without_a_label_is_an_error_row_where_labels_are_explained(
    tmp_path: Path,
) -> None:
    spec = GradientsSpec(dataset={"name": "digits"}, model=LENET, methods=["saliency"])
    context = RunContext(Storage(str(tmp_path)), "gradients-0123456789ab", 1, 0, {})
    source = gradients.worker_source.Source.of(spec, context)
    setup = gradients._plan(spec, source, source.network())
    labels = gradients.Targets("label", tuple(range(10)))
    worker = gradients.replace(setup, targets=labels).start()
    rows = [
        {"example_id": f"digits-000{n}", "label": label, "locator": str(n), "size": 64}
        for n, label in enumerate((4, None, 7))
    ]
    done = worker.process(pa.Table.from_pylist(rows, schema=tables.INPUT))
    assert done.table["target"].to_pylist() == [4, 7]
    assert [(row["example_id"], row["code"]) for row in done.errors] == [
        ("digits-0001", "bad_label")
    ]
    alone = worker.process(pa.Table.from_pylist(rows[1:2], schema=tables.INPUT))
    assert (alone.table.num_rows, len(alone.errors)) == (0, 1)


def test_labels_of_a_dataset_without_any_cannot_be_explained(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(folder / "a.png")
    with pytest.raises(SpecError, match="has none; use prediction"):
        explained(tmp_path / "out", target="label", dataset={"name": "images", "root": str(folder)})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"target": 10}, "target: 10 is no output; the network has 10"),
        ({"occlusion_px": 40}, "does not cover 28 px"),
        ({"occlusion_stride_px": 20}, "every 20 px"),
        (
            {"model": {"name": "row_lstm", "weights": "random"}, "methods": ["deconvolution"]},
            "ReLUs",
        ),
    ],
)
def test_what_cannot_be_explained_is_an_error_before_any_row(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SpecError, match=problem):
        explained(tmp_path, **change)
    assert list(tmp_path.rglob("gradients-*.parquet")) == []


def test_grad_cam_needs_a_layer_with_positions(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match="fc1 has one position"):
        explained(tmp_path / "a", methods=["gradcam"], layer="fc1")
    model = {"name": "row_lstm", "weights": "random"}
    with pytest.raises(LayerError, match="no layer of this network has positions"):
        explained(tmp_path / "b", methods=["gradcam"], model=model)


def test_plain_gradients_can_be_had_of_a_recurrent_network(tmp_path: Path) -> None:
    model = {"name": "row_lstm", "weights": "random"}
    outcome, table, _ = explained(tmp_path, model=model, methods=["saliency"])
    assert outcome.rows == 6
    assert np.abs(map_of(table, 0, "saliency")["values"]).max() > 0


# -- sanity ----------------------------------------------------------------------------------------


def checks_of(context: RunContext) -> dict[str, list[dict[str, Any]]]:
    files = [file for file in context.files if file.kind == "sanity"]
    rows = [
        row
        for file in files
        for row in context.storage.read_table(context.path(file.path)).to_pylist()
    ]
    return {row["example_id"]: row["checks"] for row in rows}


def test_an_edge_detector_fails_the_sanity_check_and_plain_gradients_fall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control looks at the image alone; it takes the place of a method."""

    def edges(work: Any) -> torch.Tensor:
        pixels = work.inputs.detach().mean(1, keepdim=True)
        down, right = pixels.diff(dim=2)[..., :-1], pixels.diff(dim=3)[:, :, :-1]
        return torch.hypot(down, right)

    control = Attribution(edges, lambda found: found[:, 0], "of the image", signed=False)
    monkeypatch.setitem(METHODS, "occlusion", control)
    folder = tmp_path / "photos"
    folder.mkdir()
    for n, photo in enumerate(load_sample_images().images):
        for left in (0, 200):
            Image.fromarray(photo[:400, left : left + 400]).save(folder / f"{n}-{left}.png")
    methods = ["saliency", "occlusion"]
    outcome, _, context = explained(
        tmp_path / "out",
        dataset={"name": "images", "root": str(folder)},
        model={"name": "efficientnet_lite0"},
        methods=methods,
        sanity={"examples": 3, "draws": 2, "stages": 2, "methods": methods},
    )
    check = outcome.details["sanity"]
    assert [stage["module"] for stage in check["stages"]] == [None, "classifier", "stem.conv"]
    assert check["stages"][-1]["modules"] == check["modules"]
    assert (len(check["examples"]), check["draws"]) == (3, 2)
    plain, detector = check["methods"]
    assert [stage["spearman"]["least"] for stage in detector["stages"]] == [1, 1]
    assert detector["verdict"] == "failed"
    last = plain["stages"][-1]
    assert last["measured"] == 3 * 2
    assert abs(last["spearman"]["median"]) < 0.3
    assert plain["verdict"] != "failed"
    assert set(checks_of(context)) == set(check["examples"])


def test_an_image_is_checked_alike_alone_and_among_others(tmp_path: Path) -> None:
    sanity = {"draws": 2, "stages": 3, "methods": ["saliency", "input_x_gradient", "gradcam"]}
    _, _, context = explained(tmp_path / "a", sanity={**sanity, "examples": 3})
    together = checks_of(context)
    assert len(together) == 3
    chosen = sorted(together)[1]
    only = {"name": "digits", "example_ids": [chosen]}
    _, _, context = explained(tmp_path / "b", dataset=only, sanity=sanity)
    (alone,) = checks_of(context).values()
    keys = [(check["method"], check["draw"], check["stage"]) for check in alone]
    places = [(0, 0), *((draw, stage) for draw in range(2) for stage in (1, 2, 3))]
    assert keys == [(method, *place) for method in sanity["methods"] for place in places]
    for one, two in zip(alone, together[chosen], strict=True):
        for measure in ("spearman", "spearman_signed", "ssim"):
            assert one[measure] == pytest.approx(two[measure], abs=1e-4)
        assert (one["overlay"] is None) == (one["draw"] > 0)
        if one["stage"] == 0:
            assert one["spearman"] == pytest.approx(1)
        assert (one["spearman_signed"] is None) == (one["method"] != "input_x_gradient")


def test_without_the_option_nothing_is_checked(tmp_path: Path) -> None:
    outcome, _, context = explained(tmp_path, methods=["saliency"])
    assert outcome.details["sanity"] is None
    assert checks_of(context) == {}
