"""Job ``dynamics``: why a recurrent network remembers or forgets, in numbers and plots.

Input: a recurrent model (``model.training`` names a `training` job), a second one in ``compare`` to set
beside it, and the dataset that they read; or matrices of linear recurrences. Without a dataset only the
weights are looked at. At most `spec_matrices.MAX_UNITS` units a layer.

Output, Parquet files whose columns stand in `tables.dynamics`: kind ``spectra`` (eigenvalues,
singular values, condition of every matrix, of gates block by block), ``powers`` (‖W^t‖ and |λ|^t),
``gradient_norms`` (∂h_T/∂h_t and ∂C_T/∂C_t against T - t), ``jacobians`` (eigenvalues of the Jacobian of a
step, of h and C together), ``saturation`` (per gate and unit), ``clipping`` (parameter gradients, batch by
batch); those that there is nothing for are left out. Kind ``plot``: each of them drawn, PNG. Kind
``errors``: one row per example that could not be read. Rows are those of ``spectra``.

Cost: minutes at most: the Jacobian of every step of `gradient_examples`, multiplied up (2 H of an LSTM cubed,
for each step and example). Runs in the driver, float64. Holds the images as `trainers.inputs` does, a
batch of traces (256 MiB), products of Jacobians (64 MiB, or one) and all rows.

Failure modes: before any work, a model that is not recurrent or has too many units, a dataset of another
kind than it reads (`SpecError`), no weights, a file without such a matrix (`WeightsError`), a dataset that
is missing (`DatasetError`). Then: no example that can be read.

Source of the method: Y. Bengio et al., "Learning long-term dependencies with gradient descent is
difficult", 1994; S. Hochreiter, J. Schmidhuber, "Long short-term memory", 1997; R. Pascanu et al., "On the
difficulty of training recurrent neural networks", 2013.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from featurescape_jobs import tables
from featurescape_jobs.datasets.frozen_input import freeze
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.rnn_analysis.clipping import batch_gradients
from featurescape_jobs.rnn_analysis.figures import plots
from featurescape_jobs.rnn_analysis.inputs import (
    Inputs,
    Network,
    load_networks,
    no_loss_reason,
    read_inputs,
)
from featurescape_jobs.rnn_analysis.measures import Plan, layers_of, matrices_of, measure
from featurescape_jobs.rnn_analysis.rows import Tables, headlines
from featurescape_jobs.rnn_analysis.spec_matrices import read_matrix
from featurescape_jobs.rnn_analysis.spectra import Matrix
from featurescape_jobs.specs import DatasetSpec, DynamicsSpec


def run(spec: DynamicsSpec, context: RunContext) -> Outcome:
    """Measure weights, then states and gradients on data; the module says what comes out."""
    found = Tables()
    with context.stage("check"):
        matrices = {each.name: read_matrix(each, context.allowed_roots) for each in spec.matrices}
        networks = load_networks(spec, context)
    with _threads(context.threads):
        with context.stage("weights"):
            for name, matrix in matrices.items():
                _add_given(found, name, matrix, spec.powers)
            for network in networks:
                _add_weights(found, network, spec.powers)
        data: dict[str, Any] = {"examples": 0, "steps": 0, "left_out": {}, "error_rows": []}
        if spec.dataset is not None:
            data = _add_measures(found, spec, networks, context)
    errors = data.pop("error_rows")
    with context.stage("write"):
        _write(found, errors, spec.clip_norm, context)
    details = {
        "networks": [network.described() for network in networks],
        "clip_norm": spec.clip_norm,
        **data,
        **headlines(found),
    }
    return Outcome(len(found.rows["spectra"]), len(errors), details)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _add_given(found: Tables, name: str, matrix: Matrix, powers: int) -> None:
    place = {"network": "matrix", "layer": None}
    found.add_matrix(place, (name, None), matrix)
    found.add_powers(place, name, matrix, powers)


def _add_weights(found: Tables, network: Network, powers: int) -> None:
    """Every matrix of every layer, of gates block by block; powers of those from state to state."""
    for path, _, direction in layers_of(network.module):
        place = {"network": network.name, "layer": path}
        for name, gate, matrix in matrices_of(direction):
            found.add_matrix(place, (name, gate), matrix)
            if name.startswith("theta_h"):
                found.add_powers(place, name, matrix, powers)


def _add_measures(
    found: Tables, spec: DynamicsSpec, networks: list[Network], context: RunContext
) -> dict[str, Any]:
    """What the networks do on data; what the manifest says of these, and the error rows."""
    assert spec.dataset is not None
    with context.stage("freeze input"):
        frozen = freeze(_at_most(spec.dataset, spec.examples), context)
    left_out: dict[str, str] = {}
    for network in networks:
        with ExitStack() as stack:
            with context.stage("read", total=frozen.examples):
                read = stack.enter_context(read_inputs(network, frozen, context))
            with context.stage("states", total=len(read.labels)):
                _add_states(found, network, read, spec, context)
            reason = no_loss_reason(network, read.labels, frozen.classes)
            if reason is not None:
                left_out["clipping"] = reason
                continue
            with context.stage("parameter gradients"):
                gradients = batch_gradients(
                    network.module, read.sequences, read.labels, spec.batch_size, spec.clip_norm
                )
                found.add_gradients(network.name, gradients)
    return {
        "examples": len(read.labels),
        "steps": read.sequences.steps,
        "left_out": left_out,
        "error_rows": read.errors,
    }


def _at_most(dataset: DatasetSpec, examples: int) -> DatasetSpec:
    limit = min(dataset.limit or examples, examples)
    return dataset.model_copy(update={"limit": limit})


def _add_states(
    found: Tables, network: Network, read: Inputs, spec: DynamicsSpec, context: RunContext
) -> None:
    plan = Plan(spec.gradient_examples, spec.jacobian_examples, spec.max_distance)

    def show(done: int) -> None:
        context.progress(done, message=network.name)

    for path, layer in measure(network.module, read.sequences, plan, show).items():
        found.add_measures({"network": network.name, "layer": path}, layer)


def _write(
    found: Tables, errors: list[dict[str, Any]], clip_norm: float, context: RunContext
) -> None:
    for kind in found.rows:
        if found.rows[kind]:
            context.add_table(f"data/{kind}.parquet", found.table(kind), kind)
    for name, png in plots(found, clip_norm).items():
        context.add_bytes(f"data/plots/{name}.png", png, "plot")
    context.add_table("data/errors.parquet", tables.errors_table(errors), "errors")
