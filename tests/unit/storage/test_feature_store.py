from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.crafted_index import CRAFTED, nothing_was_unpickled, write
from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.storage.feature_store import FeatureStore
from vsearch.types import Features, Space, Span

if TYPE_CHECKING:
    from pathlib import Path

SPACE = Space("s", 8, supports_text=False)


def features(count: int = 5) -> Features:
    rows = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Features(SPACE, rows, np.arange(count, dtype=np.float64))


def test_saved_features_are_loaded(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    store.save(7, features())
    again = store.load(7, SPACE)
    assert again.space == SPACE
    assert again.frame_times.tolist() == [0, 1, 2, 3, 4]
    assert again.frame_vectors == pytest.approx(features().frame_vectors, abs=1e-3)
    assert again.frame_vectors.dtype == np.float32
    assert again.frame_times.dtype == np.float64
    assert store.video_ids() == {7}
    assert store.find_damaged(SPACE) == []


def test_a_range_has_the_frames_inside_and_one_on_each_side(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    store.save(7, features(50))
    whole = store.load(7, SPACE)
    for start, end in ((3, 9), (0, 2), (47, 99), (7.2, 7.8), (60, 61), (0, 50)):
        part = store.load_range(7, SPACE, Span(start, end))
        inside, found = whole.within(Span(start, end)), part.within(Span(start, end))
        assert np.array_equal(inside.frame_vectors, found.frame_vectors)
        assert np.array_equal(inside.frame_times, found.frame_times)
        assert len(part.frame_times) <= len(inside.frame_times) + 2


def test_a_range_is_read_from_the_present_file(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    for count in (5, 9, 3):
        store.save(7, features(count))
        assert len(store.load_range(7, SPACE, Span(0, 99)).frame_times) == count
    store.remove_video(7)
    with pytest.raises(DamagedLibraryError, match=r"7\.npz cannot be read .*--force"):
        store.load_range(7, SPACE, Span(0, 99))


@pytest.mark.parametrize("name", CRAFTED)
def test_reading_a_range_of_a_damaged_file_is_reported(tmp_path: Path, name: str) -> None:
    write(tmp_path / "2.npz", name)
    with pytest.raises(DamagedLibraryError, match=r"2\.npz is damaged; .*--force"):
        FeatureStore(tmp_path).load_range(2, SPACE, Span(0, 9))
    assert nothing_was_unpickled()


def test_the_error_for_missing_features_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DamagedLibraryError, match=r"1\.npz cannot be read .*--force"):
        FeatureStore(tmp_path).load(1, SPACE)


@pytest.mark.parametrize("name", CRAFTED)
def test_reading_a_damaged_file_is_reported(tmp_path: Path, name: str) -> None:
    write(tmp_path / "2.npz", name)
    store = FeatureStore(tmp_path)
    with pytest.raises(DamagedLibraryError, match=r"2\.npz is damaged; .*--force") as caught:
        store.load(2, SPACE)
    assert "unsafe" not in str(caught.value)
    assert nothing_was_unpickled()
    assert store.find_damaged(SPACE) == [2]


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
def test_invalid_arrays_are_reported_as_damage(tmp_path: Path, changed: dict[str, Any]) -> None:
    label = json.dumps([SPACE.name, SPACE.dim, SPACE.supports_text])
    sound: dict[str, Any] = {
        "matrix": features().frame_vectors.astype(np.float16),
        "times": np.arange(5.0),
        "space": label,
    }
    np.savez(tmp_path / "1.npz", **sound)
    assert FeatureStore(tmp_path).find_damaged(SPACE) == []
    np.savez(tmp_path / "1.npz", **(sound | changed))
    with pytest.raises(DamagedLibraryError, match="is damaged"):
        FeatureStore(tmp_path).load(1, SPACE)
    with pytest.raises(DamagedLibraryError, match="is damaged"):
        FeatureStore(tmp_path).load_range(1, SPACE, Span(0, 9))


def test_features_of_another_space_are_rejected(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    assert store.load(1, Space("s", 8, supports_text=True)).space == SPACE  # supports_text changed
    other = Space("other", 8, supports_text=False)
    assert not store.has_features(1, other)
    with pytest.raises(DamagedLibraryError, match=r"1\.npz cannot be read"):
        store.load(1, other)
    store.feature_path(1, other).parent.mkdir()
    shutil.copy(store.feature_path(1, SPACE), store.feature_path(1, other))  # into the wrong folder
    with pytest.raises(DamagedLibraryError, match=r"1\.npz contains features of s.*other.*--force"):
        store.load(1, other)
    assert (
        store.find_damaged(other) == store.find_damaged(Space("s", 9, supports_text=False)) == [1]
    )


@pytest.mark.parametrize("flip", [0x01, 0x08, 0xFF])
def test_a_damaged_byte_raises_only_vsearch_errors(tmp_path: Path, flip: int) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    path = store.feature_path(1, SPACE)
    whole, found = path.read_bytes(), 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= flip
        path.write_bytes(damaged)
        found += store.find_damaged(SPACE) == [1]
    assert found > len(whole) / 2, "the rest is what nobody reads, such as dates"


def test_cleaning_up_keeps_only_features_of_known_videos(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    store.save(2, features())
    for folder in (tmp_path, tmp_path / "s"):  # of older versions and of this one
        shutil.copy(store.feature_path(1, SPACE), tmp_path / "2.npz")
        (folder / "3.npz.99.part").write_bytes(b"half")
        (folder / "²notes.npz").touch()
        (folder / "².npz").touch()  # str.isdigit() is true
    assert store.remove_orphans({1}, [SPACE]) == 4
    for folder, own in ((tmp_path, set()), (tmp_path / "s", {"1.npz"})):
        left = {path.name for path in folder.iterdir() if path.is_file()}
        assert left == own | {"².npz", "²notes.npz"}


def test_cleaning_up_deletes_unknown_spaces(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    assert store.remove_orphans({1}, []) == 1
    assert store.video_ids() == set()


def test_two_spaces_are_stored_side_by_side(tmp_path: Path) -> None:
    store, other = FeatureStore(tmp_path), Space("../S", 8, supports_text=True)
    mine = features()
    store.save(1, mine)
    store.save(2, mine)
    store.save(1, Features(other, mine.frame_vectors[::-1], mine.frame_times))
    assert (store.video_ids(SPACE), store.video_ids(other), store.video_ids()) == (
        {1, 2},
        {1},
        {1, 2},
    )
    assert store.load(1, SPACE).frame_vectors[0] == pytest.approx(mine.frame_vectors[0], abs=1e-3)
    assert store.load(1, other).frame_vectors[-1] == pytest.approx(mine.frame_vectors[0], abs=1e-3)
    assert store.feature_path(1, other).parent.parent == tmp_path, (
        "a name cannot lead out of the folder"
    )
    assert store.size_bytes(SPACE) > store.size_bytes(other) > 0
    store.delete_space(other)
    assert (store.video_ids(SPACE), store.video_ids(other)) == ({1, 2}, set())
    store.remove_video(1)
    assert store.video_ids() == {2}


def test_features_of_older_versions_are_read_in_place(tmp_path: Path) -> None:
    store, other = FeatureStore(tmp_path), Space("other", 8, supports_text=True)
    old = old_file(store, 1)
    assert store.feature_path(1, SPACE) == old
    assert store.has_features(1, SPACE)
    assert not store.has_features(1, other)
    assert store.load(1, SPACE).frame_times.tolist() == [0, 1, 2, 3, 4]
    assert (store.video_ids(SPACE), store.video_ids(other)) == ({1}, set())
    store.save(1, Features(other, features().frame_vectors, features().frame_times))
    store.delete_space(other)
    assert old.exists()
    old.write_bytes(b"junk")
    assert store.find_damaged(SPACE) == [1]
    store.save(1, features())  # written again
    assert store.find_damaged(SPACE) == []
    store.remove_video(1)
    assert not old.exists()


def old_file(store: FeatureStore, video_id: int) -> Path:
    """Move features to where older versions, which had one space only, stored them."""
    store.save(video_id, features())
    old = store.folder / f"{video_id}.npz"
    return store.feature_path(video_id, SPACE).rename(old)


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
    assert len(store.load(1, SPACE).frame_times) == 3
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["1.npz"]


def test_frames_within_a_span_or_the_nearest_one() -> None:
    assert features().within(Span(1, 3)).frame_times.tolist() == [1, 2]
    assert features().within(Span(2.2, 2.4)).frame_times.tolist() == [2]
