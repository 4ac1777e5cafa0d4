"""Hints on how to write a query so that it means what its words say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.query.negation import has_negative_word

if TYPE_CHECKING:
    from vsearch.query.model import Query

NEGATION_HINT = "To exclude something, write it with a minus: person -indoors."


def negation_hint(query: Query) -> str | None:
    """Return a hint if a step of a query has a negative word but excludes nothing.

    Args:
        query: The query.

    Returns:
        A sentence for a person, or None.
    """
    for step_terms in (query.terms, *(step.terms for step in query.next_steps)):
        plain_texts = [
            term.value for term in step_terms if term.kind == "text" and not term.is_phrase
        ]
        excludes_nothing = all(term.weight > 0 for term in step_terms)
        if excludes_nothing and any(map(has_negative_word, plain_texts)):
            return NEGATION_HINT
    return None
