"""bfloat16 is taken where the objective gains the same and it is faster, once for a whole job."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from featurescape_jobs.errors import SpecError
from featurescape_jobs.networks.graphs import NoGraphError
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.optvis import modes, zoom_video
from featurescape_jobs.optvis.deepdream import Dreamer, DreamOptions
from featurescape_jobs.optvis.modes import Build, Choice, MeasuredMode, Probe, choose
from featurescape_jobs.optvis.objectives import Energy
from featurescape_jobs.optvis.pixels import Mode, PixelNetwork, build_pixels
from featurescape_jobs.optvis.zoom_video import encode_video, move_in, zoom_frames
from featurescape_jobs.specs import ModelSpec
from helpers.pixel_networks import CPU, loaded, one_thread, photo_crops, pixels_of, random_images

__all__ = ["one_thread"]  # a fixture that works by being here

PROBE = Probe(Energy(), list(random_images(2, 20, 20)))
MANY = 100.0


class Clock:
    """One that goes on by what the layers say that they take: how fast they are depends on no machine."""

    seconds = 0.0

    def thread_time(self) -> float:
        return self.seconds


CLOCK = Clock()


@pytest.fixture
def fake_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modes, "time", CLOCK)


class Slow(nn.Module):
    """A layer that takes a while, and sends the gradient back times a factor."""

    def __init__(self, seconds: float, factor: float = 1.0) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 1)
        nn.init.constant_(self.convolution.weight, 1)
        nn.init.zeros_(self.convolution.bias)
        self.seconds, self.factor = seconds, factor

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        CLOCK.seconds += self.seconds
        found = self.convolution(batch)
        return found + (self.factor - 1) * (found - found.detach())


def network(seconds: float, factor: float = 1.0) -> PixelNetwork:
    module = Slow(seconds, factor).requires_grad_(False)
    return PixelNetwork(module, loaded(module), torch.float32, CPU)


def builder(**made: PixelNetwork) -> Build:
    def build(mode: Mode) -> PixelNetwork:
        if mode not in made:
            raise NoGraphError("not in this test")
        return made[mode]

    return build


@pytest.mark.usefixtures("fake_clock")
def test_a_faster_mode_with_the_same_gain_is_taken() -> None:
    choice = choose(builder(folded=network(0.02), bfloat16=network(0.002)), PROBE, MANY)
    assert choice.mode == "bfloat16"
    folded, half = choice.measured
    assert folded.gain == 1.0
    assert half.gain == pytest.approx(1.0, abs=1e-4)
    assert half.steps_per_second == pytest.approx(10 * folded.steps_per_second)


@pytest.mark.usefixtures("fake_clock")
def test_a_mode_that_is_hardly_faster_is_not() -> None:
    least = 0.01 / modes.MIN_SPEEDUP
    for seconds, mode in ((1.01 * least, "folded"), (0.99 * least, "bfloat16")):
        made = builder(folded=network(0.01), bfloat16=network(seconds))
        assert choose(made, PROBE, MANY).mode == mode


@pytest.mark.usefixtures("fake_clock")
def test_a_fast_mode_with_another_gain_is_not() -> None:
    choice = choose(builder(folded=network(0.02), bfloat16=network(0.001, -1.0)), PROBE, MANY)
    assert choice.mode == "folded"
    assert "another amount" in choice.measured[1].problem


@pytest.mark.usefixtures("fake_clock")
def test_a_mode_that_raises_is_passed_over_with_its_reason() -> None:
    def build(mode: Mode) -> PixelNetwork:
        if mode == "bfloat16":
            raise RuntimeError("no such kernel")
        return network(0.001)

    choice = choose(build, PROBE, MANY)
    assert choice.mode == "folded"
    assert choice.measured[1].problem == "RuntimeError: no such kernel"


def test_a_few_images_are_not_worth_measuring() -> None:
    assert choose(builder(folded=network(0.0)), PROBE, modes.MIN_IMAGES - 1) == Choice("folded")


def test_a_network_that_is_no_graph_runs_as_it_is() -> None:
    choice = choose(builder(), PROBE, MANY)
    assert choice == Choice("float32", (MeasuredMode("folded", problem="not in this test"),))


def test_on_photos_bfloat16_gains_what_float32_does() -> None:
    efficientnet = load_network(ModelSpec(name="efficientnet_lite0"), seed=0)

    def build(mode: Mode) -> PixelNetwork:
        return build_pixels(efficientnet, "blocks.8", mode, CPU)

    measured = choose(build, Probe(Energy(), list(photo_crops(4, 96))), MANY).measured
    assert measured[1].gain == pytest.approx(1, abs=2 * modes.GAIN_TOLERANCE)


def test_moving_in_keeps_the_middle_and_enlarges_around_it() -> None:
    ramp = torch.arange(11.0).reshape(1, 11, 1).expand(11, 11, 1).contiguous()
    found = move_in(ramp, 0.5)
    # Column x comes from x / 2 + 11 / 4, as in the notebook.
    assert found[5, :, 0].tolist() == pytest.approx([x / 2 + 2.75 for x in range(11)])


def test_frames_are_dreams_of_the_last_frame_enlarged() -> None:
    options = DreamOptions(octaves=1, iterations=1, jitter_px=2)
    dreamer = Dreamer(pixels_of(nn.Sequential(nn.Conv2d(1, 2, 3)), "0"), Energy(), options)
    image = random_images(1, 16, 20)[0]
    moving = zoom_frames(dreamer, image, np.random.default_rng(5), 0.1)
    frames = [next(moving) for _ in range(3)]
    generator = np.random.default_rng(5)
    for frame in frames:
        assert torch.equal(frame, dreamer.dream(image[None], [generator]).images[0])
        image = move_in(frame, 0.1)


def frames(height: int = 20, width: int = 30) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (height, width, 3), dtype=np.uint8) for _ in range(4)]


def test_an_animation_has_all_frames(tmp_path: Path) -> None:
    (tmp_path / "zoom.webp").write_bytes(encode_video(frames(), "webp", 10))
    with Image.open(tmp_path / "zoom.webp") as found:
        assert (found.n_frames, found.size) == (4, (30, 20))
        found.seek(1)
        found.load()
        assert found.info["duration"] == 100


def test_without_an_encoder_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zoom_video, "find_encoder", lambda: None)
    with pytest.raises(SpecError, match=r"install ffmpeg.*imageio-ffmpeg.*webp") as caught:
        encode_video(frames(), "mp4", 10)
    assert caught.value.detail["field"] == "zoom.video"


ENCODER = """#!{python}
import pathlib, sys
arguments, pixels = sys.argv[1:], sys.stdin.buffer.read()
size = arguments[arguments.index("-s") + 1]
pathlib.Path(arguments[-1]).write_bytes(f"{{size}} {{len(pixels)}} ".encode() + pixels[:6])
"""


def test_an_encoder_is_given_even_frames_and_its_file_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "ffmpeg"
    fake.write_text(ENCODER.format(python=sys.executable))
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = frames(21, 31)
    video = encode_video(found, "webm", 10)
    assert video == b"30x20 7200 " + found[0][0, :2].tobytes()


def test_an_encoder_that_cannot_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "ffmpeg"
    fake.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('Unknown encoder libx264')\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpecError, match="Unknown encoder libx264"):
        encode_video(frames(), "mp4", 10)


@pytest.mark.skipif(zoom_video.find_encoder() is None, reason="needs ffmpeg or imageio-ffmpeg")
@pytest.mark.parametrize(("video", "mark"), [("mp4", b"ftyp"), ("webm", b"webm")])
def test_videos_are_of_their_format_and_the_same_each_time(
    video: zoom_video.VideoFormat, mark: bytes
) -> None:
    found = encode_video(frames(), video, 10)
    assert mark in found[:64]
    assert encode_video(frames(), video, 10) == found
