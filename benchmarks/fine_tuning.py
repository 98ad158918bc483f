"""Steps of fine-tuning an encoder, against torch's own gradients.

    python benchmarks/fine_tuning.py [--px 112] [--steps 10] [--repeats 5] [--threads 2]

Both learn, with AdamW, which of 256 random words are said of random pictures, in batches of 32, with
`efficientnet_lite0` up to blocks.15 in the layout channels_last. Input lies in memory; no picture is decoded.

Peer: the network as torch runs it, all weights learn, in float32 or under autocast to bfloat16: whichever of the
two is quicker here. Ours is `captioning.tagging.Tagger`, whose depthwise filters stay as they are.

Quality first: over a batch, the gradient of all weights that learn in both must be as near to that of torch in
float32 as torch's under autocast is (by cosine, less 0.001), else the benchmark ends with status 1 and no ratio.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial

import torch
from pairs import interleave, print_table
from torch import nn
from torch.nn import functional

from featurescape_jobs.captioning.encoder import Encoder, Place, open_encoder
from featurescape_jobs.captioning.tag_head import TagHead
from featurescape_jobs.captioning.tagging import Tagger
from featurescape_jobs.networks import Capture
from featurescape_jobs.specs import EncoderSpec

SLACK = 0.001
BATCH, WORDS, LAYER = 32, 256, "blocks.15"
LEARNING_RATE = 1e-6
"""So small that both stay the same network."""
CPU = torch.device("cpu")


class Plain(nn.Module):
    """What `Tagger` computes, by torch alone."""

    def __init__(self, encoder: Encoder, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = encoder.network.module.eval().requires_grad_(True)
        self.to(memory_format=torch.channels_last)
        self.head, self._dtype = TagHead(encoder.layout, WORDS), dtype
        self._encoder, self._capture = encoder, Capture(self.network, [LAYER])

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits of all words."""
        seen = pictures.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            found = self._capture.follow(seen)[LAYER]
        logits: torch.Tensor = self.head(self._encoder.grid([found.float()]))
        return logits


def main(arguments: Sequence[str] | None = None) -> int:
    """Check quality, then time; the exit status."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        spec = EncoderSpec(layers=(LAYER,), input_px=options.px, fine_tuned=True)
        opened = partial(open_encoder, spec, Place(folder, 0, None))
        plain = {dtype: Plain(opened(), dtype) for dtype in (torch.float32, torch.bfloat16)}
        ours = Tagger(opened(), torch.full((WORDS,), 0.5), 0.0, CPU).train()
    torch.manual_seed(0)
    start = torch.randn_like(ours.head.words.weight)
    for module in (*plain.values(), ours):
        module.head.reduce.load_state_dict(ours.head.reduce.state_dict())
        module.head.words.weight.data = 0.01 * start
    shown = torch.randn(BATCH, 3, options.px, options.px)
    said = (torch.rand(BATCH, WORDS) < 0.5).float()
    exact = gradients(plain[torch.float32], shown, said)
    found = [likeness(exact, gradients(one, shown, said)) for one in (plain[torch.bfloat16], ours)]
    print("cosine of the gradients to float32: autocast {:.5f}, ours {:.5f}".format(*found))
    if found[1] < found[0] - SLACK:
        print("quality: further off than autocast, so no ratio")
        return 1
    runs = {dtype: partial(learn, one, shown, said, options.steps) for dtype, one in plain.items()}
    took = {dtype: seconds(run) for dtype, run in runs.items()}
    quicker = min(took, key=lambda dtype: took[dtype])
    print(", ".join(f"torch in {dtype}: {value:.2f} s" for dtype, value in took.items()))
    run_ours = partial(learn, ours, shown, said, options.steps)
    run_ours()  # both are warm now
    timings = interleave(runs[quicker], run_ours, options.repeats)
    pictures = options.steps * BATCH
    print(
        f"ours: {pictures / sorted(timings.ours_seconds)[len(timings.ours_seconds) // 2]:.0f} a second"
    )
    print_table(timings, f"torch in {quicker}")
    return 0


def gradients(
    module: nn.Module, shown: torch.Tensor, said: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Of every weight that learns, by name."""
    loss(module, shown, said).backward()
    named = module.named_parameters()
    return {name: one.grad.flatten() for name, one in named if one.grad is not None}


def likeness(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Cosine of the gradients of what learns in both."""
    names = [name for name in one if name in other and "depthwise" not in name]
    both = (torch.cat([side[name] for name in names]) for side in (one, other))
    return float(functional.cosine_similarity(*both, 0))


def learn(module: nn.Module, shown: torch.Tensor, said: torch.Tensor, steps: int) -> None:
    """Some steps of AdamW."""
    learning = [one for one in module.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(learning, LEARNING_RATE)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss(module, shown, said).backward()
        optimizer.step()


def loss(module: nn.Module, shown: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of yes and no."""
    return functional.binary_cross_entropy_with_logits(module(shown), said)


def seconds(run: partial[None]) -> float:
    """Of a second run, the first being for warming up."""
    run()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--px", type=int, default=112)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    return parser


if __name__ == "__main__":
    sys.exit(main())
