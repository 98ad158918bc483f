"""Job ``features``: feature vectors and a thumbnail per example, in bulk on Ray workers.

Input: a dataset and a model with weights (``model.training`` names a `training` job). A dataset of
images for a model that reads images; an example may be a model with several views. The dataset
`features`, sequences that an earlier job extracted, for `view_lstm`; texts for `text_lstm`. A trained
`captioner` describes images; its features are the states that the words were chosen from. The dataset
`vectors` without a model: they are checked and copied.

Output, kind ``features``, one Parquet file per shard: example_id, label, locator, features
(FixedSizeList<float32 or float16, D>: the first layer's activation, pooled; of every view or step a
list of these), ``features_2`` and so on for further layers, thumbnail (struct {bytes, path}: PNG or
WebP, longer side ``thumbnail_px``; of several views the first), width and height in pixels (null, as
the thumbnail, of texts and of vectors without an image), attributes (JSON, of a text with it). Kind
``errors``: one row per example that could not be read, with a code. Details: classes, layers (column, layer,
pooling, dimensions, steps), dimensions of the first, model, view_pooling, state, execution, attributes
(`AttributeTable`), error codes, remarks (vectors of zeros that are kept, texts that are cut: how many, and the
first ones).

Cost: one decode and one forward pass per image for all layers, stopped at the deepest, in the way
that `execution` found fastest; decoding runs on threads beside the network. A worker holds the
network, one shard of output, and per thread a batch of input and one decoded example.

Failure modes: unknown layer (`LayerError`, lists the layers), no weights (`WeightsError`), dataset missing,
empty or of another kind than the model reads (`DatasetError`, `SpecError`), all before any work;
unreadable examples become error rows.

Source of the method: J. Donahue et al., "DeCAF: A Deep Convolutional Activation Feature", 2014; for
sequences the last hidden state, as in I. Sutskever et al., "Sequence to Sequence Learning", 2014; for
views the largest value over them, H. Su et al., "Multi-view Convolutional Neural Networks for 3D Shape
Recognition", 2015.
"""

from __future__ import annotations

from dataclasses import asdict, replace

import torch

from featurescape_jobs import tables
from featurescape_jobs.artifacts import AttributeInfo, AttributeTable, job_dir
from featurescape_jobs.captioning.loading import captioner_of
from featurescape_jobs.datasets.base import is_sequence
from featurescape_jobs.datasets.features import open_sequences
from featurescape_jobs.datasets.frozen_input import check_unread, freeze, resolve_dataset
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.job_choice import read_choice
from featurescape_jobs.engine.remarks import added
from featurescape_jobs.engine.shards import Bulk, run_shards
from featurescape_jobs.extraction.columns import plan_columns
from featurescape_jobs.extraction.images import ImageSetup
from featurescape_jobs.extraction.sequences import SequenceSetup
from featurescape_jobs.extraction.texts import TextSetup
from featurescape_jobs.extraction.vectors import VectorSetup, plan_vectors
from featurescape_jobs.extraction.words import WordSetup, plan_words
from featurescape_jobs.models import MODELS
from featurescape_jobs.networks import execution
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.specs import FeaturesSpec

NetworkSetup = ImageSetup | SequenceSetup | TextSetup | WordSetup


def run(spec: FeaturesSpec, context: RunContext) -> Outcome:
    """Extract features of every example; the module says what comes out."""
    with context.stage("check"):
        setup = _plan(spec, context)
    with context.stage("freeze input"):
        frozen = freeze(spec.dataset, context, spec.shard_size)
    with context.stage("extract", total=frozen.examples):
        if not isinstance(setup, VectorSetup):
            setup = replace(setup, source=setup.source.with_examples(frozen.examples))
        schema = tables.features_schema(setup.columns, spec.dtype)
        bulk = Bulk(setup, schema, "features", spec.resources, network=spec.model is not None)
        result = run_shards(bulk, frozen, context)
    chosen = read_choice(context.storage, job_dir(context.job_id))
    details = {
        "classes": list(frozen.classes),
        "labels": frozen.labels,
        "model": None if spec.model is None else spec.model.label,
        "layers": [asdict(column) for column in setup.columns],
        "dimensions": setup.columns[0].dimensions,
        "view_pooling": spec.view_pooling if _pools_views(setup) else None,
        "state": spec.state,
        "dtype": spec.dtype,
        "execution": chosen,
        "attributes": _attributes(setup, frozen.attributes).model_dump(mode="json"),
        "error_codes": result.error_codes,
        "remarks": added([frozen.remarks, result.remarks]),
        "workers": result.workers,
        "nodes": result.nodes,
    }
    return Outcome(result.rows, result.error_rows, details)


def _attributes(
    setup: NetworkSetup | VectorSetup, known: tuple[AttributeInfo, ...]
) -> AttributeTable:
    """The dataset's attributes, and those that the job adds."""
    added = {WordSetup: (tables.CAPTION_INFO,), TextSetup: (tables.TEXT_INFO,)}.get(type(setup), ())
    others = (info for info in known if info.name not in {each.name for each in added})
    return AttributeTable(kind="features", columns=[*others, *added])


def _pools_views(setup: NetworkSetup | VectorSetup) -> bool:
    return isinstance(setup, ImageSetup) and is_sequence(setup.source.dataset)


def _plan(spec: FeaturesSpec, context: RunContext) -> NetworkSetup | VectorSetup:
    """Learn D and find mistakes early, by one input of zeros or the first vectors."""
    if spec.model is not None:
        return _plan_network(spec, Source.with_model(spec.model, spec, context))
    check_unread(spec.dataset, "vectors")
    return plan_vectors(spec, resolve_dataset(spec.dataset, context))


def _plan_network(spec: FeaturesSpec, source: Source) -> NetworkSetup:
    """Fill in the card's choices, and run one input of zeros."""
    card = MODELS[source.model.name].card
    if card.gives == "captions":
        return _plan_words(WordSetup(spec, source))
    setup: ImageSetup | SequenceSetup | TextSetup = ImageSetup(spec, source)
    if card.reads == "texts":
        setup = TextSetup(spec, source)
    if card.reads == "features":
        setup = SequenceSetup(spec, source, open_sequences(source.dataset)[1])
    network = setup.network()
    columns = plan_columns(network, spec, several_views=is_sequence(source.dataset))
    if spec.execution != "auto" and not card.recurrent:
        execution.check(execution.Target(network, columns, torch.device("cpu")), spec.execution)
    return replace(setup, columns=columns)


def _plan_words(setup: WordSetup) -> WordSetup:
    """Load the captioner once, to learn H and find mistakes early."""
    spec = setup.spec
    spec.check_network("model", "captions")
    captioner = captioner_of(setup.source)
    if spec.execution != "auto":
        execution.check(captioner.encoder.target(torch.device("cpu")), spec.execution)
    return replace(setup, columns=plan_words(captioner, spec))
