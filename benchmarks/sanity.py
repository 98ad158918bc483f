"""Attribution maps while weights become random: the figures in docs/jobs/gradients.md.

    python benchmarks/sanity.py [--images 4] [--draws 2] [--stages 4] [--seed 0]

Runs `gradients` with `sanity` in this process, on crops of 224 px of scikit-learn's two sample photos,
through `efficientnet_lite0` with its ImageNet weights. Prints the layer of Grad-CAM, the images, the seed,
the stages, and of each method and stage the quartiles of the rank correlation over images and draws.
Nothing is timed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from costs import EFFICIENTNET, Bench, make_photos


def main() -> None:
    """Check and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--stages", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        make_photos(bench.root / "photos", options.images)
        sanity = {
            "examples": options.images,
            "draws": options.draws,
            "stages": options.stages,
        }
        details = bench.details(
            "gradients",
            dataset=bench.photos(options.images),
            model=EFFICIENTNET,
            sanity=sanity,
            seed=options.seed,
            values="none",
        )
    report(details, options.seed)


def report(details: dict[str, Any], seed: int) -> None:
    """Print a check as the manifest has it."""
    check = details["sanity"]
    print(f"{details['model']}, pretrained; layer of Grad-CAM: {details['layer']}; seed {seed}")
    print(
        f"{len(check['examples'])} images ({', '.join(check['examples'])}), {check['draws']} draws"
    )
    for stage in check["stages"][1:]:
        print(
            f"stage {stage['stage']}: {stage['modules']} of {check['modules']} modules, down to {stage['module']}"
        )
    for method in check["methods"]:
        print(f"\n{method['method']}: {method['verdict']}")
        for stage in method["stages"]:
            figures = ", ".join(
                f"{name} {spread['median']:.2f} ({spread['low']:.2f} to {spread['high']:.2f})"
                for name in ("spearman", "spearman_signed", "ssim")
                if (spread := stage[name])
            )
            print(
                f"  stage {stage['stage']}: {figures or 'not defined'}; {stage['undefined']} undefined"
            )


if __name__ == "__main__":
    main()
