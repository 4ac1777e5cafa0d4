"""Data model of queries; `str(query)` formats one in the query language."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.query import formatting
from vsearch.query.dates import RelativeDate
from vsearch.query.natural_language import is_literal
from vsearch.query.times import OPEN_END_SECONDS

if TYPE_CHECKING:
    from datetime import datetime

    from vsearch.query.areas import Area
    from vsearch.query.dates import DateBound
    from vsearch.query.filter_values import ClockRange, FrameRateRange
    from vsearch.types import Moment, Quote, Span, TermKind


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a query: text, an image, a clip, or words in a transcript.

    Raises:
        ValueError: If the value is blank, or the weight is 0 or not finite.
    """

    kind: TermKind  # text: visual; said: speech and subtitles; shown: on-screen text
    value: str  # words, or the path of an image or clip
    weight: float = 1.0  # negative to exclude
    span: Span | None = None  # of a clip, in seconds
    is_phrase: bool = False  # quoted: transcripts must contain the exact phrase

    def __post_init__(self) -> None:
        if not self.value.strip():
            raise ValueError("a term requires words or a path")
        if not math.isfinite(self.weight) or self.weight == 0:
            raise ValueError(f"a weight must be finite and not 0, not {self.weight}")

    def __str__(self) -> str:
        """Return the query text."""
        weight_text = (
            "" if abs(self.weight) == 1 else f"{formatting.format_number(abs(self.weight))}:"
        )
        weight_prefix = f"-{weight_text}" if self.weight < 0 else weight_text
        if self.kind == "text" and not self.is_phrase:
            if not weight_prefix and is_literal(self.value):
                return formatting.quote_words(self.value)
            is_ambiguous = (  # 2:30 is a time
                not weight_prefix or self.value in ("-", "@") or self.value[0].isdecimal()
            )
            return (
                f"{weight_prefix}text:{formatting.escape_value(self.value)}"
                if is_ambiguous
                else weight_prefix + formatting.quote_word(self.value)
            )
        if self.kind in ("text", "said", "shown"):
            field_prefix = "" if self.kind == "text" else f"{self.kind}:"
            format_value = formatting.quote_phrase if self.is_phrase else formatting.escape_value
            return f"{weight_prefix}{field_prefix}{format_value(self.value)}"
        if self.kind == "clip" and "@" in self.value:
            path_text = formatting.quote_phrase(self.value)
        else:
            path_text = formatting.quote_name(self.value)
        span_text = "" if self.span is None else f"@{_format_span(self.span)}"
        return f"{weight_prefix}{self.kind}:{path_text}{span_text}"


@dataclass(frozen=True, slots=True)
class Step:
    """A later step of a sequence query (A, then B).

    Raises:
        ValueError: If there is no term, or the gap is not positive and finite.
    """

    terms: tuple[Term, ...]
    max_gap_seconds: float | None = None  # between the end of the previous step and this one

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("a step requires at least one term")
        if self.max_gap_seconds is not None and not 0 < self.max_gap_seconds < math.inf:
            raise ValueError(f"a gap must be positive and finite, not {self.max_gap_seconds}")

    def __str__(self) -> str:
        """Return the query text."""
        gap_text = (
            ""
            if self.max_gap_seconds is None
            else f"<{formatting.format_number(self.max_gap_seconds)}s"
        )
        return f"then:{gap_text} {_format_terms(self.terms)}"


@dataclass(frozen=True, slots=True)
class Filters:
    """Restrictions of a search; empty fields do not restrict."""

    path_patterns: tuple[str, ...] = ()  # paths, folders or globs; any of them
    names: tuple[str, ...] = ()  # words of the names of file and folders; all of them
    tags: tuple[str, ...] = ()  # labels; all of them
    recorded_after: DateBound | None = None  # UTC, inclusive
    recorded_before: DateBound | None = None  # UTC, exclusive
    min_duration: float | None = None  # seconds, inclusive
    max_duration: float | None = None  # seconds, exclusive
    spans: tuple[Span, ...] = ()  # seconds within each video; any of them
    models: tuple[str, ...] = ()  # models of the features; any of them
    has: tuple[str, ...] = ()  # speech, subtitles, screen or tags; all of them
    traits: tuple[str, ...] = ()  # wide, vertical, square, 4k, photo or video; all of them
    cameras: tuple[str, ...] = ()  # words of make or model; any of them
    codecs: tuple[str, ...] = ()  # names in FFmpeg; any of them
    frame_rates: tuple[FrameRateRange, ...] = ()  # any of them
    languages: tuple[str, ...] = ()  # ISO 639 codes of transcripts; any of them
    times_of_day: tuple[ClockRange, ...] = ()  # local time of the recording; any of them
    weekdays: tuple[str, ...] = ()  # `monday` to `sunday`, of the recording; any of them
    areas: tuple[Area, ...] = ()  # of the recording; any of them
    remote: bool = False  # the query comes from another machine: do not resolve local paths

    def to_text(self) -> list[str]:
        """Return each filter as query text."""
        value_filters: dict[str, tuple[object, ...]] = {
            "path": self.path_patterns,
            "name": self.names,
            "tag": self.tags,
            "model": self.models,
            "has": self.has,
            "is": self.traits,
            "camera": self.cameras,
            "codec": self.codecs,
            "fps": self.frame_rates,
            "lang": self.languages,
            "time": self.times_of_day,
            "weekday": self.weekdays,
            "near": self.areas,
        }
        date_filters = {"after": self.recorded_after, "before": self.recorded_before}
        duration_filters = {"longer": self.min_duration, "shorter": self.max_duration}
        return [
            *(
                f"{field_name}:{formatting.quote_name(str(filter_value))}"
                for field_name, filter_values in value_filters.items()
                for filter_value in filter_values
            ),
            *(
                f"{field_name}:{_format_date(filter_value)}"
                for field_name, filter_value in date_filters.items()
                if filter_value is not None
            ),
            *(
                f"{field_name}:{formatting.format_number(filter_value)}s"
                for field_name, filter_value in duration_filters.items()
                if filter_value is not None
            ),
            *(f"at:{_format_time_range(span)}" for span in self.spans),
        ]


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query: terms, later steps and filters; filters alone list what passes them.

    Raises:
        ValueError: If there is neither a term nor a filter, or no term before a step.
    """

    terms: tuple[Term, ...]
    next_steps: tuple[Step, ...] = ()  # of a sequence query, in order
    filters: Filters = Filters()
    exclude: Filters = Filters()  # results that match any of these are excluded

    def __post_init__(self) -> None:
        has_filters = self.filters != Filters() or self.exclude != Filters()
        if not self.terms and (self.next_steps or not has_filters):
            raise ValueError("a query requires at least one term or filter")

    def __str__(self) -> str:
        """Return the query text; it parses to an equal query."""
        excluded_texts = (f"-{filter_text}" for filter_text in self.exclude.to_text())
        return " ".join(
            [
                *([_format_terms(self.terms)] if self.terms else []),
                *map(str, self.next_steps),
                *self.filters.to_text(),
                *excluded_texts,
            ]
        )


def _format_terms(terms: tuple[Term, ...]) -> str:
    """Format terms so that the words of adjacent text terms are not merged when parsed."""
    term_texts: list[str] = []
    ends_in_text = False  # the previous term ends in plain words
    for term in terms:
        is_plain_text = term.kind == "text" and not term.is_phrase and term.weight == 1
        needs_prefix = is_plain_text and ends_in_text
        term_text = f"text:{formatting.escape_value(term.value)}" if needs_prefix else str(term)
        term_texts.append(term_text)
        ends_in_text = is_plain_text and not term_text.startswith("text:")
    return " ".join(term_texts)


def _format_span(span: Span) -> str:
    return f"{formatting.format_number(span.start)}-{formatting.format_number(span.end)}"


def _format_date(date_bound: DateBound) -> str:
    if isinstance(date_bound, RelativeDate):
        return date_bound.text
    return formatting.format_date(date_bound)


def _format_time_range(span: Span) -> str:
    if span.end == OPEN_END_SECONDS:
        return f"{formatting.format_number(span.start)}-"
    return _format_span(span)


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A named query."""

    name: str
    query_text: str
    created_at: datetime  # UTC


@dataclass(frozen=True, slots=True)
class ResultRef:
    """A result of an earlier search, as referred to by `like:#3`."""

    video_path: str
    span: Span
    score: float
    confidence: float | None = None
    quote: Quote | None = None  # best transcript passage

    @classmethod
    def from_moment(cls, moment: Moment) -> ResultRef:
        """Create the reference to a moment.

        Args:
            moment: Result of a search.

        Returns:
            The reference.
        """
        quote = next(iter(moment.explanation.quotes), None)
        return cls(str(moment.video.path), moment.span, moment.score, moment.confidence, quote)
