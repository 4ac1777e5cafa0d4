"""How things look in a terminal, and as JSON."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from vsearch.types import Moment, Quote, Span

_VERBS = {"speech": "said", "subtitles": "said", "screen": "shown"}


def clock(seconds: float) -> str:
    """A point in time as h:mm:ss, rounded down as players show it."""
    whole = int(max(0.0, seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def length(seconds: float) -> str:
    """A length of time as h:mm:ss, rounded up: what lasts at all does not last 0:00:00."""
    return clock(math.ceil(seconds))


def period(span: Span) -> str:
    """From when to when; the whole seconds that hold it."""
    return f"{clock(span.start)} – {length(span.end)}"


def size(count: float) -> str:
    """Bytes for people, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def plural(count: int, noun: str) -> str:
    """`1 video`, `2 videos`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def printable(text: str) -> str:
    """Text with everything escaped that could steer a terminal or cannot be written to one."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in text
    )


def short(path: Path) -> str:
    """A path as one would type it here: relative if it lies below this folder, `~` for home."""
    for base, sign in ((Path.cwd(), ""), (Path.home(), f"~{os.sep}")):
        if path.is_relative_to(base):
            return printable(f"{sign}{path.relative_to(base)}")
    return printable(str(path))


def elided(text: str, columns: int) -> str:
    """The end of a text that is too wide, after an ellipsis: of a path the name matters most."""
    from rich.cells import cell_len  # deferred: wide characters are two columns

    if cell_len(text) <= columns:
        return text
    while text and cell_len(text) >= columns:
        text = text[1:]
    return f"…{text}"


def clipped(text: str, columns: int) -> str:
    """The beginning of a text that is too wide, before an ellipsis: of words that is read first."""
    from rich.cells import cell_len  # deferred: wide characters are two columns

    if cell_len(text) <= columns:
        return text
    text = text[:columns]
    while text and cell_len(text) >= columns:
        text = text[:-1]
    return f"{text.rstrip()}…"


def table(
    rows: Sequence[Sequence[str]],
    right: str = "",
    shrink: int | None = None,
    fit: Callable[[str, int], str] = elided,
    notes: Mapping[int, Sequence[str]] = MappingProxyType({}),
    dim: Container[int] = (),
    err: bool = False,
) -> None:
    """Print rows aligned, the first one as heading; columns marked `r` in `right` lean right.

    On a terminal, column `shrink` is made to `fit` where the table would be wider than the window.
    `notes` are lines below a row, by its place; `dim` the places of rows that count less. With
    `err` it goes to stderr.
    """
    from rich.cells import cell_len  # deferred: wide characters are two columns

    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))]
    tty = (sys.stderr if err else sys.stdout).isatty()
    window = shutil.get_terminal_size().columns if tty else None
    if shrink is not None and window is not None:
        room = window - sum(widths) - 2 * (len(widths) - 1) + widths[shrink]
        widths[shrink] = min(widths[shrink], max(room, 16))
        rows = [
            [fit(cell, widths[i]) if i == shrink else cell for i, cell in enumerate(row)]
            for row in rows
        ]
    for number, row in enumerate(rows):
        cells = []
        for i, cell in enumerate(row):
            gap = " " * (widths[i] - cell_len(cell))
            cells.append(gap + cell if right[i : i + 1] == "r" else cell + gap)
        line = "  ".join(cells).rstrip()
        faint = number == 0 or number in dim
        click.echo(click.style(line, dim=True) if faint else line, err=err)
        indent = " " * (widths[0] + 2)
        for note in notes.get(number, ()):
            seen = note if window is None else clipped(note, max(window - len(indent), 16))
            click.echo(click.style(f"{indent}{seen}", dim=True), err=err)


def moments(found: Sequence[Moment]) -> None:
    """Print search results as a table."""
    rows: list[Sequence[str]] = [("#", "moment", "score", "sure", "best at", "video")]
    for rank, moment in enumerate(found, 1):
        rows.append(
            (
                str(rank),
                period(moment.span),
                f"{moment.score:.3f}",
                sure(moment),
                "copy" if moment.why.copy else clock(moment.why.peak),
                short(moment.video.path),
            )
        )
    if all(moment.confidence is None for moment in found):
        rows = [[*row[:3], *row[4:]] for row in rows]
    notes = {rank: _notes(moment) for rank, moment in enumerate(found, 1)}
    weak = {rank for rank, moment in enumerate(found, 1) if moment.weak}
    lean = "r." + "r" * (len(rows[0]) - 3)
    table(rows, right=lean, shrink=len(rows[0]) - 1, notes=notes, dim=weak)


def percent(confidence: float) -> str:
    """`12 %`; a weak one is never rounded up to what is not weak."""
    from vsearch.types import WEAK  # deferred: --help needs no numpy

    most = WEAK - 0.01 if confidence < WEAK else 1.0
    return f"{100 * min(confidence, most):.0f} %"


def sure(moment: Moment) -> str:
    """How sure it is that this is what was asked."""
    if moment.confidence is None:
        return "–"
    return f"weak {percent(moment.confidence)}" if moment.weak else percent(moment.confidence)


def told(quote: Quote) -> str:
    """Words of a video as a result tells them, on one line."""
    return f"{_VERBS[quote.source]} at {clock(quote.span.start)}: “{printable(quote.text)}”"


def _notes(moment: Moment) -> list[str]:
    """What there is to say of a moment beside its place: its words, its steps, its like."""
    why = moment.why
    notes = [told(quote) for quote in why.quotes[:1]]
    if why.steps:
        notes.append(f"steps at {', '.join(clock(step.start) for step in why.steps)}")
    if why.alike:
        notes.append(f"and {why.alike} more like it: --alike shows all")
    return notes


def print_json(value: Any) -> None:
    """Print an object for another program; ASCII only, so any file name survives."""
    click.echo(json.dumps(value, indent=2))
