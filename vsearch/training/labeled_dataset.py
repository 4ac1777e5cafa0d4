"""Labeled spans of videos, read from a file and split into training, validation and test rows."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from vsearch.analysis.labels import Label
from vsearch.errors import DatasetError
from vsearch.evaluation.datasets import iter_rows
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vsearch.library import Library
    from vsearch.types import Ids, Video

SplitName: TypeAlias = Literal["train", "val", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = get_args(SplitName)
VALIDATION_SHARE = 0.2  # of the groups of a label; equally for the test split
MIN_GROUPS_PER_LABEL = len(SPLIT_NAMES)  # one in each split


@dataclass(frozen=True, slots=True)
class LabelLine:
    """A line of a label file."""

    video_path: Path  # absolute
    label: str
    start_time: float
    end_time: float | None  # None: the end of the video
    group_name: str | None  # videos of one group are in one split
    split_name: SplitName | None


@dataclass(frozen=True, slots=True)
class LabeledSpan:
    """A labeled part of a video of the library."""

    video: Video
    span: Span
    label_index: int
    split_name: SplitName


@dataclass(frozen=True, slots=True)
class LabeledDataset:
    """Training, validation and test rows of a classifier."""

    dataset_name: str
    label_names: tuple[str, ...]
    labeled_spans: tuple[LabeledSpan, ...]
    skipped_reasons: tuple[str, ...]

    def select_split(self, split_name: SplitName) -> list[LabeledSpan]:
        """Return the rows of a split."""
        return [
            labeled_span
            for labeled_span in self.labeled_spans
            if labeled_span.split_name == split_name
        ]

    @property
    def digest(self) -> str:
        """String that identifies the rows, independent of the location of the videos."""
        row_keys = [
            (
                labeled_span.video.fingerprint,
                labeled_span.video.sampled_frames,
                labeled_span.span,
                labeled_span.label_index,
                labeled_span.split_name,
            )
            for labeled_span in self.labeled_spans
        ]
        return hashlib.sha256(repr((self.label_names, row_keys)).encode()).hexdigest()


def read_label_lines(labels_path: Path) -> list[LabelLine]:
    """Read a CSV or JSON lines file of labels.

    Each line has path and label, and optionally start, end, group and split.

    Args:
        labels_path: The file; paths in it are relative to its folder.

    Returns:
        The lines.

    Raises:
        DatasetError: If the file or a line is invalid; the message has the line number.
    """
    return [
        _parse_line(labels_path, line_number, record)
        for line_number, record in iter_rows(labels_path)
    ]


def join_with_library(
    dataset_name: str, label_lines: Sequence[LabelLine], library: Library, seed: int = 0
) -> LabeledDataset:
    """Assign the rows whose videos are in the library to the splits.

    The splits of the file are used if it has some. Otherwise groups of videos are split at random.

    Args:
        dataset_name: Name for messages.
        label_lines: Lines of the label file.
        library: Library with the videos.
        seed: Seed of the random split.

    Returns:
        The rows and what was skipped.

    Raises:
        DatasetError: If fewer than two labels have enough videos, or the given splits are invalid.
    """
    videos_by_path = {video.path: video for video in library.videos()}
    missing_paths = sorted(
        {str(label_line.video_path) for label_line in label_lines}
        - {str(video_path) for video_path in videos_by_path}
    )
    skipped_reasons = [
        f"{video_path}: not in the library; index it" for video_path in missing_paths
    ]
    kept_lines = _drop_late_lines(
        [
            label_line
            for label_line in _unify_label_case(label_lines)
            if label_line.video_path in videos_by_path
        ],
        videos_by_path,
        skipped_reasons,
    )
    group_ids = _number_groups(
        [
            (videos_by_path[label_line.video_path].fingerprint, label_line.group_name)
            for label_line in kept_lines
        ]
    )
    kept_lines, group_ids = _drop_rare_labels(kept_lines, group_ids, skipped_reasons)
    label_names = tuple(sorted({label_line.label for label_line in kept_lines}))
    if len(label_names) < 2:
        raise DatasetError(
            f"{dataset_name}: at least two labels with {MIN_GROUPS_PER_LABEL} or more videos are "
            f"needed, not {len(label_names)}"
            + (f" ({skipped_reasons[0]})" if skipped_reasons else "")
        )
    label_indices = np.array([label_names.index(label_line.label) for label_line in kept_lines])
    split_names = _read_given_splits(dataset_name, kept_lines, group_ids) or _assign_splits(
        label_indices, group_ids, seed
    )
    labeled_spans = [
        LabeledSpan(
            videos_by_path[label_line.video_path],
            _build_span(label_line, videos_by_path[label_line.video_path]),
            int(label_index),
            split_name,
        )
        for label_line, label_index, split_name in zip(
            kept_lines, label_indices, split_names, strict=True
        )
    ]
    return LabeledDataset(dataset_name, label_names, tuple(labeled_spans), tuple(skipped_reasons))


def _parse_line(labels_path: Path, line_number: int, record: Any) -> LabelLine:
    location = f"{labels_path}:{line_number}"
    if not isinstance(record, dict) or not {"path", "label"} <= record.keys():
        raise DatasetError(
            f"{location}: path and label are required; start, end, group and split are optional"
        )
    path_text, label_text, split_name = record["path"], record["label"], record.get("split") or None
    if (
        not isinstance(path_text, str)
        or not path_text.strip()
        or "\0" in path_text
        or not isinstance(label_text, str)
    ):
        raise DatasetError(f"{location}: path and label must be non-empty text")
    if split_name not in (None, *SPLIT_NAMES):
        raise DatasetError(f"{location}: split must be one of {', '.join(SPLIT_NAMES)}, or empty")
    try:
        label_name = Label(label_text.strip()).name
        start_time = float(record.get("start") or 0)
        end_time = float(record["end"]) if record.get("end") not in (None, "") else None
        if not 0 <= start_time < (math.inf if end_time is None else end_time) or not math.isfinite(
            end_time or 0
        ):
            raise ValueError("end must be after start (both in seconds)")
    except (TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"{location}: {error}") from error
    video_path = Path(os.path.abspath(labels_path.parent / path_text))  # noqa: PTH100 - as indexing does
    group_name = record.get("group")
    return LabelLine(
        video_path,
        label_name,
        start_time,
        end_time,
        None if group_name in (None, "") else str(group_name),
        split_name,
    )


def _number_groups(content_groups: Sequence[tuple[str, str | None]]) -> Ids:
    """Return a number per row, int64 (N,), equal for rows that must be in one split.

    These are rows connected by equal video content or by a given group.
    """
    parent_names: dict[str, str] = {}

    def find_root(node_name: str) -> str:
        while parent_names.setdefault(node_name, node_name) != node_name:
            node_name = parent_names[node_name]
        return node_name

    for fingerprint, group_name in content_groups:
        parent_names[find_root(f"video {fingerprint}")] = find_root(
            f"video {fingerprint}" if group_name is None else f"in {group_name}"
        )
    root_names = [find_root(f"video {fingerprint}") for fingerprint, _ in content_groups]
    number_by_root = {
        root_name: root_number for root_number, root_name in enumerate(sorted(set(root_names)))
    }
    return np.array([number_by_root[root_name] for root_name in root_names], np.int64)


def _unify_label_case(label_lines: Iterable[LabelLine]) -> list[LabelLine]:
    """Unify labels that differ only in case, as spelled in the first row."""
    first_spelling: dict[str, str] = {}
    return [
        replace(
            label_line,
            label=first_spelling.setdefault(label_line.label.casefold(), label_line.label),
        )
        for label_line in label_lines
    ]


def _drop_late_lines(
    label_lines: Iterable[LabelLine], videos_by_path: dict[Path, Video], skipped_reasons: list[str]
) -> list[LabelLine]:
    """Drop rows that start after the end of their video, and note them."""
    kept_lines = []
    for label_line in label_lines:
        if label_line.start_time < (
            video_duration := videos_by_path[label_line.video_path].duration
        ):
            kept_lines.append(label_line)
        else:
            skipped_reasons.append(
                f"{label_line.video_path}: ends at {video_duration:.1f} s, before "
                f"{label_line.start_time:g} s"
            )
    return kept_lines


def _drop_rare_labels(
    label_lines: Sequence[LabelLine], group_ids: Ids, skipped_reasons: list[str]
) -> tuple[list[LabelLine], Ids]:
    """Drop rows whose label occurs in too few groups, and note the labels."""
    group_counts = Counter(
        label
        for label, _ in {
            (label_line.label, group_id)
            for label_line, group_id in zip(label_lines, group_ids, strict=True)
        }
    )
    for label in sorted(group_counts):
        if group_counts[label] < MIN_GROUPS_PER_LABEL:
            skipped_reasons.append(
                f"label {label!r}: in {group_counts[label]} videos; at least "
                f"{MIN_GROUPS_PER_LABEL} are needed"
            )
    kept_rows = [
        row_index
        for row_index, label_line in enumerate(label_lines)
        if group_counts[label_line.label] >= MIN_GROUPS_PER_LABEL
    ]
    return [label_lines[row_index] for row_index in kept_rows], group_ids[kept_rows]


def _read_given_splits(
    dataset_name: str, label_lines: Sequence[LabelLine], group_ids: Ids
) -> list[SplitName] | None:
    """Return the splits of the file, or None if it has none."""
    given_splits = [label_line.split_name for label_line in label_lines]
    if all(split_name is None for split_name in given_splits):
        return None
    split_by_group: dict[int, SplitName] = {}
    row_splits: list[SplitName] = []
    for label_line, group_id in zip(label_lines, group_ids, strict=True):
        if (
            label_line.split_name is None
            or split_by_group.setdefault(int(group_id), label_line.split_name)
            != label_line.split_name
        ):
            raise DatasetError(
                f"{dataset_name}: all rows of {label_line.video_path} and of its group must have "
                "the same split"
            )
        row_splits.append(label_line.split_name)
    if {"train", "val"} - set(row_splits):
        raise DatasetError(f"{dataset_name}: some rows must have the split train, and others val")
    return row_splits


def _assign_splits(label_indices: Ids, group_ids: Ids, seed: int) -> list[SplitName]:
    """Assign whole groups to splits in proportion, label by label.

    Rare labels are assigned first; the next group goes to the split that lacks most of its label.
    """
    rng = np.random.default_rng(seed)
    label_groups = {
        (int(label_index), int(group_id))
        for label_index, group_id in zip(label_indices, group_ids, strict=True)
    }
    group_counts = Counter(label_index for label_index, _ in label_groups)
    split_by_group: dict[int, SplitName] = {}
    for label_index in sorted(
        group_counts, key=lambda candidate: (group_counts[candidate], candidate)
    ):
        label_group_ids = sorted(
            group_id for candidate, group_id in label_groups if candidate == label_index
        )
        held_out_count = max(1, round(VALIDATION_SHARE * len(label_group_ids)))
        remaining_counts = Counter(
            train=len(label_group_ids) - 2 * held_out_count, val=held_out_count, test=held_out_count
        )
        remaining_counts.subtract(
            split_by_group[group_id] for group_id in label_group_ids if group_id in split_by_group
        )
        for group_id in rng.permutation(
            [group_id for group_id in label_group_ids if group_id not in split_by_group]
        ):
            split_name = max(SPLIT_NAMES, key=lambda candidate: remaining_counts[candidate])
            split_by_group[int(group_id)] = split_name
            remaining_counts[split_name] -= 1
    return [split_by_group[int(group_id)] for group_id in group_ids]


def _build_span(label_line: LabelLine, video: Video) -> Span:
    end_time = video.duration if label_line.end_time is None else label_line.end_time
    return Span(label_line.start_time, max(end_time, label_line.start_time))


def count_videos(labeled_spans: Iterable[LabeledSpan]) -> int:
    """Return the number of distinct videos in the rows."""
    return len({labeled_span.video.id for labeled_span in labeled_spans})
