"""`search --open N` and `vsearch open`: players, and paths that are hard to pass on."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.video_factory import GREEN, ColorScene, make_video
from vsearch.cli import player
from vsearch.errors import MediaError

if TYPE_CHECKING:
    from tests.support.processes import CommandRunner

pytestmark = [
    pytest.mark.usefixtures("fake_model"),
    pytest.mark.skipif(sys.platform == "win32", reason="programs are shell scripts"),
]
RECORDER = """#!{python}
import json, sys
from pathlib import Path
Path({target!r}).write_text(json.dumps(sys.argv))
sys.exit({status})
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder that is the whole search path."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(player, "FAILURE_SECONDS", 60.0)  # the programs of these tests end
    monkeypatch.setattr(player, "_OTHER_PLACES", {})
    monkeypatch.setattr(player, "OPENERS", ("xdg-open",))
    return folder


def install(programs: Path, name: str, status: int = 0) -> Path:
    """Install a program that records its arguments; return the file they are in."""
    target = programs / f"{name}.json"
    program = programs / name
    program.write_text(RECORDER.format(python=sys.executable, target=str(target), status=status))
    program.chmod(0o755)
    return target


def arguments(target: Path) -> list[str]:
    return list(json.loads(target.read_text())[1:])


@pytest.fixture
def indexed(run_vsearch: CommandRunner, videos_folder: Path) -> Path:
    run_vsearch("index", videos_folder)
    return videos_folder


def test_a_result_is_opened_at_its_time(
    run_vsearch: CommandRunner, indexed: Path, programs: Path
) -> None:
    called = install(programs, "mpv")
    result = run_vsearch("search", "blue", "--open", "1")
    start = json.loads(run_vsearch("search", "blue", "--json").stdout)["results"][0]["start"]
    assert start > 1
    path = str(indexed / "red then blue.mp4")
    assert arguments(called) == [f"--start={start:.3f}", "--", path]
    assert "with mpv" in result.stderr


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vlc", ["--start-time=4.500", "{path}"]),
        ("ffplay", ["-loglevel", "error", "-ss", "4.500", "-i", "{path}"]),
        ("xdg-open", ["{path}"]),
    ],
)
def test_each_program_gets_its_own_arguments(
    tmp_path: Path, programs: Path, name: str, expected: list[str]
) -> None:
    film = tmp_path / "film.mp4"
    film.touch()
    called = install(programs, name)
    assert player.open_video(film, 4.5) == name
    assert arguments(called) == [part.format(path=film) for part in expected]


def test_a_path_cannot_become_an_option_or_a_command(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    film = Path("--script=$(touch owned);.mp4")
    film.touch()
    called = install(programs, "vlc")
    player.open_video(film, 1.0)
    assert arguments(called)[-1] == os.path.join(tmp_path, film)  # noqa: PTH118
    assert not Path("owned").exists()


def test_a_photo_is_opened_by_the_desktop(tmp_path: Path, programs: Path) -> None:
    install(programs, "mpv")
    called = install(programs, "xdg-open")
    photo = tmp_path / "photo.jpg"
    photo.touch()
    assert player.open_video(photo, None) == "xdg-open"
    assert arguments(called) == [str(photo)]


def test_without_a_program_the_message_names_the_remedy(tmp_path: Path, programs: Path) -> None:
    film = tmp_path / "film.mp4"
    film.touch()
    with pytest.raises(MediaError, match=r"film\.mp4: no program was found.*install mpv"):
        player.open_video(film, 1.0)


def test_a_missing_file_is_named(tmp_path: Path, programs: Path) -> None:
    install(programs, "mpv")
    with pytest.raises(MediaError, match=r"gone\.mp4: is not on this machine"):
        player.open_video(tmp_path / "gone.mp4", 1.0)


def test_a_program_that_fails_is_reported(tmp_path: Path, programs: Path) -> None:
    install(programs, "mpv", status=3)
    film = tmp_path / "film.mp4"
    film.touch()
    with pytest.raises(MediaError, match=r"mpv could not open the file \(exit status 3\)"):
        player.open_video(film, 1.0)


def test_a_number_without_a_result_is_an_error(
    run_vsearch: CommandRunner, indexed: Path, programs: Path
) -> None:
    called = install(programs, "mpv")
    result = run_vsearch("search", "blue", "--open", "9", exit_code=2)
    assert "--open 9: there is no such result" in result.stderr
    assert not called.exists()


def test_results_of_the_last_search_are_opened_by_number(
    run_vsearch: CommandRunner, indexed: Path, programs: Path
) -> None:
    make_video(indexed / "more green.mp4", [ColorScene(GREEN, 3)])
    called = install(programs, "mpv")
    results = json.loads(run_vsearch("search", "blue", "--json").stdout)["results"]
    run_vsearch("open", "2")
    assert arguments(called)[-1] == results[1]["video"]
    run_vsearch("open")
    assert arguments(called)[-1] == results[0]["video"]
    assert "no such result" in run_vsearch("open", "99", exit_code=2).stderr
