"""The columns of the tables of `dynamics`; units in the field metadata.

``network`` says which model a row is of: the name of its cell (rnn, lstm, gru), with ``compare`` behind it
where both models have the same one; ``matrix`` for a matrix that the spec gives.
"""

from __future__ import annotations

import pyarrow as pa

from featurescape_jobs.tables import field

_NUMBERS = pa.list_(pa.float64())
_NETWORK = field("network", pa.string(), "Which model: its cell; `matrix`: given in the spec.")
_LAYER = field("layer", pa.string(), "Layer and direction, as `recurrent.0`; null: given.")
_MATRIX = field("matrix", pa.string(), "As `theta_h`, of a gate `theta_hf`; or the given name.")
_RADIUS = field("spectral_radius", pa.float64(), "Largest |λ|; null: the matrix is not square.")
_NORM = field("largest_singular_value", pa.float64(), "How much one step can stretch a vector.")
_REAL = field("eigenvalues_real", _NUMBERS, "Real parts, largest |λ| first; null: not square.")
_IMAGINARY = field("eigenvalues_imaginary", _NUMBERS, "Their imaginary parts.")

SPECTRA = pa.schema(
    [
        _NETWORK,
        _LAYER,
        _MATRIX,
        field("gate", pa.string(), "The gate or candidate that the block belongs to; null: none."),
        field("rows", pa.int32(), "Rows of the matrix."),
        field("columns", pa.int32(), "Columns of the matrix."),
        _RADIUS,
        _NORM,
        field("smallest_singular_value", pa.float64(), "0: the matrix is singular."),
        field("condition", pa.float64(), "Largest over smallest singular value; null: singular."),
        _REAL,
        _IMAGINARY,
        field("singular_values", _NUMBERS, "The largest first."),
    ]
)
POWERS = pa.schema(
    [
        _NETWORK,
        _LAYER,
        _MATRIX,
        field("power", pa.int32(), "t, from 0.", "steps"),
        field("log10_norm", pa.float64(), "Of ‖W^t‖, spectral; null: the power is zero.", "log10"),
        field("log10_largest", pa.float64(), "Of the largest |λ|^t; null: zero.", "log10"),
        field("log10_median", pa.float64(), "Of the median |λ|^t; null: zero.", "log10"),
        field("log10_smallest", pa.float64(), "Of the smallest |λ|^t; null: zero.", "log10"),
    ]
)
GRADIENT_NORMS = pa.schema(
    [
        _NETWORK,
        _LAYER,
        field(
            "path",
            pa.string(),
            "hidden: ∂h_T/∂h_t; of an LSTM cell: ∂C_T/∂C_t, and carousel: that along C alone, the "
            "product of the forget gates.",
        ),
        field("distance", pa.int32(), "T - t.", "steps"),
        field("examples", pa.int32(), "Examples that are so long."),
        field("log10_mean", pa.float64(), "Mean log10 of the spectral norm.", "log10"),
        field("log10_low", pa.float64(), "A tenth of the examples lie below.", "log10"),
        field("log10_high", pa.float64(), "A tenth of the examples lie above.", "log10"),
    ]
)
JACOBIANS = pa.schema(
    [
        _NETWORK,
        _LAYER,
        field("example_id", pa.string(), "The example whose state it is."),
        field("step", pa.int32(), "Step, from 0, in the order of reading.", "steps"),
        _RADIUS,
        _NORM,
        _REAL,
        _IMAGINARY,
    ]
)
SATURATION = pa.schema(
    [
        _NETWORK,
        _LAYER,
        field("gate", pa.string(), "Gate or candidate; of an RNN its state, h."),
        field("unit", pa.int32(), "Hidden unit, from 0."),
        field("low", pa.float32(), "Steps below .1; of g, n and h below -.8.", "fraction"),
        field("high", pa.float32(), "Steps above .9; of g, n and h above .8.", "fraction"),
        field("mean", pa.float32(), "Mean value over all steps."),
    ]
)
CLIPPING = pa.schema(
    [
        _NETWORK,
        field("batch", pa.int32(), "Batch, from 0."),
        field("examples", pa.int32(), "Examples in it."),
        field("loss", pa.float64(), "Mean cross entropy.", "nats"),
        field("norm", pa.float64(), "Of the gradient of all parameters."),
        field("clipped_norm", pa.float64(), "The same after clipping."),
        field("recurrent_norm", pa.float64(), "Of the part of the θ_h, before clipping."),
    ]
)
SCHEMAS = {
    "spectra": SPECTRA,
    "powers": POWERS,
    "gradient_norms": GRADIENT_NORMS,
    "jacobians": JACOBIANS,
    "saturation": SATURATION,
    "clipping": CLIPPING,
}
"""Kind of file → its columns."""
