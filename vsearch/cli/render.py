"""Formatting of times, paths and search results for the terminal, and JSON output."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from vsearch.types import Moment, Quote, Span, Video

MIN_SHRUNK_COLUMNS = 16  # a column is never truncated below this width
_SOURCE_VERBS = {"speech": "said", "subtitles": "said", "ocr": "shown"}


def format_time(seconds: float) -> str:
    """Return a point in time as h:mm:ss, rounded down as video players do."""
    whole_seconds = int(max(0.0, seconds) + 1e-6)  # as on the page
    return f"{whole_seconds // 3600}:{whole_seconds // 60 % 60:02}:{whole_seconds % 60:02}"


def format_duration(seconds: float) -> str:
    """Return a duration as h:mm:ss, rounded up so that nothing lasts 0:00:00."""
    return format_time(math.ceil(round(seconds, 3)))  # a sum of spans may exceed 30 s by an ulp


def format_span(span: Span) -> str:
    """Return the start and end of a span, rounded outward to whole seconds."""
    return f"{format_time(span.start)} – {format_duration(span.end)}"


def format_place(moment: Moment) -> str:
    """Return the span of a moment in its video, or `photo`."""
    return "photo" if moment.video.is_photo else format_span(moment.span)


def format_bytes(byte_count: float) -> str:
    """Return a size with a decimal unit, e.g. `1.5 kB`."""
    if byte_count < 1000:
        return f"{byte_count:.0f} B"
    for unit_name in ("kB", "MB", "GB"):
        byte_count /= 1000
        if byte_count < 1000:
            return f"{byte_count:.1f} {unit_name}"
    return f"{byte_count / 1000:.1f} TB"


def format_count(count: int, noun: str) -> str:
    """Return a count and its noun: `1 video`, `2 videos`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def escape_unprintable(raw_text: str) -> str:
    """Escape characters that could steer a terminal or cannot be encoded."""
    return "".join(
        char
        if char.isprintable()
        else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in raw_text
    )


def format_path(path: Path) -> str:
    """Return a path relative to the working directory or, with `~`, to the home directory."""
    for base_path, path_prefix in ((Path.cwd(), ""), (Path.home(), f"~{os.sep}")):
        if path.is_relative_to(base_path):
            return escape_unprintable(f"{path_prefix}{path.relative_to(base_path)}")
    return escape_unprintable(str(path))


def format_video(video: Video) -> str:
    """Return the path of a video, followed by `(missing)` or `(offline)` if its file is."""
    if video.file_status in (None, "available"):
        return format_path(video.path)
    return f"{format_path(video.path)} ({video.file_status})"


def truncate_start(text: str, max_columns: int) -> str:
    """Shorten a text to a number of terminal columns, keeping its end (the name of a path)."""
    from rich.cells import cell_len  # deferred: wide characters are two columns

    if cell_len(text) <= max_columns:
        return text
    while text and cell_len(text) >= max_columns:
        text = text[1:]
    return f"…{text}"


def truncate_end(text: str, max_columns: int) -> str:
    """Shorten a text to a number of terminal columns, keeping its beginning."""
    from rich.cells import cell_len  # deferred: wide characters are two columns

    if cell_len(text) <= max_columns:
        return text
    text = text[:max_columns]
    while text and cell_len(text) >= max_columns:
        text = text[:-1]
    return f"{text.rstrip()}…"


def print_table(
    table_rows: Sequence[Sequence[str]],
    alignments: str = "",
    shrink_column: int | None = None,
    truncate_cell: Callable[[str, int], str] = truncate_start,
    row_notes: Mapping[int, Sequence[str]] = MappingProxyType({}),
    dim_rows: Container[int] = (),
    row_images: Mapping[int, str] = MappingProxyType({}),
    to_stderr: bool = False,
) -> None:
    """Print rows as aligned columns.

    Args:
        table_rows: Cells of each row; the first row is the heading.
        alignments: One character per column: `r` aligns right, anything else left.
        shrink_column: Index of the column to truncate if the table is wider than the terminal.
        truncate_cell: Shortens a cell of that column to a number of terminal columns.
        row_notes: Lines to print below a row, by row index.
        dim_rows: Indexes of rows to print dimmed.
        row_images: Pictures to print below a row, as text for the terminal, by row index.
        to_stderr: Print on stderr instead of stdout.
    """
    from rich.cells import cell_len  # deferred: wide characters are two columns

    column_widths = [max(map(cell_len, cells)) for cells in zip(*table_rows, strict=True)]
    is_terminal = (sys.stderr if to_stderr else sys.stdout).isatty()
    window_columns = shutil.get_terminal_size().columns if is_terminal else None
    if shrink_column is not None and window_columns is not None:
        table_columns = sum(column_widths) + 2 * (len(column_widths) - 1)
        available_columns = column_widths[shrink_column] + window_columns - table_columns
        shrunk_columns = max(available_columns, MIN_SHRUNK_COLUMNS)
        column_widths[shrink_column] = min(column_widths[shrink_column], shrunk_columns)
        table_rows = [
            [
                truncate_cell(cell, column_widths[i]) if i == shrink_column else cell
                for i, cell in enumerate(row)
            ]
            for row in table_rows
        ]
    indent = " " * (column_widths[0] + 2)
    for row_index, row in enumerate(table_rows):
        padded_cells = []
        for i, cell in enumerate(row):
            padding = " " * (column_widths[i] - cell_len(cell))
            padded_cells.append(padding + cell if alignments[i : i + 1] == "r" else cell + padding)
        row_text = "  ".join(padded_cells).rstrip()
        is_dim = row_index == 0 or row_index in dim_rows
        click.echo(click.style(row_text, dim=True) if is_dim else row_text, err=to_stderr)
        for note in row_notes.get(row_index, ()):
            if window_columns is not None:
                note = truncate_end(note, max(window_columns - len(indent), MIN_SHRUNK_COLUMNS))
            click.echo(click.style(f"{indent}{note}", dim=True), err=to_stderr)
        if row_index in row_images:  # colored on request, even into a pipe
            click.echo(row_images[row_index], err=to_stderr, color=True)


def print_moments(
    ranked_moments: Sequence[Moment],
    max_weak: int | None = None,
    previews: Mapping[int, str] = MappingProxyType({}),
) -> int:
    """Print search results as a table, best first; the confidence column only if it is known.

    Args:
        ranked_moments: The results. Rows are numbered by the position in this list.
        max_weak: Maximum number of weak results to print; None prints all.
        previews: Pictures as text for the terminal, by rank.

    Returns:
        The number of weak results that were not printed.
    """
    shown_moments = fold_weak(ranked_moments, max_weak)
    has_confidence = any(moment.confidence is not None for _, moment in shown_moments)
    confidence_head = ["confidence"] if has_confidence else []
    table_rows = [["#", "moment", "score", *confidence_head, "peak", "video"]]
    for rank, moment in shown_moments:
        table_rows.append(
            [
                str(rank),
                format_place(moment),
                f"{moment.score:.3f}",
                *([format_confidence(moment)] if has_confidence else []),
                _format_peak(moment),
                format_video(moment.video),
            ]
        )
    column_count = len(table_rows[0])
    numbered_rows = [(row_index, moment) for row_index, (_, moment) in enumerate(shown_moments, 1)]
    print_table(
        table_rows,
        alignments="rl" + "r" * (column_count - 3),
        shrink_column=column_count - 1,
        row_notes={row_index: _collect_notes(moment) for row_index, moment in numbered_rows},
        dim_rows={row_index for row_index, moment in numbered_rows if moment.has_low_confidence},
        row_images={
            row_index: previews[rank]
            for row_index, (rank, _) in enumerate(shown_moments, 1)
            if rank in previews
        },
    )
    return len(ranked_moments) - len(shown_moments)


def print_browsed(
    moments: Sequence[Moment], previews: Mapping[int, str] = MappingProxyType({})
) -> None:
    """Print the results of a query that only has filters, with their dates instead of scores."""
    table_rows = [["#", "recorded", "moment", "video"]]
    for rank, moment in enumerate(moments, 1):
        table_rows.append(
            [
                str(rank),
                format_recording_time(moment.video),
                format_place(moment),
                format_video(moment.video),
            ]
        )
    # the rank is the row, below the heading
    print_table(table_rows, alignments="rlll", shrink_column=3, row_images=previews)


def format_recording_time(video: Video) -> str:
    """Return the local time of the recording, or else of the last change of the file."""
    try:
        if video.recorded_at is None:
            local_time = datetime.fromtimestamp(video.mtime_ns / 1e9).astimezone()
        elif video.utc_offset_minutes is None:
            local_time = video.recorded_at.astimezone()
        else:
            local_time = video.recorded_at + timedelta(minutes=video.utc_offset_minutes)
    except (OverflowError, OSError, ValueError):  # beyond the years that the system knows
        return "–"
    return f"{local_time:%Y-%m-%d %H:%M}"


def _format_peak(moment: Moment) -> str:
    """Return the time of the best frame; a photo has only one."""
    if moment.explanation.is_copy:
        return "copy"
    return "–" if moment.video.is_photo else format_time(moment.explanation.peak_time)


def fold_weak(ranked_moments: Sequence[Moment], max_weak: int | None) -> list[tuple[int, Moment]]:
    """Pair results with their ranks; leave out weak ones after the first `max_weak`."""
    shown_moments, weak_count = [], 0
    named_ids: set[int] = set()  # of videos so far; names bring one moment of each
    for rank, moment in enumerate(ranked_moments, 1):
        is_first_named = moment.is_named_like_query and moment.video.id not in named_ids
        named_ids.add(moment.video.id)
        is_weak = moment.has_low_confidence and not is_first_named
        weak_count += is_weak
        if max_weak is None or not is_weak or weak_count <= max_weak:
            shown_moments.append((rank, moment))
    return shown_moments


def format_percent(confidence: float) -> str:
    """Return a confidence as `12 %`; a low one is never rounded up to the threshold."""
    from vsearch.types import round_confidence  # deferred: --help needs no numpy

    # rounded as in JSON first, so that a remote search prints the same
    return f"{100 * round_confidence(round_confidence(confidence, 4), 2):.0f} %"


def format_confidence(moment: Moment) -> str:
    """Return the confidence of a moment; `weak` in front if it is low, `–` if unknown."""
    if moment.confidence is None:
        return "–"
    percent_text = format_percent(moment.confidence)
    return f"weak {percent_text}" if moment.has_low_confidence else percent_text


def format_quote(quote: Quote) -> str:
    """Return the matching words of a transcript with their source and time, on one line."""
    quote_text = escape_unprintable(quote.text)
    return f"{_SOURCE_VERBS[quote.source]} at {format_time(quote.span.start)}: “{quote_text}”"


def _collect_notes(moment: Moment) -> list[str]:
    """List the lines to print below a moment: its quote, its steps and hidden near-duplicates."""
    explanation = moment.explanation
    note_texts = [format_quote(quote) for quote in explanation.quotes[:1]]
    if explanation.step_spans:
        step_times = ", ".join(format_time(step.start) for step in explanation.step_spans)
        note_texts.append(f"steps at {step_times}")
    if explanation.copy_alteration:
        note_texts.append(f"the clip is {escape_unprintable(explanation.copy_alteration)}")
    if explanation.duplicates_hidden:
        duplicates_text = format_count(explanation.duplicates_hidden, "near-duplicate")
        note_texts.append(f"{duplicates_text} hidden; show with --include-duplicates")
    return note_texts


def print_json(value: Any) -> None:
    """Print a value as indented JSON, ASCII only, so that every file name survives."""
    click.echo(json.dumps(value, indent=2))
