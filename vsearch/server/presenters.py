"""Conversion of videos, moments and query tokens to the dicts that the API returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vsearch.media.playback import determine_playback
from vsearch.query.grammar import FILTER_NAMES, tokenize_query
from vsearch.query.natural_language import interpret_words
from vsearch.search.serialization import moment_to_dict, video_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vsearch.catalog.outlines import VideoOutline
    from vsearch.query.grammar import QueryToken
    from vsearch.query.model import SavedSearch
    from vsearch.types import Moment, RelevanceLabel, Span, Video


def present_video(video: Video) -> dict[str, Any]:
    """Return the fields of a checked video, and how browsers play it.

    Args:
        video: A video from `Library.check_files` or a search.
    """
    is_missing = video.file_status in ("missing", "offline")
    return {
        **video_to_dict(video),
        "missing": is_missing,
        "playback": "none" if is_missing else determine_playback(video.path).method,
    }


def present_list_item(video: Video, outline: VideoOutline) -> dict[str, Any]:
    """Return the fields of a checked video in a list; its file is not opened.

    Args:
        video: A video from `Library.check_files`.
        outline: Its outline.
    """
    return {
        **video_to_dict(video),
        "missing": video.file_status in ("missing", "offline"),
        "local_time": outline.local_time.isoformat(timespec="seconds"),
        "lacks_speech": outline.lacks_speech,
        "lacks_ocr": outline.lacks_ocr,
    }


def present_moments(
    moments: Iterable[Moment], feedback_labels: Iterable[RelevanceLabel] = ()
) -> list[dict[str, Any]]:
    """Return ranked results with their videos and relevance labels.

    Args:
        moments: Results, best first (or in display order).
        feedback_labels: Stored labels of the query; a label applies to a moment of the same
            video with an IoU above 0.5.

    Returns:
        One dict per moment with the fields of `MomentResponse`.
    """
    relevance_by_span = {
        (feedback.video_id, feedback.span): feedback.relevant for feedback in feedback_labels
    }
    presented_videos: dict[int, dict[str, Any]] = {}
    presented = []
    for rank, moment in enumerate(moments, 1):
        video_fields = presented_videos.get(moment.video.id) or presented_videos.setdefault(
            moment.video.id, present_video(moment.video)
        )
        relevant = _find_relevance(relevance_by_span, moment.video.id, moment.span)
        presented.append(
            {**moment_to_dict(rank, moment), "video": video_fields, "relevant": relevant}
        )
    return presented


def _find_relevance(
    relevance_by_span: Mapping[tuple[int, Span], bool], video_id: int, moment_span: Span
) -> bool | None:
    """Return the label of a moment or of one with IoU above 0.5, else None."""
    for (labeled_video_id, labeled_span), relevant in relevance_by_span.items():
        if labeled_video_id == video_id and moment_span.iou(labeled_span) > 0.5:
            return relevant
    return None


def present_saved_search(saved_search: SavedSearch) -> dict[str, Any]:
    """Return the fields of a saved search."""
    return {
        "name": saved_search.name,
        "query": saved_search.query_text,
        "created_at": saved_search.created_at,
    }


def describe_tokens(query_text: str) -> Iterator[dict[str, str]]:
    """Yield the tokens of a query as typed; consecutive plain words form one token."""
    plain_words: list[str] = []
    for token in tokenize_query(query_text):
        if not token.is_plain_word and plain_words:
            yield _describe_words(plain_words)
            plain_words = []
        if token.is_plain_word:
            plain_words.append(token.source_text)
        else:
            yield {
                "kind": _classify_token(token),
                "text": token.source_text,
                "label": _label_token(token),
            }
    if plain_words:
        yield _describe_words(plain_words)


def _describe_words(plain_words: list[str]) -> dict[str, str]:
    """Describe plain words as typed, labeled by what is searched for."""
    joined_text = " ".join(plain_words)
    wanted_text = "" if "\\" in joined_text else interpret_words(joined_text).wanted
    return {"kind": "text", "text": joined_text, "label": wanted_text or joined_text}


def _classify_token(token: QueryToken) -> str:
    if token.field_name == "@":
        return "saved"
    if token.field_name in FILTER_NAMES:
        return "filter"
    if token.is_negative:
        return "exclude"
    return {"": "text", "like": "clip"}.get(token.field_name, token.field_name)


def _label_token(token: QueryToken) -> str:
    if token.field_name in ("", "text"):
        return token.source_text.removeprefix("text:")
    return token.source_text
