"""What a child process of the server does, told to its parent as JSON, a line each.

What is asked is the first line of stdin, which then stays open: where it ends, the parent is gone,
and so goes the child. SIGTERM ends it, too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from vsearch.errors import VSearchError
from vsearch.export.excerpts import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Tell: TypeAlias = Callable[[Mapping[str, Any]], None]

NICE = 5  # how much the server goes first
GRACE = 10.0  # seconds to end in once the parent is gone
LONGEST = 1_000  # characters of a text that is told
STOPPED = 143  # the exit code, as a shell has it for SIGTERM


def run(work: Callable[[Mapping[str, Any], Tell], None]) -> NoReturn:
    """Do what is asked on stdin, tell of it and of its end on stdout, and exit."""
    tell = _teller()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is for the server
    signal.signal(signal.SIGTERM, _stop)
    if hasattr(os, "nice"):
        os.nice(NICE)
    asked = json.loads(_line())
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        work(asked, tell)
    except VSearchError as error:
        tell({"told": "failed", "error": text(error)})
        sys.exit(1)
    except Exception as error:
        traceback.print_exc()
        reason = f"unexpected {type(error).__name__}: {error}; please report this"
        tell({"told": "failed", "error": text(reason)})
        sys.exit(1)
    tell({"told": "done"})
    sys.exit(0)


def text(what: object) -> str:
    """Text of a bounded length that any JSON holds, whatever bytes a name has."""
    return one_line(str(what)[:LONGEST])[:LONGEST]


def _line() -> bytes:
    """The one line of stdin, read without a buffer that threads would wait for at the end."""
    line = b""
    while not line.endswith(b"\n") and (more := os.read(0, 65_536)):
        line += more
    return line


def _teller() -> Tell:
    """Writes to what is stdout now; what decoders print from now on goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)

    def tell(what: Mapping[str, Any]) -> None:
        out.write(json.dumps(what) + "\n")
        out.flush()

    return tell


def _stop(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise SystemExit(STOPPED)


def _leave_with_parent() -> None:
    while os.read(0, 1):
        pass
    signal.raise_signal(signal.SIGTERM) if os.name == "nt" else os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(STOPPED)
