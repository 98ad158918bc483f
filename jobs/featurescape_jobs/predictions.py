"""Job ``predictions``: what a classifier says of every example, and how good it is at that.

Input: a dataset and a classifier with weights (``model.training`` names a `training` job). A dataset of images
for a model that reads images; of an example that is a model with several views the probabilities are averaged.
The dataset `features`, sequences that an earlier job extracted, for `view_lstm`. Texts for `text_lstm`.

Output, kind ``predictions``, one Parquet file per shard: example_id, label, locator, prediction (the largest
output) and predicted (its class), confidence, entropy (nats), margin, correct, label_rank, loss (nats), brier, top
(K outputs) and top_probabilities, of recurrent networks step_predictions, step_confidences, step_entropies and
decided_at, thumbnail, width and height in pixels, attributes. Kind ``classes``: a row per output with support,
precision, recall, F1, its row of the confusion matrix and its place among those it is confused with. Kind
``errors``: one row per example that could not be read. Details: classes, outputs, labels (how they were
matched), top, summary (accuracy, averages, log loss, Brier score, calibration, steps), attributes, execution.

Cost: one decode and one forward pass per image, in the way that `execution` found fastest; of a bidirectional
network a pass per step. A worker holds the network, one shard of output, and per thread a batch of input; the
driver one shard's columns and the cells of the confusion matrix (`classification.measures`).

Failure modes: no weights (`WeightsError`), labels that cannot be outputs as the spec says, dataset missing,
empty or of another kind than the model reads (`DatasetError`, `SpecError`), all before any work; unreadable
examples become error rows.

Source of the method: as `classification.measures` and `classification.families` name them.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from featurescape_jobs.artifacts import AttributeInfo, AttributeTable, job_dir
from featurescape_jobs.classification.families import order_of
from featurescape_jobs.classification.labels import plan_outputs
from featurescape_jobs.classification.measures import Measures, per_class
from featurescape_jobs.classification.rows import RowOptions
from featurescape_jobs.classification.worker import PredictionSetup, check_mode
from featurescape_jobs.datasets.features import open_sequences
from featurescape_jobs.datasets.frozen_input import FrozenInput, freeze
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.job_choice import read_choice
from featurescape_jobs.engine.remarks import added
from featurescape_jobs.engine.shards import Bulk, run_shards
from featurescape_jobs.models import MODELS
from featurescape_jobs.networks.loading import LoadedNetwork, count_outputs
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.specs import PredictionsSpec
from featurescape_jobs.tables.predictions import CLASSES

KIND = "predictions"
_ATTRIBUTES = (
    AttributeInfo(name="predicted", type="category", about="The class that is predicted"),
    AttributeInfo(name="correct", type="category", about="Whether that is the label"),
    AttributeInfo(name="confidence", type="number", about="Probability of the prediction"),
    AttributeInfo(name="entropy", type="number", about="Entropy of the probabilities", unit="nats"),
    AttributeInfo(name="margin", type="number", about="Largest probability less the second"),
    AttributeInfo(name="loss", type="number", about="Cross entropy of the label", unit="nats"),
)
_OF_STEPS = AttributeInfo(
    name="decided_at",
    type="number",
    about="First step from which on the prediction is the final one",
    unit="steps",
)


def run(spec: PredictionsSpec, context: RunContext) -> Outcome:
    """Classify every example; the module says what comes out."""
    with context.stage("check"):
        source = Source.of(spec, context)
        reads = MODELS[spec.model.name].card.reads
        dimensions = open_sequences(source.dataset)[1] if reads == "features" else None
        network = source.network(dimensions)
        n_outputs = count_outputs(network)
        check_mode(network, n_outputs, spec.execution)
    with context.stage("freeze input"):
        frozen = freeze(spec.dataset, context, spec.shard_size)
        options = _plan_rows(spec, network, n_outputs, frozen)
    with context.stage("predict", total=frozen.examples):
        setup = PredictionSetup(spec, source.with_examples(frozen.examples), options, dimensions)
        bulk = Bulk(setup, options.schema, KIND, spec.resources, network=True)
        result = run_shards(bulk, frozen, context)
    with context.stage("measure"):
        measures = _measure(options, context)
        context.add_table("classes.parquet", _classes(measures), "classes")
    columns = [*_ATTRIBUTES, *([_OF_STEPS] if options.steps else [])]
    details = {
        "classes": list(frozen.classes),
        "outputs": list(options.outputs.names),
        "labels": options.outputs.to_json(frozen.classes),
        "label_source": frozen.labels,
        "model": spec.model.label,
        "top": options.top,
        "summary": measures.to_json(),
        "attributes": AttributeTable(kind=KIND, columns=columns).model_dump(mode="json"),
        "remarks": added([frozen.remarks, result.remarks]),
        "execution": read_choice(context.storage, job_dir(context.job_id)),
        "error_codes": result.error_codes,
        "workers": result.workers,
        "nodes": result.nodes,
    }
    return Outcome(result.rows, result.error_rows, details)


def _plan_rows(
    spec: PredictionsSpec, network: LoadedNetwork, n_outputs: int, frozen: FrozenInput
) -> RowOptions:
    outputs = plan_outputs(spec.labels, n_outputs, frozen.classes, network.classes)
    return RowOptions(outputs, min(spec.top, n_outputs), network.card.recurrent)


def _measure(options: RowOptions, context: RunContext) -> Measures:
    """Add up what the committed shards say; one is held at a time."""
    measures = Measures(options.outputs, options.top)
    columns = [*Measures.COLUMNS, *(Measures.STEP_COLUMNS if options.steps else ())]
    for file in context.files:
        if file.kind == KIND:
            measures.add(context.storage.read_table(context.path(file.path), columns))
    return measures


def _classes(measures: Measures) -> pa.Table:
    """A row per output, with its row of the confusion matrix."""
    confusion = measures.confusion
    support, predicted, right = confusion.sums()
    precision, recall, f1 = per_class(support, predicted, right)
    by_count = np.lexsort((confusion.predicted, -confusion.counts, confusion.true))
    cells = np.bincount(confusion.true, minlength=confusion.outputs)
    offsets = pa.array(np.concatenate([[0], np.cumsum(cells)]), pa.int32())

    def listed(values: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Array:
        return pa.ListArray.from_arrays(offsets, pa.array(values[by_count]))

    columns = {
        "index": pa.array(np.arange(confusion.outputs)),
        "name": pa.array(measures.outputs.names, pa.string()),
        "place": pa.array(order_of(confusion)),
        "support": pa.array(support),
        "predicted": pa.array(predicted),
        "predicted_unlabeled": pa.array(measures.unlabeled),
        "correct": pa.array(right),
        "precision": pa.array(precision, from_pandas=True),
        "recall": pa.array(recall, from_pandas=True),
        "f1": pa.array(f1, from_pandas=True),
        "confused_with": listed(confusion.predicted),
        "confused_counts": listed(confusion.counts),
    }
    arrays = [columns[field.name].cast(field.type) for field in CLASSES]
    return pa.Table.from_arrays(arrays, schema=CLASSES)
