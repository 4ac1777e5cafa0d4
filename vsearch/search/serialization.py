"""JSON representation of results and videos, shared by the CLI, the server and the client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from vsearch.types import (
    CueSource,
    Explanation,
    FileStatus,
    FrameWeight,
    Location,
    Moment,
    NameMatch,
    Quote,
    ScoreShares,
    Span,
    Video,
    round_confidence,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vsearch.search.result import SearchResult

# the years 1 and 9999, beyond which a damaged file system may date a file
MIN_EPOCH_SECONDS, MAX_EPOCH_SECONDS = -62_135_596_800, 253_402_300_799
SHARE_NAMES = ("visual", "speech", "ocr")


# --- to JSON; times in seconds


def search_result_to_dict(search_result: SearchResult) -> dict[str, Any]:
    """Convert the result of a search to JSON."""
    return {
        "query": search_result.query,
        **search_details_to_dict(search_result),
        "results": [moment_to_dict(rank, moment) for rank, moment in enumerate(search_result, 1)],
    }


def search_details_to_dict(search_result: SearchResult) -> dict[str, Any]:
    """Convert the result of a search to JSON, without the query and the moments."""
    return {
        "space": search_result.space,
        "text_model": search_result.text_model,
        "query_adapted": search_result.query_adapted,
        "took_ms": round(search_result.took_ms, 1),
        "has_confident_match": search_result.has_confident_match,
        "feedback_count": search_result.feedback_count,
        "hints": list(search_result.hints),
        "browse": search_result.browse,
    }


def moment_to_dict(rank: int, moment: Moment) -> dict[str, Any]:
    """Convert a result to JSON.

    Args:
        rank: Position among the results, from 1.
        moment: The result.

    Returns:
        A dict in which `video` is the path of the video.
    """
    confidence = moment.confidence
    return {
        "rank": rank,
        "video": str(moment.video.path),
        "start": round(moment.span.start, 3),
        "end": round(moment.span.end, 3),
        "score": round(moment.score, 6),
        "confidence": None if confidence is None else round_confidence(confidence, 4),
        "low_confidence": moment.has_low_confidence,
        "file_status": moment.video.file_status,
        "is_photo": moment.video.is_photo,
        "explanation": explanation_to_dict(moment.explanation),
    }


def explanation_to_dict(explanation: Explanation) -> dict[str, Any]:
    """Convert an explanation to JSON, without empty fields."""
    explanation_data: dict[str, Any] = {
        "peak": round(explanation.peak_time, 3),
        "peak_score": round(explanation.peak_score, 6),
        "segment_count": explanation.segment_count,
    }
    if explanation.is_copy:
        explanation_data["is_copy"] = True
    if explanation.frame_weights:
        explanation_data["frame_weights"] = [
            {"time": round(frame_weight.frame_time, 3), "weight": round(frame_weight.weight, 3)}
            for frame_weight in explanation.frame_weights
        ]
    if explanation.quotes:
        explanation_data["quotes"] = [quote_to_dict(quote) for quote in explanation.quotes]
    if explanation.score_shares:
        explanation_data["score_shares"] = {
            share_name: round(getattr(explanation.score_shares, share_name), 3)
            for share_name in SHARE_NAMES
        }
    if explanation.step_spans:
        explanation_data["steps"] = [span_to_dict(step) for step in explanation.step_spans]
    if explanation.duplicates_hidden:
        explanation_data["duplicates_hidden"] = explanation.duplicates_hidden
    if explanation.name_match is not None:
        explanation_data["name_match"] = {
            "words": list(explanation.name_match.words),
            "covers_query": explanation.name_match.covers_query,
        }
    if explanation.copy_alteration:
        explanation_data["copy_alteration"] = explanation.copy_alteration
    return explanation_data


def span_to_dict(span: Span) -> dict[str, float]:
    """Convert a span to JSON."""
    return {"start": round(span.start, 3), "end": round(span.end, 3)}


def quote_to_dict(quote: Quote) -> dict[str, Any]:
    """Convert a quote to JSON."""
    return {
        "source": quote.source,
        **span_to_dict(quote.span),
        "text": quote.text,
        "score": round(quote.score, 3),
    }


def format_time(epoch_ns: int) -> str:
    """Return a time in nanoseconds since 1970 as ISO 8601 in UTC, rounded down to seconds."""
    epoch_seconds = max(MIN_EPOCH_SECONDS, min(epoch_ns // 10**9, MAX_EPOCH_SECONDS))
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=epoch_seconds)).isoformat()


def video_to_dict(video: Video) -> dict[str, Any]:
    """Convert a video to JSON."""
    return {
        "video_id": video.id,
        "name": video.path.name,
        "path": str(video.path),
        "fingerprint": video.fingerprint,
        "size": video.size_bytes,
        "mtime_ns": video.mtime_ns,
        "modified_at": format_time(video.mtime_ns),
        "duration": round(video.duration, 3),
        "fps": round(video.fps, 3),
        "width": video.width,
        "height": video.height,
        "codec": video.codec,
        "sampled_frames": video.sampled_frames,
        "warning": video.warning,
        "model": video.model,
        "recorded_at": None if video.recorded_at is None else video.recorded_at.isoformat(),
        "keyframes_only": video.keyframes_only,
        "max_keyframe_gap": video.max_keyframe_gap,
        **recording_to_dict(video),
        **places_to_dict(video),
        "file_status": video.file_status,
    }


def recording_to_dict(video: Video) -> dict[str, Any]:
    """Convert what a file says about its recording, except for the date, to JSON."""
    location = video.location
    return {
        "is_photo": video.is_photo,
        "utc_offset_minutes": video.utc_offset_minutes,
        "location": location and {"latitude": location.latitude, "longitude": location.longitude},
        "camera": video.camera,
    }


def places_to_dict(video: Video) -> dict[str, Any]:
    """Convert the paths of duplicate files and the URL of a download to JSON."""
    return {
        "other_paths": [str(other_path) for other_path in video.other_paths],
        "source_url": video.source_url,
    }


# --- from JSON


def moment_from_dict(moment_data: Mapping[str, Any]) -> Moment:
    """Parse a result.

    Args:
        moment_data: A dict as of `moment_to_dict`, in which `video` is the dict of
            `video_to_dict`.

    Returns:
        The result.

    Raises:
        KeyError: If a field is missing.
        TypeError: If a field has a wrong type.
        ValueError: If a value is invalid.
    """
    confidence = moment_data["confidence"]
    return Moment(
        video_from_dict(moment_data["video"]),
        span_from_dict(moment_data),
        float(moment_data["score"]),
        None if confidence is None else float(confidence),
        explanation_from_dict(moment_data["explanation"]),
    )


def explanation_from_dict(explanation_data: Mapping[str, Any]) -> Explanation:
    """Parse an explanation; raises like `moment_from_dict`."""
    score_shares = explanation_data.get("score_shares")
    return Explanation(
        float(explanation_data["peak"]),
        float(explanation_data["peak_score"]),
        int(explanation_data["segment_count"]),
        is_copy=bool(explanation_data.get("is_copy")),
        frame_weights=tuple(
            FrameWeight(float(frame_weight["time"]), float(frame_weight["weight"]))
            for frame_weight in explanation_data.get("frame_weights", ())
        ),
        step_spans=tuple(map(span_from_dict, explanation_data.get("steps", ()))),
        quotes=tuple(map(quote_from_dict, explanation_data.get("quotes", ()))),
        score_shares=ScoreShares(*(float(score_shares[share_name]) for share_name in SHARE_NAMES))
        if score_shares
        else None,
        duplicates_hidden=int(explanation_data.get("duplicates_hidden", 0)),
        name_match=_name_match_from_dict(explanation_data.get("name_match")),
        copy_alteration=str(explanation_data.get("copy_alteration", "")),
    )


def _name_match_from_dict(match_data: Mapping[str, Any] | None) -> NameMatch | None:
    if match_data is None:
        return None
    return NameMatch(
        tuple(map(str, match_data["words"])), covers_query=bool(match_data["covers_query"])
    )


def span_from_dict(span_data: Mapping[str, Any]) -> Span:
    """Parse a span; raises like `moment_from_dict`."""
    return Span(float(span_data["start"]), float(span_data["end"]))


def quote_from_dict(quote_data: Mapping[str, Any]) -> Quote:
    """Parse a quote; raises like `moment_from_dict`."""
    if quote_data["source"] not in get_args(CueSource):
        raise ValueError(f"unknown transcript source {quote_data['source']!r}")
    return Quote(
        quote_data["source"],
        span_from_dict(quote_data),
        str(quote_data["text"]),
        float(quote_data["score"]),
    )


def video_from_dict(video_data: Mapping[str, Any]) -> Video:
    """Parse a video; raises like `moment_from_dict`."""
    recorded_at = video_data["recorded_at"]
    return Video(
        int(video_data["video_id"]),
        Path(video_data["path"]),
        str(video_data["fingerprint"]),
        int(video_data["size"]),
        int(video_data["mtime_ns"]),
        float(video_data["duration"]),
        float(video_data["fps"]),
        int(video_data["width"]),
        int(video_data["height"]),
        str(video_data["codec"]),
        int(video_data["sampled_frames"]),
        warning=video_data["warning"],
        model=video_data["model"],
        recorded_at=None if recorded_at is None else datetime.fromisoformat(recorded_at),
        keyframes_only=bool(video_data["keyframes_only"]),
        max_keyframe_gap=video_data["max_keyframe_gap"],
        is_photo=bool(video_data.get("is_photo")),  # absent in servers of older versions
        utc_offset_minutes=video_data.get("utc_offset_minutes"),
        location=_parse_location(video_data.get("location")),
        camera=video_data.get("camera"),
        other_paths=tuple(map(Path, video_data.get("other_paths", ()))),
        source_url=video_data.get("source_url"),
        file_status=_parse_file_status(video_data.get("file_status")),
    )


def _parse_location(location_data: Mapping[str, Any] | None) -> Location | None:
    if location_data is None:
        return None
    return Location(float(location_data["latitude"]), float(location_data["longitude"]))


def _parse_file_status(status_name: Any) -> FileStatus | None:
    """Return a status; None if the server is of an older version."""
    if status_name is not None and status_name not in get_args(FileStatus):
        raise ValueError(f"unknown file status {status_name!r}")
    file_status: FileStatus | None = status_name
    return file_status
