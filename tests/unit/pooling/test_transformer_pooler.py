"""The trained pooler: name, space and frame weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.errors import DamagedLibraryError, SpaceMismatchError, WeightsError
from vsearch.pooling import transformer
from vsearch.pooling.mean import MeanPooler
from vsearch.pooling.transformer import MAX_FRAMES, TransformerPooler
from vsearch.pooling.weights import NetworkWeights, TransformerConfig, compute_array_shapes
from vsearch.types import Space

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Matrix

TINY = TransformerConfig(features=8, hidden=16, layers=1, heads=2, mlp=32)


def make_weights(seed: int = 0, gate: float = 1.0) -> NetworkWeights:
    rng = np.random.default_rng(seed)
    arrays = {
        name: rng.normal(size=shape, scale=0.3).astype(np.float32)
        for name, shape in compute_array_shapes(TINY, "pooler").items()
    }
    arrays["gate"] = np.array(gate, np.float32)
    return NetworkWeights("pooler", TINY, arrays, {"space": "fake"})


def make_frames(count: int) -> Matrix:
    rows = np.random.default_rng(count).normal(size=(count, 8)).astype(np.float32)
    unit: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def test_the_name_identifies_the_weights() -> None:
    first, second = (TransformerPooler.from_weights(make_weights(seed)) for seed in range(2))
    assert first.name.startswith("transformer-")
    assert first.name != second.name
    assert first.name == TransformerPooler.from_weights(make_weights(0)).name


def test_a_closed_gate_gives_the_mean() -> None:
    pooler = TransformerPooler.from_weights(make_weights(gate=0.0))
    vectors, times = make_frames(7), np.arange(7.0)
    assert pooler.pool(vectors, times) == pytest.approx(MeanPooler().pool(vectors, times), abs=1e-6)
    assert pooler.frame_weights(vectors, times) == pytest.approx(1 / 7)


def test_an_open_gate_weights_frames() -> None:
    pooler = TransformerPooler.from_weights(make_weights())
    frame_weights = pooler.frame_weights(make_frames(7), np.arange(7.0))
    assert frame_weights.sum() == pytest.approx(1)
    assert frame_weights.std() > 1e-3


@pytest.mark.parametrize("count", [MAX_FRAMES + 1, 3 * MAX_FRAMES])
def test_many_frames_are_pooled_in_chunks(count: int) -> None:
    pooler = TransformerPooler.from_weights(make_weights())
    vectors, times = make_frames(count), np.arange(float(count))
    assert np.linalg.norm(pooler.pool(vectors, times)) == pytest.approx(1)
    frame_weights = pooler.frame_weights(vectors, times)
    assert frame_weights.shape == (count,)
    assert frame_weights.sum() == pytest.approx(1)


def test_one_frame_is_its_own_vector() -> None:
    vectors = make_frames(1)
    pooler = TransformerPooler.from_weights(make_weights())
    assert pooler.pool(vectors, np.zeros(1)) == pytest.approx(vectors[0])
    assert pooler.frame_weights(vectors, np.zeros(1)).tolist() == [1.0]


def test_it_is_compatible_with_its_space_only() -> None:
    pooler = TransformerPooler.from_weights(make_weights())
    assert pooler.is_compatible(Space("fake", 8, supports_text=True))
    assert not pooler.is_compatible(Space("other", 8, supports_text=True))
    assert not pooler.is_compatible(Space("fake", 9, supports_text=True))


def test_frames_of_another_space_are_rejected() -> None:
    pooler = TransformerPooler.from_weights(make_weights())
    with pytest.raises(SpaceMismatchError, match="8-dimensional"):
        pooler.pool(np.eye(4, dtype=np.float32), np.arange(4.0))


def test_a_saved_pooler_is_loaded(tmp_path: Path) -> None:
    original = make_weights()
    original.save(tmp_path / "pooler.npz")
    loaded = TransformerPooler(str(tmp_path / "pooler.npz"))
    assert loaded.name == TransformerPooler.from_weights(original).name
    rounded = TransformerPooler.from_weights(original.rounded_weights)
    expected = rounded.pool(make_frames(5), np.arange(5.0))
    assert loaded.pool(make_frames(5), np.arange(5.0)) == pytest.approx(expected)


def test_an_invalid_file_raises_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "pooler.npz").write_bytes(b"invalid")
    with pytest.raises(DamagedLibraryError, match="train a new one"):
        TransformerPooler(str(tmp_path / "pooler.npz"))


def test_the_bundled_pooler_matches_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = TransformerPooler()
    assert bundled.network_weights.digest == transformer.SHIPPED_DIGEST
    assert transformer.SHIPPED_PATH.stat().st_size < 25e6
    forged = dict(bundled.network_weights.weight_arrays, gate=np.array(0.5, np.float32))
    replace(bundled.network_weights, weight_arrays=forged).save(tmp_path / "forged.npz")
    monkeypatch.setattr(transformer, "SHIPPED_PATH", tmp_path / "forged.npz")
    with pytest.raises(WeightsError, match="reinstall"):
        TransformerPooler()
