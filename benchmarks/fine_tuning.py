"""Steps of fine-tuning an encoder: torch's own gradients, the same made quick, and ours.

    python benchmarks/fine_tuning.py [--px 112] [--steps 10] [--repeats 5] [--threads 2]

All learn, with AdamW, which of 256 random words are said of random images, in batches of 32, with
EfficientNet-Lite0 up to blocks.15 and its ImageNet weights. Input lies in memory; no image is decoded.

Popular peer: the network as torch runs it, all weights learn, in float32. Strong peers: channels_last, only the
gradients of those weights that learn in ours too (what has a part in the layer, without depthwise filters), in
``autocast`` to bfloat16 or in float32 (faster where a processor has no matrix units for bfloat16). Ours is
`word_objective.WordDetector`.

Gate: over a batch, the gradient of all weights that learn in all of them must be as near to torch's in float32
as torch's under autocast is (by cosine, less 0.001). Controls: the gradient for other images and words, and
one drawn at random.

Most of ours is convolutions and their gradients. The next gain is batch norms: in evaluation mode they could be
folded into the filters at every step, with gradient.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial

import harness
import torch
from harness import Comparison, Contender, Gate, Outputs, Role, Verdict
from torch import nn
from torch.nn import functional

from featurescape_jobs.captioning.encoder import Encoder, Place, open_encoder
from featurescape_jobs.models.captioner.tag_head import TagHead
from featurescape_jobs.networks.capture import Capture
from featurescape_jobs.specs import EncoderSpec
from featurescape_jobs.trainers.captioner.word_objective import WordDetector

SLACK = 0.001
BATCH, WORDS, LAYER = 32, 256, "blocks.15"
LEARNING_RATE = 1e-6
"""So small that all stay the same network."""
CPU = torch.device("cpu")
Gradients = dict[str, torch.Tensor]
"""Gradients of every weight that learns, by name."""
Examples = tuple[torch.Tensor, torch.Tensor]
"""Images (N, 3, H, W) and which words are said of them (N, V)."""


class Plain(nn.Module):
    """`WordDetector` written out in torch alone."""

    def __init__(self, encoder: Encoder, dtype: torch.dtype, layout: torch.memory_format) -> None:
        super().__init__()
        self.network = encoder.network.module.eval().requires_grad_(True)
        self.to(memory_format=layout)
        self.head, self._dtype, self._layout = TagHead(encoder.layout, WORDS), dtype, layout
        self._encoder, self._capture = encoder, Capture(self.network, [LAYER])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of all words."""
        seen = images.contiguous(memory_format=self._layout)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            found = self._capture.follow(seen)[LAYER]
        logits: torch.Tensor = self.head(self._encoder.grid([found.float()]))
        return logits


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; the exit status."""
    options = _parser().parse_args(arguments)
    if options.controls:
        options.px, options.steps = 64, 1
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    return harness.finish([harness.compare(comparison(options), options)], options)


def comparison(options: argparse.Namespace) -> Comparison:
    """All contenders, with the same weights, warm."""
    modules = networks(options.px)
    shown, other = examples(options.px), examples(options.px)
    found = {name: gradients(module, *shown) for name, module in modules.items()}
    elsewhere = gradients(modules["popular"], *other)

    def run(name: str) -> Gradients:
        learn(modules[name], *shown, options.steps)
        return found[name]

    for name in modules:
        run(name)
    contenders = [Contender(name, ROLES[name], partial(run, name)) for name in modules]
    images = options.steps * BATCH
    stage = f"fine-tuning an encoder, {images} images of {options.px} px"
    gate = Gate(judge, partial(controls, elsewhere))
    return Comparison(stage, "efficientnet_lite0, ImageNet's", contenders, gate, items=images)


ROLES = {
    "popular": Role.POPULAR,
    "strong": Role.STRONG,
    "strong32": Role.STRONG,
    "featurescape": Role.OURS,
}


def networks(px: int) -> dict[str, nn.Module]:
    """The network of each contender, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        spec = EncoderSpec(layers=(LAYER,), input_px=px, fine_tuned=True)
        opened = partial(open_encoder, spec, Place(folder, 0, None))
        ours = WordDetector(opened(), torch.full((WORDS,), 0.5), 0.0, CPU).train()
        found: dict[str, nn.Module] = {
            "popular": Plain(opened(), torch.float32, torch.contiguous_format),
            "strong": Plain(opened(), torch.bfloat16, torch.channels_last),
            "strong32": Plain(opened(), torch.float32, torch.channels_last),
        }
    start = torch.randn_like(ours.head.words.weight)
    learning = {name for name, one in ours.network.named_parameters() if one.requires_grad}
    for name, module in found.items():
        assert isinstance(module, Plain)
        if name != "popular":
            for path, parameter in module.network.named_parameters():
                parameter.requires_grad_(path in learning)
        module.head.reduce.load_state_dict(ours.head.reduce.state_dict())
        module.head.words.weight.data = 0.01 * start
    ours.head.words.weight.data = 0.01 * start
    return found | {"featurescape": ours}


def examples(px: int) -> Examples:
    """A batch of noise with words at random."""
    return torch.randn(BATCH, 3, px, px), (torch.rand(BATCH, WORDS) < 0.5).float()


def judge(found: Gradients, outputs: Outputs) -> Verdict:
    """True if a gradient is as near to the popular peer's as that under autocast is."""
    exact = outputs["popular"]
    near, least = likeness(exact, found), likeness(exact, outputs["strong"]) - SLACK
    return Verdict(near >= least, f"cosine to float32 {near:.5f}, at least {least:.5f}")


def controls(elsewhere: Gradients, outputs: Outputs) -> Mapping[str, Gradients]:
    """Gradients that lead elsewhere."""
    drawn = torch.Generator().manual_seed(0)
    noise = {
        name: torch.randn(one.shape, generator=drawn) * one.std()
        for name, one in outputs["popular"].items()
    }
    return {"other images and words": elsewhere, "drawn at random": noise}


def gradients(module: nn.Module, shown: torch.Tensor, said: torch.Tensor) -> Gradients:
    """Gradients of every weight that learns, by name."""
    module.zero_grad(set_to_none=True)
    loss(module, shown, said).backward()
    named = module.named_parameters()
    return {name: one.grad.flatten().clone() for name, one in named if one.grad is not None}


def likeness(one: Gradients, other: Gradients) -> float:
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


def _parser() -> argparse.ArgumentParser:
    parser = harness.parser(__doc__)
    parser.add_argument("--px", type=int, default=112)
    parser.add_argument("--steps", type=int, default=10)
    return parser


if __name__ == "__main__":
    sys.exit(main())
