"""Captioned datasets: CSV or JSON lines files with path, caption, start, end and group."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.errors import DatasetError
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class CaptionItem:
    """A caption of a video or of a span of it."""

    video_path: Path  # absolute
    caption: str
    span: Span | None = None  # the described part; None: the whole video
    group_name: str | None = None  # videos of one group show the same content


@dataclass(frozen=True, slots=True)
class CaptionDataset:
    """Captions of a file, and its videos that do not exist."""

    dataset_name: str
    items: tuple[CaptionItem, ...]
    missing_paths: tuple[Path, ...]
    split_name: str = "all"  # of a public dataset


def read_dataset(dataset_path: Path) -> CaptionDataset:
    """Read a .jsonl or .csv file.

    Args:
        dataset_path: The file; paths in it are relative to its folder.

    Returns:
        The dataset.

    Raises:
        DatasetError: If the file or a line is invalid (the message has the line number), or none of
            the videos exists.
    """
    items = [_parse_item(dataset_path, line, record) for line, record in iter_rows(dataset_path)]
    exists_by_path = {item.video_path: item.video_path.is_file() for item in items}
    existing_items = tuple(item for item in items if exists_by_path[item.video_path])
    if not existing_items:
        raise DatasetError(f"{dataset_path}: none of the videos exists")
    missing_paths = tuple(path for path, exists in exists_by_path.items() if not exists)
    return CaptionDataset(dataset_path.stem, existing_items, missing_paths)


def iter_rows(dataset_path: Path) -> Iterator[tuple[int, Any]]:
    """Parse a .jsonl or .csv file.

    Args:
        dataset_path: The file.

    Yields:
        Line number, from 1, and content of each line.

    Raises:
        DatasetError: If the file cannot be read or parsed.
    """
    try:
        file_text = dataset_path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise DatasetError(f"{dataset_path}: there is no such file; check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{dataset_path}: cannot be read ({error})") from error
    if dataset_path.suffix.lower() == ".csv":
        try:
            yield from enumerate(csv.DictReader(io.StringIO(file_text, newline="")), 2)
        except csv.Error as error:
            raise DatasetError(f"{dataset_path}: invalid CSV ({error})") from error
        return
    for line_number, line_text in enumerate(file_text.split("\n"), 1):
        if not line_text.strip():
            continue
        try:
            yield line_number, json.loads(line_text)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{dataset_path}:{line_number}: invalid JSON ({error})") from error


def _parse_item(dataset_path: Path, line_number: int, record: Any) -> CaptionItem:
    location = f"{dataset_path}:{line_number}"
    if not isinstance(record, dict) or not {"path", "caption"} <= record.keys():
        raise DatasetError(
            f"{location}: path and caption are required; start, end and group are optional"
        )
    path_text, caption = record["path"], record["caption"]
    are_texts = all(isinstance(text, str) and text.strip() for text in (path_text, caption))
    if not are_texts or "\0" in path_text:
        raise DatasetError(f"{location}: path and caption must be non-empty text")
    group_name = record.get("group")
    return CaptionItem(
        make_absolute(dataset_path.parent / path_text),
        caption,
        _parse_span(location, record.get("start"), record.get("end")),
        None if group_name in (None, "") else str(group_name),
    )


def _parse_span(location: str, start_value: Any, end_value: Any) -> Span | None:
    if start_value in (None, "") and end_value in (None, ""):
        return None
    try:
        span = Span(float(start_value), float(end_value))
    except (TypeError, ValueError, OverflowError) as error:
        raise DatasetError(
            f"{location}: start and end must both be given in seconds, or neither"
        ) from error
    if not math.isfinite(span.duration) or span.duration <= 0:
        raise DatasetError(f"{location}: end must be after start")
    return span


def make_absolute(path: Path) -> Path:
    """Return a path in the form in which libraries store it: absolute, without `..`.

    Args:
        path: Path of a video.
    """
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


def normalize_caption(caption: str) -> str:
    """Return the form in which captions are compared: without case and repeated white space.

    If several videos have equal captions, finding any of them is right. Every evaluation and every
    training split compares captions by this function.

    Args:
        caption: A caption or query.
    """
    return " ".join(caption.casefold().split())


def list_video_paths(items: Iterable[CaptionItem]) -> list[Path]:
    """Return the distinct videos in the order of the items.

    Args:
        items: Captions.
    """
    return list(dict.fromkeys(item.video_path for item in items))
