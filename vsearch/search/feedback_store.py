"""Stored relevance labels: which results of a query are relevant or irrelevant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import QueryError
from vsearch.query.model import Filters, Query, ResultRef
from vsearch.query.parser import with_absolute_paths
from vsearch.search.feedback import RelevanceFeedback
from vsearch.types import Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from vsearch.catalog.catalog import Catalog
    from vsearch.types import Matrix, RelevanceLabel, Space, Span

    # because the method `list` hides the type in annotations of its class
    LabelList: TypeAlias = list[RelevanceLabel]

MAX_MARKS_PER_QUERY = 200  # the latest labels of a query; older ones are ignored


class FeedbackStore:
    """Relevance labels of one library (`Library.feedback`).

    Later searches for the same query apply them as relevance feedback.

    Writing does not take the writer lock, as it changes no video and no vector.
    """

    def __init__(self, catalog: Catalog, parse: Callable[[str], Query]) -> None:
        """Use `Library.feedback`.

        Args:
            catalog: Catalog of the library.
            parse: Parses query text, resolving names of the library.
        """
        self._catalog, self._parse = catalog, parse

    def add(
        self,
        query: str | Query,
        moments: Iterable[Moment | ResultRef],
        *,
        relevant: bool | None = True,
    ) -> LabelList:
        """Label results of a query, replacing their earlier labels.

        Args:
            query: Query text or a parsed query; its filters are ignored.
            moments: The results to label.
            relevant: True or False, or None to remove the label.

        Returns:
            All labels of the query, the latest first.

        Raises:
            QueryError: The query is invalid, has several steps or only filters, or a video is no
                longer in the library.
        """
        query = self._resolve(query)
        if not query.terms:
            raise QueryError(
                "results of filters alone cannot be marked: add the words that they should match"
            )
        if query.next_steps:
            raise QueryError("results of a query with then: cannot be marked")
        query_key = _feedback_key(query)
        if not isinstance(moments, Iterable):
            raise QueryError(f"moments must be a list of results, not {moments!r:.60}")
        marked_spans = [self._locate_moment(moment) for moment in moments]
        with self._catalog.begin() as transaction:
            for video_id, moment_span in marked_spans:
                transaction.remove_relevance_labels(query_key, video_id, moment_span)
                if relevant is not None:
                    transaction.add_relevance_label(query_key, video_id, moment_span, relevant)
        return self.list(query)

    def list(self, query: str | Query | None = None) -> LabelList:
        """Return relevance labels, the latest first.

        Args:
            query: Query text or a parsed query; its filters are ignored. None lists all labels.

        Returns:
            The labels.

        Raises:
            QueryError: The query is invalid.
        """
        if query is None:
            return self._catalog.relevance_labels()
        query = self._resolve(query)
        return self._catalog.relevance_labels(_feedback_key(query)) if query.terms else []

    def clear(self, query: str | Query) -> int:
        """Remove all labels of a query.

        Args:
            query: Query text or a parsed query; its filters are ignored.

        Returns:
            The number of removed labels.

        Raises:
            QueryError: The query is invalid.
        """
        query = self._resolve(query)
        if not query.terms:
            return 0
        query_key = _feedback_key(query)
        with self._catalog.begin() as transaction:
            return transaction.remove_relevance_labels(query_key)

    def feedback_for(self, query: Query, space: Space) -> RelevanceFeedback | None:
        """Load the labels of a query for Rocchio relevance feedback.

        Args:
            query: The query; its filters are ignored.
            space: The space of the vectors to load.

        Returns:
            The feedback, or None if the query has no labels or several steps.
        """
        labels = [] if query.next_steps else self.list(query)[:MAX_MARKS_PER_QUERY]
        if not labels:
            return None
        positive_labels, negative_labels = (
            [label for label in labels if label.relevant is is_relevant]
            for is_relevant in (True, False)
        )
        rejected_spans = tuple((label.video_id, label.span) for label in negative_labels)
        return RelevanceFeedback(
            self._mean_vectors(positive_labels, space),
            self._mean_vectors(negative_labels, space),
            rejected_spans,
            len(labels),
        )

    def _resolve(self, query: str | Query) -> Query:
        return query if isinstance(query, Query) else self._parse(query)

    def _locate_moment(self, moment: Moment | ResultRef) -> tuple[int, Span]:
        """Return the current video id and the span of a result."""
        if not isinstance(moment, Moment | ResultRef):
            raise QueryError(f"a result to mark must be a Moment, not {moment!r:.60}")
        video_path = Path(moment.video_path) if isinstance(moment, ResultRef) else moment.video.path
        video = self._catalog.video_at(video_path)
        if video is None:
            raise QueryError(f"{video_path} is no longer in the library and cannot be marked")
        return video.id, moment.span

    def _mean_vectors(self, labels: Sequence[RelevanceLabel], space: Space) -> Matrix:
        """Return the mean vector of each labelled moment that has one, float32 (N, D)."""
        mean_vectors = []
        for segment_ids in self._catalog.segments_overlapping(
            [(label.video_id, label.span) for label in labels]
        ):
            vector_sum = self._catalog.vectors(segment_ids, space)[1].sum(axis=0)
            vector_norm = float(np.linalg.norm(vector_sum))
            if vector_norm > 1e-6:
                mean_vectors.append(vector_sum / np.float32(vector_norm))
        return np.stack(mean_vectors) if mean_vectors else np.empty((0, space.dim), np.float32)


def _feedback_key(query: Query) -> str:
    """Return the query text without filters, which do not change what is relevant."""
    return str(with_absolute_paths(replace(query, filters=Filters(), exclude=Filters())))
