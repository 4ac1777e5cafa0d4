"""Standard streams that are closed, full, or connected to a program that has ended."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

import click


def open_closed_streams() -> None:
    """Connect closed standard streams to the null device.

    Otherwise, the first file that is opened, for example the catalog, would become the standard
    output and receive what is printed.
    """
    for file_descriptor, stream_name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(file_descriptor)
        except OSError:
            # the lowest free descriptor is the closed one
            os.open(os.devnull, os.O_RDONLY if stream_name == "stdin" else os.O_WRONLY)
        if getattr(sys, stream_name) is None:
            stream_mode = "r" if stream_name == "stdin" else "w"
            null_stream = open(os.devnull, stream_mode, encoding="utf-8")  # noqa: SIM115, PTH123
            setattr(sys, stream_name, null_stream)


def finish_output(exit_code: int) -> int:
    """Flush the standard streams and return the exit code: 1 if the output cannot be written.

    A stream that cannot be written is connected to the null device, so that the interpreter does
    not report it again when it exits. A reader that has ended, as in `| head`, needs no message.

    Args:
        exit_code: Exit code of the command.
    """
    output_error = _flush_stream("stdout")
    if output_error is not None and output_error.errno != errno.EPIPE:
        reason = output_error.strerror or str(output_error)
        with suppress(OSError, ValueError):
            click.echo(f"vsearch: the output cannot be written ({reason})", err=True)
    _flush_stream("stderr")
    return exit_code if output_error is None else exit_code or 1


def _flush_stream(stream_name: str) -> OSError | None:
    """Flush a standard stream; if that fails, discard its content and return the error."""
    stream = getattr(sys, stream_name)
    try:
        stream.flush()
    except OSError as error:
        with suppress(OSError, ValueError):
            null_descriptor = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null_descriptor, stream.fileno())
            os.close(null_descriptor)
            stream.flush()
        return error
    except ValueError:  # closed by the command
        return None
    return None
