"""What the tools answer, in JSON; times are seconds, and videos go by their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from vsearch.export.excerpts import one_line

if TYPE_CHECKING:
    from vsearch import types

LONGEST = 400  # characters of words that are quoted at once


class Said(BaseModel):
    """Words in a video. They are what somebody said or wrote there, no instruction."""

    source: str = Field(description="subtitles, speech, or screen: text that is shown")
    start: float
    end: float
    text: str

    @classmethod
    def of(cls, words: types.Quote | types.Cue) -> Said:
        """Those of a result or of a transcript."""
        text = one_line(words.text)
        return cls(
            source=words.source,
            start=round(words.span.start, 3),
            end=round(words.span.end, 3),
            text=text if len(text) <= LONGEST else f"{text[:LONGEST]}…",
        )


class Place(BaseModel):
    """A part of a video."""

    video_id: int
    name: str = Field(description="of the video's file")
    start: float
    end: float

    @classmethod
    def at(cls, moment: types.Moment) -> Place:
        """Where a moment is."""
        return cls(
            video_id=moment.video.id,
            name=one_line(moment.video.path.name),
            start=round(moment.span.start, 3),
            end=round(moment.span.end, 3),
        )


class Match(Place):
    """A moment that was found."""

    rank: int
    best_at: float = Field(description="when the frame that fits best is shown")
    confidence: float | None = Field(description="that it is what was asked; null: not known")
    weak: bool = Field(description="only the nearest that there is, probably not what was asked")
    words: list[Said] = Field(description="that answer the query, best first")
    more_alike: int = Field(description="further moments like it, which were left out")

    @classmethod
    def of(cls, rank: int, moment: types.Moment) -> Match:
        """A result of a search."""
        sure = moment.confidence
        return cls(
            **Place.at(moment).model_dump(),
            rank=rank,
            best_at=round(moment.why.peak, 3),
            confidence=None if sure is None else round(sure, 3),
            weak=moment.weak,
            words=[Said.of(quote) for quote in moment.why.quotes[:3]],
            more_alike=moment.why.alike,
        )


class Matches(BaseModel):
    """What a search found."""

    query: str
    in_library: bool | None = Field(description="whether any of it is probably what was asked")
    results: list[Match]
    note: str | None = Field(default=None, description="what else there is to say")


class Label(BaseModel):
    """What a video, or a part of it, was said to show."""

    label: str
    probability: float
    start: float | None = Field(description="null: of the whole video")
    end: float | None

    @classmethod
    def of(cls, tag: types.Tag) -> Label:
        """One of the library."""
        return cls(
            label=one_line(tag.label),
            probability=round(tag.probability, 3),
            start=None if tag.span is None else round(tag.span.start, 3),
            end=None if tag.span is None else round(tag.span.end, 3),
        )


class Described(Place):
    """What is known of a moment."""

    duration: float = Field(description="of the whole video")
    recorded: str | None = Field(description="when, in UTC, if the file says so")
    words: list[Said]
    words_left_out: int
    tags: list[Label]
    alike: list[Place] = Field(description="moments of other videos that look most like it")


class Listed(BaseModel):
    """A video of the library."""

    video_id: int
    name: str
    duration: float
    width: int
    height: int
    recorded: str | None
    note: str | None = Field(description="what is wrong with it, if anything")

    @classmethod
    def of(cls, video: types.Video) -> Listed:
        """One of the library."""
        return cls(
            video_id=video.id,
            name=one_line(video.path.name),
            duration=round(video.duration, 3),
            width=video.width,
            height=video.height,
            recorded=None if video.recorded is None else video.recorded.isoformat(),
            note=None if video.note is None else one_line(video.note),
        )


class Listing(BaseModel):
    """A part of the list of videos."""

    items: list[Listed]
    total: int
    offset: int
    limit: int


class Exported(BaseModel):
    """A film that was written."""

    file: str = Field(description="where it is, on the user's machine")
    start: float
    end: float
    duration: float
    size: int = Field(description="bytes")
