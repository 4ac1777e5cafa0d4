"""Words of videos that answer a query: where they are, and which segments a search is left with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.search.fusion import NEAR, Place
from vsearch.search.spoken import SAID, SHOWN, Spoken
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.catalog.repository import Catalog
    from vsearch.types import Ids, Term

MOST = 200  # places of one term
ALL = 2_000  # places of words that are to be there, or not to be


@dataclass(frozen=True, slots=True)
class Listened:
    """What was found by words."""

    places: list[Place]
    among: Ids | None  # the segments that are left to search; None: all


def listened(
    terms: Sequence[Term], among: Ids | None, catalog: Catalog, spoken: Spoken
) -> Listened:
    """Where the words of these terms are found.

    `said:` and `shown:` have to be there, or, where their weight is negative, must not be: they
    narrow the search to segments near them. Plain words may be there; what they add is their share
    of all that is wanted and not wanted in words.
    """
    required = [term for term in terms if term.kind in ("said", "shown")]
    plain = [term for term in terms if term.kind == "text" and term.weight > 0]
    for term in required:
        near = _segments(_found(term, among, catalog, spoken, ALL, each=True), catalog)
        if term.weight > 0:
            among = near if among is None else np.intersect1d(among, near)
        else:
            among = np.setdiff1d(catalog.segment_ids() if among is None else among, near)
    wanted = [term for term in required if term.weight > 0] or plain
    kinds = {term.kind for term in wanted}
    total = sum(abs(term.weight) for term in terms if term.kind in kinds)
    places = [
        replace(place, weight=term.weight / total, term=number)
        for number, term in enumerate(wanted)
        for place in _found(term, among, catalog, spoken, MOST)
    ]
    return Listened(places, among)


def _found(
    term: Term,
    among: Ids | None,
    catalog: Catalog,
    spoken: Spoken,
    most: int,
    *,
    each: bool = False,
) -> list[Place]:
    """The places of one term, best first; `each` of them, also those near a better one."""
    sources = {"said": SAID, "shown": SHOWN}.get(term.kind, SAID | SHOWN)
    if term.kind == "text" or term.weight < 0:
        spoken = Spoken(catalog)  # to the letter: pictures know better what only means the same
    heard = spoken.find(
        term.value, exact=term.exact, sources=sources, among=among, most=most, each=each
    )
    videos = catalog.videos_by_id({each.video_id for each in heard}) if heard else {}
    return [Place(videos[each.video_id], each.quote) for each in heard if each.video_id in videos]


def _segments(places: Sequence[Place], catalog: Catalog) -> Ids:
    """The segments near these places, ascending, int64 (N,)."""
    spans = [
        (place.video.id, Span(max(0.0, place.span.start - NEAR), place.span.end + NEAR))
        for place in places
    ]
    found = catalog.overlapping(spans)
    return np.unique(np.concatenate([*found, np.empty(0, np.int64)]))
