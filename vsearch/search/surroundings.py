"""What surrounds the segments that are nearest to a query: the moments that grow there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from vsearch.search.moments import places, settled, stretch, stretches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from vsearch.catalog.nearby import Run
    from vsearch.catalog.repository import Catalog
    from vsearch.search.background import Background
    from vsearch.search.moments import Place, Stretch, Usual
    from vsearch.types import Ids, Matrix, Segment, Vector

FIRST = 16  # groups of segments are looked at together, then twice as many, as long as it takes
BESIDE = 4  # segments read before and behind each of those: more than most moments reach
FAR = 24  # read where one reaches further: a minute, mostly


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Some of the nearest segments, whose surroundings may meet."""

    ids: Ids  # (n,) ascending
    scores: Vector  # float32 (n,), less what fits every query
    best: float  # of those


class Surroundings:
    """Looks at the surroundings of segments, for one query; at the same ones only once."""

    def __init__(
        self,
        catalog: Catalog,
        background: Background,
        query: Vector,
        usual: Usual,
        among: Ids | None,
    ) -> None:
        """`among` are the segments that a search may give, ascending; None: all."""
        self._catalog, self._background, self._query = catalog, background, query
        self._usual, self._among = usual, among
        self._space = background.current.space
        self._known: dict[bytes, list[Stretch]] = {}  # by the ids of a group

    def fitting(self, near: Ids, scores: Vector, vectors: Matrix) -> Vector:
        """What segments score, less what fits every query, float32 (n,)."""
        return scores - self._background.excess_of(near, vectors)

    def found(
        self, groups: Sequence[Group], k: int, per_video: int, least: float
    ) -> tuple[list[Stretch], bool]:
        """Stretches of the groups, the best first, and whether the k to show are among them.

        They are if k of them are at least as good as any that is left: in the groups, or where
        nobody has looked yet, of which none scores above `least`.
        """
        useful = [group for group in groups if group.best >= least]
        count = max(FIRST, k)
        while True:
            self._look(useful[:count])
            found = [one for group in useful[:count] for one in self._known[group.ids.tobytes()]]
            floor = useful[count].best if count < len(useful) else least
            enough = settled(found, k, per_video, floor)
            if enough or count >= len(useful):
                return found, enough
            count *= 2

    def in_videos(self, near: Ids, most: int | None = None) -> list[Stretch]:
        """The stretches, at most so many of each, of the videos that hold any of these segments."""
        return [one for _, found in self._in_videos(near, most) for one in found]

    def _look(self, groups: Sequence[Group]) -> None:
        """Get to know the stretches of groups."""
        fresh = {group.ids[0]: group for group in groups if group.ids.tobytes() not in self._known}
        if not fresh:
            return
        ordered = [fresh[first] for first in sorted(fresh)]
        ids = np.concatenate([group.ids for group in ordered])
        scores = np.concatenate([group.scores for group in ordered])
        found: list[list[Stretch]] = [[] for _ in ordered]
        number = np.repeat(np.arange(len(ordered)), [len(group.ids) for group in ordered])
        for id_, one in self._beside(ids, BESIDE):
            at = int(np.searchsorted(ids, id_))
            found[number[at]].append(replace(one, score=float(scores[at])))
        for group, own in zip(ordered, found, strict=True):
            self._known[group.ids.tobytes()] = own

    def _beside(self, near: Ids, reach: int) -> Iterator[tuple[int, Stretch]]:
        """The stretches that grow from segments, ascending, as they would in the whole of their
        videos; each with the id of the segment that it grows from.
        """
        cut: list[Ids] = []
        for run in self._catalog.around(near, reach, self._space):
            own = inside(run.ids, near)
            scores = run.vectors @ self._query
            grown = self._grown(run, scores, np.flatnonzero(own))
            if any(_is_cut(run, place) for place in grown):
                cut.append(run.ids[own])
                continue
            for place in grown:
                score = float(scores[place.peak])
                yield int(run.ids[place.peak]), stretch(run.video_id, run.times, place, score)
        if cut:
            yield from self._further(np.concatenate(cut), reach)

    def _grown(self, run: Run, scores: Vector, own: Ids) -> list[Place]:
        """The places in a run that grow from some of its segments, int64 (n,)."""
        best = own[np.argsort(-scores[own], kind="stable")].tolist()
        may = None if self._among is None else inside(run.ids, self._among).tolist()
        return list(places(run.times, run.vectors, scores, self._usual, may, best))

    def _further(self, near: Ids, reach: int) -> Iterator[tuple[int, Stretch]]:
        """The same where a stretch reached beyond what was read."""
        if reach < FAR:
            yield from self._beside(near, FAR)
            return
        for segments, found in self._in_videos(near):
            named = ((segments[one.peak].id, one) for one in found)
            yield from (
                (id_, one) for id_, one in named if id_ in near
            )  # others come by themselves

    def _in_videos(
        self, near: Ids, most: int | None = None
    ) -> Iterator[tuple[list[Segment], list[Stretch]]]:
        """The segments of each of these videos, and the stretches in it."""
        for segments, vectors in self._catalog.whole_videos(near, self._space):
            may, scores = allowed(segments, self._among), vectors @ self._query
            found = list(islice(stretches(segments, vectors, scores, self._usual, may), most))
            peaks = [one.peak for one in found]
            ids = np.array([segments[peak].id for peak in peaks], np.int64)
            less = self._background.excess_of(ids, vectors[peaks]).tolist()
            pairs = zip(found, less, strict=True)
            yield segments, [replace(one, score=one.score - each) for one, each in pairs]


def grouped(ids: Ids, scores: Vector) -> list[Group]:
    """Segments and what they score, in groups whose surroundings can't meet; the best one first."""
    if not len(ids):
        return []
    order = np.argsort(ids, kind="stable")
    ids, scores = ids[order], scores[order]
    begins = np.flatnonzero(np.diff(ids, prepend=ids[0] - 2 * FAR - 2) > 2 * FAR + 1)
    best = np.maximum.reduceat(scores, begins)
    ends = [*begins[1:].tolist(), len(ids)]
    parts = list(map(slice, begins.tolist(), ends))
    return [
        Group(ids[parts[at]], scores[parts[at]], float(best[at]))
        for at in np.argsort(-best, kind="stable").tolist()
    ]


def _is_cut(run: Run, place: Place) -> bool:
    """Whether what is at a place may reach beyond the run."""
    return (run.before and place.begin == 0) or (run.behind and place.end == len(run.ids) - 1)


def allowed(segments: Sequence[Segment], among: Ids | None) -> list[bool] | None:
    """Which segments of a video a search may give, of those `among`, ascending; None: all."""
    if among is None:
        return None
    found: list[bool] = inside(np.array([one.id for one in segments], np.int64), among).tolist()
    return found


def inside(ids: Ids, among: Ids) -> npt.NDArray[np.bool_]:
    """Which ids are `among` others, ascending: `isin` would look at all of them each time."""
    places = np.searchsorted(among, ids)
    inside: npt.NDArray[np.bool_] = places < len(among)
    inside[inside] = among[places[inside]] == ids[inside]
    return inside
