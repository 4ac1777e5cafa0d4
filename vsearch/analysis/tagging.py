"""Videos to tags: every segment is judged, neighbours with one label become one span."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from vsearch.analysis.classify import of_whole
from vsearch.analysis.labels import NONE, named
from vsearch.catalog.tags import meant
from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.types import Classified, Span, Tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vsearch.catalog.repository import Catalog
    from vsearch.types import Matrix, Segment, Space, Vector, Video

Place: TypeAlias = "tuple[Video, Span | None]"  # a video, or a part of it

BY_HAND = "by hand"  # the source of tags that a person gave


class Labeller(Protocol):
    """Judges the segments of a video."""

    @property
    def source(self) -> str:
        """Names it: what it has said before is replaced."""

    @property
    def model(self) -> str:
        """The space that it knows."""

    @property
    def names(self) -> tuple[str, ...]:
        """The K outcomes."""

    def judge(self, video: Video, segments: Sequence[Segment], vectors: Matrix, /) -> Matrix:
        """float32 (S, D) -> probabilities, float32 (S, K). Raises DamagedLibraryError."""


def classify(
    catalog: Catalog,
    videos: Iterable[Video],
    labeller: Labeller,
    space: Space,
    *,
    threshold: float,
    store: bool,
) -> Iterator[Classified]:
    """Judge one video after the other; its tags are stored before it is given, or not at all."""
    for video in videos:
        try:
            found = _classified(catalog, video, labeller, space, threshold)
        except DamagedLibraryError as error:
            yield _unknown(video, labeller.names, str(error))
            continue
        if store and found.error is None:
            with catalog.begin() as change:
                change.replace_tags(video.id, labeller.source, found.tags)
        yield found


def _classified(
    catalog: Catalog, video: Video, labeller: Labeller, space: Space, threshold: float
) -> Classified:
    for segments, vectors in catalog.whole_videos(catalog.segment_ids([video.id]), space):
        found = labeller.judge(video, segments, vectors)
        whole = of_whole(found, segments)
        tags = _tags(video, segments, found, whole, labeller, threshold)
        return Classified(video, labeller.names, whole, tuple(segments), found, tuple(tags))
    return _unknown(video, labeller.names, f"{video.path}: has no segments; index it again")


def _unknown(video: Video, names: tuple[str, ...], error: str) -> Classified:
    nothing = np.zeros(len(names), np.float32)
    return Classified(video, names, nothing, (), nothing[None][:0], (), error)


def _tags(
    video: Video,
    segments: Sequence[Segment],
    found: Matrix,
    whole: Vector,
    labeller: Labeller,
    threshold: float,
) -> Iterator[Tag]:
    """Labels that are likely enough, of the whole video first, then of its parts."""
    made = _now()
    for at, name in enumerate(labeller.names):
        spans = [] if name == NONE else likely(segments, found[:, at], threshold)
        if name != NONE and whole[at] >= threshold:
            spans = [(None, float(whole[at])), *spans]
        for span, probability in spans:
            yield Tag(video.id, name, probability, span, labeller.source, labeller.model, made)


def by_hand(
    catalog: Catalog, videos: Sequence[Video], path: str, label: str, span: Span | None
) -> Tag:
    """Give the one video that a path means a tag, in place of an equal one.

    A span ends where the video does. Raises LibraryError and DatasetError.
    """
    if len(videos) != 1:
        raise LibraryError(f"{path}: means {len(videos)} videos of the library; name one")
    [video], [what] = videos, named([label.strip()])
    if span is not None and span.start >= video.duration:
        raise LibraryError(f"{path}: ends after {video.duration:.1f} s, before that span")
    if span is not None:
        span = Span(span.start, min(span.end, video.duration))
    tag = Tag(video.id, what.name, 1.0, span, BY_HAND, None, _now())
    others = [
        one
        for one in catalog.tags([video.id])
        if one.source == BY_HAND and (one.label, one.span) != (tag.label, tag.span)
    ]
    with catalog.begin() as change:
        change.replace_tags(video.id, BY_HAND, [*others, tag])
    return tag


def touching(catalog: Catalog, places: Sequence[Place]) -> list[Tag]:
    """The tags that any of the places has, each once."""
    spans: dict[int, list[Span | None]] = {}
    for video, span in places:
        spans.setdefault(video.id, []).append(span)
    return [
        tag
        for tag in catalog.tags(spans)
        if any(span is None or tag.touches(span) for span in spans[tag.video_id])
    ]


def remove(catalog: Catalog, places: Sequence[Place], label: str | None, source: str | None) -> int:
    """Remove tags, all or those of a label, in any case, or a source; how many there were."""
    labels = [None] if label is None else meant(label, catalog.labels())
    with catalog.begin() as change:
        return sum(
            change.remove_tags([video.id], label=each, source=source, span=span)
            for video, span in places
            for each in labels
        )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def likely(
    segments: Sequence[Segment], chances: Vector, threshold: float
) -> list[tuple[Span | None, float]]:
    """Runs of neighbours that are all at least so likely, with their mean over time."""
    runs = groupby(range(len(segments)), key=lambda at: bool(chances[at] >= threshold))
    found: list[tuple[Span | None, float]] = []
    for is_likely, run in runs:
        places = list(run)
        if is_likely:
            own = [segments[at] for at in places]
            span = Span(own[0].span.start, max(each.span.end for each in own))
            found.append((span, float(of_whole(chances[places, None], own)[0])))
    return found
