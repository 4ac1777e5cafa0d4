from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.errors import QueryError
from vsearch.query.model import Term
from vsearch.query.parser import MAX_QUERY_CHARS, parse_clip, parse_query
from vsearch.query.times import parse_time
from vsearch.types import Span


def test_words_become_one_text_term() -> None:
    assert parse_query("a  dog\n jumps").terms == (Term("text", "a dog jumps"),)


def test_text_images_and_clips_combine() -> None:
    query = parse_query(
        "at night", image_paths=["beach.jpg"], clip_terms=[parse_clip("goal.mp4@3-8")]
    )
    assert [term.kind for term in query.terms] == ["text", "image", "clip"]
    assert query.terms[2] == Term("clip", "goal.mp4", span=Span(3, 8))


def test_an_empty_query_is_explained() -> None:
    with pytest.raises(QueryError, match="nothing to search for"):
        parse_query("   ")


def test_a_query_that_is_too_long_is_refused() -> None:
    with pytest.raises(QueryError, match=str(MAX_QUERY_CHARS)):
        parse_query("x" * (MAX_QUERY_CHARS + 1))


@pytest.mark.parametrize(
    ("text", "seconds"), [("12.5", 12.5), ("1:02.5", 62.5), ("1:00:02", 3602.0), ("0", 0.0)]
)
def test_times_are_seconds_or_clock_times(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("clip", ["a.mp4@8-3", "a.mp4@3-3", "a.mp4@1:2:3:4-9", "a.mp4@.-1", ""])
def test_a_clip_with_invalid_times_is_refused(clip: str) -> None:
    with pytest.raises(QueryError):
        parse_clip(clip)


def test_an_at_sign_in_a_file_name_is_part_of_it() -> None:
    assert parse_clip("me@home.mp4") == Term("clip", "me@home.mp4")
    assert parse_clip("me@home.mp4@1-2").value == "me@home.mp4"


@given(st.text(), st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_any_input_parses_or_raises_a_query_error(
    text: str, images: list[str], clips: list[str]
) -> None:
    try:
        query = parse_query(
            text, image_paths=images, clip_terms=[parse_clip(clip) for clip in clips]
        )
    except QueryError:
        return
    assert query.terms
