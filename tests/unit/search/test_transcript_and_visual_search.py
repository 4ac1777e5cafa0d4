"""Search that combines transcripts with visual terms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library
from vsearch.errors import NoTextError, QueryError
from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vsearch.types import CueSource, Matrix, Moment, Space


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Two videos of three 12-second scenes in different orders."""
    make_video(
        tmp_path / "one.mp4", [ColorScene(RED, 4), ColorScene(BLUE, 4), ColorScene(GREEN, 4)]
    )
    make_video(
        tmp_path / "two.mp4", [ColorScene(GREEN, 4), ColorScene(BLUE, 4), ColorScene(RED, 4)]
    )
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        list(opened.index([tmp_path / "one.mp4", tmp_path / "two.mp4"]))
        yield opened


def say(library: Library, name: str, *cues: Cue, source: CueSource = "subtitles") -> None:
    [video] = library.videos([name])
    with library._catalog.begin() as change:
        change.replace_cues(video.id, source, cues, source_name="by hand")


def where(found: Sequence[Moment]) -> list[tuple[str, Span]]:
    return [(moment.video.path.stem, moment.span) for moment in found]


def test_plain_text_also_matches_transcripts(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(5, 7), "the parcel never arrived"))
    best = library.search("parcel arrived")[0]
    assert where([best]) == [("one", Span(5, 7))]
    assert best.explanation.score_shares is not None
    assert best.explanation.score_shares.speech > best.explanation.score_shares.visual
    assert best.explanation.quotes[0].text == "the parcel never arrived"


def test_unmatched_text_leaves_visual_results_unchanged(library: Library) -> None:
    before = library.search("something blue")
    say(library, "one.mp4", Cue(Span(5, 7), "the parcel never arrived"))
    assert library.search("something blue") == before


def test_said_matches_speech_only(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(1, 2), "thank you"), Cue(Span(8, 9), "not at all"))
    found = library.search('said:"thank you"')
    assert where(found) == [("one", Span(1, 2))]
    assert found[0].score == 1
    assert not library.search("said:goodbye")
    assert not library.search('shown:"thank you"')


def test_shown_matches_ocr_only(library: Library) -> None:
    say(library, "two.mp4", Cue(Span(4, 6), "EXIT", "ocr"), source="ocr")
    found = library.search("shown:exit")
    assert where(found) == [("two", Span(4, 6))]
    assert found[0].explanation.score_shares is not None
    assert found[0].explanation.score_shares.ocr == 1
    assert not library.search("said:exit")


def test_said_and_visual_terms_must_coincide(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(5, 7), "here we go"))
    say(library, "two.mp4", Cue(Span(9, 11), "here we go"))
    best = library.search("red said:here")[0]
    assert best.video.path.stem == "two"
    assert best.span.start >= 7.5
    assert {name for name, _ in where(library.search("red said:here"))} == {"one", "two"}


def test_excluded_speech_is_left_out(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(1, 2), "secret"))
    assert library.search("red")[0].video.path.stem in ("one", "two")
    found = library.search("red -said:secret")
    assert found
    assert all(not (m.video.path.stem == "one" and m.span.start < 2) for m in found)


def test_said_keeps_hits_close_to_each_other(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(1, 1.5), "secret"), Cue(Span(6.2, 6.4), "secret"))
    assert not library.search("red -said:secret path:one.mp4", per_video=9)
    found = library.search("green said:secret path:one.mp4", per_video=9)
    assert any(moment.span.start >= 8 for moment in found)


@pytest.mark.parametrize("query", ['said:"learning rate"', '"learning rate"', "learning rate"])
def test_two_mentions_near_each_other_are_two_moments(library: Library, query: str) -> None:
    say(library, "one.mp4", *(Cue(Span(at, at + 1.5), "learning rate") for at in (2, 4, 8)))
    found = [moment for moment in library.search(query, per_video=5) if moment.explanation.quotes]
    assert sorted(moment.span.start for moment in found) == [2, 4, 8]


def test_two_signs_near_each_other_are_two_moments(library: Library) -> None:
    signs = [Cue(Span(at, at + 0.5), "EXIT", "ocr") for at in (2, 2.8, 6)]
    say(library, "one.mp4", *signs, source="ocr")
    found = library.search("shown:exit", per_video=5)
    assert sorted(moment.span.start for moment in found) == [2, 2.8, 6]


def test_all_occurrences_of_excluded_speech_are_left_out(library: Library) -> None:
    many = [Cue(Span(n / 50, n / 50 + 0.02), "um") for n in range(600)]
    say(library, "one.mp4", *many)
    assert not library.search("red -said:um path:one.mp4", per_video=9)


@pytest.mark.parametrize("query", ["-said:um", '-shown:"EXIT" -said:um', "red then: -said:um"])
def test_a_query_that_only_excludes_speech_is_rejected(library: Library, query: str) -> None:
    with pytest.raises(QueryError, match="add a term to search for"):
        library.search(query)


def test_steps_may_be_visual_or_speech(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(5, 7), "here we go"))
    [found] = library.search("red then: said:here", k=1)
    assert found.video.path.stem == "one"
    assert found.explanation.step_spans[1] == Span(5, 7)
    assert found.span == Span(found.explanation.step_spans[0].start, 7)
    assert not library.search("green then: said:here")


def test_visual_steps_follow_each_other(library: Library) -> None:
    found = library.search("red then: blue")
    assert [moment.video.path.stem for moment in found] == ["one"]
    assert len(found[0].explanation.step_spans) == 2


def test_a_sequence_has_the_confidence_of_its_weakest_step(library: Library) -> None:
    [sure] = library.search("red then: blue")
    alone = min(library.search(colour, k=1)[0].confidence or 0 for colour in ("red", "blue"))
    assert sure.confidence is not None
    assert 0 < sure.confidence <= alone + 0.05


def test_a_negative_term_reduces_the_share_of_text(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(5, 7), "the parcel never arrived"))
    best = library.search("parcel arrived")[0]
    less = next(
        one for one in library.search('parcel arrived -"something green"') if one.explanation.quotes
    )
    assert best.confidence is not None
    assert less.confidence is not None
    assert less.confidence < best.confidence


@pytest.mark.parametrize("query", ["-red", "-image:a.jpg", "red then: -blue", "-0.5:red -blue"])
def test_a_query_that_only_excludes_is_rejected(library: Library, query: str) -> None:
    with pytest.raises(QueryError, match="add a term to search for"):
        library.search(query)


def test_filters_apply_to_transcript_hits(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(5, 7), "here we go"))
    say(library, "two.mp4", Cue(Span(1, 2), "here we go"))
    assert where(library.search("said:here path:two.mp4")) == [("two", Span(1, 2))]
    assert where(library.search("said:here at:4-12")) == [("one", Span(5, 7))]


class Mute(FakeEncoder):
    """An encoder without text support."""

    @property
    def space(self) -> Space:
        return replace(super().space, supports_text=False)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        raise NoTextError("it reads no words")


def test_speech_can_be_searched_without_text_support(tmp_path: Path) -> None:
    make_video(tmp_path / "one.mp4", [ColorScene(RED, 4)])
    with Library.open(tmp_path / "library", encoder=Mute()) as library:
        list(library.index([tmp_path / "one.mp4"]))
        with pytest.raises(NoTextError):
            library.search("hello")
        say(library, "one.mp4", Cue(Span(1, 2), "hello there"))
        assert where(library.search("hello")) == [("one", Span(1, 2))]
        assert where(library.search("said:hello")) == [("one", Span(1, 2))]


class Banked(FakeEncoder):
    """An encoder with a querybank, the background for semantic matches."""

    @property
    def querybank(self) -> Matrix:
        return self.encode_texts([f"text {number}" for number in range(64)])


def test_only_said_terms_match_semantically(tmp_path: Path) -> None:
    make_video(
        tmp_path / "one.mp4", [ColorScene(RED, 4), ColorScene(BLUE, 4), ColorScene(GREEN, 4)]
    )
    with Library.open(tmp_path / "library", encoder=Banked()) as library:
        list(library.index([tmp_path / "one.mp4"]))
        say(library, "one.mp4", Cue(Span(5, 7), "a blue moon", "speech"), source="speech")
        list(library.index([tmp_path / "one.mp4"]))  # embeds the cues
        [found] = library.search('said:"blue sea tonight"')
        assert found.explanation.quotes[0].text == "a blue moon"
        assert not any(one.explanation.quotes for one in library.search("blue sea tonight"))
        left = library.search('blue -said:"blue sea tonight"')
        assert left[0].span == Span(5, 7)  # a literal match, which is not excluded


def test_a_request_finds_the_same_as_its_content(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(5, 7), "the parcel never arrived"))
    expected = library.search("parcel arrived -green")
    for text in (
        "please find videos of parcel arrived, not green?",
        "parcel arrived without green",
    ):
        search_result = library.search(text)
        assert list(search_result) == list(expected)
        assert search_result.query == "parcel arrived -green"
    assert expected[0].explanation.quotes[0].text == "the parcel never arrived"


@pytest.mark.parametrize("text", ["no dogs", "not a dog", "anything except dogs"])
def test_a_negation_alone_only_excludes(library: Library, text: str) -> None:
    with pytest.raises(QueryError, match="only excludes"):
        library.search(text)
