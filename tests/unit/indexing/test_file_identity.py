"""Changed, moved and duplicate files, in particular those that differ only between samples."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from tests.support.twin_videos import OLD_TIME_NS, UNSAMPLED_FRAMES, write_video
from vsearch import Library, content_match
from vsearch.media import file_identity
from vsearch.media.discovery import compute_fingerprint
from vsearch.media.folder_watch import FolderWatcher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.types import Images, Matrix


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        yield opened


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often files are read, wholly or in part."""
    counts: Counter[str] = Counter()

    def count(name: str) -> None:
        for module in (file_identity, content_match):
            function = getattr(module, name)

            def counted(path: Path, *args: Any, function: Any = function) -> str:
                counts[f"{name} {path.name}"] += 1
                return str(function(path, *args))

            monkeypatch.setattr(module, name, counted)

    count("compute_digest")
    count("compute_fingerprint")
    return counts


def outcomes(library: Library, *paths: Path, **options: Any) -> list[str]:
    results = list(library.index(paths, **options))
    assert [result.error for result in results if result.error] == []
    return [str(result.outcome) for result in results]


def curve(library: Library, path: Path) -> list[float]:
    """Return the score of each frame for "red"."""
    [video] = library.videos([path])
    return [round(float(score), 2) for score in library.similarity_curve("red", video).scores]


def as_of_an_older_version(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "library" / "catalog.sqlite3")) as raw, raw:
        raw.execute("UPDATE videos SET content_digest = NULL, ctime_ns = NULL, inode = NULL")
        raw.execute("UPDATE frame_features SET crc32 = NULL")


def test_twins_share_a_fingerprint(tmp_path: Path) -> None:
    one = write_video(tmp_path / "one.y4m")
    other = write_video(tmp_path / "other.y4m", UNSAMPLED_FRAMES)
    assert compute_fingerprint(one) == compute_fingerprint(other)
    assert one.stat().st_size == other.stat().st_size


@pytest.mark.parametrize("workers", [1, 3])
def test_twins_are_two_videos(tmp_path: Path, workers: int) -> None:
    for name, frames in (("one", ()), ("other", UNSAMPLED_FRAMES), ("third", ())):
        write_video(tmp_path / f"{name}.y4m", frames)
    with Library.open(tmp_path / "library", encoder=FakeEncoder(), workers=workers) as library:
        results = {one.path.stem: str(one.outcome) for one in library.index([tmp_path])}
        assert results == {"one": "indexed", "other": "indexed", "third": "duplicate"}
        assert curve(library, tmp_path / "one.y4m") != curve(library, tmp_path / "other.y4m")
        assert set(outcomes(library, tmp_path)) == {"unchanged", "duplicate"}


@pytest.mark.parametrize("mtime_ns", [OLD_TIME_NS, OLD_TIME_NS + 10**9, OLD_TIME_NS - 10**15])
def test_a_change_between_the_samples_is_noticed_whatever_the_time(
    library: Library, tmp_path: Path, mtime_ns: int
) -> None:
    path = write_video(tmp_path / "a.y4m")
    assert outcomes(library, path) == ["indexed"]
    before = curve(library, path)
    write_video(path, UNSAMPLED_FRAMES, mtime_ns)
    assert outcomes(library, path) == ["updated"]
    assert curve(library, path) != before
    assert outcomes(library, path) == ["unchanged"]


def test_tags_are_kept_unless_the_content_changes(library: Library, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.y4m")
    outcomes(library, path)
    library.tags.add(path, "kept")
    assert outcomes(library, path, force=True) == ["updated"]
    assert [tag.label for tag in library.tags.list()] == ["kept"]
    write_video(path, UNSAMPLED_FRAMES)
    assert outcomes(library, path) == ["updated"]
    assert library.tags.list() == []


def test_an_unchanged_file_is_not_read(
    library: Library, tmp_path: Path, reads: Counter[str]
) -> None:
    path = write_video(tmp_path / "a.y4m")
    assert outcomes(library, path) == ["indexed"]
    assert reads == {"compute_fingerprint a.y4m": 1, "compute_digest a.y4m": 1}
    reads.clear()
    assert outcomes(library, path) == ["unchanged"]
    assert reads == {}


@pytest.mark.parametrize("change", ["touch", "chmod", "replace", "recent"])
def test_a_file_with_the_same_content_is_unchanged(
    library: Library,
    tmp_path: Path,
    reads: Counter[str],
    change: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_video(tmp_path / "a.y4m")
    outcomes(library, path)
    before = library.videos()[0].id
    reads.clear()
    if change == "chmod":
        path.chmod(0o600)
    elif change == "replace":
        shutil.copy2(path, tmp_path / "new")
        (tmp_path / "new").replace(path)
    else:
        if change == "recent":
            monkeypatch.setattr(file_identity, "_TIME_RESOLUTION_NS", 10**15)
        then = time.time_ns() if change == "recent" else OLD_TIME_NS + 1
        os.utime(path, ns=(then, then))
    assert outcomes(library, path) == ["unchanged"]
    assert library.videos()[0].id == before
    assert library.videos()[0].mtime_ns == path.stat().st_mtime_ns
    assert reads == {"compute_fingerprint a.y4m": 1, "compute_digest a.y4m": 1}
    reads.clear()
    assert outcomes(library, path) == ["unchanged"]
    assert bool(reads) == (change == "recent"), "its time may not change with the next change"


def test_a_renamed_file_is_moved_without_reading_it_whole(
    library: Library, tmp_path: Path, reads: Counter[str]
) -> None:
    path = write_video(tmp_path / "a.y4m")
    outcomes(library, path)
    reads.clear()
    path.rename(tmp_path / "b.y4m")
    assert outcomes(library, tmp_path) == ["moved"]
    assert reads == {"compute_fingerprint b.y4m": 1}
    assert [video.path for video in library.videos()] == [tmp_path / "b.y4m"]
    write_video(tmp_path / "b.y4m", UNSAMPLED_FRAMES)
    assert outcomes(library, tmp_path) == ["updated"]


@pytest.mark.parametrize("is_twin", [False, True])
def test_a_file_moved_to_another_disk_is_read_whole(
    library: Library, tmp_path: Path, is_twin: bool
) -> None:
    path = write_video(tmp_path / "a.y4m")
    outcomes(library, path)
    (tmp_path / "disk").mkdir()
    write_video(tmp_path / "disk" / "a.y4m", UNSAMPLED_FRAMES if is_twin else (), OLD_TIME_NS + 5)
    path.unlink()
    assert outcomes(library, tmp_path) == ["indexed" if is_twin else "moved"]
    assert outcomes(library, tmp_path) == ["unchanged"]


def test_a_duplicate_is_read_whole_only_once(
    library: Library, tmp_path: Path, reads: Counter[str]
) -> None:
    path = write_video(tmp_path / "a.y4m")
    shutil.copy2(path, tmp_path / "copy.y4m")
    (tmp_path / "link.y4m").hardlink_to(path)
    os.utime(path, ns=(OLD_TIME_NS, OLD_TIME_NS))
    assert outcomes(library, path, tmp_path / "copy.y4m", tmp_path / "link.y4m") == [
        "indexed", "duplicate", "duplicate",
    ]  # fmt: skip
    assert reads["compute_digest copy.y4m"] == 1
    assert reads["compute_digest link.y4m"] == 0
    reads.clear()
    assert set(outcomes(library, tmp_path)) == {"unchanged", "duplicate"}
    assert not any(name.startswith("compute_digest") for name in reads)
    write_video(tmp_path / "copy.y4m", UNSAMPLED_FRAMES)
    assert sorted(outcomes(library, tmp_path)) == ["duplicate", "indexed", "unchanged"]


def test_a_duplicate_of_a_changed_file_is_indexed(library: Library, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.y4m")
    outcomes(library, path)
    shutil.copy2(path, tmp_path / "copy.y4m")
    write_video(path, UNSAMPLED_FRAMES)
    assert outcomes(library, tmp_path / "copy.y4m") == ["indexed"]
    assert outcomes(library, path) == ["updated"]


def test_a_finished_download_into_a_preallocated_file_is_indexed_again(
    library: Library, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.y4m")
    whole = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(len(whole) // 3)
        file.write(bytes(200_000))
    os.utime(path, ns=(OLD_TIME_NS, OLD_TIME_NS))
    outcomes(library, path)
    early = curve(library, path)
    with path.open("r+b") as file:
        file.write(whole)
    os.utime(path, ns=(OLD_TIME_NS, OLD_TIME_NS))
    assert outcomes(library, path) == ["updated"]
    assert curve(library, path) != early
    assert outcomes(library, path) == ["unchanged"]


def test_a_change_within_the_resolution_of_the_clock_is_noticed(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = file_identity.read_file_state
    path = tmp_path / "a.y4m"

    def coarse(path: Path) -> Any:  # as on FAT, where the ctime does not change at all
        state = real(path)
        mtime_ns = state.mtime_ns // 2_000_000_000 * 2_000_000_000
        return type(state)(state.size_bytes, mtime_ns, 1, state.inode)

    for module in (file_identity, content_match):
        monkeypatch.setattr(module, "read_file_state", coarse)
    monkeypatch.setattr(file_identity, "_TIME_RESOLUTION_NS", 10**15)  # the test may be slow
    now = time.time_ns()
    write_video(path, mtime_ns=now)
    assert outcomes(library, path) == ["indexed"]
    write_video(path, UNSAMPLED_FRAMES, now)
    assert outcomes(library, path) == ["updated"]


class Changing(FakeEncoder):
    """An encoder during whose work a file changes."""

    path: Path | None = None

    def encode_images(self, images: Images) -> Matrix:
        if self.path is not None:
            write_video(self.path, UNSAMPLED_FRAMES)
            self.path = None
        return super().encode_images(images)


def test_a_file_that_changes_while_it_is_indexed_is_indexed_again(tmp_path: Path) -> None:
    encoder = Changing()
    encoder.path = write_video(tmp_path / "a.y4m")
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        assert outcomes(library, tmp_path / "a.y4m") == ["indexed"]
        assert "changed while it was indexed" in (library.videos()[0].warning or "")
        assert outcomes(library, tmp_path / "a.y4m") == ["updated"]
        assert library.videos()[0].warning is None
        assert outcomes(library, tmp_path / "a.y4m") == ["unchanged"]


def test_a_change_with_a_kept_time_is_reported_by_watch(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.y4m")
    watcher = FolderWatcher([str(tmp_path)])
    assert watcher.poll_folders() == [path]
    watcher.acknowledge(path)
    assert watcher.poll_folders() == []
    time.sleep(0.02)  # the resolution of the file system
    write_video(path, UNSAMPLED_FRAMES)
    assert watcher.poll_folders() == [path]


def test_an_unindexed_twin_is_neither_a_duplicate_nor_the_clip(
    library: Library, tmp_path: Path
) -> None:
    outcomes(library, write_video(tmp_path / "a.y4m"))
    twin = write_video(tmp_path / "twin.y4m", UNSAMPLED_FRAMES)
    copy = write_video(tmp_path / "copy.y4m")
    clips = library._searcher._query_clips
    assert clips.resolve_path(twin) == twin
    assert clips.resolve_path(copy) == tmp_path / "a.y4m"
    assert [span.kind for span in library.duplicates([copy])] == ["exact"]
    assert list(library.duplicates([twin])) == []
    assert [video.path.name for video in library.videos([copy])] == ["a.y4m"]
    assert library.videos([twin]) == []


# --- libraries of older versions, which recorded size, time and fingerprint only


def test_an_older_library_is_not_indexed_again(
    library: Library, tmp_path: Path, reads: Counter[str]
) -> None:
    path = write_video(tmp_path / "a.y4m")
    outcomes(library, path)
    as_of_an_older_version(tmp_path)
    reads.clear()
    assert outcomes(library, path) == ["unchanged"]
    assert reads == {}
    write_video(path, UNSAMPLED_FRAMES)  # its time is the same
    assert outcomes(library, path) == ["updated"]


def test_a_file_of_an_older_library_whose_content_cannot_be_proven_is_indexed_again(
    library: Library, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.y4m")
    outcomes(library, path)
    for frames, kept in (((), ["kept"]), (UNSAMPLED_FRAMES, [])):
        library.tags.add(path, "kept")
        as_of_an_older_version(tmp_path)
        write_video(path, frames, OLD_TIME_NS + 7)
        os.utime(path, ns=(OLD_TIME_NS + len(kept) + 1, OLD_TIME_NS + len(kept) + 1))
        assert outcomes(library, path) == ["updated"]
        assert [tag.label for tag in library.tags.list()] == kept
        assert outcomes(library, path) == ["unchanged"]
        library.tags.remove([path])


def test_copies_in_an_older_library_are_compared_whole(
    library: Library, tmp_path: Path, reads: Counter[str]
) -> None:
    path = write_video(tmp_path / "a.y4m")
    outcomes(library, path)
    as_of_an_older_version(tmp_path)
    write_video(tmp_path / "copy.y4m")
    write_video(tmp_path / "twin.y4m", UNSAMPLED_FRAMES)
    assert sorted(outcomes(library, tmp_path)) == ["duplicate", "indexed", "unchanged"]
    reads.clear()
    assert sorted(outcomes(library, tmp_path)) == ["duplicate", "unchanged", "unchanged"]
    assert not any(name.startswith("compute_digest") for name in reads)


def test_a_moved_file_of_an_older_library_is_recognized_by_its_time(
    library: Library, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.y4m")
    outcomes(library, path)
    as_of_an_older_version(tmp_path)
    path.rename(tmp_path / "b.y4m")
    assert outcomes(library, tmp_path) == ["moved"]
    as_of_an_older_version(tmp_path)
    (tmp_path / "b.y4m").unlink()
    write_video(tmp_path / "c.y4m", UNSAMPLED_FRAMES, OLD_TIME_NS + 1)
    assert outcomes(library, tmp_path) == ["indexed"]


def test_a_small_file_of_an_older_library_is_compared_by_its_fingerprint(
    library: Library, tmp_path: Path, reads: Counter[str]
) -> None:
    path = write_video(tmp_path / "a.y4m")
    path.write_bytes(path.read_bytes()[: 34 + 100 * 6150])
    os.utime(path, ns=(OLD_TIME_NS, OLD_TIME_NS))
    outcomes(library, path)
    as_of_an_older_version(tmp_path)
    reads.clear()
    os.utime(path, ns=(OLD_TIME_NS + 1, OLD_TIME_NS + 1))
    assert outcomes(library, path) == ["unchanged"]
    assert reads == {"compute_fingerprint a.y4m": 1}
    assert np.isfinite(curve(library, path)).all()
