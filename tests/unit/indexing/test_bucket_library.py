"""A library whose features, kept frames and thumbnails are in a store."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.video_factory import (
    VIDEO_COLORS,
    ColorScene,
    make_colored_videos,
    make_video,
)
from vsearch import Library, Outcome
from vsearch.errors import SettingsError, StoreError
from vsearch.server.thumbnail_cache import ThumbnailCache, build_thumbnail_request
from vsearch.training import clip_dataset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.processes import CommandRunner


@pytest.fixture(autouse=True)
def _models(fake_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(fake_plugin))


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    return make_colored_videos(tmp_path / "videos")


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store of libraries that are opened from now on."""
    monkeypatch.setenv("VSEARCH_STORE", str(tmp_path / "bucket"))
    return tmp_path / "bucket"


@pytest.fixture
def library(tmp_path: Path, bucket: Path, videos: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", model="fake") as opened:
        index(opened, videos)
        yield opened


def index(library: Library, *paths: Path, force: bool = False) -> list[Outcome]:
    return [index_result.outcome for index_result in library.index(paths, force=force)]


def stored_files(bucket: Path) -> set[Path]:
    return {path for path in bucket.rglob("*") if path.is_file()}


def make_old(bucket: Path) -> None:
    """Make files older than what cleaning keeps."""
    for path in stored_files(bucket):
        os.utime(path, (time.time() - 30 * 86_400,) * 2)


def finds(library: Library) -> bool:
    return all(library.search(name)[0].video.path.stem == name for name in VIDEO_COLORS)


def test_results_equal_those_of_a_library_in_a_folder(
    tmp_path: Path, library: Library, bucket: Path, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VSEARCH_STORE")
    with Library.open(tmp_path / "plain", model="fake") as plain:
        index(plain, videos)
        for video in plain.videos():
            expected, found = plain.features(video), library.features(video.path)
            np.testing.assert_array_equal(found.frame_vectors, expected.frame_vectors)
            np.testing.assert_array_equal(found.frame_times, expected.frame_times)
            curves = [lib.similarity_curve("red", video.path) for lib in (plain, library)]
            np.testing.assert_array_equal(curves[0].scores, curves[1].scores)
        for query in (*VIDEO_COLORS, "red -blue", "gray"):
            assert _rows(plain, query) == _rows(library, query)
    assert len(stored_files(bucket)) == 3
    assert not (library.path / "features").exists()
    assert index(library, videos) == [Outcome.UNCHANGED] * 3
    assert library.doctor() == []


def _rows(library: Library, query: str) -> list[tuple[str, float, float, float]]:
    return [
        (moment.video.path.name, moment.span.start, moment.span.end, moment.score)
        for moment in library.search(query)
    ]


def test_the_setting_is_kept_in_the_library_and_shown(
    library: Library, bucket: Path, run_vsearch: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VSEARCH_STORE")
    assert str(bucket) in run_vsearch("--library", library.path, "config").stdout
    with Library.open(library.path) as reopened:
        assert len(reopened.features(reopened.videos()[0]).frame_times) == 6


def test_a_library_that_gets_a_store_keeps_what_its_folder_has(
    tmp_path: Path, videos: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VSEARCH_STORE")
    with Library.open(tmp_path / "library", model="fake") as plain:
        index(plain, videos / "red.mp4")
    monkeypatch.setenv("VSEARCH_STORE", str(bucket))
    with Library.open(tmp_path / "library", model="fake") as library:
        index(library, videos)
        assert len(stored_files(bucket)) == 2
        assert [len(library.features(video).frame_times) for video in library.videos()] == [6] * 3
        assert library.doctor() == []
        assert finds(library)
        library.rebuild()
        assert finds(library)


def test_a_copy_of_a_library_finds_the_same_files(
    tmp_path: Path, library: Library, videos: Path, bucket: Path
) -> None:
    before = stored_files(bucket)
    with Library.open(tmp_path / "second", model="fake") as second:
        index(second, videos)
        assert stored_files(bucket) == before
        index(second, videos / "red.mp4", force=True)
        second.remove([str(videos / "green.mp4")])
    assert stored_files(bucket) == before
    assert library.doctor() == []


def test_models_are_switched_rolled_back_and_deleted(
    library: Library, bucket: Path, videos: Path
) -> None:
    library.models.switch("fake:other")
    assert len(stored_files(bucket)) == 6
    assert finds(library)
    assert all(space_info.size_bytes for space_info in library.models.list())
    library.models.switch(None)
    assert finds(library)
    library.models.delete("fake:other")
    assert len(library.models.list()) == 1
    assert finds(library)
    make_old(bucket)
    assert library.clean_store() > 0
    assert len(stored_files(bucket)) == 3
    assert library.doctor() == []
    assert finds(library)


def test_another_model_encodes_the_kept_frames_of_the_store(
    tmp_path: Path, bucket: Path, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Library.open(tmp_path / "library", model="fake", keep_frames=True) as library:
        index(library, videos)
        frames_paths = list(bucket.glob("frames/**/*.frames"))
        assert len(frames_paths) == 3
        assert not list((library.path / "frame_cache").glob("*"))
        assert index(library, videos, force=True) == [Outcome.UPDATED] * 3
        assert sorted(bucket.glob("frames/**/*.frames")) == sorted(frames_paths)
        for path in videos.iterdir():
            path.unlink()
        library.models.switch("fake:other")
        assert finds(library)
        frames_paths[0].write_bytes(frames_paths[0].read_bytes()[:-3])
        assert any("cached frames are damaged" in problem for problem in library.doctor())
        library.remove([str(videos / "red.mp4")])
        make_old(bucket)
        library.clean_store()
        assert len(list(bucket.glob("frames/**/*.frames"))) == 2


def test_a_backup_has_the_features_and_is_restored_without_the_store(
    tmp_path: Path, library: Library, bucket: Path
) -> None:
    backup = library.backup(tmp_path / "films.backup")
    assert (backup.feature_count, backup.lost_features) == (3, ())
    bucket.rename(tmp_path / "gone")
    Library.restore(tmp_path / "films.backup", tmp_path / "restored")
    with Library.open(tmp_path / "restored", model="fake") as restored:
        assert restored.settings.store == str(bucket)
        assert [len(restored.features(video).frame_times) for video in restored.videos()] == [6] * 3
        assert finds(restored)


def test_doctor_names_damaged_and_missing_features_and_force_makes_them_again(
    library: Library, bucket: Path, videos: Path
) -> None:
    damaged_path, missing_path, _ = sorted(stored_files(bucket))
    damaged_path.write_bytes(damaged_path.read_bytes()[:-1] + b"!")
    missing_path.unlink()
    problems = library.doctor()
    assert len(problems) == 2
    assert all("vsearch index --force" in problem for problem in problems)
    index(library, videos, force=True)
    assert library.doctor() == []
    assert len(stored_files(bucket)) == 3


def test_training_reads_features_from_the_store(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_dataset, "MIN_VIDEOS", 3)
    dataset = clip_dataset.ClipDataset(library, min_frames=3)
    assert len(dataset.train_videos) + len(dataset.held_out_videos) == 3


def test_cleaning_keeps_what_is_new_or_needed_and_other_files(
    library: Library, bucket: Path, videos: Path, run_vsearch: CommandRunner
) -> None:
    (bucket / "notes.txt").write_text("not of vsearch")
    library.remove([str(videos / "red.mp4")])
    assert library.clean_store() == 0  # written a moment ago
    make_old(bucket)
    output = run_vsearch("--library", library.path, "doctor", "--clean-store").stdout
    assert output.startswith("Deleted ")
    assert len(stored_files(bucket)) == 3
    assert finds_only(library, "green", "blue")


def finds_only(library: Library, *names: str) -> bool:
    return all(library.search(name)[0].video.path.stem == name for name in names)


def test_without_a_store_there_is_nothing_to_clean(tmp_path: Path, videos: Path) -> None:
    with Library.open(tmp_path / "library", model="fake") as library:
        index(library, videos / "red.mp4")
        with pytest.raises(SettingsError, match="has no store"):
            library.clean_store()


def test_nothing_is_recorded_of_a_video_that_cannot_be_stored(
    library: Library, bucket: Path, tmp_path: Path
) -> None:
    new_path = make_video(tmp_path / "new.mp4", [ColorScene((1, 200, 200), 3)])
    space_folder = next((bucket / "features" / "1").iterdir())
    space_folder.rename(tmp_path / "kept")
    space_folder.write_text("not a folder")
    with pytest.raises(StoreError, match="cannot be written"):
        index(library, new_path)
    assert len(library.videos()) == 3
    space_folder.unlink()
    (tmp_path / "kept").rename(space_folder)
    assert index(library, new_path) == [Outcome.INDEXED]
    assert library.doctor() == []


def test_a_search_goes_on_while_the_store_is_out_of_reach(
    library: Library, bucket: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.rename(tmp_path / "gone")
    assert finds(library)
    assert "the folder of the store is missing" in caplog.text
    assert any("the folder of the store is missing" in problem for problem in library.doctor())


def test_servers_share_rendered_thumbnails(
    library: Library, bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (
        ThumbnailCache(library, tmp_path / name, shared_thumbnails=library.shared_thumbnails)
        for name in ("first", "second")
    )
    thumbnail_request = build_thumbnail_request(library.videos()[0], 1.0, 160)
    rendered = first.load_or_render(thumbnail_request)
    assert len(list(bucket.glob("thumbnails/**/*.jpg"))) == 1
    monkeypatch.setattr("vsearch.server.thumbnail_cache._render_thumbnail", None)
    assert second.load_or_render(thumbnail_request) == rendered
    assert second.load_cached(thumbnail_request) == rendered
    make_old(bucket)
    assert library.clean_store() == 0


def test_a_store_out_of_reach_does_not_keep_thumbnails_from_being_rendered(
    library: Library, bucket: Path, tmp_path: Path
) -> None:
    bucket.rename(tmp_path / "gone")
    bucket.write_text("not a folder")
    thumbnail_request = build_thumbnail_request(library.videos()[0], 1.0, 160)
    for name in ("first", "second"):
        cache = ThumbnailCache(
            library, tmp_path / name, shared_thumbnails=library.shared_thumbnails
        )
        assert cache.load_or_render(thumbnail_request)
