"""What is kept beside videos: saved searches, marks, and the words a query may be made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from vsearch.remote_query import by_ids
from vsearch.results import Result
from vsearch.types import Span
from vsearch.web import schemas
from vsearch.web.desk import Desk, OnDesk  # noqa: TC001 - FastAPI reads annotations
from vsearch.web.problems import Problem

if TYPE_CHECKING:
    from vsearch.types import Query as Asked

router = APIRouter(tags=["keeping"])
Name = Annotated[str, Path(max_length=64)]
Short = Annotated[str | None, Query(max_length=64)]
Text = Annotated[str | None, Query(max_length=2_000)]
FILTERS = (
    ("path", "path:holiday/*", "a file, folder or glob"),
    ("tag", "tag:dog", "what is tagged so"),
    ("after", "after:2024-05", "recorded from then on"),
    ("before", "before:2024-05-17", "recorded before"),
    ("longer", "longer:10s", "videos that last at least that long"),
    ("shorter", "shorter:1m30s", "videos that are shorter"),
    ("at", "at:0:10:00-0:20:00", "that part of every video"),
    ("has", "has:speech", "speech, subtitles, screen or tags"),
    ("model", "model:builtin:fast", "what that model indexed"),
    ("said", 'said:"thank you"', "words that are spoken"),
    ("shown", "shown:EXIT", "text on the screen"),
    ("then", "then:<30s", "what follows, within that time"),
    ("like", "like:#3", "more like result 3"),
)


@router.get("/vocabulary", response_model=schemas.Vocabulary)
def vocabulary(desk: OnDesk) -> Any:
    """What a query may be made of, for suggestions."""
    videos = desk.library.videos()
    return {
        "filters": [dict(zip(("name", "example", "what"), each, strict=True)) for each in FILTERS],
        "saved": desk.library.saved(),
        "tags": sorted({tag.label for tag in desk.library.tags()})[:500],
        "models": sorted({video.model for video in videos if video.model}),
    }


@router.get("/saved", response_model=schemas.SavedList)
def saved(desk: OnDesk) -> Any:
    """The searches that are saved, by name."""
    return {"items": desk.library.saved()}


@router.put("/saved/{name}", response_model=schemas.Saved)
def save(desk: OnDesk, name: Name, wish: schemas.SaveWish) -> Any:
    """Save a search, so that `@name` asks it again."""
    query = _asked(desk, wish.search, wish.q)
    terms = [*query.terms, *(term for step in query.then for term in step.terms)]
    if any(desk.uploads.holds(term.value) for term in terms if term.kind in ("image", "clip")):
        raise Problem(422, "query", "what was uploaded is not kept: search by words or by a video")
    return desk.library.save(name, query)


@router.delete("/saved/{name}", status_code=204, response_class=Response)
def unsave(desk: OnDesk, name: Name) -> None:
    """Forget a saved search."""
    if name.removeprefix("@") not in {one.name for one in desk.library.saved()}:
        raise Problem(404, "not-found", f"no search is saved as {name}")
    desk.library.unsave(name)


@router.get("/marks", response_model=schemas.Marks)
def marks(desk: OnDesk, q: Text = None) -> Any:
    """What was marked for a query, or for any, the latest first."""
    query = None if q is None else by_ids(desk.library, q, upload=desk.upload)
    return {
        "items": [
            {
                "query": mark.query,
                "video_id": mark.video_id,
                "start": mark.span.start,
                "end": mark.span.end,
                "up": mark.up,
                "made_at": mark.made_at,
            }
            for mark in desk.library.marks(query)
            if not desk.uploads.named(mark.query)  # a mark of what nobody else can name
        ]
    }


@router.post("/marks", response_model=schemas.Marked)
def mark(desk: OnDesk, wish: schemas.MarkWish) -> Any:
    """Say that a moment is what was looked for, or is not; the query learns from it."""
    if wish.end < wish.start:
        raise Problem(422, "request", "a moment ends after it starts")
    query, video = _asked(desk, wish.search, wish.q), desk.video(wish.video_id)
    if wish.start >= max(video.duration, 0.001):
        raise Problem(422, "request", f"the video ends at {video.duration:.1f} s, before that")
    span = Span(wish.start, min(wish.end, max(video.duration, wish.start)))
    said = [one.span for one in desk.library.marks(query) if one.video_id == video.id]
    spans = [one for one in said if one.iou(span) > 0.5]  # it was marked with other bounds before
    desk.library.mark(query, [Result(str(video.path), one, 0.0) for one in spans], up=None)
    found = [Result(str(video.path), span, 0.0)]
    return {"marks": len(desk.library.mark(query, found, up=wish.up))}


@router.delete("/marks", response_model=schemas.Forgotten)
def forget_marks(desk: OnDesk, search: Short = None, q: Text = None) -> Any:
    """Take away what was marked for a query."""
    return {"forgotten": desk.library.forget_marks(_asked(desk, search, q))}


def _asked(desk: Desk, search: str | None, text: str | None) -> Asked:
    """The query that a search id or a text means. Raises Problem and QueryError."""
    if (search is None) == (text is None):
        raise Problem(422, "request", "name the query by `search` or by `q`, by one of them")
    if search is not None:
        return desk.recent.get(search).query
    return by_ids(desk.library, text or "", upload=desk.upload)
