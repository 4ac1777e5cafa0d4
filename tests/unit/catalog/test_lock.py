from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vsearch.catalog.lock import WriteLock, read_lock_holder
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


def test_the_error_names_the_lock_holder(tmp_path: Path) -> None:
    with (
        WriteLock(tmp_path, command="vsearch index /videos"),
        pytest.raises(LockedError, match="'vsearch index /videos'") as caught,
    ):
        WriteLock(tmp_path).acquire()
    assert f"process {os.getpid()} on " in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_released_lock_can_be_acquired(tmp_path: Path) -> None:
    for _ in range(2):
        with WriteLock(tmp_path):
            assert read_lock_holder(tmp_path) is not None
    assert read_lock_holder(tmp_path) is None


def test_a_lock_cannot_be_acquired_twice(tmp_path: Path) -> None:
    lock = WriteLock(tmp_path)
    with lock, pytest.raises(LockedError):
        lock.acquire()
    with lock:
        pass
    lock.release()  # releasing twice is harmless


def test_a_killed_holder_releases_the_lock(tmp_path: Path) -> None:
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
        holder = read_lock_holder(tmp_path)
        assert holder is not None
        assert holder.pid == os.getpid()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pid": "x"}', "\x00", "nul"])
def test_an_unreadable_holder_file_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "writer.json").write_text(text)
    assert read_lock_holder(tmp_path) is None


def test_a_folder_that_cannot_be_locked_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LibraryError, match="cannot be locked"):
        WriteLock(tmp_path / "file").acquire()


def test_a_module_run_with_m_is_named_after_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/site-packages/vsearch/__main__.py", "model", "use", "x"])
    with WriteLock(tmp_path):
        holder = read_lock_holder(tmp_path)
    assert holder is not None
    assert holder.command == "vsearch model use x"


def test_checking_whether_a_lock_is_held_leaves_no_trace(tmp_path: Path) -> None:
    assert not WriteLock(tmp_path).is_held()
    with WriteLock(tmp_path, command="vsearch index"):
        assert WriteLock(tmp_path).is_held()
        assert str(read_lock_holder(tmp_path)).startswith("'vsearch index'")
    assert not WriteLock(tmp_path).is_held()
    assert not WriteLock(tmp_path / "nowhere" / "at all").is_held()


def test_the_lock_of_an_index_job_names_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_path = ROOT / "vsearch" / "server" / "workers" / "index.py"
    monkeypatch.setattr(sys, "argv", [str(worker_path)])
    with WriteLock(tmp_path), pytest.raises(LockedError) as caught:
        WriteLock(tmp_path).acquire()
    message = str(caught.value)
    assert f"'vsearch serve' (process {os.getppid()} on " in message
    assert ", since 20" in message
    assert "stop it on its page; searching still works" in message


def test_the_remedy_depends_on_the_command(tmp_path: Path) -> None:
    for command, remedy in (
        ("vsearch --library x watch films", "stop it with Ctrl-C"),
        ("vsearch index films", "Wait until it has finished, or stop it"),
    ):
        with (
            WriteLock(tmp_path, command=command),
            pytest.raises(LockedError, match=remedy),
        ):
            WriteLock(tmp_path).acquire()
