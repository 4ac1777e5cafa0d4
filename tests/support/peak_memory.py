"""Peak memory of a process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def measure_peak_memory() -> float:
    """Return the peak memory of this process in MB.

    Not by getrusage on Linux, where a new process starts with its parent's peak.
    """
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    status_lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    (status_line,) = (
        status_line for status_line in status_lines if status_line.startswith("VmHWM:")
    )
    return int(status_line.split()[1]) / 1024
