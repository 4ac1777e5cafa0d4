"""The result of a search: its moments, and details that every interface shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, overload

from vsearch.query.arguments import check_number
from vsearch.search.notebook_html import search_result_html

if TYPE_CHECKING:
    from vsearch.types import Moment


@dataclass(frozen=True, slots=True)
class SearchResult(Sequence["Moment"]):
    """Moments that match a query, best first: a sequence with details about the search.

    Attributes:
        moments: The moments.
        query: Text of the query.
        space: Name of the embedding space; None while nothing is indexed.
        hints: Sentences that explain missing results, and name the remedy.
        took_ms: Duration of the search in milliseconds.
        feedback_count: Relevance labels that adjusted the query.
        text_model: Model that embedded the text, unless it is the one that indexes.
        query_adapted: True if a query adapter mapped the embedding of the text.
        browse: True if the query has no terms: the moments are sorted by date, the latest first,
            and have neither scores nor confidences.
        search_id: Identifier of the search on a server; None for a library on this machine.
    """

    moments: tuple[Moment, ...]
    query: str
    space: str | None
    hints: tuple[str, ...] = ()
    took_ms: float = field(default=0.0, compare=False)
    feedback_count: int = 0
    text_model: str | None = None
    query_adapted: bool = False
    browse: bool = False
    search_id: str | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        count_text = "1 moment" if len(self.moments) == 1 else f"{len(self.moments)} moments"
        first_name = "newest" if self.browse else "best"
        best_text = f", {first_name} {self.moments[0]!r}" if self.moments else ""
        return f"SearchResult({self.query!r}, {count_text}{best_text})"

    def _repr_html_(self) -> str:
        is_weak = self.has_confident_match is False
        return search_result_html(self.query, self.moments, self.hints, is_weak=is_weak)

    @overload
    def __getitem__(self, index: int) -> Moment: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Moment, ...]: ...

    def __getitem__(self, index: int | slice) -> Moment | tuple[Moment, ...]:
        return self.moments[index]

    def __len__(self) -> int:
        return len(self.moments)

    def with_confidence(self, min_confidence: float) -> SearchResult:
        """Return the result without the moments of lower or unknown confidence.

        Args:
            min_confidence: Confidence from 0 to 1; ignored if there are no confidences because the
                query only has filters.
        """
        min_confidence = check_number(min_confidence, "min_confidence")
        if self.browse:
            return self
        confident_moments = tuple(
            moment
            for moment in self.moments
            if moment.confidence is not None and moment.confidence >= min_confidence
        )
        return replace(self, moments=confident_moments)

    @property
    def has_confident_match(self) -> bool | None:
        """True if any moment probably matches the query; False if there are no moments.

        None if no moment has a calibrated confidence, or the query only has filters.
        """
        if self.browse:
            return None
        if self.moments and all(moment.confidence is None for moment in self.moments):
            return None
        return not all(moment.has_low_confidence for moment in self.moments)
