"""Hints that explain why a search found little, and name the remedy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vsearch.catalog.path_matching import find_unmatched
from vsearch.protocols import TextReader
from vsearch.query.hints import negation_hint
from vsearch.search.filter_hints import iter_filter_hints, iter_place_hints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.protocols import Encoder
    from vsearch.query.model import Query
    from vsearch.types import Moment, TextReading

EMPTY_LIBRARY_HINT = "The library is empty: index some videos first."


def collect_hints(
    catalog: Catalog,
    query: Query,
    moments: Sequence[Moment],
    text_readings: Sequence[TextReading] = (),
) -> tuple[str, ...]:
    """Return hints for a search of a library that is not empty.

    Args:
        catalog: The catalog.
        query: The query.
        moments: Its results.
        text_readings: The encoder's readings of the query's texts.

    Returns:
        Sentences for a person; they contain paths and labels of the query unescaped.
    """
    text_hints = [
        *filter(None, [negation_hint(query)]),
        *dict.fromkeys(hint for reading in text_readings for hint in _describe_reading(reading)),
    ]
    hints = [*_find_unknown_paths(catalog, query, moments), *iter_place_hints(query.filters)]
    if moments:
        return (*hints, *text_hints)
    hints += iter_filter_hints(catalog, query.filters)
    if not hints and query.terms and (restriction := _describe_restriction(query)):
        hints.append(f"Only {restriction} were searched.")
    return (*hints, *_find_missing_transcripts(catalog, query), *text_hints)


def read_texts(query: Query, encoder: Encoder) -> list[TextReading]:
    """Return the encoder's readings of the texts in a query; none if it does not report them."""
    query_terms = [*query.terms, *(term for step in query.next_steps for term in step.terms)]
    if not isinstance(encoder, TextReader):
        return []
    return [encoder.read_text(term.value) for term in query_terms if term.kind == "text"]


def _describe_reading(text_reading: TextReading) -> list[str]:
    """Return hints about the language and the words of a text."""
    if not text_reading.is_supported:
        return [
            f"These words look {text_reading.language}, which the model does not read. It reads "
            f"{', '.join(text_reading.supported_languages)}. For other languages use --text-model."
        ]
    hints = [
        f'Searched for "{correction}" as well, as "{word}" is not in the vocabulary.'
        for word, correction in text_reading.replacements
    ]
    if text_reading.unknown_words:
        word_list = ", ".join(f'"{word}"' for word in text_reading.unknown_words)
        verb = "is" if len(text_reading.unknown_words) == 1 else "are"
        hints.append(
            f"{word_list} {verb} not in the vocabulary of the model; the results may be off."
        )
    return hints


def _find_unknown_paths(catalog: Catalog, query: Query, moments: Sequence[Moment]) -> list[str]:
    """Return a hint for each path pattern that matches no video."""
    path_patterns = query.filters.path_patterns
    if not path_patterns or (moments and len(path_patterns) == 1):
        return []  # a single one has matched
    return [
        f"{path_pattern}: no such video in the library; see `vsearch list`."
        for path_pattern in find_unmatched(catalog, path_patterns)
    ]


def _describe_restriction(query: Query) -> str:
    """Describe the filters that restrict a query; empty if there are none."""
    tag_text = " and ".join(query.filters.tags)
    path_text = " or ".join(query.filters.path_patterns)
    other_filters = replace(query.filters, tags=(), path_patterns=())
    other_texts = [*other_filters.to_text(), *(f"-{text}" for text in query.exclude.to_text())]
    if not (tag_text or path_text or other_texts):
        return ""
    return (
        "moments"
        + (f" tagged {tag_text}" if tag_text else "")
        + (f" in {path_text}" if path_text else "")
        + (f" that pass {' '.join(other_texts)}" if other_texts else "")
    )


def _find_missing_transcripts(catalog: Catalog, query: Query) -> list[str]:
    """Return a hint for each kind of transcript that a query needs and no video has."""
    query_terms = [*query.terms, *(term for step in query.next_steps for term in step.terms)]
    term_kinds = {term.kind for term in query_terms} | set(query.filters.has)
    hints: list[str] = []
    if term_kinds & {"music", "singing"} and not catalog.sound_models():
        hints.append("No sounds are known yet. Run `vsearch sound` to find music and singing.")
    if not term_kinds & {"said", "speech", "shown", "ocr"}:
        return hints
    known_sources = {cue_source for cue_source, _ in catalog.transcript_counts()}
    if term_kinds & {"said", "speech"} and not known_sources & {"speech", "subtitles"}:
        hints.append("No transcripts yet. Run `vsearch transcribe` to search speech.")
    if term_kinds & {"shown", "ocr"} and "ocr" not in known_sources:
        hints.append("No on-screen text yet. Run `vsearch ocr` to search it.")
    return hints
