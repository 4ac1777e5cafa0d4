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
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in compute_array_shapes(TINY, "pooler").items()
    }
    return NetworkWeights("pooler", TINY, arrays, {"space": "fake", "steps": 3})


@pytest.fixture
def path(tmp_path: Path, weights: NetworkWeights) -> Path:
    weights.save(tmp_path / "pooler.npz")
    return tmp_path / "pooler.npz"


def load(path: Path) -> NetworkWeights:
    return NetworkWeights.load(path, "pooler", "train it again")


def test_saved_weights_are_loaded(path: Path, weights: NetworkWeights) -> None:
    loaded = load(path)
    assert loaded.metadata == {"space": "fake", "steps": 3}
    assert loaded.network_config == TINY
    assert loaded.digest == weights.digest == weights.rounded_weights.digest
    for name, array in weights.rounded_weights.weight_arrays.items():
        assert np.array_equal(loaded.weight_arrays[name], array)


def test_a_changed_value_changes_the_digest(weights: NetworkWeights) -> None:
    before = weights.digest
    weights.weight_arrays["gate"] = np.float32(1) + weights.weight_arrays["gate"]
    assert weights.digest != before


def test_a_file_of_another_kind_is_rejected(path: Path) -> None:
    with pytest.raises(DamagedLibraryError, match="train it again"):
        NetworkWeights.load(path, "classifier", "train it again")


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DamagedLibraryError, match="No such file"):
        load(tmp_path / "none.npz")


@pytest.mark.parametrize("damage", ["truncated", "nan", "shape", "missing array", "huge", "pickle"])
def test_a_damaged_or_forged_file_is_rejected(path: Path, damage: str) -> None:
    arrays = load_arrays(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "nan":
        arrays["w.gate"] = np.array(np.nan, np.float16)
    elif damage == "shape":
        arrays["w.query.weight"] = arrays["w.query.weight"][:-1]
    elif damage == "missing array":
        del arrays["w.gate"]
    elif damage == "huge":
        header = json.loads(str(arrays["json"]))
        header["config"]["layers"] = 60_000
        arrays["json"] = np.array(json.dumps(header))
    elif damage == "pickle":
        arrays["w.gate"] = np.array([{"a": 1}], object)
    if damage == "pickle":
        with path.open("wb") as file:
            np.savez(file, **arrays, allow_pickle=True)
    elif damage != "truncated":
        save_arrays(path, arrays)
    with pytest.raises(DamagedLibraryError, match="damaged"):
        load(path)
