"""`vsearch relocate`: videos whose folder was moved keep everything."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.twin_videos import UNSAMPLED_FRAMES, write_video
from tests.support.video_factory import BLUE, ColorScene, make_video
from vsearch import Library
from vsearch.config import resolve_library_path

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner


@pytest.fixture
def moved(run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path) -> Path:
    """Index and tag a folder, and move it."""
    run_vsearch("index", videos_folder)
    run_vsearch("tags", "green.mp4", "--add", "wall")
    return videos_folder.rename(tmp_path / "new place")


def library_paths(tmp_path: Path) -> list[Path]:
    with Library.open(resolve_library_path()) as library:
        return [video.path for video in library.videos()]


@pytest.mark.usefixtures("fake_model")
def test_a_moved_folder_keeps_its_videos(
    run_vsearch: CommandRunner, moved: Path, videos_folder: Path, tmp_path: Path
) -> None:
    preview = run_vsearch("relocate", videos_folder, moved, "--dry-run")
    assert "2 of 2 videos would be relocated" in preview.stdout
    assert all(path.parent == videos_folder for path in library_paths(tmp_path))
    assert "2 of 2 videos relocated" in run_vsearch("relocate", videos_folder, moved).stdout
    assert all(path.parent == moved for path in library_paths(tmp_path))
    assert "wall" in run_vsearch("tags", "green.mp4").stdout
    assert "2 unchanged" in run_vsearch("index", moved).stdout


@pytest.mark.usefixtures("fake_model")
def test_other_files_are_not_taken_for_the_videos(
    run_vsearch: CommandRunner, moved: Path, videos_folder: Path, tmp_path: Path
) -> None:
    make_video(moved / "green.mp4", [ColorScene(BLUE, 3)])
    result = run_vsearch("relocate", videos_folder, moved, exit_code=1)
    assert "different" in result.stderr
    assert "1 of 2 videos relocated" in result.stdout
    result = run_vsearch("relocate", videos_folder, tmp_path / "nowhere", exit_code=1)
    assert "not found" in result.stderr
    assert (
        "no video of the library is there"
        in run_vsearch("relocate", tmp_path / "typo", moved, exit_code=1).stderr
    )


@pytest.mark.usefixtures("fake_model")
def test_a_path_of_another_video_is_not_taken(run_vsearch: CommandRunner, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    write_video(tmp_path / "a" / "x.y4m")
    write_video(tmp_path / "b" / "x.y4m", UNSAMPLED_FRAMES)
    run_vsearch("index", "a", "b")
    assert "taken" in run_vsearch("relocate", "a", "b", exit_code=1).stderr


@pytest.mark.usefixtures("fake_model")
def test_a_twin_that_differs_between_the_samples_is_noticed_when_it_is_indexed(
    run_vsearch: CommandRunner, tmp_path: Path
) -> None:
    """Relocation reads samples only; the modification time shows that they prove nothing."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    film = write_video(tmp_path / "a" / "x.y4m")
    run_vsearch("index", "a")
    twin = write_video(tmp_path / "b" / "x.y4m", UNSAMPLED_FRAMES)
    os.utime(twin, ns=(0, film.stat().st_mtime_ns + 10**12))
    film.unlink()
    run_vsearch("relocate", "a", "b")
    assert "1 updated" in run_vsearch("index", "b").stdout


@pytest.mark.usefixtures("fake_model")
def test_a_copy_on_another_disk_is_relocated(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    run_vsearch("index", videos_folder)
    shutil.copytree(videos_folder, tmp_path / "disk")
    run_vsearch("relocate", videos_folder / "green.mp4", tmp_path / "disk" / "green.mp4")
    assert {path.parent.name for path in library_paths(tmp_path)} == {"disk", videos_folder.name}
