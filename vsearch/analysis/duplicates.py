"""The same pictures in several videos: copies made smaller, cropped, shortened, or put into others.

Segments that look alike name the pairs, stored frames say how they lie on each other, and tiny
pictures of both files, where they are there, whether that is true.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from vsearch.analysis.neighbours import COMMON, floor_of, pairs
from vsearch.analysis.overlap import Overlap, overlap
from vsearch.errors import DamagedLibraryError, MediaError
from vsearch.media.lumas import read_lumas
from vsearch.media.matching import ALIKE, match
from vsearch.types import Span
from vsearch.vectors.alignment import offsets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vsearch.analysis.neighbours import Pair, Seed
    from vsearch.catalog.repository import Catalog
    from vsearch.media.matching import Match
    from vsearch.types import Features, Matrix, Segment, Space, Video
    from vsearch.vectors.features import FeatureStore

log = logging.getLogger(__name__)

Kind: TypeAlias = Literal["exact", "near", "part"]

SEEDS = 3  # of a pair that are followed
SHORTEST = 2.5  # seconds that are shared at least
CERTAIN = 0.9  # likeness at which frames alone tell, where there are no pictures
WHOLE = 0.85  # of both videos is shared: the one is the other
ROUNDED = 0.5  # seconds by which the duration of a copy may differ
LOOK = 8.0  # seconds that are looked at
SLACK = 3.0  # seconds around the place that the frames name
WIDE = 20.0  # seconds, where the scene is the same and what moves in it is not
MOST = 2_000  # pairs that are looked at; after that the frames alone tell
MEMORY = 256 << 20  # bytes of stored frames that are kept at once


@dataclass(frozen=True, slots=True)
class Shared:
    """The same pictures in two videos."""

    kind: Kind  # the same bytes; all of both; or a part of one of them
    one: Path
    span: Span  # of the one
    other: Path
    other_span: Span
    likeness: float  # of the frames, 1 for the same
    seen: bool  # in the pictures of both files, not in stored frames alone


@dataclass(frozen=True, slots=True)
class Both:
    """Two videos and their frames."""

    one: Video
    other: Video
    frames: Features
    other_frames: Features


def duplicates(
    catalog: Catalog, features: FeatureStore, space: Space, asked: Sequence[Video]
) -> Iterator[Shared]:
    """What videos share with each other, the pairs that most speaks for first.

    Pairs of which neither is `asked` for are left out. Memory is linear in the library: the vectors
    of all segments are held, 4 D bytes each, and the segments themselves; frames are not.
    """
    videos = {video.id: video for video in catalog.videos()}
    segments, vectors = _segments(catalog, space)
    if not segments:
        return
    wanted = {video.id for video in asked}
    finder = Finder(features, space, floor_of(vectors))
    for pair in pairs(segments, vectors, wanted):
        if pair.one in videos and pair.other in videos:
            yield from finder.shared(pair, videos[pair.one], videos[pair.other])


class Finder:
    """Compares pairs of videos of one library, one after the other."""

    def __init__(self, features: FeatureStore, space: Space, floor: float) -> None:
        """`floor` is the cosine of any two frames."""
        self._floor, self._left = floor, MOST
        self._features, self._space = features, space
        self._kept: OrderedDict[int, Features | None] = OrderedDict()  # the latest one last

    def shared(self, pair: Pair, one: Video, other: Video) -> Iterator[Shared]:
        """What two videos share, each stretch once."""
        if one.fingerprint == other.fingerprint:
            yield exact(one.path, other)
            return
        frames, other_frames = self._loaded(one.id), self._loaded(other.id)
        if frames is None or other_frames is None:
            return
        both, found, tried = Both(one, other, frames, other_frames), list[Shared](), 0
        for seed in pair.seeds:
            if tried == SEEDS:
                return
            if any(_explains(known, seed) for known in found):
                continue
            tried += 1
            got = self._followed(seed, both)
            if got is not None and not any(_again(known, got) for known in found):
                found.append(got)
                yield got

    def _followed(self, seed: Seed, both: Both) -> Shared | None:
        """What the videos share around two segments; None if that is nothing, or common."""
        part = _longer(seed.one.span, both.one.duration)
        least = 0.8 * min(part.duration, both.other.duration)
        places = offsets(
            both.frames.within(part), part, both.other_frames, both.other.duration,
            overlap=least, most=1,
        )  # fmt: skip
        if not places:
            return None
        rough = self._overlap(both, places[0].start - part.start)
        if rough is None or rough.one.duration < min(SHORTEST, WHOLE * _shorter(both)):
            return None
        if self._left > 0:
            try:
                found = self._looked(both, rough)
            except MediaError as error:
                log.info("%s", error)
            else:
                return None if found is None else _told(both, found, seed, seen=True)
        return _told(both, rough, seed, seen=False) if rough.likeness >= CERTAIN else None

    def _overlap(self, both: Both, shift: float) -> Overlap | None:
        ends = (both.one.duration, both.other.duration)
        return overlap(both.frames, ends, both.other_frames, shift, self._floor)

    def _looked(self, both: Both, rough: Overlap) -> Overlap | None:
        """The overlap as the pictures have it; None if they are not the same. Raises MediaError."""
        self._left -= 1
        part = _telling(both.frames, rough.one)
        there = _moved(part, rough.shift, both.other.duration)
        for slack in (SLACK, WIDE):
            found = _matched(both, part, there, slack)
            if found is None or found.is_copy:
                break  # else the same scene, perhaps at another time
        if found is None or not found.is_copy:
            return None
        exactly = self._overlap(both, found.start - part.start)
        if exactly is not None and found.still and not _equally_long(both, exactly):
            return None  # a title that both show, or a camera that stands there for days
        return exactly

    def _loaded(self, video_id: int) -> Features | None:
        """The stored frames of a video; the latest ones are kept. None without them."""
        if video_id not in self._kept:
            self._kept[video_id] = _loaded(self._features, video_id, self._space)
            while len(self._kept) > 2 and sum(map(_size, self._kept.values())) > MEMORY:
                self._kept.popitem(last=False)
        self._kept.move_to_end(video_id)
        return self._kept[video_id]


def exact(path: Path, video: Video) -> Shared:
    """A file of the same bytes as a video of the library."""
    whole = Span(0, video.duration)
    return Shared("exact", path, whole, video.path, whole, 1.0, seen=True)


def _told(both: Both, found: Overlap, seed: Seed, *, seen: bool) -> Shared | None:
    """As it is told; None where many videos have it and it is not the half of either."""
    kind = _kind(both, found)
    if seed.common >= COMMON and found.one.duration < _shorter(both) / 2:
        return None
    other = found.other(both.other.duration)
    return Shared(kind, both.one.path, found.one, both.other.path, other, found.likeness, seen)


def _kind(both: Both, found: Overlap) -> Kind:
    longer = max(both.one.duration, both.other.duration)
    return "near" if found.one.duration >= WHOLE * longer else "part"


def _equally_long(both: Both, found: Overlap) -> bool:
    """Whether they share all there is, as far as that can be told."""
    apart = abs(both.one.duration - both.other.duration)
    return _kind(both, found) == "near" and apart <= ROUNDED


def _shorter(both: Both) -> float:
    return min(both.one.duration, both.other.duration)


def _longer(span: Span, end: float) -> Span:
    """At least as long as what is looked at, within the video."""
    more = max(0.0, LOOK - span.duration) / 2
    start = max(0.0, min(span.start - more, end - LOOK))
    return Span(start, min(end, max(span.end + more, start + LOOK)))


def _telling(features: Features, span: Span) -> Span:
    """The seconds of a span in which most changes, as many as are looked at."""
    frames = features.within(span)
    starts = frames.times[frames.times <= span.end - LOOK]
    if not len(starts):
        return span
    changes = [float(frames.within(Span(t, t + LOOK)).matrix.var(axis=0).sum()) for t in starts]
    start = max(span.start, float(starts[int(np.argmax(changes))]))
    return Span(start, start + LOOK)


def _moved(span: Span, shift: float, end: float) -> Span:
    start = min(max(0.0, span.start + shift), end)
    return Span(start, min(max(start, span.end + shift), end))


def _matched(both: Both, part: Span, there: Span, slack: float) -> Match | None:
    """Where the other video shows a part of the one, around where it should be.

    None where the pictures are of something else. Raises MediaError.
    """
    window, other_window = _around(part, both.one, slack), _around(there, both.other, slack)
    pictures = read_lumas(both.one.path, window)
    other_pictures = read_lumas(both.other.path, other_window)
    found = match(pictures, part, other_pictures, other_window)
    if found is None or not found.is_copy:  # which of them was cropped is not known
        turned = match(other_pictures, there, pictures, window)
        if turned is not None and (found is None or turned.is_copy):
            found = replace(turned, start=part.start + there.start - turned.start)
    return found if found is not None and found.likeness >= ALIKE else None


def _around(span: Span, video: Video, slack: float) -> Span:
    return Span(max(0.0, span.start - slack), min(video.duration, span.end + slack))


def _explains(known: Shared, seed: Seed) -> bool:
    """Whether two segments look alike because of a stretch that was found."""
    pairs = ((known.span, seed.one.span), (known.other_span, seed.other.span))
    return all(span.start <= (part.start + part.end) / 2 <= span.end for span, part in pairs)


def _again(known: Shared, found: Shared) -> bool:
    """Whether a stretch was found already."""
    return known.span.iou(found.span) > 0 and known.other_span.iou(found.other_span) > 0


def _loaded(features: FeatureStore, video_id: int, space: Space) -> Features | None:
    try:
        return features.load(video_id, space)
    except DamagedLibraryError as error:
        log.warning("%s", error)
        return None


def _size(features: Features | None) -> int:
    """Bytes in memory."""
    return features.matrix.nbytes + features.times.nbytes if features is not None else 0


def _segments(catalog: Catalog, space: Space) -> tuple[list[Segment], Matrix]:
    """All segments that have vectors, and those, float32 (N, D)."""
    ids, vectors = catalog.vectors(None, space)
    known = {s.id: s for video in catalog.videos() for s in catalog.segments_of(video.id)}
    have = np.array([int(id_) in known for id_ in ids], bool)
    found = vectors if have.all() else vectors[have]  # not copied unless it has to be
    return [known[int(id_)] for id_ in ids[have]], found
