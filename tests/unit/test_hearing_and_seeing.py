"""A search by what is said and shown as text in videos, beside what they show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fakes import FakeEncoder
from synth import BLUE, GREEN, RED, Scene, make_video
from vsearch import Library
from vsearch.errors import NoTextError, QueryError
from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vsearch.types import CueSource, Matrix, Moment, Space


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Two films of three scenes, twelve seconds each, in other orders."""
    make_video(tmp_path / "one.mp4", [Scene(RED, 4), Scene(BLUE, 4), Scene(GREEN, 4)])
    make_video(tmp_path / "two.mp4", [Scene(GREEN, 4), Scene(BLUE, 4), Scene(RED, 4)])
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        list(opened.index([tmp_path / "one.mp4", tmp_path / "two.mp4"]))
        yield opened


def say(library: Library, name: str, *cues: Cue, source: CueSource = "subtitles") -> None:
    [video] = library.videos([name])
    with library._catalog.begin() as change:
        change.replace_cues(video.id, source, cues, origin="by hand")


def where(found: Sequence[Moment]) -> list[tuple[str, Span]]:
    return [(moment.video.path.stem, moment.span) for moment in found]


def test_plain_words_are_also_looked_for_in_what_is_said(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(5, 7), "the parcel never arrived"))
    best = library.search("parcel arrived")[0]
    assert where([best]) == [("one", Span(5, 7))]
    assert best.why.shares is not None
    assert best.why.shares.said > best.why.shares.seen
    assert best.why.quotes[0].text == "the parcel never arrived"


def test_words_that_nobody_says_leave_pictures_as_they_are(library: Library) -> None:
    before = library.search("something blue")
    say(library, "one.mp4", Cue(Span(5, 7), "the parcel never arrived"))
    assert library.search("something blue") == before


def test_said_is_found_only_where_it_is_said(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(1, 2), "thank you"), Cue(Span(8, 9), "not at all"))
    found = library.search('said:"thank you"')
    assert where(found) == [("one", Span(1, 2))]
    assert found[0].score == 1
    assert library.search("said:goodbye") == []
    assert library.search('shown:"thank you"') == []


def test_shown_is_text_on_the_screen(library: Library) -> None:
    say(library, "two.mp4", Cue(Span(4, 6), "EXIT", "screen"), source="screen")
    found = library.search("shown:exit")
    assert where(found) == [("two", Span(4, 6))]
    assert found[0].why.shares is not None
    assert found[0].why.shares.shown == 1
    assert library.search("said:exit") == []


def test_said_with_a_picture_is_where_both_are(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(5, 7), "here we go"))
    say(library, "two.mp4", Cue(Span(9, 11), "here we go"))
    best = library.search("red said:here")[0]
    assert best.video.path.stem == "two"
    assert best.span.start >= 7.5
    assert {name for name, _ in where(library.search("red said:here"))} == {"one", "two"}


def test_what_must_not_be_said_is_left_out(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(1, 2), "secret"))
    assert library.search("red")[0].video.path.stem in ("one", "two")
    found = library.search("red -said:secret")
    assert found
    assert all(not (m.video.path.stem == "one" and m.span.start < 2) for m in found)


def test_each_place_of_a_word_counts_also_one_near_another(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(1, 1.5), "secret"), Cue(Span(6.2, 6.4), "secret"))
    assert library.search("red -said:secret path:one.mp4", per_video=9) == []
    found = library.search("green said:secret path:one.mp4", per_video=9)
    assert any(moment.span.start >= 8 for moment in found)


def test_a_word_said_a_hundred_times_in_a_video_is_left_out_everywhere(library: Library) -> None:
    many = [Cue(Span(n / 50, n / 50 + 0.02), "um") for n in range(600)]
    say(library, "one.mp4", *many)
    assert library.search("red -said:um path:one.mp4", per_video=9) == []


@pytest.mark.parametrize("query", ["-said:um", '-shown:"EXIT" -said:um', "red then: -said:um"])
def test_words_that_must_not_be_there_are_nothing_to_look_for(library: Library, query: str) -> None:
    with pytest.raises(QueryError, match="say what to look for"):
        library.search(query)


def test_steps_may_be_seen_or_said(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(5, 7), "here we go"))
    [found] = library.search("red then: said:here", k=1)
    assert found.video.path.stem == "one"
    assert found.why.steps[1] == Span(5, 7)
    assert found.span == Span(found.why.steps[0].start, 7)
    assert library.search("green then: said:here") == []


def test_steps_that_are_seen_follow_each_other(library: Library) -> None:
    found = library.search("red then: blue")
    assert [moment.video.path.stem for moment in found] == ["one"]
    assert len(found[0].why.steps) == 2


def test_a_sequence_is_as_sure_as_its_weakest_step(library: Library) -> None:
    [sure] = library.search("red then: blue")
    alone = min(library.search(colour, k=1)[0].confidence or 0 for colour in ("red", "blue"))
    assert sure.confidence is not None
    assert 0 < sure.confidence <= alone + 0.05


def test_words_count_less_where_something_else_is_not_wanted(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(5, 7), "the parcel never arrived"))
    best = library.search("parcel arrived")[0]
    less = next(
        one for one in library.search('parcel arrived -"something green"') if one.why.quotes
    )
    assert best.confidence is not None
    assert less.confidence is not None
    assert less.confidence < best.confidence


@pytest.mark.parametrize("query", ["-red", "-image:a.jpg", "red then: -blue", "-0.5:red -blue"])
def test_only_what_is_not_wanted_is_no_question(library: Library, query: str) -> None:
    with pytest.raises(QueryError, match="say what to look for"):
        library.search(query)


def test_filters_hold_for_words(library: Library) -> None:
    say(library, "one.mp4", Cue(Span(5, 7), "here we go"))
    say(library, "two.mp4", Cue(Span(1, 2), "here we go"))
    assert where(library.search("said:here path:two.mp4")) == [("two", Span(1, 2))]
    assert where(library.search("said:here at:4-12")) == [("one", Span(5, 7))]


class Mute(FakeEncoder):
    """Knows pictures only."""

    @property
    def space(self) -> Space:
        return replace(super().space, speaks_text=False)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        raise NoTextError("it reads no words")


def test_a_model_of_pictures_answers_words_that_are_said(tmp_path: Path) -> None:
    make_video(tmp_path / "one.mp4", [Scene(RED, 4)])
    with Library.open(tmp_path / "library", encoder=Mute()) as library:
        list(library.index([tmp_path / "one.mp4"]))
        with pytest.raises(NoTextError):
            library.search("hello")
        say(library, "one.mp4", Cue(Span(1, 2), "hello there"))
        assert where(library.search("hello")) == [("one", Span(1, 2))]
        assert where(library.search("said:hello")) == [("one", Span(1, 2))]


class Banked(FakeEncoder):
    """Knows what is usually asked, and so how near texts are that mean the same."""

    @property
    def querybank(self) -> Matrix:
        return self.encode_texts([f"text {number}" for number in range(64)])


def test_what_only_means_the_same_is_found_by_said_alone(tmp_path: Path) -> None:
    make_video(tmp_path / "one.mp4", [Scene(RED, 4), Scene(BLUE, 4), Scene(GREEN, 4)])
    with Library.open(tmp_path / "library", encoder=Banked()) as library:
        list(library.index([tmp_path / "one.mp4"]))
        say(library, "one.mp4", Cue(Span(5, 7), "a blue moon", "speech"), source="speech")
        list(library.index([tmp_path / "one.mp4"]))  # which reads what the words mean
        [found] = library.search('said:"blue sea tonight"')
        assert found.why.quotes[0].text == "a blue moon"
        assert not any(one.why.quotes for one in library.search("blue sea tonight"))
        left = library.search('blue -said:"blue sea tonight"')
        assert left[0].span == Span(5, 7)  # as it is said in these very words, and not left out
