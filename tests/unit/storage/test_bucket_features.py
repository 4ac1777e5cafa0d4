"""Frame features in files that are named by their content."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.errors import DamagedLibraryError, StoreError
from vsearch.storage.bucket_features import BucketFeatureStore
from vsearch.storage.feature_store import FeatureStore
from vsearch.storage.object_cache import ObjectCache
from vsearch.storage.object_store import FolderObjects
from vsearch.types import Features, Space, Span

if TYPE_CHECKING:
    from pathlib import Path

SPACE = Space("S", 64, supports_text=True)


def features(frames: int = 5, seed: int = 0) -> Features:
    vectors = np.random.default_rng(seed).normal(size=(frames, 64)).astype(np.float16)
    return Features(SPACE, vectors.astype(np.float32), np.arange(frames, dtype=float))


@dataclass
class Records:
    """Records of a catalog."""

    crc32_by_id: dict[int, int] = field(default_factory=dict)
    prefix: str = "fingerprint"

    def features_crc32(self, video_id: int, _space: Space) -> int | None:
        return self.crc32_by_id.get(video_id)

    def content_fingerprint(self, video_id: int) -> str | None:
        return f"{self.prefix}-{video_id}" if video_id < 10 else None

    def video_path(self, _video_id: int) -> Path | None:
        return None

    def videos_with_features(self, _space: Space) -> set[int]:
        return set(self.crc32_by_id)


class CountingObjects(FolderObjects):
    """Counts the bytes that are read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.is_local = False
        self.ranges: list[int] = []
        self.is_down = False

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        if self.is_down:
            raise StoreError("the store cannot be reached")
        content = super().read(name, start, end)
        self.ranges.append(len(content))
        return content


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def objects(tmp_path: Path) -> CountingObjects:
    return CountingObjects(tmp_path / "bucket")


@pytest.fixture
def store(tmp_path: Path, records: Records, objects: CountingObjects) -> BucketFeatureStore:
    cache = ObjectCache(tmp_path / "cache", 10**8)
    return BucketFeatureStore(tmp_path / "library", records, objects, cache)


def save(store: BucketFeatureStore, records: Records, video_id: int, saved: Features) -> None:
    records.crc32_by_id[video_id] = store.save(video_id, saved)


def assert_same(found: Features, expected: Features) -> None:
    assert found.space == expected.space
    np.testing.assert_array_equal(found.frame_vectors, expected.frame_vectors)
    np.testing.assert_array_equal(found.frame_times, expected.frame_times)


def test_features_are_the_same_as_in_a_folder(
    tmp_path: Path, store: BucketFeatureStore, records: Records
) -> None:
    folder_store, span = FeatureStore(tmp_path / "folder"), Span(4_000.5, 4_090)
    crc32 = folder_store.save(1, features(20_000))
    save(store, records, 1, features(20_000))
    assert records.crc32_by_id[1] == crc32
    for _ in range(2):  # from the store, then from the cache
        assert_same(store.load_range(1, SPACE, span), folder_store.load_range(1, SPACE, span))
        assert_same(store.load(1, SPACE), folder_store.load(1, SPACE))
    assert store.read_file(1, SPACE)[1] == folder_store.read_file(1, SPACE)[1]
    assert store.has_features(1, SPACE)
    assert not store.has_features(2, SPACE)
    assert store.video_ids(SPACE) == {1}
    assert store.size_bytes(SPACE) == folder_store.size_bytes(SPACE)
    assert store.find_damaged(SPACE) == []
    assert not (tmp_path / "library").exists()


def test_only_the_blocks_around_a_span_are_fetched_and_once(
    store: BucketFeatureStore, records: Records, objects: CountingObjects
) -> None:
    save(store, records, 1, features(60_000))  # 8 MB
    store.load_range(1, SPACE, Span(30_000, 30_060))
    assert sum(objects.ranges) <= 5 * 256 * 1024  # header and times take 0.5 MB
    objects.ranges.clear()
    store.load_range(1, SPACE, Span(30_010, 30_050))
    assert objects.ranges == []


def test_writing_the_same_again_changes_nothing(
    tmp_path: Path, store: BucketFeatureStore, records: Records, objects: CountingObjects
) -> None:
    save(store, records, 1, features())
    listed = [stored.name for stored in objects.list_objects()]
    other = BucketFeatureStore(tmp_path / "other", Records(), objects)  # another process
    assert other.save_content("fingerprint-1", features()) == records.crc32_by_id[1]
    assert [stored.name for stored in objects.list_objects()] == listed


def test_other_features_of_the_same_fingerprint_do_not_replace_it(
    store: BucketFeatureStore, records: Records
) -> None:
    save(store, records, 1, features(5))
    store.save_content("fingerprint-1", features(9))  # sampled at another rate; not recorded
    assert len(store.load(1, SPACE).frame_times) == 5


def test_a_damaged_file_is_noticed_past_the_cache_and_replaced(
    store: BucketFeatureStore, records: Records, objects: CountingObjects, tmp_path: Path
) -> None:
    saved = features(300)
    save(store, records, 1, saved)
    stored_path = next((tmp_path / "bucket").rglob("*.safetensors"))
    content = stored_path.read_bytes()
    for damaged in (content[:-100], content[:-9] + b"damaged!!", b"", b"\xff" * 3000):
        stored_path.write_bytes(damaged)
        store.save_content("none", features(1))
        for part_path in (tmp_path / "cache").rglob("*.0"):
            part_path.unlink()
        assert store.find_damaged(SPACE) == [1]
        with pytest.raises(DamagedLibraryError, match="vsearch index --force"):
            store.load(1, SPACE)
        with pytest.raises(DamagedLibraryError):
            store.load_range(1, SPACE, Span(0, 300))
        store.save(1, saved)
        assert_same(store.load(1, SPACE), saved)
        assert_same(store.load_range(1, SPACE, Span(0, 300)), saved)


def test_a_damaged_cache_is_not_used(
    store: BucketFeatureStore, records: Records, tmp_path: Path
) -> None:
    save(store, records, 1, features(300))
    store.load(1, SPACE)
    for part_path in (tmp_path / "cache").rglob("*.0"):
        part_path.write_bytes(b"damaged" + part_path.read_bytes()[7:])
    assert_same(store.load(1, SPACE), features(300))


def test_missing_features_are_damage_but_an_outage_is_not(
    store: BucketFeatureStore, records: Records, objects: CountingObjects
) -> None:
    with pytest.raises(DamagedLibraryError):
        store.load(1, SPACE)
    objects.write("other", b"")
    records.crc32_by_id[1] = 7
    with pytest.raises(DamagedLibraryError, match="cannot be read"):
        store.load(1, SPACE)
    objects.is_down = True
    with pytest.raises(StoreError) as caught:
        store.load(1, SPACE)
    assert not isinstance(caught.value, DamagedLibraryError)
    with pytest.raises(StoreError):
        store.load_range(1, SPACE, Span(0, 1))


def test_features_in_the_folder_of_the_library_are_still_read(
    store: BucketFeatureStore, records: Records, tmp_path: Path
) -> None:
    records.crc32_by_id[1] = FeatureStore(tmp_path / "library").save(1, features(7))
    assert len(store.load(1, SPACE).frame_times) == 7
    assert len(store.load_range(1, SPACE, Span(2, 3)).frame_times) == 3
    assert store.read_file(1, SPACE)[0].is_file()
    save(store, records, 1, features(9, seed=1))  # the folder has other features now
    assert len(store.load(1, SPACE).frame_times) == 9
    store.remove_video(1)
    assert store.video_ids() == set()


def test_names_never_leave_the_store(
    store: BucketFeatureStore, records: Records, objects: CountingObjects, tmp_path: Path
) -> None:
    records.prefix = "../../../x"
    save(store, records, 1, features())
    assert len(list(objects.list_objects("features"))) == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"bucket", "cache", "library"}
