"""Scenario: the disk is full, or files may not grow; nothing is lost, and it goes on afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.soak.harness import (
    Round,
    WrongAnswerError,
    check_same_answers,
    read_answers,
    run_command,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.soak.samples import Samples

_PAGE_BYTES = 4096
_MAX_SPARE_BYTES = 500_000  # indexing a film needs about 300 kB
_LIMITED_COMMAND = """
import resource, runpy, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
runpy.run_module("vsearch", run_name="__main__")
"""


def check_full_disk(round_: Round, samples: Samples) -> None:
    """Index a film where the space ends, then once more where it does not."""
    library_path = round_.folder / "disk" / "library"
    reference = samples.copy_library(round_.folder / "reference")
    run_command(reference, "index", samples.extra_film)
    after = read_answers(reference)
    library_bytes = sum(_count_disk_bytes(path) for path in samples.library.rglob("*"))
    spare_bytes = round_.rng.randrange(_MAX_SPARE_BYTES)
    (round_.folder / "disk").mkdir()
    with _mount_disk(
        round_.folder / "disk", library_bytes + _PAGE_BYTES + spare_bytes
    ) as is_mounted:
        samples.copy_library(library_path)
        if is_mounted:
            round_.counts["full disks"] += 1
            limited = run_command(library_path, "index", samples.extra_film)
            stderr, exit_code = limited.stderr, limited.exit_code
        else:
            round_.counts["files that may not grow"] += 1
            exit_code, stderr = _run_limited(library_path, samples.extra_film, spare_bytes)
        round_.counts["no space left" if exit_code else "space was enough"] += 1
        round_.expect(exit_code in (0, 1), f"exit code {exit_code}: {stderr}")
        round_.expect(exit_code == 0 or stderr.strip(), "fails without a message")
        try:
            check_same_answers(samples.answers, library_path, "a full disk")
        except WrongAnswerError:
            check_same_answers(after, library_path, "a full disk")
        if is_mounted:
            _resize_disk(round_.folder / "disk", 10 * library_bytes + 50_000_000)
        again = run_command(library_path, "index", samples.extra_film)
        round_.expect(again.exit_code == 0, f"with space again: {again.stderr}")
        check_same_answers(after, library_path, "a full disk with space again")


def _count_disk_bytes(path: Path) -> int:
    """Return the bytes of whole pages that a file or folder takes on a disk in memory."""
    return -(-path.stat().st_size // _PAGE_BYTES) * _PAGE_BYTES


def _run_limited(library_path: Path, film: Path, max_file_bytes: int) -> tuple[int, str]:
    """Index a film in a process whose files may not exceed a size."""
    largest = max(path.stat().st_size for path in library_path.rglob("*"))
    finished = subprocess.run(
        [sys.executable, "-c", _LIMITED_COMMAND, str(largest + max_file_bytes), "--library",
         str(library_path), "index", str(film)],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if "Traceback" in finished.stderr:
        raise WrongAnswerError(f"files that may not grow: {finished.stderr}")
    return finished.returncode, finished.stderr


@contextmanager
def _mount_disk(folder: Path, size_bytes: int) -> Iterator[bool]:
    """Mount a small disk in memory; yields False where that is not permitted."""
    is_mounted = sys.platform == "linux" and os.geteuid() == 0 and _mount(folder, size_bytes)
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def _mount(folder: Path, size_bytes: int) -> bool:
    arguments = ["-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0


def _resize_disk(folder: Path, size_bytes: int) -> None:
    options = f"remount,size={size_bytes}"
    subprocess.run(["mount", "-o", options, str(folder)], check=True, capture_output=True)
