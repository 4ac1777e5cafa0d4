"""Weight files of trained networks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.errors import DamagedLibraryError
from vsearch.pooling.weights import NetworkWeights, TransformerConfig, compute_array_shapes
from vsearch.storage.array_files import load_arrays, save_arrays

if TYPE_CHECKING:
    from pathlib import Path

TINY = TransformerConfig(features=8, hidden=16, layers=1, heads=2, mlp=32)


@pytest.fixture
def weights() -> NetworkWeights:
    random = np.random.default_rng(0)
    arrays = {
        n: random.normal(size=s).astype(np.float32)
        for n, s in compute_array_shapes(TINY, "pooler").items()
    }
    return NetworkWeights("pooler", TINY, arrays, {"space": "fake", "steps": 3})


@pytest.fixture
def path(tmp_path: Path, weights: NetworkWeights) -> Path:
    weights.save(tmp_path / "pooler.npz")
    return tmp_path / "pooler.npz"


def load(path: Path) -> NetworkWeights:
    return NetworkWeights.load(path, "pooler", "train it anew")


def test_saved_weights_are_loaded(path: Path, weights: NetworkWeights) -> None:
    found = load(path)
    assert found.metadata == {"space": "fake", "steps": 3}
    assert found.network_config == TINY
    assert found.digest == weights.digest == weights.rounded_weights.digest
    for name, array in weights.rounded_weights.weight_arrays.items():
        assert np.array_equal(found.weight_arrays[name], array)


def test_a_changed_value_changes_the_digest(weights: NetworkWeights) -> None:
    before = weights.digest
    weights.weight_arrays["gate"] = np.float32(1) + weights.weight_arrays["gate"]
    assert weights.digest != before


def test_a_file_of_another_kind_is_rejected(path: Path) -> None:
    with pytest.raises(DamagedLibraryError, match="train it anew"):
        NetworkWeights.load(path, "classifier", "train it anew")


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DamagedLibraryError, match="No such file"):
        load(tmp_path / "none.npz")


@pytest.mark.parametrize("harm", ["cut", "nan", "shape", "lacking", "huge", "pickle"])
def test_a_damaged_or_forged_file_is_rejected(path: Path, harm: str) -> None:
    arrays = load_arrays(path)
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif harm == "nan":
        arrays["w.gate"] = np.array(np.nan, np.float16)
    elif harm == "shape":
        arrays["w.query.weight"] = arrays["w.query.weight"][:-1]
    elif harm == "lacking":
        del arrays["w.gate"]
    elif harm == "huge":
        message = json.loads(str(arrays["json"]))
        message["config"]["layers"] = 60_000
        arrays["json"] = np.array(json.dumps(message))
    elif harm == "pickle":
        arrays["w.gate"] = np.array([{"a": 1}], object)
    if harm == "pickle":
        with path.open("wb") as file:
            np.savez(file, **arrays, allow_pickle=True)
    elif harm != "cut":
        save_arrays(path, arrays)
    with pytest.raises(DamagedLibraryError, match="damaged"):
        load(path)
