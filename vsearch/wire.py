"""What is found, as JSON and back: `search --json` prints it, a server answers, a client reads."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from vsearch.types import CueSource, Heeded, Moment, Quote, Shares, Span, Video, Why

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORDS = ("seen", "said", "shown")  # the shares of a score


def in_library(found: Sequence[Moment]) -> bool | None:
    """Whether any of the results is probably what was asked; None where that is not known."""
    if found and all(moment.confidence is None for moment in found):
        return None
    return not all(moment.weak for moment in found)


# --- as JSON; times in seconds


def moment_json(rank: int, moment: Moment) -> dict[str, Any]:
    """One result, its video by its path."""
    return {
        "rank": rank,
        "video": str(moment.video.path),
        "start": round(moment.span.start, 3),
        "end": round(moment.span.end, 3),
        "score": round(moment.score, 6),
        "confidence": None if moment.confidence is None else round(moment.confidence, 4),
        "weak": moment.weak,
        "why": why_json(moment.why),
    }


def why_json(why: Why) -> dict[str, Any]:
    """What a moment was found by; nothing of what there was none."""
    told: dict[str, Any] = {
        "peak": round(why.peak, 3),
        "peak_score": round(why.peak_score, 6),
        "segments": why.segments,
    }
    if why.copy:
        told["copy"] = True
    if why.heeded:
        told["heeded"] = [
            {"time": round(one.time, 3), "share": round(one.share, 3)} for one in why.heeded
        ]
    if why.quotes:
        told["quotes"] = [quote_json(quote) for quote in why.quotes]
    if why.shares:
        told["shares"] = {name: round(getattr(why.shares, name), 3) for name in WORDS}
    if why.steps:
        told["steps"] = [span_json(step) for step in why.steps]
    if why.alike:
        told["alike"] = why.alike
    return told


def span_json(span: Span) -> dict[str, float]:
    """A stretch of time."""
    return {"start": round(span.start, 3), "end": round(span.end, 3)}


def quote_json(quote: Quote) -> dict[str, Any]:
    """Words that answer."""
    return {
        "source": quote.source, **span_json(quote.span), "text": quote.text,
        "score": round(quote.score, 3),
    }  # fmt: skip


def video_json(video: Video) -> dict[str, Any]:
    """A video as the catalogue has it."""
    return {
        "id": video.id,
        "name": video.path.name,
        "path": str(video.path),
        "fingerprint": video.fingerprint,
        "size": video.size,
        "modified": video.modified,
        "duration": round(video.duration, 3),
        "fps": round(video.fps, 3),
        "width": video.width,
        "height": video.height,
        "codec": video.codec,
        "frames": video.frames,
        "note": video.note,
        "model": video.model,
        "recorded": None if video.recorded is None else video.recorded.isoformat(),
        "keyframes": video.keyframes,
    }


# --- and back


def read_moment(told: Mapping[str, Any]) -> Moment:
    """A moment whose video is told in full. Raises KeyError, TypeError or ValueError."""
    confidence = told["confidence"]
    return Moment(
        read_video(told["video"]),
        read_span(told),
        float(told["score"]),
        None if confidence is None else float(confidence),
        read_why(told["why"]),
    )


def read_why(told: Mapping[str, Any]) -> Why:
    """What a moment was found by."""
    shares = told.get("shares")
    return Why(
        float(told["peak"]),
        float(told["peak_score"]),
        int(told["segments"]),
        copy=bool(told.get("copy")),
        heeded=tuple(
            Heeded(float(one["time"]), float(one["share"])) for one in told.get("heeded", ())
        ),
        steps=tuple(map(read_span, told.get("steps", ()))),
        quotes=tuple(map(read_quote, told.get("quotes", ()))),
        shares=Shares(*(float(shares[name]) for name in WORDS)) if shares else None,
        alike=int(told.get("alike", 0)),
    )


def read_span(told: Mapping[str, Any]) -> Span:
    """A stretch of time."""
    return Span(float(told["start"]), float(told["end"]))


def read_quote(told: Mapping[str, Any]) -> Quote:
    """Words that answer."""
    if told["source"] not in get_args(CueSource):
        raise ValueError("words are said or shown")
    return Quote(told["source"], read_span(told), str(told["text"]), float(told["score"]))


def read_video(told: Mapping[str, Any]) -> Video:
    """A video as the catalogue has it."""
    recorded = told["recorded"]
    return Video(
        int(told["id"]),
        Path(told["path"]),
        str(told["fingerprint"]),
        int(told["size"]),
        int(told["modified"]),
        float(told["duration"]),
        float(told["fps"]),
        int(told["width"]),
        int(told["height"]),
        str(told["codec"]),
        int(told["frames"]),
        note=told["note"],
        model=told["model"],
        recorded=None if recorded is None else datetime.fromisoformat(recorded),
        keyframes=bool(told["keyframes"]),
    )
