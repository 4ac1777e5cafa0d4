"""What the library knows, as the API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vsearch.media.playback import playback
from vsearch.search.grammar import FILTERS, parts
from vsearch.wire import moment_json, video_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vsearch.search.grammar import Part
    from vsearch.types import Mark, Moment, Span, Video


def video(one: Video) -> dict[str, Any]:
    """A video, whether its file is there, and how browsers play it."""
    played = playback(one.path)
    return {
        **video_json(one),
        "missing": played.how == "none" and not one.path.is_file(),
        "playback": played.how,
    }


def moments(found: Iterable[Moment], marks: Iterable[Mark] = ()) -> list[dict[str, Any]]:
    """Results with their videos, and what was said of each."""
    said = {(mark.video_id, mark.span): mark.up for mark in marks}
    videos: dict[int, dict[str, Any]] = {}
    shown = []
    for rank, moment in enumerate(found, 1):
        own = videos.get(moment.video.id) or videos.setdefault(moment.video.id, video(moment.video))
        mark = _said(said, moment.video.id, moment.span)
        shown.append({**moment_json(rank, moment), "video": own, "mark": mark})
    return shown


def _said(said: Mapping[tuple[int, Span], bool], video_id: int, span: Span) -> bool | None:
    """What was said of a moment, or of one that is nearly the same."""
    for (id_, other), up in said.items():
        if id_ == video_id and span.iou(other) > 0.5:
            return up
    return None


def parts_of(text: str) -> Iterator[dict[str, str]]:
    """The parts of a query as it was typed, words that follow each other as one."""
    words: list[str] = []
    for part in parts(text):
        bare = not part.name and not part.quoted and part.signed == 1
        if not bare and words:
            yield _words(words)
            words = []
        if bare:
            words.append(part.text)
        else:
            yield {"kind": _kind(part), "text": part.text, "label": _label(part)}
    if words:
        yield _words(words)


def _words(words: list[str]) -> dict[str, str]:
    text = " ".join(words)
    return {"kind": "text", "text": text, "label": text}


def _kind(part: Part) -> str:
    if part.name == "@":
        return "saved"
    if part.name in FILTERS:
        return "filter"
    if part.negative:
        return "without"
    return {"": "text", "like": "clip"}.get(part.name, part.name)


def _label(part: Part) -> str:
    if part.name in ("", "text"):
        return part.text.removeprefix("text:")
    return part.text
