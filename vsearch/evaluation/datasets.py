"""Captioned clips to measure with: JSON lines or CSV with path, caption, start, end, group."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vsearch.errors import DatasetError
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Item:
    """One caption of one video."""

    path: Path  # absolute
    caption: str
    span: Span | None = None  # the part that it describes; None: the whole
    group: str | None = None  # videos of one group show the same thing


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a file names, and those of its videos that are not there."""

    name: str
    items: tuple[Item, ...]
    missing: tuple[Path, ...]
    split: str = "all"  # of a published set


def read(path: Path) -> Dataset:
    """Read a .jsonl or .csv file; paths in it are seen from its folder.

    Raises DatasetError, with the line, for what is not as it should be.
    """
    found = [_item(path, number, row) for number, row in rows(path)]
    there = {item.path: item.path.is_file() for item in found}
    items = tuple(item for item in found if there[item.path])
    if not items:
        raise DatasetError(f"{path}: none of the videos that it names is there")
    return Dataset(
        path.stem, items, tuple(name for name, is_there in there.items() if not is_there)
    )


def rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Line numbers, from 1, and what is in the lines."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error
    if path.suffix.lower() == ".csv":
        try:
            yield from enumerate(csv.DictReader(io.StringIO(text, newline="")), 2)
        except csv.Error as error:
            raise DatasetError(f"{path}: is no CSV ({error})") from error
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}:{number}: is no line of JSON ({error})") from error


def _item(path: Path, number: int, row: Any) -> Item:
    where = f"{path}:{number}"
    if not isinstance(row, dict) or not {"path", "caption"} <= row.keys():
        raise DatasetError(f"{where}: needs path and caption, and may have start, end and group")
    name, caption = row["path"], row["caption"]
    if not all(isinstance(text, str) and text.strip() for text in (name, caption)) or "\0" in name:
        raise DatasetError(f"{where}: path and caption must be words")
    group = row.get("group")
    return Item(
        (path.parent / name).absolute(),
        caption,
        _span(where, row.get("start"), row.get("end")),
        None if group in (None, "") else str(group),
    )


def _span(where: str, start: Any, end: Any) -> Span | None:
    if start in (None, "") and end in (None, ""):
        return None
    try:
        span = Span(float(start), float(end))
    except (TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"{where}: start and end must be seconds, both or none") from error
    if not math.isfinite(span.duration) or span.duration <= 0:
        raise DatasetError(f"{where}: end must be after start")
    return span


def paths(items: Iterable[Item]) -> list[Path]:
    """Each video once, in the order of the items."""
    return list(dict.fromkeys(item.path for item in items))
