"""Job ``training``: weights for a network of the catalog, learned by the trainer that its card names.

Input: a dataset and a trainable model. A hash of seed and example id divides the examples into three parts, the
same however the dataset is listed (`trainers.split`): one is learned from, one chooses the epoch (validation),
and one does neither (test).

Output: kind ``weights``, one safetensors file, float32; kind ``history``, one row per epoch; kind ``errors``,
one row per example that could not be used. What else, and what a figure is of, is said by the trainers:
`trainers.classifier` and `trainers.captioner`. Each epoch leaves a checkpoint in the job's folder, and an
attempt goes on with it.

Cost: three forward passes per example and epoch, and one over the parts that measure.

Failure modes: before any work, a model that is not trained here, or a spec that its trainer cannot follow
(`SpecError`). While training: a loss that is no longer finite (`SpecError` naming learning_rate).

Source of the method: as the trainers say.
"""

from __future__ import annotations

from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.specs import TrainingSpec
from featurescape_jobs.trainers import check_training


def run(spec: TrainingSpec, context: RunContext) -> Outcome:
    """Train the model as its trainer does."""
    return check_training(spec).run(spec, context)
