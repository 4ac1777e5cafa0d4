"""Stills and previews that are kept."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from PIL import Image

from synth import BLUE, RED, Scene, make_video
from vsearch.types import Video
from vsearch.web import stills as kept
from vsearch.web.problems import Problem
from vsearch.web.stills import Stills, snapped, wanted_preview, wanted_still

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.library import Library


def a_video(path: Path, fingerprint: str = "f") -> Video:
    """As the catalogue would tell of a file of four seconds."""
    size, modified = (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else (1, 1)
    return Video(1, path, fingerprint, size, modified, 4.0, 10.0, 320, 240, "h264", 4)


@pytest.fixture
def video(tmp_path: Path) -> Video:
    scenes = [Scene(RED, 2), Scene(BLUE, 2)]
    return a_video(make_video(tmp_path / "a.mp4", scenes, size=(320, 240)))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return cast("Library", SimpleNamespace(path=tmp_path / "library"))


def opened(content: bytes) -> Any:
    return Image.open(io.BytesIO(content))


def test_a_still_shows_the_frame_of_its_time(video: Video, library: Library) -> None:
    stills = Stills(library)
    red = opened(stills.made(wanted_still(video, 1.0, 320)))
    blue = opened(stills.made(wanted_still(video, 3.0, 320)))
    assert (red.format, red.size) == ("JPEG", (320, 240))
    assert red.getpixel((310, 150))[0] > 150 > 100 > red.getpixel((310, 150))[2]
    assert blue.getpixel((310, 150))[2] > 150 > 100 > blue.getpixel((310, 150))[0]
    moving = opened(stills.made(wanted_preview(video, 1.0, 3.0, 160)))
    assert (moving.format, moving.size) == ("WEBP", (120, 90))
    assert moving.n_frames > 5


def test_a_picture_is_made_once(
    video: Video, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = wanted_still(video, 1.0, 320)
    assert Stills(library).kept(wanted) is None
    content = Stills(library).made(wanted)
    video.path.unlink()  # as when a disk is not there
    assert Stills(library).kept(wanted) == content
    assert Stills(library).made(wanted) == content


def test_names_tell_pictures_apart(video: Video) -> None:
    same = [wanted_still(video, time, width) for time, width in [(1.0, 320), (1.0004, 200)]]
    assert len({one.key for one in same}) == 1
    other = [
        wanted_still(video, 1.001, 320),
        wanted_still(video, 1.0, 321),
        wanted_still(a_video(video.path, "g"), 1.0, 320),
        wanted_preview(video, 1.0, 1.0, 320),
        wanted_preview(video, 1.0, 2.0, 320),
    ]
    assert len({one.key for one in [*same, *other]}) == 6
    assert all(one.name.partition(".")[0].isalnum() for one in other)


def test_times_and_widths_are_brought_into_bounds(video: Video) -> None:
    assert wanted_still(video, -5.0, 1).span.start == 0
    assert wanted_still(video, 1e9, 1).span.start == 4
    assert wanted_preview(video, 3.0, 1e9, 1).span.end == 4
    assert [snapped(width) for width in (1, 160, 161, 5000)] == [160, 160, 320, 1280]


def test_the_oldest_go_when_there_are_too_many(video: Video, library: Library) -> None:
    stills = Stills(library, most_bytes=20_000)
    wanted = [wanted_still(video, number / 10, 320) for number in range(30)]
    for one in wanted:
        stills.made(one)
    files = list((library.path / "stills").iterdir())
    assert 10_000 < sum(file.stat().st_size for file in files) <= 20_000
    assert stills.kept(wanted[0]) is None
    assert stills.kept(wanted[-1])


def test_what_an_earlier_server_kept_counts(video: Video, library: Library) -> None:
    for number in range(10):
        Stills(library).made(wanted_still(video, number / 10, 320))
    (library.path / "stills" / "x.jpg.1-1.part").write_bytes(b"half")
    Stills(library, most_bytes=10_000).made(wanted_still(video, 3.0, 320))
    files = list((library.path / "stills").iterdir())
    assert sum(file.stat().st_size for file in files) <= 10_000
    assert all(file.suffix == ".jpg" for file in files)


def test_pictures_come_where_nothing_can_be_kept(video: Video, library: Library) -> None:
    library.path.write_text("a file where the folder should be")
    stills = Stills(library)
    for _ in range(2):
        assert opened(stills.made(wanted_still(video, 1.0, 320))).format == "JPEG"


def test_an_empty_file_is_no_picture(video: Video, library: Library) -> None:
    wanted = wanted_still(video, 1.0, 320)
    Stills(library).made(wanted)
    (library.path / "stills" / wanted.name).write_bytes(b"")
    assert Stills(library).kept(wanted) is None
    assert Stills(library).made(wanted)


def test_a_video_that_is_gone_is_told_by_name_only(tmp_path: Path, library: Library) -> None:
    for path in (tmp_path / "gone.mp4", tmp_path):
        with pytest.raises(Problem, match="index the folder") as caught:
            kept.present(a_video(path))
        assert (caught.value.status, caught.value.kind) == (404, "gone")
        assert str(tmp_path) not in caught.value.detail


@pytest.mark.skipif(sys.platform == "win32", reason="has no pipes among files")
def test_a_pipe_is_no_video(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(Problem):
        kept.present(a_video(tmp_path / "pipe.mp4"))


def test_a_file_that_has_changed_is_shown_and_not_kept_as_what_it_was(
    library: Library, video: Video
) -> None:
    stills, wanted = Stills(library), wanted_still(video, 1, 320)
    make_video(video.path, [Scene(BLUE, 3)], size=(320, 240))
    assert stills.made(wanted)
    assert stills.kept(wanted) is None
