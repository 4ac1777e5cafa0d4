from __future__ import annotations

import json
import shutil
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
    again = store.load(7, SPACE)
    assert again.space == SPACE
    assert again.times.tolist() == [0, 1, 2, 3, 4]
    assert again.matrix == pytest.approx(features().matrix, abs=1e-3)
    assert again.matrix.dtype == np.float32
    assert again.times.dtype == np.float64
    assert store.ids() == {7}
    assert store.damaged(SPACE) == []


def test_a_part_is_the_frames_inside_and_the_next_ones(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    store.save(7, features(50))
    whole = store.load(7, SPACE)
    for start, end in ((3, 9), (0, 2), (47, 99), (7.2, 7.8), (60, 61), (0, 50)):
        part = store.part(7, SPACE, Span(start, end))
        inside, found = whole.within(Span(start, end)), part.within(Span(start, end))
        assert np.array_equal(inside.matrix, found.matrix)
        assert np.array_equal(inside.times, found.times)
        assert len(part.times) <= len(inside.times) + 2


def test_a_part_is_of_the_file_that_is_there_now(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    for count in (5, 9, 3):
        store.save(7, features(count))
        assert len(store.part(7, SPACE, Span(0, 99)).times) == count
    store.remove(7)
    with pytest.raises(DamagedLibraryError, match=r"7\.npz cannot be read .*--again"):
        store.part(7, SPACE, Span(0, 99))


@pytest.mark.parametrize("name", CRAFTED)
def test_a_part_of_a_file_that_holds_no_features_is_told_as_damage(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path / "2.npz", name)
    with pytest.raises(DamagedLibraryError, match=r"2\.npz is damaged; .*--again"):
        FeatureStore(tmp_path).part(2, SPACE, Span(0, 9))
    assert nothing_was_unpickled()


def test_features_that_are_missing_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DamagedLibraryError, match=r"1\.npz cannot be read .*--again"):
        FeatureStore(tmp_path).load(1, SPACE)


@pytest.mark.parametrize("name", CRAFTED)
def test_a_file_that_holds_no_features_is_told_as_damage(tmp_path: Path, name: str) -> None:
    write(tmp_path / "2.npz", name)
    store = FeatureStore(tmp_path)
    with pytest.raises(DamagedLibraryError, match=r"2\.npz is damaged; .*--again") as caught:
        store.load(2, SPACE)
    assert "unsafe" not in str(caught.value)
    assert nothing_was_unpickled()
    assert store.damaged(SPACE) == [2]


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
    assert FeatureStore(tmp_path).damaged(SPACE) == []
    np.savez(tmp_path / "1.npz", **(sound | changed))
    with pytest.raises(DamagedLibraryError, match="is damaged"):
        FeatureStore(tmp_path).load(1, SPACE)
    with pytest.raises(DamagedLibraryError, match="is damaged"):
        FeatureStore(tmp_path).part(1, SPACE, Span(0, 9))


def test_features_of_another_space_are_refused_where_it_matters(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    assert store.load(1, Space("s", 8, speaks_text=True)).space == SPACE  # it learnt to speak
    other = Space("other", 8, speaks_text=False)
    assert not store.has(1, other)
    with pytest.raises(DamagedLibraryError, match=r"1\.npz cannot be read"):
        store.load(1, other)
    store.path(1, other).parent.mkdir()
    shutil.copy(store.path(1, SPACE), store.path(1, other))  # into the wrong folder
    with pytest.raises(DamagedLibraryError, match=r"1\.npz holds features of s.*of other.*--again"):
        store.load(1, other)
    assert store.damaged(other) == store.damaged(Space("s", 9, speaks_text=False)) == [1]


@pytest.mark.parametrize("flip", [0x01, 0x08, 0xFF])
def test_no_damaged_byte_raises_anything_but_an_error_of_vsearch(tmp_path: Path, flip: int) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    path = store.path(1, SPACE)
    whole, found = path.read_bytes(), 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= flip
        path.write_bytes(damaged)
        found += store.damaged(SPACE) == [1]
    assert found > len(whole) / 2, "the rest is what nobody reads, such as dates"


def test_a_sweep_leaves_only_features_of_known_videos(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    store.save(2, features())
    for folder in (tmp_path, tmp_path / "s"):  # of an older vsearch, and of this one
        shutil.copy(store.path(1, SPACE), tmp_path / "2.npz")
        (folder / "3.npz.99.part").write_bytes(b"half")
        (folder / "²notes.npz").touch()
        (folder / "².npz").touch()  # a digit to Python
    assert store.sweep({1}, [SPACE]) == 4
    for folder, own in ((tmp_path, set()), (tmp_path / "s", {"1.npz"})):
        left = {path.name for path in folder.iterdir() if path.is_file()}
        assert left == own | {"².npz", "²notes.npz"}


def test_a_sweep_deletes_what_a_space_left_that_nobody_knows(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    assert store.sweep({1}, []) == 1
    assert store.ids() == set()


def test_two_spaces_lie_side_by_side(tmp_path: Path) -> None:
    store, other = FeatureStore(tmp_path), Space("../S", 8, speaks_text=True)
    mine = features()
    store.save(1, mine)
    store.save(2, mine)
    store.save(1, Features(other, mine.matrix[::-1], mine.times))
    assert (store.ids(SPACE), store.ids(other), store.ids()) == ({1, 2}, {1}, {1, 2})
    assert store.load(1, SPACE).matrix[0] == pytest.approx(mine.matrix[0], abs=1e-3)
    assert store.load(1, other).matrix[-1] == pytest.approx(mine.matrix[0], abs=1e-3)
    assert store.path(1, other).parent.parent == tmp_path, "a name cannot lead out of the folder"
    assert store.size(SPACE) > store.size(other) > 0
    store.drop(other)
    assert (store.ids(SPACE), store.ids(other)) == ({1, 2}, set())
    store.remove(1)
    assert store.ids() == {2}


def test_the_features_of_an_older_vsearch_are_read_where_they_are(tmp_path: Path) -> None:
    store, other = FeatureStore(tmp_path), Space("other", 8, speaks_text=True)
    old = old_file(store, 1)
    assert store.path(1, SPACE) == old
    assert store.has(1, SPACE)
    assert not store.has(1, other)
    assert store.load(1, SPACE).times.tolist() == [0, 1, 2, 3, 4]
    assert (store.ids(SPACE), store.ids(other)) == ({1}, set())
    store.save(1, Features(other, features().matrix, features().times))
    store.drop(other)
    assert old.exists()
    old.write_bytes(b"junk")
    assert store.damaged(SPACE) == [1]
    store.save(1, features())  # made again
    assert store.damaged(SPACE) == []
    store.remove(1)
    assert not old.exists()


def old_file(store: FeatureStore, video_id: int) -> Path:
    """Features as they lay when there was one space only."""
    store.save(video_id, features())
    old = store.folder / f"{video_id}.npz"
    return store.path(video_id, SPACE).rename(old)


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
    assert len(store.load(1, SPACE).times) == 3
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["1.npz"]


def test_frames_within_a_span_or_the_nearest_one() -> None:
    assert features().within(Span(1, 3)).times.tolist() == [1, 2]
    assert features().within(Span(2.2, 2.4)).times.tolist() == [2]
