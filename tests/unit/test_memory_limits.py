"""Memory limits of the process and of its container."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vsearch import memory
from vsearch.encoders.runtime import MEMORY_NEEDS
from vsearch.errors import ModelError
from vsearch.memory import (
    FAISS_NEED,
    NEEDED_BY_INDEXING,
    MemoryNeed,
    check_memory,
    describe_exhaustion,
    expect_memory,
    is_memory_error,
)

NEED = MemoryNeed("the model X", address_space=1_000_000_000, resident=400_000_000)


@pytest.fixture(autouse=True)
def _nothing_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_counted_needs", set())


def limit_address_space(monkeypatch: pytest.MonkeyPatch, limit: int | None, used: int = 0) -> None:
    monkeypatch.setattr(memory, "read_address_space_limit", lambda: limit)
    monkeypatch.setattr(memory, "read_address_space", lambda: used)
    monkeypatch.setattr(memory, "_count_processors", lambda: 2)


def test_without_a_limit_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_address_space(monkeypatch, None)
    monkeypatch.setattr(memory, "_read_group_limit", lambda: None)
    check_memory(NEED)


def test_a_low_limit_names_what_is_needed_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_address_space(monkeypatch, 1_100_000_000, used=200_000_000)
    with pytest.raises(ModelError, match=r"model X needs about 1\.30 GB.*limited to 1\.10.*ulimit"):
        check_memory(NEED)
    limit_address_space(monkeypatch, 1_300_000_000, used=200_000_000)
    check_memory(NEED)


def test_the_stated_figure_does_not_depend_on_the_limit_and_suffices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for limit in (100_000_000, 1_000_000_000, 1_700_000_000):
        limit_address_space(monkeypatch, limit)
        memory._counted_needs.clear()
        expect_memory(FAISS_NEED)
        with pytest.raises(ModelError, match=r"model X needs about 1\.75 GB"):
            check_memory(NEED)
    limit_address_space(monkeypatch, 1_750_000_000, used=200_000_000)
    check_memory(NEED)
    limit_address_space(monkeypatch, 1_750_000_000, used=1_600_000_000)  # it was loaded
    check_memory(NEED)
    check_memory(FAISS_NEED)


def test_both_messages_state_the_same_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    for need in MEMORY_NEEDS.values():
        for limit in (150_000_000, 1_500_000_000):
            limit_address_space(monkeypatch, limit)
            memory._counted_needs.clear()
            expect_memory(FAISS_NEED)
            assert "indexing 2.20 GB" in describe_exhaustion()
            with pytest.raises(ModelError, match=r"needs about 2\.20 GB"):
                check_memory(need)
        limit_address_space(monkeypatch, NEEDED_BY_INDEXING)
        check_memory(need)
        check_memory(FAISS_NEED)


def test_more_processors_need_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_address_space(monkeypatch, 1_300_000_000)
    monkeypatch.setattr(memory, "_count_processors", lambda: 16)
    with pytest.raises(ModelError, match="limited to"):
        check_memory(NEED)


def test_the_limit_of_a_container_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_address_space(monkeypatch, None)
    monkeypatch.setattr(memory, "_read_group_limit", lambda: 300_000_000)
    with pytest.raises(ModelError, match=r"needs about 0\.40 GB.*container is limited to 0\.30 GB"):
        check_memory(NEED)


def test_the_lowest_limit_of_nested_cgroups_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    (inner.parent / "memory.max").write_text("123456\n")
    monkeypatch.setattr(memory, "_CGROUP_ROOT", tmp_path)
    ordinary_read = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda path, *args, **kwargs: (
            "0::/outer/inner\n"
            if str(path) == "/proc/self/cgroup"
            else ordinary_read(path, *args, **kwargs)
        ),
    )
    assert memory._read_group_limit() == 123_456


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libx.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        RuntimeError("mkl_malloc: failed to allocate memory"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_errors_for_lack_of_memory_are_recognized(error: Exception) -> None:
    assert is_memory_error(error)
    outer_error = ValueError("damaged")
    outer_error.__cause__ = error
    assert is_memory_error(outer_error)


@pytest.mark.parametrize(
    "error", [ValueError("out of memory"), OSError(errno.ENOENT, "no"), ImportError("no module")]
)
def test_other_errors_are_not(error: Exception) -> None:
    assert not is_memory_error(error)


LIMITED_CALL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
sys.argv = ["vsearch", *{words!r}]
from vsearch.cli.main import main
main()
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits are checked on Linux")
@pytest.mark.parametrize("kibibytes", [250_000, 450_000, 800_000])
def test_indexing_within_a_memory_limit_ends_in_one_line(
    kibibytes: int, videos_folder: Path, tmp_path: Path
) -> None:
    words = ["--library", str(tmp_path / "library"), "index", str(videos_folder)]
    code = LIMITED_CALL.format(limit=kibibytes * 1024, words=words)
    environment = {**os.environ, "VSEARCH_MODEL": "builtin"}
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=environment,
    )
    assert result.returncode == 1, result.stderr
    *notes, message = result.stderr.strip().splitlines()
    assert all(note.startswith("New library: ") for note in notes)
    assert "GB" in message
    assert "ulimit" in message
    assert "report" not in message
