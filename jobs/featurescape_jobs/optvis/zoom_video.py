"""An image dreamt again and again while the view moves into it, as frames and as a video.

Every frame is the last one enlarged by a small factor and dreamt once more (the loop at the end of the
DeepDream notebook). WebP animations are always possible; MP4 and WebM take an encoder: the program
``ffmpeg``, or the package ``imageio-ffmpeg``, which brings one.

Memory: all frames of one image as bytes.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from featurescape_jobs.errors import SpecError
from featurescape_jobs.optvis.deepdream import Dreamer

VideoFormat = Literal["mp4", "webm", "webp"]
ENCODE_SECONDS = 600.0
_CODECS: dict[str, list[str]] = {
    "mp4": ["-c:v", "libx264", "-crf", "20", "-movflags", "+faststart"],
    "webm": ["-c:v", "libvpx-vp9", "-crf", "30", "-b:v", "0"],
}
Frame = NDArray[np.uint8]


def move_in(image: torch.Tensor, scale: float) -> torch.Tensor:
    """(H, W, C) enlarged by 1 / (1 - scale) about its middle, in the same size; linear."""
    height, width, _ = image.shape
    found = ndimage.affine_transform(
        image.numpy(),
        [1 - scale, 1 - scale, 1],
        [height * scale / 2, width * scale / 2, 0],
        order=1,
        mode="nearest",
    )
    return torch.from_numpy(found)


def zoom_frames(
    dreamer: Dreamer, image: torch.Tensor, generator: np.random.Generator, scale: float
) -> Iterator[torch.Tensor]:
    """Frames (H, W, C), 0 to 255, without end: the first is the image dreamt once."""
    while True:
        dreamt = dreamer.dream(image[None], [generator]).images[0].cpu()
        yield dreamt
        image = move_in(dreamt, scale)


def find_encoder() -> str | None:
    """Path of ffmpeg: on the search path, else that of the package imageio-ffmpeg."""
    found = shutil.which("ffmpeg")
    if found is None and importlib.util.find_spec("imageio_ffmpeg") is not None:
        found = str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    return found


def check_video(video: VideoFormat) -> None:
    """Raise `SpecError` where this machine has no encoder for the format."""
    if video != "webp" and find_encoder() is None:
        raise SpecError(
            f"zoom.video: {video} takes an encoder, and there is none on {_HERE}: install ffmpeg, "
            'or pip install imageio-ffmpeg; or ask for "webp", or for no video',
            field="zoom.video",
        )


_HERE = "the machine that runs the job"


def encode_video(frames: list[Frame], video: VideoFormat, frames_per_second: int) -> bytes:
    """Frames (H, W, 3) of one size as a video.

    MP4 and WebM need even sides: an odd last row or column is left out.

    Raises:
        SpecError: there is no encoder for the format, or it refuses it.
    """
    if video == "webp":
        return _animation(frames, frames_per_second)
    check_video(video)
    height, width = (side - side % 2 for side in frames[0].shape[:2])
    with tempfile.TemporaryDirectory(prefix="featurescape-video-") as folder:
        target = Path(folder) / f"zoom.{video}"
        command = [
            *(str(find_encoder()), "-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"),
            *("-r", str(frames_per_second), "-i", "pipe:0"),
            # One thread and no date or version in the file: the same frames give the same bytes.
            *(*_CODECS[video], "-pix_fmt", "yuv420p", "-threads", "1"),
            *("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact"),
            str(target),
        ]
        pixels = b"".join(frame[:height, :width].tobytes() for frame in frames)
        done = subprocess.run(
            command, input=pixels, capture_output=True, timeout=ENCODE_SECONDS, check=False
        )
        if done.returncode != 0 or not target.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["nothing"]
            raise SpecError(
                f"zoom.video: the encoder cannot make {video}; it said: {said[0][:300]}. Install an "
                'ffmpeg with libx264 and libvpx-vp9, or ask for "webp"',
                field="zoom.video",
            )
        return target.read_bytes()


def _animation(frames: list[Frame], frames_per_second: int) -> bytes:
    first, *others = [Image.fromarray(frame) for frame in frames]
    sink = io.BytesIO()
    first.save(
        sink,
        "WEBP",
        save_all=True,
        append_images=others,
        duration=round(1000 / frames_per_second),
        loop=0,
        quality=80,
        method=2,
    )
    return sink.getvalue()
