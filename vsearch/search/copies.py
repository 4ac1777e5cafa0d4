"""Where in the library a clip was cut out of, to a fraction of a second.

Its segments name the videos that may hold it, the frame features say where, and tiny pictures of
both files, where they are at hand, whether it is true and when exactly.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DamagedLibraryError, MediaError
from vsearch.types import Moment, Span, Why
from vsearch.vectors.alignment import Offset, offsets, spacing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.catalog.repository import Catalog
    from vsearch.media.lumas import Lumas
    from vsearch.media.matching import Match
    from vsearch.search.clip import Clip
    from vsearch.search.current import Current
    from vsearch.types import Features, Ids, Matrix, Video
    from vsearch.vectors.features import FeatureStore

log = logging.getLogger(__name__)

NEAREST = 48  # segments fetched for each one of the clip
ASKED = 12  # segments of a long clip that are asked for
VIDEOS = 8  # whose frames are compared
LOOKED_AT = 4  # of which are looked at in pictures
SPARSE = 2.0  # seconds between stored frames from which on they hardly tell one place from another
PLACES = 3  # of a video with so few of them
PROMISING = 0.35  # of the way from what any frame scores to 1: else there is no copy
CERTAIN = 0.65  # of that way, where there are no pictures to look at
OVERLAP = 0.9  # of the shorter one of clip and video, that is to lie on the other
SLACK = 4.0  # seconds around the place that the frames name; more where they are further apart
WIDE = 30.0  # seconds, where it is not to be seen there: a camera that stands still, say
WIDELY = 2  # videos that are looked at so
ALIKE = 0.8  # mean correlation of pictures of one scene
AS_LIKELY = 0.1  # of that way: so much less, and a second copy is still looked for
LOOK = 16.0  # seconds of a clip that are looked at
EDGE = 0.15  # seconds at its end that are not: the source may end a little earlier


@dataclass(frozen=True, slots=True)
class Copy:
    """A stretch of a video of the library that a clip shows."""

    video: Video
    span: Span
    likeness: float  # mean cosine of the frames
    certainty: float  # the higher the surer, up to 2; 0 where the frames alone tell


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a clip may lie on a video."""

    video: Video
    offset: Offset
    share: float  # of the way from what any frame scores to 1
    spacing: float  # seconds between the stored frames

    @property
    def certain(self) -> bool:
        """By the frames alone."""
        return self.share >= CERTAIN


class Copies:
    """Finds what a clip is a copy of, in one state of a library."""

    def __init__(
        self,
        catalog: Catalog,
        features: FeatureStore,
        current: Current,
        sample: Matrix,
        among: Ids | None,
    ) -> None:
        """`sample` are segments of the library, float32 (M, D); `among` narrows the search."""
        self._catalog, self._features, self._current = catalog, features, current
        self._sample, self._among = sample, among

    def of(self, clip: Clip) -> list[Copy]:
        """The stretches that the clip shows, the surest first; mostly none or one."""
        places = self._places(clip)
        look = _Look(clip, SLACK)
        found = look.through(_first_videos(places, LOOKED_AT))
        if not found:  # a camera that stands still, say: the frames do not tell the time
            likely = [place for place in places if place.certain or place in look.alike]
            found = replace(look, slack=WIDE).through(likely[:WIDELY])
        return sorted(filter(self._wanted, found), key=lambda copy: -copy.certainty)

    def _wanted(self, copy: Copy) -> bool:
        """Whether any of it is what is searched; its video is, but perhaps for another part."""
        if self._among is None:
            return True
        segments = self._catalog.segments_of(copy.video.id)
        there = [one.id for one in segments if _meet(one.span, copy.span)]
        return bool(np.isin(there, self._among).any())

    def _places(self, clip: Clip) -> list[_Place]:
        """Where the clip may be from, the likeliest first; mostly one place in a video."""
        floor = float((self._sample @ clip.features.matrix.T).mean()) if len(self._sample) else 0.0
        found = []
        for video in self._candidates(clip):
            frames = self._frames(video)
            for offset in _offsets(clip, video, frames) if frames else ():
                share = (offset.likeness - floor) / max(1 - floor, 1e-6)
                if frames and share >= PROMISING:
                    found.append(_Place(video, offset, share, spacing(frames)))
        return sorted(found, key=lambda place: -place.offset.score)

    def _candidates(self, clip: Clip) -> list[Video]:
        """The videos whose segments are nearest to those of the clip."""
        asked = clip.vectors[:: -(-len(clip.vectors) // ASKED)]  # (S, D)
        searched = [self._current.index.search(one, NEAREST, self._among)[0] for one in asked]
        near = np.unique(np.concatenate(searched))
        scores = {
            segments[0].video_id: float((asked @ vectors.T).max(axis=1).mean())
            for segments, vectors in self._catalog.whole_videos(near, self._current.space)
        }
        best = sorted(scores, key=lambda video_id: -scores[video_id])[:VIDEOS]
        videos = self._catalog.videos_by_id(best)
        return [videos[video_id] for video_id in best if video_id in videos]

    def _frames(self, video: Video) -> Features | None:
        """The stored frames of a video; None without them."""
        try:
            return self._features.load(video.id, self._current.space)
        except DamagedLibraryError as error:
            log.warning("%s", error)
            return None


@dataclass(frozen=True, slots=True)
class _Look:
    """Compares the pictures of a clip with those of videos."""

    clip: Clip
    slack: float  # seconds around a place that are searched
    seen: dict[Span, Lumas] = field(default_factory=dict)  # parts of the clip
    alike: list[_Place] = field(default_factory=list)  # the same scene, perhaps at another time

    def through(self, places: Sequence[_Place]) -> list[Copy]:
        """The copies among these, one a video; after the first one only what is as likely."""
        found: list[Copy] = []
        least = -1.0
        for place in places:
            if place.share < least or any(copy.video == place.video for copy in found):
                continue
            copy = self._at(place)
            if copy is not None:
                found.append(copy)
                least = max(least, place.share - AS_LIKELY)
        return found

    def _at(self, place: _Place) -> Copy | None:
        """The copy, if it is one: the pictures decide, or the frames where there are none."""
        part = _part(self.clip, place)
        try:
            match = self._match(part, place)
        except MediaError as error:
            log.info("%s", error)
            return _copy(self.clip, place, place.offset.start, 0.0) if place.certain else None
        if match is None or not match.is_copy:
            if match is not None and match.likeness >= ALIKE:
                self.alike.append(place)
            return None
        start = match.start - (part.start - self.clip.span.start)
        return _copy(self.clip, place, start, match.likeness + match.motion)

    def _match(self, part: Span, place: _Place) -> Match | None:
        """Where the part is in the pictures around its place. Raises MediaError."""
        from vsearch.media.lumas import read_lumas  # deferred: a text query needs no decoder
        from vsearch.media.matching import match

        end = place.video.duration
        begin = place.offset.start + part.start - self.clip.span.start
        slack = max(self.slack, 2 * place.spacing)  # by a frame before or after, until it changes
        window = Span(min(max(0.0, begin - slack), end), min(begin + part.duration + slack, end))
        if part not in self.seen:
            self.seen[part] = read_lumas(self.clip.path, part)
        shorter = Span(part.start, part.start + min(part.duration, window.duration))
        return match(self.seen[part], shorter, read_lumas(place.video.path, window), window)


def first(
    copies: Sequence[Copy], found: Sequence[Moment], k: int, per_video: int | None
) -> list[Moment]:
    """At most k moments: the copies, then what else was found, as far as it is not the same."""
    others = [moment for moment in found if not any(_same(moment, copy) for copy in copies)]
    best = others[0].score if others else -1.0
    ahead = [
        Moment(
            copy.video,
            copy.span,
            max(copy.likeness, best),  # what is the same is not behind what is only alike
            None,
            Why((copy.span.start + copy.span.end) / 2, copy.likeness, 1, copy=True),
        )
        for copy in copies
    ]
    chosen: list[Moment] = []
    for moment in [*ahead, *others]:
        among = sum(one.video.id == moment.video.id for one in chosen)
        if per_video is None or among < per_video:
            chosen.append(moment)
    return chosen[:k]


def _same(moment: Moment, copy: Copy) -> bool:
    """Whether a moment shows nothing but what a copy does, or little else."""
    start = max(moment.span.start, copy.span.start)
    shared = min(moment.span.end, copy.span.end) - start
    shorter = min(moment.span.duration, copy.span.duration)
    return moment.video.id == copy.video.id and shared > shorter / 2


def _offsets(clip: Clip, video: Video, frames: Features) -> list[Offset]:
    """Where the clip fits best by the stored frames of a video."""
    overlap = OVERLAP * min(clip.span.duration, video.duration)
    most = PLACES if spacing(frames) >= SPARSE else 1
    return offsets(clip.features, clip.span, frames, video.duration, overlap=overlap, most=most)


def _first_videos(places: Sequence[_Place], most: int) -> list[_Place]:
    """The places in so many videos, those named first."""
    videos = list(dict.fromkeys(place.video.id for place in places))[:most]
    return [place for place in places if place.video.id in videos]


def _meet(one: Span, other: Span) -> bool:
    """Whether spans have any time in common."""
    return one.start < other.end and other.start < one.end


def _part(clip: Clip, place: _Place) -> Span:
    """The seconds of the clip that are looked at: those on the video, the middle of many."""
    begins = clip.span.start - place.offset.start  # the video, in seconds of the clip's file
    start = max(clip.span.start, begins)
    end = min(clip.span.end, begins + place.video.duration)
    more = max(0.0, end - start - LOOK) / 2
    return Span(start + more, max(start + more, end - more - EDGE))


def _copy(clip: Clip, place: _Place, start: float, certainty: float) -> Copy:
    """As far as the clip lies on the video."""
    begin = min(max(0.0, start), place.video.duration)
    end = min(max(begin, start + clip.span.duration), place.video.duration)
    return Copy(place.video, Span(begin, end), place.offset.likeness, certainty)
