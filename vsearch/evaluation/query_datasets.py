"""Datasets of people's queries: JSON lines with `query` and `clips`, or captions by language."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vsearch.errors import DatasetError
from vsearch.evaluation.datasets import iter_rows, make_absolute, normalize_caption

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAX_LANGUAGE_CHARS = 16


@dataclass(frozen=True, slots=True)
class QueryItem:
    """A query and the clips that answer it."""

    query_text: str
    clip_paths: frozenset[Path]  # absolute; any of them is right; empty: none answers the query
    language: str = ""  # as in the file; empty: not given
    is_literal: bool = False  # a caption, searched as plain text; others are parsed as typed


@dataclass(frozen=True, slots=True)
class QueryDataset:
    """Queries of a file, and its clips that do not exist."""

    dataset_name: str
    items: tuple[QueryItem, ...]
    missing_paths: tuple[Path, ...]
    skipped_count: int  # queries of which no clip exists

    @property
    def clip_paths(self) -> list[Path]:
        """The distinct clips, sorted."""
        return sorted({path for item in self.items for path in item.clip_paths})


def is_query_file(dataset_path: Path) -> bool:
    """Return True if a dataset file contains queries, False if it contains captions.

    Args:
        dataset_path: A .jsonl or .csv file; its first line decides.

    Raises:
        DatasetError: If the file cannot be read or parsed.
    """
    _, record = next(iter_rows(dataset_path), (0, None))
    return isinstance(record, dict) and ("query" in record or "clip" in record)


def read_queries(dataset_path: Path, clips_folder: Path | None = None) -> QueryDataset:
    """Read a .jsonl file of queries.

    A line is `{"query": "red hair", "clips": ["a.mp4"], "lang": "en"}`, or has one caption of a
    clip in several languages, `{"clip": "a.mp4", "en": "…", "de": "…"}`. Equal queries of one
    language share their clips.

    Args:
        dataset_path: The file.
        clips_folder: Folder to which the names of the clips are relative; None: that of the file.

    Returns:
        The dataset, without the clips that do not exist.

    Raises:
        DatasetError: If the file or a line is invalid (the message has the line number), or none of
            the clips exists.
    """
    base_folder = dataset_path.parent if clips_folder is None else clips_folder
    items = _share_clips(
        [
            item
            for line_number, record in iter_rows(dataset_path)
            for item in _parse_line(f"{dataset_path}:{line_number}", record, base_folder)
        ]
    )
    named_paths = {path for item in items for path in item.clip_paths}
    missing_paths = frozenset(path for path in named_paths if not path.is_file())
    if named_paths == missing_paths and (named_paths or clips_folder is None):
        raise DatasetError(
            f"{dataset_path}: none of the clips exists in {base_folder}; name their folder with "
            "--clips"
        )
    answerable_items = tuple(
        replace(item, clip_paths=item.clip_paths - missing_paths)
        for item in items
        if not item.clip_paths or item.clip_paths - missing_paths
    )
    return QueryDataset(
        dataset_path.stem,
        answerable_items,
        tuple(sorted(missing_paths)),
        len(items) - len(answerable_items),
    )


def _share_clips(items: Sequence[QueryItem]) -> list[QueryItem]:
    """Give equal queries of one language the clips of all of them."""
    paths_by_key: dict[tuple[str, str], frozenset[Path]] = {}
    for item in items:
        key = (item.language, normalize_caption(item.query_text))
        paths_by_key[key] = paths_by_key.get(key, frozenset()) | item.clip_paths
    return [
        replace(item, clip_paths=paths_by_key[item.language, normalize_caption(item.query_text)])
        for item in items
    ]


def _parse_line(location: str, record: Any, clips_folder: Path) -> Iterator[QueryItem]:
    """Yield the query of a line, or one caption per language."""
    if not isinstance(record, dict) or ("query" in record) == ("clip" in record):
        raise DatasetError(
            f"{location}: either query and clips, or clip and one caption per language (en, de, …) "
            "are required"
        )
    if "query" in record:
        query_text = _require_text(location, "query", record["query"])
        names = record.get("clips")
        if not isinstance(names, list):
            raise DatasetError(
                f"{location}: clips must be a list of file names; an empty list means that no clip "
                "answers the query"
            )
        language = record.get("lang") or ""
        if not isinstance(language, str) or len(language) > MAX_LANGUAGE_CHARS:
            raise DatasetError(f"{location}: lang must be a short text such as en")
        paths = frozenset(_resolve_clip(location, name, clips_folder) for name in names)
        yield QueryItem(query_text, paths, language)
        return
    paths = frozenset([_resolve_clip(location, record["clip"], clips_folder)])
    captions = {key: text for key, text in record.items() if key != "clip"}
    if not captions:
        raise DatasetError(f"{location}: a clip requires at least one caption")
    for language, caption in captions.items():
        caption_text = _require_text(location, language, caption)
        yield QueryItem(caption_text, paths, language, is_literal=True)


def _require_text(location: str, field_name: str, text: Any) -> str:
    if not isinstance(text, str) or not text.strip():
        raise DatasetError(f"{location}: {field_name} must be non-empty text")
    return text


def _resolve_clip(location: str, clip_name: Any, clips_folder: Path) -> Path:
    name = _require_text(location, "the name of a clip", clip_name)
    if "\0" in name:
        raise DatasetError(f"{location}: the name of a clip contains a NUL character")
    return make_absolute(clips_folder / name)
