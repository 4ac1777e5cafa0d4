"""Interpretation of plain words: operators, requests ("show me …") and negation ("without …").

Applied to words that are neither quoted, escaped nor named by a field. The result is the same as
if the query had been typed in the query language: "show me a room without people" is
`a room -people`.
"""

from __future__ import annotations

from vsearch.query.negation import PlainText, split_negation
from vsearch.query.request_phrases import strip_request

REFUSED_OPERATORS = frozenset({"OR", "|", "||"})
IMPLIED_OPERATORS = frozenset({"AND", "&&", "+"})
NOT_OPERATOR = "NOT"
_OPERATORS = REFUSED_OPERATORS | IMPLIED_OPERATORS | {NOT_OPERATOR}


def interpret_words(text: str) -> PlainText:
    """Split plain words into what is searched for and what is excluded.

    Args:
        text: Adjacent plain words of a query.

    Returns:
        The parts, without words that are not content; both are empty if there is only punctuation.
    """
    return split_negation(strip_request(text))


def find_operators(query_text: str) -> frozenset[str]:
    """Return the words that are operators; in a query in capitals, OR, AND and NOT are none.

    Args:
        query_text: Query as typed.

    Returns:
        The operators.
    """
    other_words = [word for word in query_text.split() if word not in _OPERATORS]
    if not " ".join(other_words).isupper():
        return _OPERATORS
    return frozenset(operator for operator in _OPERATORS if not operator.isalpha())


def is_literal(text: str) -> bool:
    """Return True if plain words are searched as typed."""
    return _OPERATORS.isdisjoint(text.split()) and interpret_words(text) == PlainText(text)
