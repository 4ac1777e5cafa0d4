"""Standard streams that are closed, full, or connected to a program that has ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="uses a shell")
REPOSITORY_FOLDER = Path(__file__).resolve().parents[3]


def run_shell(redirection: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `vsearch` with a redirection; the exit code of the command is that of the shell."""
    command = f'"$0" -m vsearch {" ".join(words)} {redirection}'
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}", sys.executable],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY_FOLDER,
    )


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize(("words", "exit_code"), [(("--help",), 0), (("list", "--nope"), 2)])
def test_closed_streams_are_quiet(redirection: str, words: tuple[str, ...], exit_code: int) -> None:
    result = run_shell(redirection, *words)
    assert result.returncode == exit_code
    assert "Traceback" not in result.stderr
    assert "Exception ignored" not in result.stderr


def test_a_closed_stdout_is_not_taken_by_another_file(tmp_path: Path) -> None:
    library = tmp_path / "library"
    result = run_shell(">&-", "--library", str(library), "list")
    assert result.returncode == 1
    [message] = result.stderr.splitlines()
    assert "there is no library" in message


def test_a_reader_that_has_ended_needs_no_message() -> None:
    result = run_shell("| true", "--help")
    assert (result.returncode, result.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_a_full_disk_is_reported_in_one_line() -> None:
    result = run_shell(">/dev/full", "--help")
    assert result.returncode == 1
    [message] = result.stderr.splitlines()
    assert message.startswith("vsearch: the output cannot be written (No space left")
    assert run_shell("2>/dev/full", "list", "--nope").returncode == 2


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_a_full_disk_is_reported_once_with_and_without_a_buffer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for unbuffered in ("1", ""):
        monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
        assert len(run_shell(">/dev/full", "--help").stderr.splitlines()) == 1
