"""Trained networks on disk: what comes back, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.arrays import load_arrays, save_arrays
from vsearch.errors import DamagedLibraryError
from vsearch.temporal.weights import TransformerConfig, Weights, shapes

if TYPE_CHECKING:
    from pathlib import Path

TINY = TransformerConfig(features=8, hidden=16, layers=1, heads=2, mlp=32)


@pytest.fixture
def weights() -> Weights:
    random = np.random.default_rng(0)
    arrays = {
        n: random.normal(size=s).astype(np.float32) for n, s in shapes(TINY, "pooler").items()
    }
    return Weights("pooler", TINY, arrays, {"space": "fake", "steps": 3})


@pytest.fixture
def path(tmp_path: Path, weights: Weights) -> Path:
    weights.save(tmp_path / "pooler.npz")
    return tmp_path / "pooler.npz"


def load(path: Path) -> Weights:
    return Weights.load(path, "pooler", "train it anew")


def test_what_was_saved_comes_back(path: Path, weights: Weights) -> None:
    found = load(path)
    assert found.about == {"space": "fake", "steps": 3}
    assert found.config == TINY
    assert found.digest == weights.digest == weights.half.digest
    for name, array in weights.half.arrays.items():
        assert np.array_equal(found.arrays[name], array)


def test_another_number_gives_another_digest(weights: Weights) -> None:
    before = weights.digest
    weights.arrays["gate"] = np.float32(1) + weights.arrays["gate"]
    assert weights.digest != before


def test_a_file_of_another_kind_is_refused(path: Path) -> None:
    with pytest.raises(DamagedLibraryError, match="train it anew"):
        Weights.load(path, "classifier", "train it anew")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(DamagedLibraryError, match="No such file"):
        load(tmp_path / "none.npz")


@pytest.mark.parametrize("harm", ["cut", "nan", "shape", "lacking", "huge", "pickle"])
def test_a_damaged_or_forged_file_is_refused(path: Path, harm: str) -> None:
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
        told = json.loads(str(arrays["json"]))
        told["config"]["layers"] = 60_000
        arrays["json"] = np.array(json.dumps(told))
    elif harm == "pickle":
        arrays["w.gate"] = np.array([{"a": 1}], object)
    if harm == "pickle":
        with path.open("wb") as file:
            np.savez(file, **arrays, allow_pickle=True)
    elif harm != "cut":
        save_arrays(path, arrays)
    with pytest.raises(DamagedLibraryError, match="damaged"):
        load(path)
