from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.errors import QueryError
from vsearch.search.query import LONGEST, parse, parse_clip
from vsearch.search.times import parse_time
from vsearch.types import Span, Term


def test_words_become_one_text_term() -> None:
    assert parse("a  dog\n jumps").terms == (Term("text", "a dog jumps"),)


def test_words_pictures_and_clips_go_together() -> None:
    query = parse("at night", images=["beach.jpg"], clips=[parse_clip("goal.mp4@3-8")])
    assert [term.kind for term in query.terms] == ["text", "image", "clip"]
    assert query.terms[2] == Term("clip", "goal.mp4", span=Span(3, 8))


def test_an_empty_query_says_what_to_give() -> None:
    with pytest.raises(QueryError, match="give some words"):
        parse("   ")


def test_an_endless_query_is_refused() -> None:
    with pytest.raises(QueryError, match=str(LONGEST)):
        parse("x" * (LONGEST + 1))


@pytest.mark.parametrize(
    ("text", "seconds"), [("12.5", 12.5), ("1:02.5", 62.5), ("1:00:02", 3602.0), ("0", 0.0)]
)
def test_times_are_seconds_or_clock_times(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("clip", ["a.mp4@8-3", "a.mp4@3-3", "a.mp4@1:2:3:4-9", "a.mp4@.-1", ""])
def test_a_clip_with_senseless_times_is_refused(clip: str) -> None:
    with pytest.raises(QueryError):
        parse_clip(clip)


def test_an_at_sign_in_a_file_name_is_part_of_it() -> None:
    assert parse_clip("me@home.mp4") == Term("clip", "me@home.mp4")
    assert parse_clip("me@home.mp4@1-2").value == "me@home.mp4"


@given(st.text(), st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_any_input_is_a_query_or_a_query_error(
    text: str, images: list[str], clips: list[str]
) -> None:
    try:
        query = parse(text, images=images, clips=[parse_clip(clip) for clip in clips])
    except QueryError:
        return
    assert query.terms
