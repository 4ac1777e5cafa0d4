"""`vsearch index`: which files are indexed, and what `--dry-run` says about them."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.video_factory import GREEN, ColorScene, make_video
from vsearch.config import resolve_library_path

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")


def states(vsearch: CommandRunner, *arguments: object, exit_code: int = 0) -> dict[str, str]:
    """Return the state of each file name, as `--dry-run` prints it."""
    output = vsearch("index", *arguments, "--dry-run", exit_code=exit_code).stdout
    return {
        line.split()[1].rpartition("/")[2]: line.split()[0] for line in output.splitlines() if line
    }


def test_a_dry_run_lists_every_file_and_changes_nothing(
    run_vsearch: CommandRunner, tmp_path: Path
) -> None:
    films = tmp_path / "films"
    (films / "raw").mkdir(parents=True)
    make_video(films / "a.mp4", [ColorScene(GREEN, 1)])
    shutil.copy(films / "a.mp4", films / "raw" / "b.mp4")
    assert states(run_vsearch, "films") == {"a.mp4": "new", "b.mp4": "new"}
    assert not resolve_library_path().exists()
    run_vsearch("index", "films", "--exclude", "raw/")
    before = sorted(resolve_library_path().rglob("*"))
    assert states(run_vsearch, "films") == {"a.mp4": "unchanged", "b.mp4": "duplicate"}
    assert states(run_vsearch, "films", "--exclude", "raw/") == {
        "a.mp4": "unchanged", "raw": "skipped",
    }  # fmt: skip
    make_video(films / "a.mp4", [ColorScene(GREEN, 2)])
    assert states(run_vsearch, films / "a.mp4") == {"a.mp4": "changed"}
    (films / "a.mp4").unlink()
    assert states(run_vsearch, "films") == {"b.mp4": "moved"}
    assert sorted(resolve_library_path().rglob("*")) == before
    assert states(run_vsearch, "nowhere", exit_code=1) == {}


def test_what_is_left_out_is_counted(run_vsearch: CommandRunner, tmp_path: Path) -> None:
    for name in ("films/a.mp4", "films/.hidden/b.mp4", "films/proxies/c.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        make_video(tmp_path / name, [ColorScene(GREEN, 1)])
    result = run_vsearch("index", "films", "--exclude", "proxies")
    assert "1 indexed" in result.stdout
    assert "1 path left out; --dry-run" in result.stderr


def test_watch_leaves_the_same_out(run_vsearch: CommandRunner, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    make_video(tmp_path / "films" / "a.mp4", [ColorScene(GREEN, 1)])
    make_video(tmp_path / "films" / "b.mp4", [ColorScene(GREEN, 2)])
    for path in (tmp_path / "films").iterdir():
        os.utime(path, (0, path.stat().st_mtime - 60))  # complete
    run_vsearch("watch", "films", "--once", "--exclude", "b.*")
    assert states(run_vsearch, "films") == {"a.mp4": "unchanged", "b.mp4": "new"}
