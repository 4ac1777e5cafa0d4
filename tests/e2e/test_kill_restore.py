"""kill -9 during `vsearch backup` and `restore` leaves the old or the new file or library."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.filled_library import add_vectors, vectors_with_scores
from vsearch import Library
from vsearch.catalog.catalog import Catalog
from vsearch.storage.feature_store import FeatureStore

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 25
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be moved there"),
]


def fill(folder: Path, prefix: str, count: int) -> Path:
    folder.mkdir()
    with Catalog.open(folder / "catalog.sqlite3", create=True) as catalog:
        store = FeatureStore(folder / "features")
        for number in range(count):
            vectors = vectors_with_scores(*[0.5] * 50, seed=number)
            add_vectors(catalog, f"{prefix}{number}.mp4", vectors, store)
    return folder


def names(folder: Path) -> set[str]:
    with Library.open(folder, encoder=FakeEncoder(), create=False) as library:
        problems = [problem for problem in library.doctor() if "missing;" not in problem]
        assert not any("features" in problem for problem in problems), problems
        return {video.path.stem.rstrip("0123456789") for video in library.videos()}


def run_and_kill(command: list[str], seconds: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "vsearch", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def test_a_killed_restore_leaves_the_old_or_the_new_library(tmp_path: Path) -> None:
    library = fill(tmp_path / "library", "old", 30)
    with Library.open(fill(tmp_path / "other", "new", 30), encoder=FakeEncoder()) as other:
        other.backup(tmp_path / "backup-new")
    with Library.open(library, encoder=FakeEncoder()) as opened:
        opened.backup(tmp_path / "backup-old")
    command = ["--library", str(library), "restore", "--force", str(tmp_path / "backup-new")]
    start_time = time.monotonic()
    run_and_kill(command, 600)
    whole_seconds, rng = time.monotonic() - start_time, random.Random(0)
    assert names(library) == {"new"}
    outcomes = set()
    for _ in range(KILLS):
        Library.restore(tmp_path / "backup-old", library, force=True)
        run_and_kill(command, whole_seconds * rng.uniform(0.3, 1.0))
        found = names(library)
        assert found in ({"old"}, {"new"})
        outcomes |= found
    Library.restore(tmp_path / "backup-old", library, force=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "backup-new", "backup-old", "library", "other",
    ]  # fmt: skip


def test_a_killed_backup_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    library, backup = fill(tmp_path / "library", "old", 30), tmp_path / "backup"
    backup.write_bytes(b"old")
    command = ["--library", str(library), "backup", "--force", str(backup)]
    start_time = time.monotonic()
    run_and_kill(command, 600)
    whole_seconds, rng = time.monotonic() - start_time, random.Random(0)
    for _ in range(KILLS):
        backup.write_bytes(b"old")
        run_and_kill(command, whole_seconds * rng.uniform(0.3, 1.0))
        if backup.read_bytes() != b"old":
            Library.restore(backup, tmp_path / "restored", force=True)
            assert names(tmp_path / "restored") == {"old"}
    run_and_kill(command, 600)
    hidden = [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")]
    assert hidden == []
