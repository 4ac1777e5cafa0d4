from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from crafted import CRAFTED, nothing_was_unpickled, write

from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.types import Features, Space, Span
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from pathlib import Path

SPACE = Space("s", 8, speaks_text=False)


def features(count: int = 5) -> Features:
    rows = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Features(SPACE, rows, np.arange(count, dtype=np.float64))


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    store.save(7, features())
    again = store.load(7)
    assert again.space == SPACE
    assert again.times.tolist() == [0, 1, 2, 3, 4]
    assert again.matrix == pytest.approx(features().matrix, abs=1e-3)
    assert again.matrix.dtype == np.float32
    assert again.times.dtype == np.float64
    assert store.ids() == {7}
    assert store.damaged() == []


def test_features_that_are_missing_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DamagedLibraryError, match=r"1\.npz cannot be read .*--again"):
        FeatureStore(tmp_path).load(1)


@pytest.mark.parametrize("name", CRAFTED)
def test_a_file_that_holds_no_features_is_told_as_damage(tmp_path: Path, name: str) -> None:
    write(tmp_path / "2.npz", name)
    store = FeatureStore(tmp_path)
    with pytest.raises(DamagedLibraryError, match=r"2\.npz is damaged; .*--again") as caught:
        store.load(2)
    assert "unsafe" not in str(caught.value)
    assert nothing_was_unpickled()
    assert store.damaged() == [2]


@pytest.mark.parametrize(
    "changed",
    [
        {"matrix": np.zeros((0, 8), np.float16), "times": np.zeros(0)},
        {"times": np.array(["a"] * 5)},
        {"times": np.zeros((5, 2))},
        {"times": np.zeros(4)},
        {"times": np.array([0, 1, 2, np.nan, 4])},
        {"times": np.arange(5)},
        {"times": np.float64(3)},
        {"matrix": np.full((5, 8), np.nan, np.float16)},
        {"matrix": np.full((5, 8), np.inf, np.float16)},
        {"matrix": np.zeros((5, 7), np.float16)},
        {"matrix": np.zeros((5, 8), np.complex64)},
        {"matrix": np.zeros((5, 8, 1), np.float16)},
        {"matrix": np.float16(1)},
        {"space": "no JSON"},
        {"space": "[" * 100_000},
        {"space": json.dumps(["s"])},
        {"space": json.dumps(["s", "8", True])},
        {"space": json.dumps(["s", 0, True])},
        {"space": np.zeros(3)},
    ],
)
def test_arrays_that_are_no_features_are_told_as_damage(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    label = json.dumps([SPACE.name, SPACE.dim, SPACE.speaks_text])
    sound: dict[str, Any] = {
        "matrix": features().matrix.astype(np.float16),
        "times": np.arange(5.0),
        "space": label,
    }
    np.savez(tmp_path / "1.npz", **sound)
    assert FeatureStore(tmp_path).damaged() == []
    np.savez(tmp_path / "1.npz", **(sound | changed))
    with pytest.raises(DamagedLibraryError, match="is damaged"):
        FeatureStore(tmp_path).load(1)


def test_features_of_another_space_are_refused_where_it_matters(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    assert store.load(1, Space("s", 8, speaks_text=True)).space == SPACE  # it learnt to speak
    with pytest.raises(DamagedLibraryError, match=r"1\.npz holds features of s.*of other.*--again"):
        store.load(1, Space("other", 8, speaks_text=False))
    assert store.damaged(Space("s", 9, speaks_text=False)) == [1]


@pytest.mark.parametrize("flip", [0x01, 0x08, 0xFF])
def test_no_damaged_byte_raises_anything_but_an_error_of_vsearch(tmp_path: Path, flip: int) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    path = tmp_path / "1.npz"
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= flip
        path.write_bytes(damaged)
        store.damaged()


def test_a_sweep_leaves_only_features_of_known_videos(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    store.save(2, features())
    (tmp_path / "3.npz.99.part").write_bytes(b"half")
    (tmp_path / "²notes.npz").touch()
    (tmp_path / "².npz").touch()  # a digit to Python
    assert store.sweep({1}) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.npz", "².npz", "²notes.npz"]


def test_a_full_disk_stops_the_run_and_leaves_the_old_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features(3))

    def full(*args: object, **arrays: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(LibraryError, match=r"\(No space left on device\)\. Free some") as caught:
        store.save(1, features(5))
    assert str(tmp_path) in str(caught.value)
    assert len(store.load(1).times) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["1.npz"]


def test_frames_within_a_span_or_the_nearest_one() -> None:
    assert features().within(Span(1, 3)).times.tolist() == [1, 2]
    assert features().within(Span(2.2, 2.4)).times.tolist() == [2]
