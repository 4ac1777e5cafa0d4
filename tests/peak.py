"""How much memory a process takes."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak() -> float:
    """MB that this process has held at most.

    Not by getrusage on Linux: what it says of a new process begins with the peak of its parent.
    """
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    status = Path("/proc/self/status").read_text("utf-8").splitlines()
    (line,) = (line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
