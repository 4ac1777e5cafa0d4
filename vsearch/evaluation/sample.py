"""What is known of a library's videos as rows to learn from, and rows of other videos to judge by.

Nothing is decoded: what a row's words describe is the mean of the frame features stored for it.
Whole videos are held out, about every fifth. Which ones depends on the seed and on their content
alone, so that they mostly stay the same when rows are added.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from vsearch.encoders.examples import Examples
from vsearch.errors import DamagedLibraryError, DatasetError
from vsearch.evaluation.own import own_set
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence
    from pathlib import Path

    from vsearch.encoders.examples import Mask
    from vsearch.evaluation.datasets import Dataset, Item
    from vsearch.library import Library
    from vsearch.protocols import Encoder
    from vsearch.types import Ids, Matrix, Vector, Video

    T = TypeVar("T", bound=Hashable)

LEAST_ROWS, LEAST_VIDEOS = 50, 10  # videos or groups
HELD, HELD_LEAST = 0.22, 4  # of these
TEXTS = 64  # encoded at once


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows, which of them are held out, and what was left out of all."""

    name: str
    examples: Examples
    held: Mask  # bool (N,)
    left_out: tuple[str, ...]  # in words


@dataclass(slots=True)
class _Rows:
    """Items whose pictures are known."""

    items: list[Item] = field(default_factory=list)
    pictures: list[Vector] = field(default_factory=list)  # float32 (D,) of unit length
    left_out: list[str] = field(default_factory=list)


def sample(library: Library, encoder: Encoder, dataset: Dataset | None, seed: int) -> Sample:
    """The rows of a dataset, or of the library's own subtitles and file names.

    Raises DatasetError if they are too few to learn from and to judge by.
    """
    videos = {video.path: video for video in library.videos()}
    left_out: list[str] = []
    if dataset is None:
        try:
            own = own_set(library.path.name, list(videos))
        except DatasetError as error:
            raise DatasetError(
                f"{library.path}: subtitles beside the videos and file names tell too little to "
                f"learn from; {LEAST_ROWS} rows of {LEAST_VIDEOS} videos are the least. Name "
                "captions of your own: `vsearch train align FILE`"
            ) from error
        dataset, left_out = own.dataset, list(own.unread)
    absent = ({item.path for item in dataset.items} | set(dataset.missing)) - videos.keys()
    if absent:
        left_out.append(f"videos that are not in the library: {len(absent)}")
    rows = _seen(library, encoder, [item for item in dataset.items if item.path in videos], videos)
    left_out += rows.left_out
    folds = _folds(rows.items)
    _check(dataset.name, len(rows.items), len(set(folds)), left_out)
    held = _held(folds, [videos[item.path].fingerprint for item in rows.items], seed)
    return Sample(dataset.name, _examples(encoder, rows, folds), held, tuple(left_out))


def _check(name: str, rows: int, folds: int, left_out: Sequence[str]) -> None:
    if rows < LEAST_ROWS or folds < LEAST_VIDEOS:
        told = "".join(f"; left out: {reason}" for reason in left_out)
        raise DatasetError(
            f"{name}: {rows} rows of {folds} videos or groups are too few to learn from and to "
            f"judge by; {LEAST_ROWS} rows of {LEAST_VIDEOS} are the least{told}"
        )


def _seen(
    library: Library, encoder: Encoder, items: Sequence[Item], videos: dict[Path, Video]
) -> _Rows:
    """The items with the pictures that their videos have in the span of each."""
    store, rows, late = FeatureStore(library.path / "features"), _Rows(), 0
    by_video: dict[Path, list[Item]] = {}
    for item in items:
        by_video.setdefault(item.path, []).append(item)
    for path, its in by_video.items():
        try:
            features = store.load(videos[path].id, encoder.space)
        except DamagedLibraryError as error:
            rows.left_out.append(str(error))
            continue
        for item in its:
            if item.span is not None and item.span.start >= videos[path].duration:
                late += 1
                continue
            within = features.within(item.span) if item.span else features
            mean = within.matrix.mean(axis=0)
            rows.items.append(item)
            rows.pictures.append(mean / max(float(np.linalg.norm(mean)), 1e-12))
    if late:
        rows.left_out.append(f"rows that begin after the end of their video: {late}")
    return rows


def _examples(encoder: Encoder, rows: _Rows, folds: Sequence[str]) -> Examples:
    said = [" ".join(item.caption.casefold().split()) for item in rows.items]
    groups = [
        ("group", item.group) if item.group is not None else ("row", number)
        for number, item in enumerate(rows.items)
    ]
    spans = [(item.span.start, item.span.end) if item.span else (0, np.inf) for item in rows.items]
    return Examples(
        texts=_texts(encoder, [item.caption for item in rows.items]),
        pictures=np.stack(rows.pictures).astype(np.float32),
        words=_numbers(said),
        videos=_numbers([item.path for item in rows.items]),
        groups=_numbers(groups),
        folds=_numbers(folds),
        spans=np.array(spans, np.float64),
    )


def _texts(encoder: Encoder, captions: Sequence[str]) -> Matrix:
    """Each text encoded once, float32 (N, D)."""
    distinct = list(dict.fromkeys(captions))
    starts = range(0, len(distinct), TEXTS)
    parts = [encoder.encode_texts(distinct[start : start + TEXTS]) for start in starts]
    place = {text: row for row, text in enumerate(distinct)}
    found: Matrix = np.concatenate(parts)[[place[text] for text in captions]]
    return found


def _folds(items: Sequence[Item]) -> list[str]:
    """A name for each item, equal where items share a video or a group, by however many steps."""
    leads: dict[str, str] = {}

    def end(name: str) -> str:
        while leads.setdefault(name, name) != name:
            name = leads[name]
        return name

    for item in items:
        if item.group is not None:
            one, other = sorted((end(f"path {item.path}"), end(f"group {item.group}")))
            leads[other] = one
    return [end(f"path {item.path}") for item in items]


def _held(folds: Sequence[str], fingerprints: Sequence[str], seed: int) -> Mask:
    """Which rows are held out, bool (N,): the folds that come first in an order by chance."""
    first: dict[str, str] = {}
    for fold, fingerprint in zip(folds, fingerprints, strict=True):
        drawn = hashlib.sha256(f"{seed} {fingerprint}".encode()).hexdigest()
        first[fold] = min(drawn, first.get(fold, drawn))
    count = max(HELD_LEAST, round(HELD * len(first)))
    chosen = set(sorted(first, key=lambda fold: first[fold])[:count])
    held: Mask = np.array([fold in chosen for fold in folds])
    return held


def _numbers(names: Iterable[T]) -> Ids:
    """A number for each name, equal where the names are."""
    known: dict[T, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], np.int64)
