from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.errors import DamagedLibraryError
from vsearch.types import Features, Space
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from pathlib import Path


def features(count: int = 5) -> Features:
    rows = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Features(Space("s", 8, speaks_text=False), rows, np.arange(count, dtype=np.float64))


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    store.save(7, features())
    again = store.load(7)
    assert again.space == Space("s", 8, speaks_text=False)
    assert again.times.tolist() == [0, 1, 2, 3, 4]
    assert again.matrix == pytest.approx(features().matrix, abs=1e-3)
    assert store.ids() == {7}


def test_features_that_are_missing_or_damaged_say_what_to_do(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    with pytest.raises(DamagedLibraryError, match="--again"):
        store.load(1)
    (tmp_path / "2.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DamagedLibraryError, match=r"2\.npz"):
        store.load(2)


def test_a_sweep_leaves_only_features_of_known_videos(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    store.save(2, features())
    (tmp_path / "3.npz.99.part").write_bytes(b"half")
    assert store.sweep({1}) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["1.npz"]


def test_a_failed_save_leaves_the_old_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features(3))

    def full(*args: object, **arrays: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        store.save(1, features(5))
    assert len(store.load(1).times) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["1.npz"]


def test_frames_within_a_span_or_the_nearest_one() -> None:
    from vsearch.types import Span

    assert features().within(Span(1, 3)).times.tolist() == [1, 2]
    assert features().within(Span(2.2, 2.4)).times.tolist() == [2]
