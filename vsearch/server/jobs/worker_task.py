"""Child side of a worker process: reads a task from stdin and emits JSON events on stdout.

The first line of stdin is the request. Stdin then stays open; its end means that the parent has
exited, and the worker exits too. SIGTERM also ends it.
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
from vsearch.export.excerpts import to_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    EmitEvent: TypeAlias = Callable[[Mapping[str, Any]], None]

NICE_LEVEL = 5  # the server has priority
ORPHAN_TIMEOUT_SECONDS = 10.0  # to exit after the parent has exited
MAX_TEXT_CHARS = 1_000  # of a text in an event
EXIT_TERMINATED = 143  # exit code of shells for SIGTERM


def run_task(perform_task: Callable[[Mapping[str, Any], EmitEvent], None]) -> NoReturn:
    """Run the task read from stdin, emit its events and final state on stdout, and exit.

    Args:
        perform_task: Called with the request and a function that emits an event.
    """
    emit_event = _open_event_channel()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the server
    signal.signal(signal.SIGTERM, _handle_sigterm)
    if hasattr(os, "nice"):
        os.nice(NICE_LEVEL)
    task_request = json.loads(_read_request_line())
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    try:
        perform_task(task_request, emit_event)
    except VSearchError as error:
        emit_event({"event": "failed", "error": truncate_text(error)})
        sys.exit(1)
    except Exception as error:
        traceback.print_exc()
        error_text = f"unexpected {type(error).__name__}: {error}; please report this"
        emit_event({"event": "failed", "error": truncate_text(error_text)})
        sys.exit(1)
    emit_event({"event": "done"})
    sys.exit(0)


def truncate_text(value: object) -> str:
    """Return `value` as one line of bounded length that JSON can hold."""
    return to_one_line(str(value)[:MAX_TEXT_CHARS])[:MAX_TEXT_CHARS]


def _read_request_line() -> bytes:
    """Read the first line of stdin unbuffered, because a buffer lock would block the exit."""
    request_line = b""
    while not request_line.endswith(b"\n") and (chunk := os.read(0, 65_536)):
        request_line += chunk
    return request_line


def _open_event_channel() -> EmitEvent:
    """Return a function that writes events to stdout; other output goes to stderr."""
    event_stream = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)

    def emit_event(event: Mapping[str, Any]) -> None:
        event_stream.write(json.dumps(event) + "\n")
        event_stream.flush()

    return emit_event


def _handle_sigterm(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # ignore repeated signals
    raise SystemExit(EXIT_TERMINATED)


def _exit_with_parent() -> None:
    while os.read(0, 1):
        pass
    signal.raise_signal(signal.SIGTERM) if os.name == "nt" else os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_TIMEOUT_SECONDS)
    os._exit(EXIT_TERMINATED)
