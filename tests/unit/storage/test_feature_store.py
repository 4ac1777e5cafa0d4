from __future__ import annotations

import json
import os
import re
import shutil
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tests.support.crafted_index import CRAFTED, nothing_was_unpickled
from tests.support.old_features import write_old_features
from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.storage import feature_files
from vsearch.storage.feature_store import FeatureStore
from vsearch.types import Features, Space, Span

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPACE = Space("s", 8, supports_text=False)


def features(count: int = 5) -> Features:
    rows = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Features(SPACE, rows, np.arange(count, dtype=np.float64))


def test_other_programs_can_read_the_files(tmp_path: Path) -> None:
    FeatureStore(tmp_path).save(1, features(5))
    tensors = load_file(tmp_path / "s" / "1.safetensors")
    assert np.array_equal(tensors["matrix"], features(5).frame_vectors.astype(np.float16))
    assert tensors["times"].tolist() == [0, 1, 2, 3, 4]


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
    with pytest.raises(DamagedLibraryError, match=r"7\.safetensors cannot be read .*--force"):
        store.load_range(7, SPACE, Span(0, 99))


def crafted_safetensors(
    header: object, data: bytes = bytes(96), length: int | None = None
) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(dtype: str, shape: list[int], start: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


LABEL = json.dumps([SPACE.name, SPACE.dim, SPACE.supports_text])
TENSORS = {"matrix": tensor("F16", [2, 8], 0, 32), "times": tensor("F64", [8], 32, 96)}
CRAFTED_SAFETENSORS = {
    "no header": bytes(8),
    "a header of gigabytes": crafted_safetensors({}, length=2**40),
    "a header that does not end": crafted_safetensors(b'{"matrix": {"a": ' + b"[" * 10_000),
    "no metadata": crafted_safetensors(TENSORS),
    "no tensors": crafted_safetensors({"__metadata__": {"space": LABEL, "crc32": "0"}}, b""),
    "another length": crafted_safetensors({"__metadata__": {"space": LABEL}} | TENSORS),
    "a gigantic shape": crafted_safetensors({"matrix": tensor("F16", [2**50, 8], 0, 2**54)}),
    "an overflowing shape": crafted_safetensors({"matrix": tensor("F16", [2**62, 8], 0, 0)}, b""),
    "negative offsets": crafted_safetensors({"matrix": tensor("F16", [2, 8], 32, 0)}),
    "offsets beyond the end": crafted_safetensors({"matrix": tensor("F16", [2, 80], 0, 320)}),
}


@pytest.mark.parametrize(
    ("file_name", "content"),
    [
        *(
            (f"2{suffix}", content)
            for suffix in (".npz", ".safetensors")
            for content in CRAFTED.values()
        ),
        *(("2.safetensors", content) for content in CRAFTED_SAFETENSORS.values()),
    ],
    ids=[
        *(f"{suffix} {name}" for suffix in (".npz", ".safetensors") for name in CRAFTED),
        *CRAFTED_SAFETENSORS,
    ],
)
def test_a_damaged_file_is_reported(tmp_path: Path, file_name: str, content: bytes) -> None:
    path = tmp_path / "s" / file_name
    path.parent.mkdir()
    path.write_bytes(content)
    store = FeatureStore(tmp_path)
    message = re.escape(file_name) + " is damaged; .*--force"
    with pytest.raises(DamagedLibraryError, match=message) as caught:
        store.load(2, SPACE)
    assert "unsafe" not in str(caught.value)
    with pytest.raises(DamagedLibraryError, match=message):
        store.load_range(2, SPACE, Span(0, 9))
    assert nothing_was_unpickled()
    assert store.find_damaged(SPACE) == [2]


def test_the_error_for_missing_features_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DamagedLibraryError, match=r"1\.safetensors cannot be read .*--force"):
        FeatureStore(tmp_path).load(1, SPACE)


def write_old_file(stem: Path, arrays: dict[str, Any]) -> None:
    """Write a file as older versions did."""
    np.savez(stem.with_suffix(".npz"), **arrays)


def write_current_file(stem: Path, arrays: dict[str, Any]) -> None:
    """Write a file with a valid checksum, whatever it contains."""
    space_json = arrays["space"]
    tensors = {name: np.asarray(arrays[name]) for name in ("matrix", "times")}
    crc32 = 0
    if isinstance(space_json, str):  # otherwise, nothing is written
        crc32 = feature_files._checksum(space_json, [tensors["times"], tensors["matrix"]])
    save_file(tensors, stem.with_suffix(".safetensors"), {"space": space_json, "crc32": str(crc32)})


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
@pytest.mark.parametrize("write", [write_old_file, write_current_file])
def test_invalid_arrays_are_reported_as_damage(
    tmp_path: Path, write: Callable[[Path, dict[str, Any]], None], changed: dict[str, Any]
) -> None:
    sound: dict[str, Any] = {
        "matrix": features().frame_vectors.astype(np.float16),
        "times": np.arange(5.0),
        "space": LABEL,
    }
    (tmp_path / "s").mkdir()
    write(tmp_path / "s" / "1", sound)
    assert FeatureStore(tmp_path).find_damaged(SPACE) == []
    try:
        write(tmp_path / "s" / "1", sound | changed)
    except (TypeError, SafetensorError):
        return  # cannot be written
    with pytest.raises(DamagedLibraryError, match="is damaged"):
        FeatureStore(tmp_path).load(1, SPACE)
    with pytest.raises(DamagedLibraryError, match="is damaged"):
        FeatureStore(tmp_path).load_range(1, SPACE, Span(0, 9))


def test_a_file_truncated_while_it_is_read_does_not_kill_the_process(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features(20_000))
    path = store.feature_path(1, SPACE)
    with path.open("rb") as file:
        layout = feature_files._TensorLayout(file)
        os.truncate(path, 5_000)
        with pytest.raises(ValueError, match="does not fit into 5000 bytes"):
            layout.read_rows(file, "matrix")


def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    for frame_count in (20, 10):
        store.save(1, features(frame_count))
        assert len(store.load_range(1, SPACE, Span(0, 99)).frame_times) == frame_count


def test_features_of_another_space_are_rejected(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    assert store.load(1, Space("s", 8, supports_text=True)).space == SPACE  # supports_text changed
    other = Space("other", 8, supports_text=False)
    assert not store.has_features(1, other)
    with pytest.raises(DamagedLibraryError, match=r"1\.safetensors cannot be read"):
        store.load(1, other)
    store.feature_path(1, other).parent.mkdir()
    shutil.copy(store.feature_path(1, SPACE), store.feature_path(1, other))  # into the wrong folder
    with pytest.raises(
        DamagedLibraryError, match=r"1\.safetensors contains features of s.*other.*--force"
    ):
        store.load(1, other)
    assert (
        store.find_damaged(other) == store.find_damaged(Space("s", 9, supports_text=False)) == [1]
    )


@pytest.mark.parametrize("flip", [0x01, 0x08, 0xFF])
def test_a_damaged_byte_raises_only_vsearch_errors(tmp_path: Path, flip: int) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    path = store.feature_path(1, SPACE)
    whole, unnoticed = path.read_bytes(), 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= flip
        path.write_bytes(damaged)
        unnoticed += store.find_damaged(SPACE) == []
        with suppress(DamagedLibraryError):
            store.load_range(1, SPACE, Span(1, 3))
    assert unnoticed == 0


@pytest.mark.parametrize("kept_bytes", [0, 7, 8, 100, 300])
def test_a_truncated_file_is_damaged(tmp_path: Path, kept_bytes: int) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    path = store.feature_path(1, SPACE)
    path.write_bytes(path.read_bytes()[:kept_bytes])
    assert store.find_damaged(SPACE) == [1]
    with pytest.raises(DamagedLibraryError):
        store.load_range(1, SPACE, Span(1, 3))


def test_cleaning_up_keeps_only_features_of_known_videos(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features())
    store.save(2, features())
    for folder in (tmp_path, tmp_path / "s"):  # of older versions and of this one
        write_old_features(folder / "2.npz", features())
        (folder / "3.safetensors.99.part").write_bytes(b"half")
        (folder / "²notes.npz").touch()
        (folder / "².npz").touch()  # str.isdigit() is true
    assert store.remove_orphans({1}, [SPACE]) == 5
    for folder, own in ((tmp_path, set()), (tmp_path / "s", {"1.safetensors"})):
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


@pytest.mark.parametrize("folder", ["", "s"])  # in the oldest versions, and in later ones
def test_features_of_older_versions_are_read_in_place(tmp_path: Path, folder: str) -> None:
    store, other = FeatureStore(tmp_path), Space("other", 8, supports_text=True)
    old = tmp_path / folder / "1.npz"
    write_old_features(old, features())
    assert store.feature_path(1, SPACE) == old
    assert store.has_features(1, SPACE)
    assert not store.has_features(1, other)
    whole = store.load(1, SPACE)
    assert whole.frame_times.tolist() == [0, 1, 2, 3, 4]
    part = store.load_range(1, SPACE, Span(1.5, 2.5))
    assert part.frame_times.tolist() == [1, 2, 3]
    assert np.array_equal(part.frame_vectors, whole.frame_vectors[1:4])
    assert (store.video_ids(SPACE), store.video_ids(other)) == ({1}, set())
    assert store.size_bytes(SPACE) == old.stat().st_size
    store.save(1, Features(other, features().frame_vectors, features().frame_times))
    store.delete_space(other)
    assert old.exists()
    old.write_bytes(b"junk")
    assert store.find_damaged(SPACE) == [1]
    store.remove_video(1)
    assert not old.exists()


@pytest.mark.parametrize("folder", ["", "s"])
def test_a_file_of_an_older_version_is_replaced(tmp_path: Path, folder: str) -> None:
    store = FeatureStore(tmp_path)
    for content in (None, b"junk"):
        write_old_features(tmp_path / folder / "1.npz", features())
        if content:
            (tmp_path / folder / "1.npz").write_bytes(content)
        store.save(1, features(3))
        assert len(store.load(1, SPACE).frame_times) == 3
        assert [path.name for path in tmp_path.rglob("*.*")] == ["1.safetensors"]


@pytest.mark.parametrize("folder", ["", "s"])
def test_a_crash_before_the_old_file_is_deleted_leaves_the_new_one_valid(
    tmp_path: Path, folder: str
) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features(3))
    write_old_features(tmp_path / folder / "1.npz", features())
    new = tmp_path / "s" / "1.safetensors"
    assert store.feature_path(1, SPACE) == new
    assert store.video_ids() == store.video_ids(SPACE) == {1}
    assert store.size_bytes(SPACE) == new.stat().st_size
    assert store.remove_orphans({1}, [SPACE]) == 1
    write_old_features(tmp_path / folder / "1.npz", features())
    store.delete_space(SPACE)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_stops_the_run_and_leaves_the_old_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features(3))

    def full(*args: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(feature_files, "_write_tensors", full)
    with pytest.raises(LibraryError, match=r"\(No space left on device\)\. Free some") as caught:
        store.save(1, features(5))
    assert str(tmp_path) in str(caught.value)
    assert len(store.load(1, SPACE).frame_times) == 3
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["1.safetensors"]


def test_frames_within_a_span_or_the_nearest_one() -> None:
    assert features().within(Span(1, 3)).frame_times.tolist() == [1, 2]
    assert features().within(Span(2.2, 2.4)).frame_times.tolist() == [2]


def test_no_damaged_byte_of_a_file_is_read(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.save(1, features(70))
    [path] = tmp_path.rglob("*.safetensors")
    whole, spans = path.read_bytes(), (Span(0, 3), Span(35, 40), Span(60, 99))
    truth = {span: store.load_range(1, SPACE, span) for span in spans}
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 0x20
        path.unlink()
        path.write_bytes(damaged)
        for span in spans:
            with suppress(DamagedLibraryError):
                found = store.load_range(1, SPACE, span)
                np.testing.assert_array_equal(found.frame_vectors, truth[span].frame_vectors)
                np.testing.assert_array_equal(found.frame_times, truth[span].frame_times)


def test_a_file_with_one_checksum_is_checked_as_a_whole(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    (tmp_path / "s").mkdir()
    times, matrix = np.arange(50.0), features(50).frame_vectors.astype(np.float16)
    label = json.dumps([SPACE.name, SPACE.dim, SPACE.supports_text])
    crc32 = zlib.crc32(matrix.tobytes(), zlib.crc32(times.tobytes(), zlib.crc32(label.encode())))
    path = tmp_path / "s" / "1.safetensors"
    save_file({"times": times, "matrix": matrix}, path, {"space": label, "crc32": str(crc32)})
    assert len(store.load_range(1, SPACE, Span(3, 9)).frame_times) == 8
    content = bytearray(path.read_bytes())
    content[-2] ^= 1  # a row that is not asked for
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(DamagedLibraryError, match="is damaged"):
        store.load_range(1, SPACE, Span(3, 9))


def test_the_checksums_of_a_long_video_fit_into_the_header(tmp_path: Path) -> None:
    count = 140_000  # 39 hours
    rows = np.ones((count, 1), np.float32)
    space = Space("s", 1, supports_text=False)
    store = FeatureStore(tmp_path)
    store.save(1, Features(space, rows, np.arange(count, dtype=np.float64)))
    assert len(store.load_range(1, space, Span(139_990, 139_995)).frame_times) == 7


def test_the_features_of_another_library_are_not_used(tmp_path: Path) -> None:
    recorded: dict[int, int] = {}
    store = FeatureStore(tmp_path, lambda video_id, _: recorded.get(video_id))
    recorded[1], recorded[2] = store.save(1, features(5)), store.save(2, features(6))
    assert recorded[1] != recorded[2]
    assert len(store.load(1, SPACE).frame_times) == 5
    shutil.copy(tmp_path / "s" / "2.safetensors", tmp_path / "s" / "1.safetensors")
    with pytest.raises(DamagedLibraryError, match=r"1\.safetensors is damaged"):
        store.load(1, SPACE)
    with pytest.raises(DamagedLibraryError, match=r"1\.safetensors is damaged"):
        store.load_range(1, SPACE, Span(0, 9))
    recorded.clear()  # by an older version
    assert len(store.load(1, SPACE).frame_times) == 6
    assert store.find_damaged(SPACE) == []
