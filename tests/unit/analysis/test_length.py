"""How long a summary may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.analysis.length import Length
from vsearch.errors import QueryError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30), ("1m30s", 90), ("1m", 60), ("90", 90), ("1h", 3600), ("2h5m1s", 7501),
        ("1:30", 90), ("1:02:03", 3723), ("0.5", 0.5), ("1m 30s", 90), ("10min", 600), ("45 S", 45),
    ],
)  # fmt: skip
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert Length.parse(text).within(10_000) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "seconds"), [("10%", 12), ("100%", 120), ("2.5 %", 3)])
def test_a_share_is_of_the_video(text: str, seconds: float) -> None:
    assert Length.parse(text).within(120) == pytest.approx(seconds)


def test_no_summary_is_longer_than_the_video() -> None:
    assert Length.parse("1h").within(12) == 12


@pytest.mark.parametrize(
    "text", ["", " ", "soon", "-5s", "0", "0s", "0%", "101%", "nan", "inf", "1:5", "5x", "s", "%",
             "1e400", "9" * 400, "30s1m", "nan%", "inf%"],
)  # fmt: skip
def test_what_is_no_length_is_told(text: str) -> None:
    with pytest.raises(QueryError, match=r"long|length"):
        Length.parse(text)


@given(st.text(max_size=12))
def test_any_text_is_a_length_or_an_error(text: str) -> None:
    try:
        length = Length.parse(text)
    except QueryError:
        return
    assert 0 < length.within(60) <= 60


def test_numbers_and_lengths_are_taken_as_they_are() -> None:
    assert Length.of(12).within(60) == 12
    assert Length.of("50%") == Length.of(Length(share=0.5))
    with pytest.raises(QueryError):
        Length.of(-1)
