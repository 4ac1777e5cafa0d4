from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vsearch.catalog.lock import WriteLock, read_holder
from vsearch.errors import LibraryError, LockedError

ROOT = Path(__file__).resolve().parents[3]
HOLD = """
import sys
from pathlib import Path
from vsearch.catalog.lock import WriteLock
lock = WriteLock(Path(sys.argv[1]), command="vsearch index /videos")
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_lock_names_its_holder(tmp_path: Path) -> None:
    with (
        WriteLock(tmp_path, command="vsearch index /videos"),
        pytest.raises(LockedError, match="'vsearch index /videos'") as caught,
    ):
        WriteLock(tmp_path).acquire()
    assert f"process {os.getpid()} on " in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_the_lock_is_free_after_its_holder_is_done(tmp_path: Path) -> None:
    for _ in range(2):
        with WriteLock(tmp_path):
            assert read_holder(tmp_path) is not None
    assert read_holder(tmp_path) is None


def test_a_lock_cannot_be_taken_twice(tmp_path: Path) -> None:
    lock = WriteLock(tmp_path)
    with lock, pytest.raises(LockedError):
        lock.acquire()
    with lock:
        pass
    lock.release()  # one time too many does no harm


def test_a_killed_holder_leaves_the_lock_free(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=f"'vsearch index /videos' .process {process.pid} on"):
            WriteLock(tmp_path).acquire()
        process.kill()
    with WriteLock(tmp_path):
        holder = read_holder(tmp_path)
        assert holder is not None
        assert holder.pid == os.getpid()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pid": "x"}', "\x00", "nul"])
def test_an_unreadable_name_is_no_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "writer.json").write_text(text)
    assert read_holder(tmp_path) is None


def test_a_folder_that_cannot_be_locked_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LibraryError, match="cannot be locked"):
        WriteLock(tmp_path / "file").acquire()


def test_a_module_that_is_run_is_called_by_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/site-packages/vsearch/__main__.py", "model", "use", "x"])
    with WriteLock(tmp_path):
        holder = read_holder(tmp_path)
    assert holder is not None
    assert holder.command == "vsearch model use x"


def test_a_lock_says_whether_it_is_held_without_leaving_a_trace(tmp_path: Path) -> None:
    assert not WriteLock(tmp_path).is_held()
    with WriteLock(tmp_path, command="vsearch index"):
        assert WriteLock(tmp_path).is_held()
        assert str(read_holder(tmp_path)).startswith("'vsearch index'")
    assert not WriteLock(tmp_path).is_held()
    assert not WriteLock(tmp_path / "nowhere" / "at all").is_held()
