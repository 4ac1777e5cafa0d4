"""Frame rates as editors know them."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.export.excerpts import Source

# what a timeline may have: every editor takes these
TIMELINES = (
    Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30),
    Fraction(50), Fraction(60000, 1001), Fraction(60),
)  # fmt: skip
_USUAL = Fraction(30)
_NEAR = Fraction(1, 5000)  # of a rate: files round theirs
_HIGHEST = 1000


def exact_rate(fps: float) -> Fraction | None:
    """The rate that a number means: 29.97 is 30000/1001. None where it says nothing."""
    if not 0 < fps <= _HIGHEST:  # nan is not, either
        return None
    rate = Fraction(fps).limit_denominator(1001)
    return next((one for one in TIMELINES if abs(one - rate) < one * _NEAR), rate or None)


def timeline_rate(sources: Sequence[Source]) -> Fraction:
    """The rate for a timeline of these, one for each excerpt: the one that most of them have.

    Rates that no timeline has count as one that shows each of their frames equally long.
    """
    votes = Counter(map(_nearest, (one.rate for one in sources)))
    return max(votes, key=lambda rate: (votes[rate], rate), default=_USUAL)


def _nearest(rate: Fraction | None) -> Fraction:
    if rate is None:
        return _USUAL
    return next((one for one in TIMELINES if one % rate == 0), _USUAL)
