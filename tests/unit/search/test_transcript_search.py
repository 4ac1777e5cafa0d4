from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.spoken_words import add_video_with_cues, make_cue, make_transcript_catalog
from vsearch.search import text
from vsearch.search.passages import MAX_QUOTE_CHARS as LONGEST
from vsearch.search.passages import fold_text
from vsearch.search.text import OCR_SOURCES, SPEECH_SOURCES, TranscriptHit, TranscriptSearch
from vsearch.types import Cue, Span, Word

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.catalog.database_url import CatalogLocation


def found(catalog: Catalog, text: str, *, exact: bool = False) -> list[tuple[int, float]]:
    """Return the video and start of each hit."""
    heard = TranscriptSearch(catalog).search(text, exact_phrase=exact)
    return [(each.video_id, each.quote.span.start) for each in heard]


def marked(heard: TranscriptHit) -> list[str]:
    return [heard.quote.text[hit.start_char : hit.end_char] for hit in heard.hit_tokens]


def test_full_matches_outrank_partial_ones(catalog_location: CatalogLocation) -> None:
    with make_transcript_catalog(
        catalog_location,
        ["the harbour was closed", "nothing", "nothing", "nothing", "red lanterns"],
        ["nothing at all", "red lanterns in the harbour"],
    ) as catalog:
        assert found(catalog, "red lanterns harbour") == [(2, 4.0), (1, 16.0)]
        best, other = TranscriptSearch(catalog).search("red lanterns harbour")
        assert best.quote.score == pytest.approx(1)
        assert 0.5 <= other.quote.score < 0.8
        assert found(catalog, "elephants") == []


def test_a_sentence_split_over_two_cues_is_found(catalog_location: CatalogLocation) -> None:
    lines = ["well then", "I wanted to say thank", "you so much", "good bye"]
    with make_transcript_catalog(
        catalog_location, ["thank goodness", "as you wish"], lines
    ) as catalog:
        [best, *_] = TranscriptSearch(catalog).search("thank you so much", exact_phrase=True)
        assert (best.video_id, best.quote.span) == (2, Span(4, 11))
        assert marked(best) == ["thank", "you", "so", "much"]
        assert found(catalog, "thank you so much")[0] == (2, 4.0)


def test_passages_contain_close_cues_of_one_transcript(catalog_location: CatalogLocation) -> None:
    with make_transcript_catalog(catalog_location) as catalog:
        tracks = [Cue(Span(1, 2), "guten Morgen"), Cue(Span(0.5, 2), "zebra crossing")]
        add_video_with_cues(catalog, "/films/tracks.mp4", tracks)
        add_video_with_cues(
            catalog, "/films/sources.mp4", [make_cue("morgen", 0), Cue(Span(1, 2), "zebra")]
        )
        add_video_with_cues(
            catalog, "/films/far.mp4", [make_cue("morgen", 0), make_cue("zebra", 11)]
        )
        assert found(catalog, "morgen zebra", exact=True) == []
        assert all(
            each.quote.score < 1 for each in TranscriptSearch(catalog).search("morgen zebra")
        )


def test_a_phrase_matches_only_in_order(catalog_location: CatalogLocation) -> None:
    lines = ["man bites dog", "the dog bites the man", "dogs bite men", "x", "y", "Dog bites Man!"]
    with make_transcript_catalog(catalog_location, lines, cue_interval=20) as catalog:
        assert found(catalog, "dog bites man", exact=True) == [(1, 100.0)]
        assert [start for _, start in found(catalog, "dog bites man")] == [0, 100, 20, 40]


def test_case_accents_and_inflection_are_ignored(catalog_location: CatalogLocation) -> None:
    lines = [
        "Un CAFÉ noir",
        "she was running",
        "the parties",
        "we stopped dancing",
        "a careful man",
    ]
    with make_transcript_catalog(catalog_location, lines, cue_interval=20) as catalog:
        assert found(catalog, "cafe") == found(catalog, "Cafe\u0301") == [(1, 0.0)]
        assert found(catalog, "run") == found(catalog, "runs") == [(1, 20.0)]
        assert found(catalog, "party") == [(1, 40.0)]
        assert found(catalog, "dance stop") == [(1, 60.0)]
        assert found(catalog, "run", exact=True) == found(catalog, "car") == []
        assert found(catalog, "car*") == [(1, 80.0)]


def test_a_single_letter_is_a_prefix_only_in_scripts_without_spaces(
    catalog_location: CatalogLocation,
) -> None:
    with make_transcript_catalog(
        catalog_location, ["a carpet", "plan c", "水曜日"], cue_interval=20
    ) as catalog:
        assert found(catalog, "c*") == [(1, 20.0)]
        assert found(catalog, "水*") == [(1, 40.0)]


def test_stop_words_alone_are_not_a_hit(catalog_location: CatalogLocation) -> None:
    lines = ["it is in the end a question", "a dog was here"]
    with make_transcript_catalog(catalog_location, lines, cue_interval=20) as catalog:
        assert found(catalog, "is the dog in here") == [(1, 20.0)]
        assert found(catalog, "is it in the") == [(1, 0.0)]


def test_only_the_requested_sources_are_searched(catalog_location: CatalogLocation) -> None:
    with make_transcript_catalog(catalog_location) as catalog:
        add_video_with_cues(
            catalog, "/films/1.mp4", [make_cue("exit", 0), make_cue("exit", 1, "ocr")]
        )
        add_video_with_cues(catalog, "/films/2.mp4", [make_cue("exit", 2, "subtitles")])
        words = TranscriptSearch(catalog)
        assert len(words.search("exit")) == 3
        assert {
            each.quote.source for each in words.search("exit", cue_sources=SPEECH_SOURCES)
        } == SPEECH_SOURCES
        [shown] = words.search("exit", cue_sources=OCR_SOURCES)
        assert (shown.video_id, shown.quote.source) == (1, "ocr")
        assert words.search("exit", cue_sources=frozenset()) == []


def test_hits_are_restricted_to_allowed_segments(catalog_location: CatalogLocation) -> None:
    with make_transcript_catalog(
        catalog_location, ["splash"] * 3, ["splash"] * 3, cue_interval=20
    ) as catalog:
        own = np.array([segment.id for segment in catalog.segments_of_video(2)])
        heard = TranscriptSearch(catalog).search("splash", allowed_ids=own[2:4])
        assert [(each.video_id, each.quote.span.start) for each in heard] == [(2, 20.0)]
        assert TranscriptSearch(catalog).search("splash", allowed_ids=own[:0]) == []


def test_word_timings_locate_the_hits(catalog_location: CatalogLocation) -> None:
    words = tuple(
        Word(text, Span(at, at + 0.5)) for at, text in enumerate(["oh,", "Thank", "you.", "ok"])
    )
    with make_transcript_catalog(
        catalog_location, [Cue(Span(0, 9), "oh, Thank you. ok", "speech", words)]
    ) as catalog:
        [heard] = TranscriptSearch(catalog).search("thank you", exact_phrase=True)
        assert heard.quote.span == Span(1, 2.5)


def test_a_quote_is_truncated_around_the_hits(catalog_location: CatalogLocation) -> None:
    line = "blah " * 100 + "the needle is here " + "blah " * 80
    with make_transcript_catalog(catalog_location, [line]) as catalog:
        [heard] = TranscriptSearch(catalog).search("needle")
        assert len(heard.quote.text) <= LONGEST + 2
        assert heard.quote.text.startswith("…")
        assert heard.quote.text.endswith("…")
        assert marked(heard) == ["needle"]


def test_mentions_close_in_time_are_hits_of_their_own(catalog_location: CatalogLocation) -> None:
    with make_transcript_catalog(catalog_location, ["go"] * 2 + ["x"] * 4 + ["go"]) as catalog:
        assert found(catalog, "go") == [(1, 0.0), (1, 4.0), (1, 24.0)]
        assert len(TranscriptSearch(catalog).search("go", max_hits=1)) == 1


def test_a_repetitive_video_does_not_crowd_out_others(
    catalog_location: CatalogLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "MAX_POSTINGS", 64)
    monkeypatch.setattr(text, "MAX_PASSAGES", 64)
    with make_transcript_catalog(
        catalog_location, ["again"] * 900, ["again"] * 900, cue_interval=20
    ) as catalog:
        add_video_with_cues(
            catalog, "/films/last.mp4", [make_cue("again", at * 20) for at in range(900)]
        )
        assert {video for video, _ in found(catalog, "again")} == {1, 2, 3}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    lines = ["a dog", "NEAR the pool", 'don\'t "quote" me', "100% naïve", "犬がプールに"]
    with make_transcript_catalog(
        tmp_path_factory.mktemp("small") / "catalog.sqlite3", lines
    ) as catalog:
        yield catalog


HOSTILE = st.text(alphabet="\"'*^:(){}[]-+.,ANDORNEAR dogpool\0\udcff%éÉ犬ﬀİ\u0301;") | st.text()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=HOSTILE, exact=st.booleans())
def test_any_text_can_be_searched(small: Catalog, text: str, exact: bool) -> None:
    for heard in TranscriptSearch(small).search(text, exact_phrase=exact):
        assert 0.5 <= heard.quote.score <= 1 + 1e-6
        assert all(
            fold_text(heard.quote.text[hit.start_char : hit.end_char]) == hit.folded_text
            for hit in heard.hit_tokens
        )


@pytest.mark.parametrize("text", ["", "  ", '"', "*", "--", "\0", "dog" * 10_000, "dog " * 10_000])
def test_unusual_texts_can_be_searched(small: Catalog, text: str) -> None:
    assert len(TranscriptSearch(small).search(text)) <= 1


def test_two_mentions_near_each_other_are_two_hits(tmp_path: Path) -> None:
    cues = [
        Cue(Span(2, 4), "the learning rate"),
        Cue(Span(4.5, 7), "is small, so"),
        Cue(Span(8, 10), "a learning rate of one is too much"),
        Cue(Span(10.5, 12), "one learning"),
        Cue(Span(12, 13), "rate is enough"),
        Cue(Span(13, 14), "is it not"),
    ]
    for source in ("subtitles", "speech", "ocr"):
        cues = [Cue(cue.span, cue.text, source) for cue in cues]
        with make_transcript_catalog(tmp_path / f"{source}.sqlite3", cues) as catalog:
            expected = [(1, 2.0), (1, 8.0), (1, 10.5)]
            assert sorted(found(catalog, "learning rate", exact=True)) == expected
            assert sorted(found(catalog, "learning rate")) == expected


def test_a_mention_in_subtitles_and_speech_is_one_hit(catalog_location: CatalogLocation) -> None:
    cues = [
        Cue(Span(start + offset, start + offset + 1), "learning rate", source)  # type: ignore[arg-type]
        for source, offset in (("subtitles", 0), ("speech", 1.5))
        for start in (2, 8)
    ]
    with make_transcript_catalog(catalog_location, cues) as catalog:
        starts = sorted(start for _, start in found(catalog, "learning rate", exact=True))
        assert len(starts) == 2
        assert starts == pytest.approx([2.75, 8.75], abs=0.8)


def test_two_mentions_in_one_cue_with_word_times_are_two_hits(
    catalog_location: CatalogLocation,
) -> None:
    texts = ["learning", "rate", "and", "rate", "of", "learning", "or", "learning", "rate"]
    words = tuple(Word(text, Span(2 + at, 2.8 + at)) for at, text in enumerate(texts))
    cue = Cue(Span(2, 10.8), " ".join(texts), "speech", words)
    with make_transcript_catalog(catalog_location, [cue]) as catalog:
        hits = TranscriptSearch(catalog).search("learning rate", exact_phrase=True)
        assert [hit.quote.span for hit in hits] == [Span(2, 3.8), Span(9, 10.8)]
        assert [marked(hit) for hit in hits] == [["learning", "rate"]] * 2
        starts = [hit.quote.span.start for hit in TranscriptSearch(catalog).search("learning")]
        assert starts == [2, 7, 9]
        [whole] = TranscriptSearch(catalog).search("rate learning")
        assert whole.quote.span == Span(2, 10.8)
        [untimed] = TranscriptSearch(catalog).search("learning rate", exact_phrase=True, max_hits=1)
        assert untimed.quote.span == Span(2, 3.8)
