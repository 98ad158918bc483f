"""Check of the features that a captioner has, from the spec alone."""

from __future__ import annotations

from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs import FeaturesSpec


def check_states(spec: FeaturesSpec) -> None:
    """Raise `SpecError` where a captioner has no such features; nothing is read."""
    refused = (
        ("model.training", spec.model.training is None, "name the `training` job of the captioner"),
        ("state", spec.state == "gates", "a captioner's gates are not kept; take hidden or cell"),
        (
            "pooling",
            spec.pooling == "flatten",
            "captions are of different lengths; use steps, last, mean or max",
        ),
        (
            "view_pooling",
            spec.view_pooling != "max",
            "of several views a captioner describes the first; leave it out",
        ),
    )
    for name, is_so, why in refused:
        if is_so:
            raise SpecError(f"{name}: {why}", field=name)
