"""Memory limits of this process, checked before a model is loaded.

Native libraries abort or crash where memory is limited, so that the limit must be checked first.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from vsearch.errors import ModelError

GIGABYTE = 1_000_000_000
# bytes of address space that suffice for a command, measured with a short video, and a margin
NEEDED_BY_COMMANDS = 300_000_000  # one that loads no model
NEEDED_BY_SEARCH = 1_200_000_000  # by text, also of the server
NEEDED_BY_INDEXING = 2_200_000_000  # with the embedded model, on each of its runtimes
# below this, a failed allocation is due to the limit rather than to an absurd request
EXHAUSTED_BELOW = 256_000_000
# per further processor: the stack and the malloc arena of a thread that computes and one that
# decodes, in glibc
THREAD_BYTES = 2 * 72 * 1024**2
MEASURED_PROCESSORS = 2  # of the machine on which the needs were measured
MAX_COUNTED_PROCESSORS = 16
# of SQLite and ONNX Runtime
_NATIVE_ERROR_NAMES = frozenset(("OperationalError", "Fail", "RuntimeException"))
_CGROUP_ROOT = Path("/sys/fs/cgroup")
_MEMORY_ERROR_RE = re.compile(
    r"bad_alloc|can't start new thread|failed to map segment|cannot allocate memory|out of memory"
    r"|failed to allocate|unable to allocate|not enough memory|insufficient memory"
    r"|unable to mmap|cannot start new thread",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Memory that a model needs, measured on a machine with two processors."""

    purpose: str  # subject of the error message, e.g. "the embedded model"
    address_space: int  # bytes, in addition to a command that loads no model
    resident: int  # bytes of the whole process that cannot be paged out
    recommended: int = 0  # bytes that suffice for the whole command, on every runtime


FAISS_NEED = MemoryNeed("the vector index (FAISS)", 450_000_000, 50_000_000, NEEDED_BY_SEARCH)
SERVER_NEED = MemoryNeed("the server", 350_000_000, 50_000_000, NEEDED_BY_SEARCH)  # its threads
# what this process has loaded, or will: a second check of it must not add it once more
_counted_needs: set[MemoryNeed] = set()


def expect_memory(need: MemoryNeed) -> None:
    """Count memory that the command will need later in the next check.

    Args:
        need: The memory, which is not checked by itself any more.
    """
    _counted_needs.add(need)


def check_memory(need: MemoryNeed) -> None:
    """Check the memory limits of this process: `ulimit -v` and the cgroup of a container.

    Args:
        need: Memory that the model needs. It is checked once.

    Raises:
        ModelError: If a limit is too low. The message states both figures; the first one does not
            depend on the limit.
    """
    if need in _counted_needs:
        return
    limit_bytes, used_bytes = read_address_space_limit(), read_address_space()
    counted_bytes = NEEDED_BY_COMMANDS + sum(counted.address_space for counted in _counted_needs)
    needed_bytes = max(counted_bytes, used_bytes) + need.address_space + _thread_bytes()
    if limit_bytes is not None and needed_bytes > limit_bytes:
        stated_bytes = max(needed_bytes, need.recommended + _thread_bytes())
        raise ModelError(
            f"{need.purpose} needs about {_format_size(stated_bytes)} of memory, but this process "
            f"is limited to {_format_size(limit_bytes)}: raise the limit, e.g. with "
            "`ulimit -v unlimited`"
        )
    group_limit = _read_group_limit()
    if group_limit is not None and need.resident > group_limit:
        raise ModelError(
            f"{need.purpose} needs about {_format_size(need.resident)} of memory, but this "
            f"container is limited to {_format_size(group_limit)}: raise its memory limit"
        )
    _counted_needs.add(need)


def _thread_bytes() -> int:
    """Return the address space of the threads on more processors than needs were measured on."""
    extra_processors = min(_count_processors(), MAX_COUNTED_PROCESSORS) - MEASURED_PROCESSORS
    return max(0, extra_processors) * THREAD_BYTES


def is_memory_error(error: BaseException) -> bool:
    """Return True if an exception, or one that caused it, reports a lack of memory.

    Args:
        error: The exception, of any library.
    """
    seen_errors: set[int] = set()
    current_error: BaseException | None = error
    while current_error is not None and id(current_error) not in seen_errors:
        seen_errors.add(id(current_error))
        if isinstance(current_error, MemoryError):
            return True
        if isinstance(current_error, OSError) and current_error.errno == errno.ENOMEM:
            return True
        is_candidate = isinstance(current_error, ImportError | RuntimeError | OSError) or (
            type(current_error).__name__ in _NATIVE_ERROR_NAMES
        )
        if is_candidate and _MEMORY_ERROR_RE.search(str(current_error)):
            return True
        current_error = current_error.__cause__ or current_error.__context__
    return False


def is_exhausted(error: BaseException) -> bool:
    """Return True if an exception is due to the limit of this process's address space.

    Args:
        error: The exception, of any library.
    """
    limit_bytes = read_address_space_limit()
    if limit_bytes is None or not is_memory_error(error):
        return False
    return limit_bytes - read_address_space() < EXHAUSTED_BELOW


def describe_exhaustion() -> str:
    """Return the message for a lack of memory that was not foreseen."""
    limit_bytes = read_address_space_limit()
    if limit_bytes is None:
        return "not enough memory: close other programs, or use a machine with more memory"
    search_bytes, indexing_bytes = (
        command_bytes + _thread_bytes() for command_bytes in (NEEDED_BY_SEARCH, NEEDED_BY_INDEXING)
    )
    return (
        f"not enough memory: this process is limited to {_format_size(limit_bytes)}, but a command "
        f"without a model needs about {_format_size(NEEDED_BY_COMMANDS)}, searching "
        f"{_format_size(search_bytes)}, indexing {_format_size(indexing_bytes)}: raise the limit, "
        "e.g. with `ulimit -v unlimited`"
    )


def read_address_space_limit() -> int | None:
    """Return the limit of this process's address space in bytes; None if it is unlimited."""
    if sys.platform == "win32":
        return None
    import resource  # not on Windows

    soft_limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft_limit == resource.RLIM_INFINITY else soft_limit


def read_address_space() -> int:
    """Return the size of this process's address space in bytes; 0 if it is unknown."""
    try:
        page_count = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):  # not on Linux
        return 0
    return page_count * os.sysconf("SC_PAGE_SIZE")


def _read_group_limit() -> int | None:
    """Return the memory limit of this process's cgroup, the lowest of its parents, in bytes."""
    try:
        group_lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):  # not on Linux
        return None
    limits = []
    for group_line in group_lines:
        _, controllers, group_path = [*group_line.split(":", 2), "", "", ""][:3]
        if controllers == "":
            base_folder, file_name = _CGROUP_ROOT, "memory.max"
        elif "memory" in controllers.split(","):
            base_folder, file_name = _CGROUP_ROOT / "memory", "memory.limit_in_bytes"
        else:
            continue
        folder = base_folder / group_path.lstrip("/")
        for group_folder in (folder, *folder.parents):
            if group_folder.is_relative_to(base_folder):
                limits += _read_limit_file(group_folder / file_name)
    return min(limits, default=None)


def _read_limit_file(limit_path: Path) -> list[int]:
    """Return the number in a file as a list; empty if there is no limit."""
    try:
        return [int(limit_path.read_text("ascii"))]
    except (OSError, ValueError):  # no such cgroup here, or `max`
        return []


def _count_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _format_size(byte_count: int) -> str:
    return f"{byte_count / GIGABYTE:.2f} GB"
