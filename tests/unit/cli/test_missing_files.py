"""Videos that were moved, deleted or are on a drive that is not connected."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vsearch import Library
from vsearch.config import resolve_library_path

if TYPE_CHECKING:
    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def vsearch(run_vsearch: CommandRunner, videos_folder: Path) -> CommandRunner:
    """Run commands on a library of `videos_folder`."""
    run_vsearch("index", videos_folder)
    return run_vsearch


def test_a_deleted_video_is_missing_in_every_table(
    vsearch: CommandRunner, videos_folder: Path
) -> None:
    (videos_folder / "green.mp4").unlink()
    assert "green.mp4 (missing)" in vsearch("list").stdout
    assert "red then blue.mp4 (" not in vsearch("list").stdout
    assert "green.mp4 (missing)" in vsearch("search", "green").stdout
    assert "1 missing" in vsearch("info").stdout
    listed = json.loads(vsearch("list", "--json").stdout)["videos"]
    assert {Path(video["path"]).name: video["file_status"] for video in listed} == {
        "green.mp4": "missing",
        "red then blue.mp4": "available",
    }
    found = json.loads(vsearch("search", "green", "--json").stdout)["results"]
    assert found[0]["file_status"] == "missing"
    counts = json.loads(vsearch("info", "--json").stdout)
    assert (counts["missing_count"], counts["offline_count"]) == (1, 0)


def test_videos_of_a_drive_that_is_gone_are_offline(
    vsearch: CommandRunner, videos_folder: Path
) -> None:
    videos_folder.rename(videos_folder.with_name("unplugged"))
    assert vsearch("list").stdout.count("(offline)") == 2
    [problem] = vsearch("doctor", exit_code=1).stdout.splitlines()
    assert "2 videos are offline" in problem
    assert "vsearch index NEWPLACE" in problem
    assert "remove" not in problem
    done = vsearch("remove", "--missing", "--yes")
    assert done.stdout == "0 videos removed\n"
    assert "2 videos kept" in done.stderr
    done = vsearch("remove", "--missing", "--yes", videos_folder)
    assert done.stdout == "2 videos removed\n"


def test_doctor_names_the_new_place_before_removal(
    vsearch: CommandRunner, videos_folder: Path
) -> None:
    (videos_folder / "green.mp4").unlink()
    [problem] = vsearch("doctor", exit_code=1).stdout.splitlines()
    assert problem.index("vsearch index NEWPLACE") < problem.index("vsearch remove --missing")


def test_removing_missing_videos_needs_a_confirmation(
    vsearch: CommandRunner, videos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (videos_folder / "green.mp4").unlink()
    refused = vsearch("remove", "--missing", exit_code=2)
    assert "--yes" in refused.stderr
    for answer, exit_code, output in (("n\n", 1, ""), ("y\n", 0, "1 video removed\n")):
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("click.confirm", lambda *_, answer=answer, **__: answer.startswith("y"))
        assert vsearch("remove", "--missing", exit_code=exit_code).stdout == output
    assert vsearch("remove", "--missing").stdout == "0 videos removed\n"


def test_indexing_the_new_place_keeps_tags_and_marks(
    vsearch: CommandRunner, videos_folder: Path
) -> None:
    vsearch("tags", videos_folder / "green.mp4", "--add", "grass")
    vsearch("search", "green")
    vsearch("mark", "1", "up")
    new_folder = videos_folder.with_name("moved")
    videos_folder.rename(new_folder)
    assert vsearch("index", new_folder).stdout == "2 moved\n"
    assert "(offline)" not in vsearch("list").stdout
    assert "grass" in vsearch("tags", new_folder / "green.mp4").stdout
    with Library.open(resolve_library_path(), create=False) as library:
        [label] = library.feedback.list()
        [video] = library.videos([new_folder / "green.mp4"])
        assert label.video_id == video.id


def test_an_export_says_that_a_video_is_offline(
    vsearch: CommandRunner, videos_folder: Path
) -> None:
    videos_folder.rename(videos_folder.with_name("unplugged"))
    failed = vsearch("export", "green", "--csv", "out.csv", "--json", exit_code=1)
    assert "the file is offline" in json.loads(failed.stdout)["failed"][0]["error"]


def test_a_duplicate_stands_for_its_video_until_it_is_removed(
    vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes((videos_folder / "green.mp4").read_bytes())
    assert "duplicate" in vsearch("index", copy).stderr
    assert "green.mp4" in vsearch("list", copy).stdout
    vsearch("tags", copy, "--add", "grass")
    assert "grass" in vsearch("tags", videos_folder / "green.mp4").stdout
    found = json.loads(vsearch("search", "x", "--video", copy, "--json").stdout)["results"]
    assert {Path(result["video"]).name for result in found} == {"green.mp4"}
    assert f"also at  {copy.name}: " in vsearch("list").stdout.replace(f"{tmp_path}/", "")
    assert vsearch("remove", copy).stdout == "1 duplicate file removed\n"
    assert len(vsearch("list").stdout.splitlines()) == 3


@pytest.mark.parametrize("words", [("list", "nothere"), ("remove", "nothere")])
def test_a_path_that_matches_no_video_exits_with_1(
    vsearch: CommandRunner, words: tuple[str, ...]
) -> None:
    assert "No video matches" in vsearch(*words, exit_code=1).stderr


def test_urls_are_refused_by_name(vsearch: CommandRunner) -> None:
    done = vsearch("index", "ftp://example.org/a.mp4", exit_code=1)
    assert "ftp://example.org/a.mp4: is a URL" in done.stderr
    assert "download the file first" in done.stderr


def test_files_among_the_words_of_a_query_are_refused(
    vsearch: CommandRunner, videos_folder: Path
) -> None:
    names = sorted(str(path) for path in videos_folder.iterdir())
    done = vsearch("search", "x", "--video", *names, exit_code=2)
    assert f"{names[1]} is an existing file" in done.stderr
    assert "quote" in done.stderr
    assert "(and 1 more) is an existing file" in vsearch("search", *names[:2], exit_code=2).stderr
    done = vsearch("export", "x", names[0], "--csv", "out.csv", exit_code=2)
    assert "is an existing file" in done.stderr
    assert "is an existing file" in vsearch("save", "name", "x", names[0], exit_code=2).stderr


def test_a_word_that_is_also_a_file_remains_a_word(vsearch: CommandRunner) -> None:
    Path("green").touch()
    Path("a").mkdir()
    assert vsearch("search", "a", "green").stdout
    assert vsearch("search", "green").stdout
