"""Detection of how a terminal shows pictures."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

ImageProtocol: TypeAlias = Literal["kitty", "iterm", "sixel", "blocks"]
IMAGE_PROTOCOLS: tuple[ImageProtocol, ...] = get_args(ImageProtocol)
_DA1_TIMEOUT_SECONDS = 0.3  # to wait for a terminal that describes itself
_KITTY_TERMS = ("xterm-kitty", "xterm-ghostty")
_KITTY_PROGRAMS = ("kitty", "ghostty")
_ITERM_PROGRAMS = ("iTerm.app", "WezTerm", "mintty")


def detect_protocol(environ: Mapping[str, str]) -> ImageProtocol | None:
    """Return the best way to show pictures in this terminal.

    Args:
        environ: Environment variables.

    Returns:
        The protocol; None for a terminal without colors, or without pictures if NO_COLOR is set.
    """
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    if term == "dumb":
        return None
    is_multiplexed = bool(environ.get("TMUX")) or term.startswith(("screen", "tmux"))
    if not is_multiplexed:  # a multiplexer does not pass other protocols on
        if term in _KITTY_TERMS or program in _KITTY_PROGRAMS or environ.get("KITTY_WINDOW_ID"):
            return "kitty"
        if program in _ITERM_PROGRAMS or environ.get("LC_TERMINAL") == "iTerm2":
            return "iterm"
    if _has_sixel():
        return "sixel"
    return None if environ.get("NO_COLOR") else "blocks"


def _has_sixel() -> bool:
    """Return whether the terminal lists sixel graphics (4) among its primary attributes (DA1)."""
    return b"4" in _query_attributes().removeprefix(b"\x1b[?").removesuffix(b"c").split(b";")


def _query_attributes() -> bytes:
    """Return the terminal's answer to DA1; empty without a terminal, or if it does not answer."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return b""
    try:
        import termios
        import tty
    except ImportError:  # Windows
        return b""
    input_fd, answer = sys.stdin.fileno(), b""
    saved_attributes = termios.tcgetattr(input_fd)
    try:
        tty.setcbreak(input_fd)
        sys.stdout.write("\x1b[c")
        sys.stdout.flush()
        while not answer.endswith(b"c") and len(answer) < 256:
            if not select.select([input_fd], [], [], _DA1_TIMEOUT_SECONDS)[0]:
                return b""
            answer += os.read(input_fd, 64)
    except OSError:
        return b""
    finally:
        termios.tcsetattr(input_fd, termios.TCSADRAIN, saved_attributes)
    return answer[answer.find(b"\x1b[?") :] if b"\x1b[?" in answer else b""
