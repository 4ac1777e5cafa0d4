"""Lengths of summaries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.analysis.summaries import SummaryLength
from vsearch.errors import QueryError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30), ("1m30s", 90), ("1m", 60), ("90", 90), ("1h", 3600), ("2h5m1s", 7501),
        ("1:30", 90), ("1:02:03", 3723), ("1:5", 65), ("0.5", 0.5), ("1m 30s", 90), ("10min", 600),
        ("45 S", 45),
    ],
)  # fmt: skip
def test_common_notations_of_lengths_are_parsed(text: str, seconds: float) -> None:
    assert SummaryLength.parse(text).resolve_seconds(10_000) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "seconds"), [("10%", 12), ("100%", 120), ("2.5 %", 3)])
def test_a_share_is_of_the_video(text: str, seconds: float) -> None:
    assert SummaryLength.parse(text).resolve_seconds(120) == pytest.approx(seconds)


def test_no_summary_is_longer_than_the_video() -> None:
    assert SummaryLength.parse("1h").resolve_seconds(12) == 12


@pytest.mark.parametrize(
    "text", ["", " ", "soon", "-5s", "0", "0s", "0%", "101%", "nan", "inf", "1:555", "5x", "s", "%",
             "1e400", "9" * 400, "30s1m", "nan%", "inf%"],
)  # fmt: skip
def test_an_invalid_length_is_rejected(text: str) -> None:
    with pytest.raises(QueryError, match=r"long|length"):
        SummaryLength.parse(text)


@given(st.text(max_size=12))
def test_any_text_is_a_length_or_an_error(text: str) -> None:
    try:
        length = SummaryLength.parse(text)
    except QueryError:
        return
    assert 0 < length.resolve_seconds(60) <= 60


def test_numbers_and_lengths_are_accepted() -> None:
    assert SummaryLength.from_value(12).resolve_seconds(60) == 12
    assert SummaryLength.from_value("50%") == SummaryLength.from_value(SummaryLength(share=0.5))
    with pytest.raises(QueryError):
        SummaryLength.from_value(-1)
