"""Hints that explain why a search found little, and name the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.catalog.path_matching import find_unmatched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.query.model import Query
    from vsearch.types import Moment

EMPTY_LIBRARY_HINT = "The library is empty: index some videos first."


def collect_hints(catalog: Catalog, query: Query, moments: Sequence[Moment]) -> tuple[str, ...]:
    """Return hints for a search of a library that is not empty.

    Args:
        catalog: The catalog.
        query: The query.
        moments: Its results.

    Returns:
        Sentences for a person; they contain paths and labels of the query unescaped.
    """
    hints = _find_unknown_paths(catalog, query, moments)
    if moments:
        return tuple(hints)
    if not hints and (restriction := _describe_restriction(query)):
        hints.append(f"Only {restriction} were searched.")
    return (*hints, *_find_missing_transcripts(catalog, query))


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
    """Describe the tags and paths to which a query is restricted; empty if there are none."""
    tag_text = " and ".join(query.filters.tags)
    path_text = " or ".join(query.filters.path_patterns)
    if not (tag_text or path_text):
        return ""
    return (
        "moments"
        + (f" tagged {tag_text}" if tag_text else "")
        + (f" in {path_text}" if path_text else "")
    )


def _find_missing_transcripts(catalog: Catalog, query: Query) -> list[str]:
    """Return a hint for each kind of transcript that a query needs and no video has."""
    query_terms = [*query.terms, *(term for step in query.next_steps for term in step.terms)]
    term_kinds = {term.kind for term in query_terms} | set(query.filters.has)
    if not term_kinds & {"said", "speech", "shown", "ocr"}:
        return []
    known_sources = {cue_source for cue_source, _ in catalog.transcript_counts()}
    hints = []
    if term_kinds & {"said", "speech"} and not known_sources & {"speech", "subtitles"}:
        hints.append("No transcripts yet. Run `vsearch transcribe` to search speech.")
    if term_kinds & {"shown", "ocr"} and "ocr" not in known_sources:
        hints.append("No on-screen text yet. Run `vsearch ocr` to search it.")
    return hints
