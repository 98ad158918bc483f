"""Matrices alone: spectra, powers and norms; and those that a spec gives."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from featurescape_jobs.errors import SpecError, WeightsError
from featurescape_jobs.models.recurrent.cells import CELLS
from featurescape_jobs.models.recurrent.network import RecurrentNetwork
from featurescape_jobs.rnn_analysis.measures import (
    layers_of,
    matrices_of,
)
from featurescape_jobs.rnn_analysis.rows import Tables
from featurescape_jobs.rnn_analysis.spec_matrices import read_matrix
from featurescape_jobs.rnn_analysis.spectra import log10_powers, spectral_norms, spectrum
from featurescape_jobs.specs import MatrixSpec, RecurrentSpec, parse_spec
from helpers.recurrences import MODULES, random_matrix


def orthogonal(side: int) -> np.ndarray:
    return np.linalg.qr(random_matrix(side))[0]


@pytest.mark.parametrize("kind", MODULES)
def test_torchs_initial_weights_have_radius_0_577_and_norm_1_155(kind: str) -> None:
    """U(±1/√h) has the standard deviation 1/√(3h): Girko's circle has radius 1/√3, the norm is twice that."""
    torch.manual_seed(0)
    network = RecurrentNetwork(4, RecurrentSpec(cell=kind, hidden_units=384), 2)
    [(_, _, direction)] = layers_of(network)
    found = [spectrum(matrix) for name, _, matrix in matrices_of(direction) if "theta_h" in name]
    assert len(found) == max(1, len(CELLS[kind].gates))
    for each in found:
        assert each.radius == pytest.approx(1 / math.sqrt(3), rel=0.08)
        assert each.norm == pytest.approx(2 / math.sqrt(3), rel=0.08)


def test_an_orthogonal_matrix_keeps_every_length() -> None:
    theta = orthogonal(64)
    found = spectrum(theta)
    assert found.eigenvalues is not None
    assert np.abs(found.eigenvalues) == pytest.approx(1, abs=1e-12)
    assert found.singular_values == pytest.approx(1, abs=1e-12)
    assert found.condition == pytest.approx(1, abs=1e-12)
    assert log10_powers(theta, 100) == pytest.approx(0, abs=1e-10)


def test_powers_are_those_of_the_eigenvalues() -> None:
    """θ = Q Λ Qᵀ: A_t = Q Λ^t Qᵀ A_0, so the norm is the radius to the t, without end."""
    q, values = orthogonal(6), np.array([1.2, -1.1, 0.9, 0.5, -0.3, 0.1])
    theta, start = q @ np.diag(values) @ q.T, np.ones(6)
    after = np.linalg.matrix_power(theta, 9) @ start
    assert after == pytest.approx(q @ np.diag(values**9) @ q.T @ start, rel=1e-10)
    found = spectrum(theta)
    assert found.eigenvalues is not None
    assert found.eigenvalues.real == pytest.approx(values, abs=1e-12)
    exponents = np.arange(5001)
    assert log10_powers(theta, 5000) == pytest.approx(exponents * math.log10(1.2), rel=1e-9)
    assert log10_powers(theta / 2, 5000) == pytest.approx(exponents * math.log10(0.6), rel=1e-9)


def test_the_slope_of_a_linear_rnn_is_the_logarithm_of_its_radius() -> None:
    theta = 0.8 * random_matrix(40)
    radius = spectrum(theta).radius
    assert radius is not None
    logs = log10_powers(theta, 2000)
    assert (logs[2000] - logs[1000]) / 1000 == pytest.approx(math.log10(radius), rel=0.01)


def test_a_matrix_that_is_not_normal_grows_before_it_vanishes() -> None:
    theta = np.array([[0.9, 10.0], [0.0, 0.9]])
    logs = log10_powers(theta, 400)
    assert logs[1] > 1
    assert logs[400] < -14
    assert logs[1:] == pytest.approx(
        [math.log10(np.linalg.norm(np.linalg.matrix_power(theta, t), 2)) for t in range(1, 401)],
        abs=1e-9,
    )


def test_a_nilpotent_matrix_ends() -> None:
    theta = np.array([[0.0, 1.0], [0.0, 0.0]])
    assert log10_powers(theta, 3).tolist() == [0.0, 0.0, -math.inf, -math.inf]
    assert spectrum(theta).condition is None
    tables = Tables()
    tables.add_powers({"network": "matrix", "layer": None}, "ends", theta, 3)
    rows = tables.table("powers").to_pylist()
    assert [row["log10_norm"] for row in rows] == [0.0, 0.0, None, None]
    assert [row["log10_largest"] for row in rows] == [0.0, None, None, None]


@pytest.mark.parametrize("shape", [(4, 9, 9), (3, 5, 2), (3, 2, 5)])
def test_spectral_norms_are_the_largest_singular_values(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    for scale in (1.0, 1e-200, 1e200):
        matrices = scale * torch.randn(shape, dtype=torch.float64)
        expected = torch.linalg.matrix_norm(matrices, 2)
        torch.testing.assert_close(spectral_norms(matrices), expected, rtol=1e-10, atol=0)
    assert spectral_norms(torch.zeros(2, 3, 3, dtype=torch.float64)).tolist() == [0, 0]


def test_a_matrix_that_is_not_square_has_no_eigenvalues() -> None:
    found = spectrum(np.array([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]]))
    assert (found.eigenvalues, found.radius) == (None, None)
    assert (found.singular_values.tolist(), found.norm, found.condition) == ([4, 3], 4, 4 / 3)


def given(**fields: Any) -> MatrixSpec:
    return MatrixSpec(name="theta", **fields)


def test_a_matrix_is_written_out_or_read_from_a_file(tmp_path: Path) -> None:
    file = str(tmp_path / "a.safetensors")
    save_file({"one": np.eye(3, dtype=np.float32)}, file)
    assert read_matrix(given(values=[[1, 2], [3, 4]]), None).tolist() == [[1, 2], [3, 4]]
    assert read_matrix(given(file=file), (str(tmp_path),)).tolist() == np.eye(3).tolist()
    assert read_matrix(given(file=file, tensor="one"), None).dtype == np.float64


def test_what_is_no_square_matrix_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    tensors = {"wide": np.zeros((2, 3)), "nan": np.full((2, 2), np.nan), "large": np.eye(1025)}
    save_file(tensors, str(file))
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    (tmp_path / "a.pt").write_bytes(b"junk")
    for fields, reason in (
        ({"file": str(file), "tensor": "wide"}, r"shape \(2, 3\)"),
        ({"file": str(file), "tensor": "large"}, "at most 1024 rows"),
        ({"file": str(file), "tensor": "nan"}, "not finite"),
        ({"file": str(file), "tensor": "none"}, "no tensor 'none'; the file has large, nan, wide"),
        ({"file": str(file)}, "name one of several"),
        ({"file": str(tmp_path / "junk.safetensors")}, "cannot be read as safetensors"),
        ({"file": str(tmp_path / "a.pt")}, "is no .safetensors file"),
        ({"file": str(tmp_path / "b.safetensors")}, "is no .safetensors file"),
        ({"file": "/etc/passwd"}, "not below an allowed root"),
    ):
        with pytest.raises(WeightsError, match=reason):
            read_matrix(given(**fields), (str(tmp_path),))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "give a recurrent model, or `matrices`"),
        ({"matrices": [{"name": "a", "values": [[1, 2], [3]]}]}, "2 rows of 1, 2 numbers"),
        ({"matrices": [{"name": "a"}]}, "give either `values` or `file`"),
        ({"matrices": [{"name": "a", "values": [[1]], "tensor": "x"}]}, "names a tensor of `file`"),
        ({"matrices": [{"name": "a", "values": [[1]]}] * 2}, "a name is given twice"),
        ({"matrices": [{"name": "a", "values": [[math.nan]]}]}, "finite"),
        (
            {"matrices": [{"name": "a", "values": [[1]]}], "dataset": {"name": "digits"}},
            "no model to read it",
        ),
        (
            {"matrices": [{"name": "a", "values": [[1]]}], "compare": {"name": "row_lstm"}},
            "a second model needs a first",
        ),
    ],
)
def test_a_spec_without_sense_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        parse_spec({"job": "dynamics", **fields})
