"""Fuzz tests: every query text is answered or rejected with an error."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import GREEN, RED, ColorScene, make_video
from vsearch import Library
from vsearch.errors import VSearchError
from vsearch.query.grammar import FIELD_NAMES
from vsearch.search import last_search
from vsearch.search.result import SearchResult

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("anything")
    make_video(folder / "film.mp4", [ColorScene(RED, 2), ColorScene(GREEN, 2)])
    with Library.open(folder / "library", encoder=FakeEncoder()) as made:
        list(made.index([folder]))
        made.tags.add(str(folder / "film.mp4"), "dog")
        made.saved_searches.add("dogs", "dog -cat")
        last_search.save_last_search(made.path, "red", made.search("red"))
        yield made


parts = st.sampled_from([
    *(f"{name}:" for name in FIELD_NAMES),
    "red", "green", "dog", "film.mp4", "*", "-", "2:", '"', "\\",
    " ", " ", " ", "@dogs", "like:#1", "#9", "then: ", "then:<2s ", "1-3", "0-1", "2024", "10s",
    "speech", "tags", "~", "~no-such-user/x", "fake", "tag:dog", "\0", "\udc80", "🐕", "NEAR", "OR",
    "said:a", 'shown:"b c"', "said:*", "'", "%", "^", "٣", "\u202e",
])  # fmt: skip
anything = st.lists(parts, max_size=12).map("".join) | st.text(max_size=80)
usual = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(usual, max_examples=300)
@given(text=anything)
def test_any_query_text_is_answered_or_refused(library: Library, text: str) -> None:
    _is_answered(library, text)


@pytest.mark.slow
@settings(usual, max_examples=10_000)
@given(text=anything)
def test_ten_thousand_query_texts_are_answered_or_refused(library: Library, text: str) -> None:
    _is_answered(library, text)


def _is_answered(library: Library, text: str) -> None:
    with contextlib.suppress(VSearchError):
        assert all(moment.span.duration >= 0 for moment in library.search(text, k=3))


@pytest.mark.parametrize(
    "text",
    ["image:~no-such-user/x.jpg", "clip:~no-such-user/x.mp4", "path:~no-such-user/* red",
     "image:" + "x" * 1_900, "path:" + "[" * 1_900 + " red", "image:. red", "clip:. red",
     "path:" + "*" * 1_900 + "x red", "path:" + "*a" * 900 + "? red", "said:" + "ab" * 900,
     "a* " * 600],
)  # fmt: skip
def test_unusual_file_names_are_reported(library: Library, text: str) -> None:
    with contextlib.suppress(VSearchError):
        assert isinstance(library.search(text), SearchResult)
