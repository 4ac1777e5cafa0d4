"""Labelled parts of videos: a file of them, joined with a library and split into parts to learn
from, to stop by and to judge by."""

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
from vsearch.evaluation.datasets import rows
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vsearch.library import Library
    from vsearch.types import Ids, Video

Part: TypeAlias = Literal["train", "val", "test"]

PARTS: tuple[Part, ...] = get_args(Part)
SHARE = 0.2  # of the groups of a label are in val, and as many in test
LEAST = len(PARTS)  # groups of a label: one in each part


@dataclass(frozen=True, slots=True)
class Given:
    """A line of the file."""

    path: Path  # absolute
    label: str
    start: float
    end: float | None  # None: where the video ends
    group: str | None  # videos of one group are in one part
    part: Part | None


@dataclass(frozen=True, slots=True)
class Row:
    """A part of a video of the library, and what it shows."""

    video: Video
    span: Span
    label: int
    part: Part


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a classifier is trained on."""

    name: str
    labels: tuple[str, ...]
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]  # in words

    def of(self, part: Part) -> list[Row]:
        """The rows of a part."""
        return [row for row in self.rows if row.part == part]

    @property
    def digest(self) -> str:
        """Names the rows, wherever their videos lie."""
        told = [(r.video.fingerprint, r.video.frames, r.span, r.label, r.part) for r in self.rows]
        return hashlib.sha256(repr((self.labels, told)).encode()).hexdigest()


def read(path: Path) -> list[Given]:
    """Lines of CSV or JSON with path and label, and maybe start, end, group and split.

    Paths are seen from the file's folder. Raises DatasetError, with the line.
    """
    return [_given(path, number, row) for number, row in rows(path)]


def join(name: str, given: Sequence[Given], library: Library, seed: int = 0) -> Labelled:
    """The rows whose videos are in the library, each in its part. Raises DatasetError."""
    known = {video.path: video for video in library.videos()}
    missing = sorted({str(one.path) for one in given} - {str(path) for path in known})
    left_out = [f"{path}: is not in the library; index it" for path in missing]
    there = _begun([one for one in _spelled(given) if one.path in known], known, left_out)
    groups = _groups([(known[one.path].fingerprint, one.group) for one in there])
    there, groups = _common(there, groups, left_out)
    labels = tuple(sorted({one.label for one in there}))
    if len(labels) < 2:
        raise DatasetError(
            f"{name}: {len(labels)} labels with {LEAST} videos and more are too few to tell apart"
            + (f" ({left_out[0]})" if left_out else "")
        )
    numbers = np.array([labels.index(one.label) for one in there])
    parts = _given_parts(name, there, groups) or _split(numbers, groups, seed)
    found = [
        Row(known[one.path], _span(one, known[one.path]), int(number), part)
        for one, number, part in zip(there, numbers, parts, strict=True)
    ]
    return Labelled(name, labels, tuple(found), tuple(left_out))


def _given(path: Path, number: int, row: Any) -> Given:
    where = f"{path}:{number}"
    if not isinstance(row, dict) or not {"path", "label"} <= row.keys():
        raise DatasetError(f"{where}: needs path and label, and may have start, end, group, split")
    name, label, part = row["path"], row["label"], row.get("split") or None
    if not isinstance(name, str) or not name.strip() or "\0" in name or not isinstance(label, str):
        raise DatasetError(f"{where}: path and label must be words")
    if part not in (None, *PARTS):
        raise DatasetError(f"{where}: split must be {', '.join(PARTS)}, or nothing")
    try:
        known = Label(label.strip()).name
        start = float(row.get("start") or 0)
        end = float(row["end"]) if row.get("end") not in (None, "") else None
        if not 0 <= start < (math.inf if end is None else end) or not math.isfinite(end or 0):
            raise ValueError("end must be after start, both in seconds")
    except (TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"{where}: {error}") from error
    file = Path(os.path.abspath(path.parent / name))  # noqa: PTH100 - as indexing does
    group = row.get("group")
    return Given(file, known, start, end, None if group in (None, "") else str(group), part)


def _groups(pairs: Sequence[tuple[str, str | None]]) -> Ids:
    """A number for each row, the same for those that must not be parted, int64 (N,).

    Rows hang together by the content of their video and by the group that they were given.
    """
    of: dict[str, str] = {}

    def root(name: str) -> str:
        while of.setdefault(name, name) != name:
            name = of[name]
        return name

    for content, group in pairs:
        of[root(f"video {content}")] = root(f"video {content}" if group is None else f"in {group}")
    roots = [root(f"video {content}") for content, _ in pairs]
    numbers = {name: number for number, name in enumerate(sorted(set(roots)))}
    return np.array([numbers[name] for name in roots], np.int64)


def _spelled(given: Iterable[Given]) -> list[Given]:
    """Labels that differ in case only are one, as the first row spells it."""
    first: dict[str, str] = {}
    return [replace(one, label=first.setdefault(one.label.casefold(), one.label)) for one in given]


def _begun(given: Iterable[Given], known: dict[Path, Video], left_out: list[str]) -> list[Given]:
    """Those rows that begin before their video ends; the others are told."""
    kept = []
    for one in given:
        if one.start < (ends := known[one.path].duration):
            kept.append(one)
        else:
            left_out.append(f"{one.path}: ends after {ends:.1f} s, before {one.start:g} s")
    return kept


def _common(given: Sequence[Given], groups: Ids, left_out: list[str]) -> tuple[list[Given], Ids]:
    """Those rows whose label is seen in enough groups; the others are told."""
    counts = Counter(
        label for label, _ in {(one.label, g) for one, g in zip(given, groups, strict=True)}
    )
    for label in sorted(counts):
        if counts[label] < LEAST:
            left_out.append(f"label {label!r}: in {counts[label]} videos; {LEAST} are the least")
    kept = [at for at, one in enumerate(given) if counts[one.label] >= LEAST]
    return [given[at] for at in kept], groups[kept]


def _given_parts(name: str, given: Sequence[Given], groups: Ids) -> list[Part] | None:
    """The parts that the file tells; None where it tells none."""
    parts = [one.part for one in given]
    if all(part is None for part in parts):
        return None
    told: dict[int, Part] = {}
    found: list[Part] = []
    for one, group in zip(given, groups, strict=True):
        if one.part is None or told.setdefault(int(group), one.part) != one.part:
            raise DatasetError(f"{name}: {one.path} must be in one split, and all of its group too")
        found.append(one.part)
    if {"train", "val"} - set(found):
        raise DatasetError(f"{name}: split must be train for some rows, and val for others")
    return found


def _split(labels: Ids, groups: Ids, seed: int) -> list[Part]:
    """A part for each row: whole groups, of every label about as many as the share says.

    Rare labels choose first, and the part that lacks most of a label gets its next group.
    """
    random = np.random.default_rng(seed)
    pairs = {(int(label), int(group)) for label, group in zip(labels, groups, strict=True)}
    counts = Counter(label for label, _ in pairs)
    parts: dict[int, Part] = {}
    for label in sorted(counts, key=lambda each: (counts[each], each)):
        own = sorted(group for each, group in pairs if each == label)
        held = max(1, round(SHARE * len(own)))
        wanted = Counter(train=len(own) - 2 * held, val=held, test=held)
        wanted.subtract(parts[group] for group in own if group in parts)
        for group in random.permutation([group for group in own if group not in parts]):
            part = max(PARTS, key=lambda each: wanted[each])
            parts[int(group)] = part
            wanted[part] -= 1
    return [parts[int(group)] for group in groups]


def _span(one: Given, video: Video) -> Span:
    end = video.duration if one.end is None else one.end
    return Span(one.start, max(end, one.start))


def seen(rows: Iterable[Row]) -> int:
    """How many videos there are in rows."""
    return len({row.video.id for row in rows})
