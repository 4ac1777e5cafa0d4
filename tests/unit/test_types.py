from __future__ import annotations

import pytest

from vsearch.types import Span


@pytest.mark.parametrize(
    ("other", "max_gap", "expected"),
    [
        (Span(2, 5), 0, True),
        (Span(3, 4), 0, True),
        (Span(0, 9), 0, True),
        (Span(4, 9), 0, True),
        (Span(5, 9), 0, False),  # touches
        (Span(0, 2), 0, False),
        (Span(3, 3), 0, True),  # empty, inside
        (Span(2, 2), 0, False),
        (Span(6, 9), 1, False),
        (Span(6, 9), 1.5, True),
        (Span(5, 9), 0.1, True),
    ],
)
def test_spans_overlap_if_they_share_time_or_are_close(
    other: Span, max_gap: float, expected: bool
) -> None:
    span = Span(2, 5)
    assert span.overlaps(other, max_gap) == other.overlaps(span, max_gap) == expected
