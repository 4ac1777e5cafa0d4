"""The cache of thumbnails and previews."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from PIL import Image

from tests.support.video_factory import BLUE, RED, ColorScene, make_video
from vsearch.server import thumbnail_cache
from vsearch.server.problems import Problem
from vsearch.server.thumbnail_cache import (
    ThumbnailCache,
    build_preview_request,
    build_thumbnail_request,
    round_up_width,
)
from vsearch.types import Video

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.library import Library


def make_video_entry(path: Path, fingerprint: str = "f") -> Video:
    """Return the catalog entry of a file of four seconds."""
    size, modified = (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else (1, 1)
    return Video(1, path, fingerprint, size, modified, 4.0, 10.0, 320, 240, "h264", 4)


@pytest.fixture
def video(tmp_path: Path) -> Video:
    scenes = [ColorScene(RED, 2), ColorScene(BLUE, 2)]
    return make_video_entry(make_video(tmp_path / "a.mp4", scenes, frame_size=(320, 240)))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return cast("Library", SimpleNamespace(cache_path=tmp_path / "library"))


def open_image(content: bytes) -> Any:
    return Image.open(io.BytesIO(content))


def test_a_thumbnail_shows_the_frame_at_its_time(video: Video, library: Library) -> None:
    cache = ThumbnailCache(library)
    red = open_image(cache.load_or_render(build_thumbnail_request(video, 1.0, 320)))
    blue = open_image(cache.load_or_render(build_thumbnail_request(video, 3.0, 320)))
    assert (red.format, red.size) == ("JPEG", (320, 240))
    assert red.getpixel((310, 150))[0] > 150 > 100 > red.getpixel((310, 150))[2]
    assert blue.getpixel((310, 150))[2] > 150 > 100 > blue.getpixel((310, 150))[0]
    moving = open_image(cache.load_or_render(build_preview_request(video, 1.0, 3.0, 160)))
    assert (moving.format, moving.size) == ("WEBP", (120, 90))
    assert moving.n_frames > 5


def test_an_image_is_rendered_once(
    video: Video, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = build_thumbnail_request(video, 1.0, 320)
    assert ThumbnailCache(library).load_cached(wanted) is None
    content = ThumbnailCache(library).load_or_render(wanted)
    video.path.unlink()  # e.g. the disk was unmounted
    assert ThumbnailCache(library).load_cached(wanted) == content
    assert ThumbnailCache(library).load_or_render(wanted) == content


def test_cache_keys_are_unique(video: Video) -> None:
    same = [
        build_thumbnail_request(video, time, width) for time, width in [(1.0, 320), (1.0004, 200)]
    ]
    assert len({one.cache_key for one in same}) == 1
    other = [
        build_thumbnail_request(video, 1.001, 320),
        build_thumbnail_request(video, 1.0, 321),
        build_thumbnail_request(make_video_entry(video.path, "g"), 1.0, 320),
        build_preview_request(video, 1.0, 1.0, 320),
        build_preview_request(video, 1.0, 2.0, 320),
    ]
    assert len({one.cache_key for one in [*same, *other]}) == 6
    assert all(one.file_name.partition(".")[0].isalnum() for one in other)


def test_times_and_widths_are_clamped(video: Video) -> None:
    assert build_thumbnail_request(video, -5.0, 1).span.start == 0
    assert build_thumbnail_request(video, 1e9, 1).span.start == 4
    assert build_preview_request(video, 3.0, 1e9, 1).span.end == 4
    assert [round_up_width(width) for width in (1, 160, 161, 5000)] == [160, 160, 320, 1280]


def test_the_oldest_images_are_pruned(video: Video, library: Library) -> None:
    cache = ThumbnailCache(library, max_cache_bytes=20_000)
    wanted = [build_thumbnail_request(video, number / 10, 320) for number in range(30)]
    for one in wanted:
        cache.load_or_render(one)
    files = list((library.cache_path / "thumbnails").iterdir())
    assert 10_000 < sum(file.stat().st_size for file in files) <= 20_000
    assert cache.load_cached(wanted[0]) is None
    assert cache.load_cached(wanted[-1])


def test_images_of_an_earlier_server_count(video: Video, library: Library) -> None:
    for number in range(10):
        ThumbnailCache(library).load_or_render(build_thumbnail_request(video, number / 10, 320))
    (library.cache_path / "thumbnails" / "x.jpg.1-1.part").write_bytes(b"half")
    ThumbnailCache(library, max_cache_bytes=10_000).load_or_render(
        build_thumbnail_request(video, 3.0, 320)
    )
    files = list((library.cache_path / "thumbnails").iterdir())
    assert sum(file.stat().st_size for file in files) <= 10_000
    assert all(file.suffix == ".jpg" for file in files)


def test_images_are_rendered_if_the_folder_is_not_writable(video: Video, library: Library) -> None:
    library.cache_path.write_text("a file where the folder should be")
    cache = ThumbnailCache(library)
    for _ in range(2):
        assert (
            open_image(cache.load_or_render(build_thumbnail_request(video, 1.0, 320))).format
            == "JPEG"
        )


def test_an_empty_file_is_not_an_image(video: Video, library: Library) -> None:
    wanted = build_thumbnail_request(video, 1.0, 320)
    ThumbnailCache(library).load_or_render(wanted)
    (library.cache_path / "thumbnails" / wanted.file_name).write_bytes(b"")
    assert ThumbnailCache(library).load_cached(wanted) is None
    assert ThumbnailCache(library).load_or_render(wanted)


def test_a_missing_video_is_reported_without_its_folder(tmp_path: Path, library: Library) -> None:
    (tmp_path / "other.mp4").touch()
    for path, reason in (
        (tmp_path / "gone.mp4", "moved or deleted; index the folder"),
        (tmp_path / "no drive" / "gone.mp4", "offline: its drive or folder is gone"),
    ):
        with pytest.raises(Problem, match=reason) as caught:
            thumbnail_cache.require_file(make_video_entry(path))
        assert (caught.value.status_code, caught.value.problem_type) == (404, "gone")
        assert str(tmp_path) not in caught.value.detail


@pytest.mark.skipif(sys.platform == "win32", reason="has no pipes among files")
def test_a_pipe_is_not_a_video(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(Problem):
        thumbnail_cache.require_file(make_video_entry(tmp_path / "pipe.mp4"))


def test_a_changed_file_is_rendered_but_not_cached(library: Library, video: Video) -> None:
    cache, wanted = ThumbnailCache(library), build_thumbnail_request(video, 1, 320)
    make_video(video.path, [ColorScene(BLUE, 3)], frame_size=(320, 240))
    assert cache.load_or_render(wanted)
    assert cache.load_cached(wanted) is None


def test_the_cache_folder_of_earlier_versions_is_deleted(video: Video, library: Library) -> None:
    (library.cache_path / "stills").mkdir(parents=True)
    (library.cache_path / "stills" / "old.jpg").write_bytes(b"old")
    ThumbnailCache(library).load_or_render(build_thumbnail_request(video, 1.0, 320))
    assert [path.name for path in library.cache_path.iterdir()] == ["thumbnails"]
