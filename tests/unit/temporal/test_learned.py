"""A trained pooler as the library uses it: its name, its space, and which frames it heeds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.errors import DamagedLibraryError, SpaceMismatchError, WeightsError
from vsearch.temporal import learned
from vsearch.temporal.learned import MOST, TransformerPooler
from vsearch.temporal.pooling import MeanPooler
from vsearch.temporal.weights import TransformerConfig, Weights, shapes
from vsearch.types import Space

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Matrix

TINY = TransformerConfig(features=8, hidden=16, layers=1, heads=2, mlp=32)


def weights(seed: int = 0, gate: float = 1.0) -> Weights:
    random = np.random.default_rng(seed)
    arrays = {
        name: random.normal(size=shape, scale=0.3).astype(np.float32)
        for name, shape in shapes(TINY, "pooler").items()
    }
    arrays["gate"] = np.array(gate, np.float32)
    return Weights("pooler", TINY, arrays, {"space": "fake"})


def frames(count: int) -> Matrix:
    rows = np.random.default_rng(count).normal(size=(count, 8)).astype(np.float32)
    unit: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def test_its_name_tells_its_weights() -> None:
    one, other = TransformerPooler.of(weights(0)), TransformerPooler.of(weights(1))
    assert one.name.startswith("transformer-")
    assert one.name != other.name
    assert one.name == TransformerPooler.of(weights(0)).name


def test_with_its_gate_closed_it_is_the_mean() -> None:
    pooler = TransformerPooler.of(weights(gate=0.0))
    given, times = frames(7), np.arange(7.0)
    assert pooler.pool(given, times) == pytest.approx(MeanPooler().pool(given, times), abs=1e-6)
    assert pooler.weigh(given, times) == pytest.approx(1 / 7)


def test_with_its_gate_open_frames_count_differently() -> None:
    shares = TransformerPooler.of(weights()).weigh(frames(7), np.arange(7.0))
    assert shares.sum() == pytest.approx(1)
    assert shares.std() > 1e-3


@pytest.mark.parametrize("count", [MOST + 1, 3 * MOST])
def test_very_many_frames_are_read_in_parts(count: int) -> None:
    pooler = TransformerPooler.of(weights())
    given, times = frames(count), np.arange(float(count))
    assert np.linalg.norm(pooler.pool(given, times)) == pytest.approx(1)
    shares = pooler.weigh(given, times)
    assert shares.shape == (count,)
    assert shares.sum() == pytest.approx(1)


def test_one_frame_is_its_own_vector() -> None:
    given = frames(1)
    pooler = TransformerPooler.of(weights())
    assert pooler.pool(given, np.zeros(1)) == pytest.approx(given[0])
    assert pooler.weigh(given, np.zeros(1)).tolist() == [1.0]


def test_it_fits_its_space_only() -> None:
    pooler = TransformerPooler.of(weights())
    assert pooler.fits(Space("fake", 8, speaks_text=True))
    assert not pooler.fits(Space("other", 8, speaks_text=True))
    assert not pooler.fits(Space("fake", 9, speaks_text=True))


def test_frames_of_another_space_are_refused() -> None:
    with pytest.raises(SpaceMismatchError, match="8 numbers"):
        TransformerPooler.of(weights()).pool(np.eye(4, dtype=np.float32), np.arange(4.0))


def test_a_file_gives_the_pooler_that_was_saved(tmp_path: Path) -> None:
    made = weights()
    made.save(tmp_path / "pooler.npz")
    found = TransformerPooler(str(tmp_path / "pooler.npz"))
    assert found.name == TransformerPooler.of(made).name
    expected = TransformerPooler.of(made.half).pool(frames(5), np.arange(5.0))
    assert found.pool(frames(5), np.arange(5.0)) == pytest.approx(expected)


def test_a_file_that_is_no_pooler_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "pooler.npz").write_bytes(b"nonsense")
    with pytest.raises(DamagedLibraryError, match="train it anew"):
        TransformerPooler(str(tmp_path / "pooler.npz"))


def test_what_ships_is_what_its_digest_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = TransformerPooler()
    assert shipped.weights.digest == learned.DIGEST
    assert learned.SHIPPED.stat().st_size < 25e6
    forged = dict(shipped.weights.arrays, gate=np.array(0.5, np.float32))
    replace(shipped.weights, arrays=forged).save(tmp_path / "forged.npz")
    monkeypatch.setattr(learned, "SHIPPED", tmp_path / "forged.npz")
    with pytest.raises(WeightsError, match="reinstall"):
        TransformerPooler()
