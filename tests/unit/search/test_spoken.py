from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spoken_words import add, said, with_words
from vsearch.search import spoken
from vsearch.search.asked import fold
from vsearch.search.passages import SHOWN as LONGEST
from vsearch.search.spoken import SAID, SHOWN, Heard, Spoken
from vsearch.types import Cue, Span, Word

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.catalog.repository import Catalog


def found(catalog: Catalog, text: str, *, exact: bool = False) -> list[tuple[int, float]]:
    """Video and start of what is found."""
    heard = Spoken(catalog).find(text, exact=exact)
    return [(each.video_id, each.quote.span.start) for each in heard]


def marked(heard: Heard) -> list[str]:
    return [heard.quote.text[hit.start : hit.end] for hit in heard.hits]


def test_what_says_all_comes_before_what_says_most(tmp_path: Path) -> None:
    with with_words(
        tmp_path,
        ["the harbour was closed", "nothing", "nothing", "nothing", "red lanterns"],
        ["nothing at all", "red lanterns in the harbour"],
    ) as catalog:
        assert found(catalog, "red lanterns harbour") == [(2, 4.0), (1, 16.0)]
        best, other = Spoken(catalog).find("red lanterns harbour")
        assert best.quote.score == pytest.approx(1)
        assert 0.5 <= other.quote.score < 0.8
        assert found(catalog, "elephants") == []


def test_a_sentence_that_is_cut_over_two_cues_is_found(tmp_path: Path) -> None:
    lines = ["well then", "I wanted to say thank", "you so much", "good bye"]
    with with_words(tmp_path, ["thank goodness", "as you wish"], lines) as catalog:
        [best, *_] = Spoken(catalog).find("thank you so much", exact=True)
        assert (best.video_id, best.quote.span) == (2, Span(4, 11))
        assert marked(best) == ["thank", "you", "so", "much"]
        assert found(catalog, "thank you so much")[0] == (2, 4.0)


def test_neighbours_are_of_one_track_one_source_and_near(tmp_path: Path) -> None:
    with with_words(tmp_path) as catalog:
        tracks = [Cue(Span(1, 2), "guten Morgen"), Cue(Span(0.5, 2), "zebra crossing")]
        add(catalog, "/films/tracks.mp4", tracks)
        add(catalog, "/films/sources.mp4", [said("morgen", 0), Cue(Span(1, 2), "zebra")])
        add(catalog, "/films/far.mp4", [said("morgen", 0), said("zebra", 11)])
        assert found(catalog, "morgen zebra", exact=True) == []
        assert all(each.quote.score < 1 for each in Spoken(catalog).find("morgen zebra"))


def test_quoted_words_are_found_in_their_order_only(tmp_path: Path) -> None:
    lines = ["man bites dog", "the dog bites the man", "dogs bite men", "x", "y", "Dog bites Man!"]
    with with_words(tmp_path, lines, every=20) as catalog:
        assert found(catalog, "dog bites man", exact=True) == [(1, 100.0)]
        assert [start for _, start in found(catalog, "dog bites man")] == [0, 100, 20, 40]


def test_case_accents_and_endings_are_forgiven(tmp_path: Path) -> None:
    lines = [
        "Un CAFÉ noir",
        "she was running",
        "the parties",
        "we stopped dancing",
        "a careful man",
    ]
    with with_words(tmp_path, lines, every=20) as catalog:
        assert found(catalog, "cafe") == found(catalog, "Cafe\u0301") == [(1, 0.0)]
        assert found(catalog, "run") == found(catalog, "runs") == [(1, 20.0)]
        assert found(catalog, "party") == [(1, 40.0)]
        assert found(catalog, "dance stop") == [(1, 60.0)]
        assert found(catalog, "run", exact=True) == found(catalog, "car") == []
        assert found(catalog, "car*") == [(1, 80.0)]


def test_a_single_letter_is_no_beginning_but_one_of_a_script_without_spaces_is(
    tmp_path: Path,
) -> None:
    with with_words(tmp_path, ["a carpet", "plan c", "水曜日"], every=20) as catalog:
        assert found(catalog, "c*") == [(1, 20.0)]
        assert found(catalog, "水*") == [(1, 40.0)]


def test_words_that_say_little_do_not_make_a_hit(tmp_path: Path) -> None:
    lines = ["it is in the end a question", "a dog was here"]
    with with_words(tmp_path, lines, every=20) as catalog:
        assert found(catalog, "is the dog in here") == [(1, 20.0)]
        assert found(catalog, "is it in the") == [(1, 0.0)]


def test_only_the_sources_that_are_asked_for_are_searched(tmp_path: Path) -> None:
    with with_words(tmp_path) as catalog:
        add(catalog, "/films/1.mp4", [said("exit", 0), said("exit", 1, "screen")])
        add(catalog, "/films/2.mp4", [said("exit", 2, "subtitles")])
        words = Spoken(catalog)
        assert len(words.find("exit")) == 3
        assert {each.quote.source for each in words.find("exit", sources=SAID)} == SAID
        [shown] = words.find("exit", sources=SHOWN)
        assert (shown.video_id, shown.quote.source) == (1, "screen")
        assert words.find("exit", sources=frozenset()) == []


def test_a_search_is_narrowed_to_segments(tmp_path: Path) -> None:
    with with_words(tmp_path, ["splash"] * 3, ["splash"] * 3, every=20) as catalog:
        own = np.array([segment.id for segment in catalog.segments_of(2)])
        heard = Spoken(catalog).find("splash", among=own[2:4])
        assert [(each.video_id, each.quote.span.start) for each in heard] == [(2, 20.0)]
        assert Spoken(catalog).find("splash", among=own[:0]) == []


def test_where_the_times_of_words_are_known_they_are_told(tmp_path: Path) -> None:
    words = tuple(
        Word(text, Span(at, at + 0.5)) for at, text in enumerate(["oh,", "Thank", "you.", "ok"])
    )
    with with_words(tmp_path, [Cue(Span(0, 9), "oh, Thank you. ok", "speech", words)]) as catalog:
        [heard] = Spoken(catalog).find("thank you", exact=True)
        assert heard.quote.span == Span(1, 2.5)


def test_a_quote_is_bounded_and_shows_why(tmp_path: Path) -> None:
    line = "blah " * 100 + "the needle is here " + "blah " * 80
    with with_words(tmp_path, [line]) as catalog:
        [heard] = Spoken(catalog).find("needle")
        assert len(heard.quote.text) <= LONGEST + 2
        assert heard.quote.text.startswith("…")
        assert heard.quote.text.endswith("…")
        assert marked(heard) == ["needle"]


def test_hits_near_each_other_are_one_place(tmp_path: Path) -> None:
    with with_words(tmp_path, ["go"] * 2 + ["x"] * 4 + ["go"]) as catalog:
        assert found(catalog, "go") == [(1, 0.0), (1, 24.0)]
        assert len(Spoken(catalog).find("go", most=1)) == 1


def test_one_video_that_says_it_all_the_time_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spoken, "POSTINGS", 64)
    monkeypatch.setattr(spoken, "TRIED", 64)
    with with_words(tmp_path, ["again"] * 900, ["again"] * 900, every=20) as catalog:
        add(catalog, "/films/last.mp4", [said("again", at * 20) for at in range(900)])
        assert {video for video, _ in found(catalog, "again")} == {1, 2, 3}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    lines = ["a dog", "NEAR the pool", 'don\'t "quote" me', "100% naïve", "犬がプールに"]
    with with_words(tmp_path_factory.mktemp("small"), lines) as catalog:
        yield catalog


HOSTILE = st.text(alphabet="\"'*^:(){}[]-+.,ANDORNEAR dogpool\0\udcff%éÉ犬ﬀİ\u0301;") | st.text()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=HOSTILE, exact=st.booleans())
def test_any_text_is_answered(small: Catalog, text: str, exact: bool) -> None:
    for heard in Spoken(small).find(text, exact=exact):
        assert 0.5 <= heard.quote.score <= 1 + 1e-6
        assert all(fold(heard.quote.text[hit.start : hit.end]) == hit.text for hit in heard.hits)


@pytest.mark.parametrize("text", ["", "  ", '"', "*", "--", "\0", "dog" * 10_000, "dog " * 10_000])
def test_odd_texts_are_answered(small: Catalog, text: str) -> None:
    assert len(Spoken(small).find(text)) <= 1
