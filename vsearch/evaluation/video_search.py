"""Rankings of videos by complete searches, one result per video.

A ranking lists copies of better results, too: two captions may describe two copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import MediaError, NoTextError, QueryError, VSearchError
from vsearch.query.parser import text_query

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from vsearch.evaluation.metrics import ScoreMatrix
    from vsearch.library import Library
    from vsearch.query.model import Query
    from vsearch.search.result import SearchResult

MAX_RANK = 100  # results per query, one per video; a video beyond them is not found


def search_videos(library: Library, query: str | Query) -> SearchResult:
    """Search one moment per video.

    Args:
        library: Library to search.
        query: Text as a person types it, which is parsed, or a parsed query.

    Returns:
        At most MAX_RANK moments, best first.

    Raises:
        QueryError: If the query is invalid.
    """
    return library.search(query, k=MAX_RANK, per_video=1, include_duplicates=True)


def list_found_videos(
    library: Library, query_text: str, *, is_literal: bool = False
) -> list[Path] | None:
    """Rank videos for a text.

    Args:
        library: Library to search.
        query_text: Text to search for.
        is_literal: The text is a caption, which is not parsed as a query.

    Returns:
        At most MAX_RANK videos, best first; None if the text cannot be searched.

    Raises:
        VSearchError: If the library cannot be searched.
    """
    try:
        moments = search_videos(library, text_query(query_text) if is_literal else query_text)
    except VSearchError as error:
        if not is_query_fault(error):
            raise
        return None
    return [moment.video.path for moment in moments]


def score_by_search(
    library: Library, captions: Sequence[str], video_paths: Sequence[Path]
) -> ScoreMatrix:
    """Score videos by their ranks in searches for captions.

    Args:
        library: Library that contains the videos.
        captions: The Q captions, which are not parsed as queries.
        video_paths: The V candidates; other videos of the library are left out of the ranking.

    Returns:
        Negated ranks, float32 (Q, V); -inf for videos that are not found.
    """
    columns = {path: column for column, path in enumerate(video_paths)}
    scores = np.full((len(captions), len(video_paths)), -np.inf, np.float32)
    for row, caption in zip(scores, captions, strict=True):
        found_paths = list_found_videos(library, caption, is_literal=True) or ()
        found_columns = [columns[path] for path in found_paths if path in columns]
        row[found_columns] = -np.arange(1, len(found_columns) + 1)
    return scores


def find_first_rank(ranked_paths: Sequence[Path], relevant_paths: Collection[Path]) -> int | None:
    """Return the rank of the first relevant video, from 1; None if there is none.

    Args:
        ranked_paths: Distinct videos, best first.
        relevant_paths: Right videos.
    """
    return next((rank for rank, path in enumerate(ranked_paths, 1) if path in relevant_paths), None)


def is_query_fault(error: VSearchError) -> bool:
    """Return True if only this query cannot be searched: a wrong syntax, file or tag.

    Args:
        error: Error of a search.
    """
    return isinstance(error, QueryError | MediaError) and not isinstance(error, NoTextError)
