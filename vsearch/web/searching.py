"""Searching, and what a search says of one video."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from vsearch import notation
from vsearch.remote_query import by_ids
from vsearch.web import schemas, showing
from vsearch.web.desk import Desk, OnDesk  # noqa: TC001 - FastAPI reads annotations
from vsearch.web.problems import Problem
from vsearch.wire import in_library

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Mark, Moment
    from vsearch.types import Query as Asked
    from vsearch.web.recent import Search

router = APIRouter(tags=["search"])
OF_ONE_VIDEO = 50  # moments
Short = Annotated[str, Query(max_length=64)]


@router.get("/search", response_model=schemas.Search)
async def search(
    desk: OnDesk,
    q: Annotated[str, Query(max_length=2_000)] = "",
    k: Annotated[int, Query(ge=1, le=1_000)] = 10,
    per_video: Annotated[int | None, Query(ge=1, le=1_000)] = None,
    varied: bool = False,
    alike: bool = False,
    previous: Short | None = None,
) -> Any:
    """The moments that fit a query best. Pictures and clips in it go by `upload:ID`, `video:ID`."""
    wish = schemas.SearchWish(
        q=q, k=k, per_video=per_video, varied=varied, alike=alike, previous=previous or None
    )
    return await desk.searching.take(lambda: _searched(desk, wish))


@router.post("/search", response_model=schemas.Search)
async def search_more(desk: OnDesk, wish: schemas.SearchWish) -> Any:
    """The same, with pictures and clips beside the text."""
    return await desk.searching.take(lambda: _searched(desk, wish))


@router.get("/videos/{video_id}/curve", response_model=schemas.Curve)
async def curve(desk: OnDesk, video_id: schemas.Id, search: Short) -> Any:
    """How well each stored frame of a video fits a search, for a seek bar."""
    return await desk.searching.take(lambda: _curve(desk, video_id, search))


@router.get("/videos/{video_id}/moments", response_model=schemas.Moments)
async def moments(desk: OnDesk, video_id: schemas.Id, search: Short) -> Any:
    """All moments of a video that answer a search, in the order of time."""
    return await desk.searching.take(lambda: _moments(desk, video_id, search))


def _searched(desk: Desk, wish: schemas.SearchWish) -> dict[str, Any]:
    began = time.perf_counter()
    text = " ".join([wish.q, *_named(wish)]).strip()
    known = desk.recent.get(wish.previous).found if wish.previous else ()
    with desk.metrics.stage("parse"):
        query = by_ids(desk.library, text, upload=desk.upload, previous=known)
    with desk.metrics.stage("search"):
        found = desk.library.search(
            query, k=wish.k, per_video=wish.per_video, varied=wish.varied, alike=wish.alike
        )
    asked = desk.recent.add(text, query, found)
    with desk.metrics.stage("show"):
        return _shown(desk, asked, (time.perf_counter() - began) * 1_000)


def _named(wish: schemas.SearchWish) -> list[str]:
    """Pictures and clips beside the text, as they are written in a query."""
    named = [f"image:{notation.value(f'upload:{one}')}" for one in wish.images]
    for clip in wish.clips:
        if (clip.upload is None) == (clip.video is None):
            raise Problem(422, "request", "a clip is either an upload or a video of the library")
        name = f"upload:{clip.upload}" if clip.video is None else f"video:{clip.video}"
        if (clip.start is None) != (clip.end is None):
            raise Problem(422, "request", "a part of a clip has a start and an end")
        part = "" if clip.start is None else f"@{clip.start:.3f}-{clip.end:.3f}"
        named.append(f"clip:{notation.quoted(name)}{part}")
    return named


def _shown(desk: Desk, asked: Search, took: float) -> dict[str, Any]:
    library, marks = desk.library, _marks(desk, asked.query)
    space = library.space
    worded = any(term.kind == "text" for term in asked.query.terms)
    return {
        "id": asked.id,
        "query": asked.text,
        "parts": list(showing.parts_of(asked.text)),
        "space": space.name if space else None,
        "text_model": library.settings.text_model or None,
        "adapter": bool(asked.found and worded and library.adapter),
        "took_ms": round(took, 1),
        "in_library": in_library(asked.found),
        "marks": len(marks),
        "hints": _hints(desk, asked.query, asked.found),
        "results": showing.moments(asked.found, marks),
    }


def _marks(desk: Desk, query: Asked) -> list[Mark]:
    return [] if query.then else desk.library.marks(query)


def _hints(desk: Desk, query: Asked, found: tuple[Moment, ...]) -> list[str]:
    """What else there is to say, where little or nothing was found."""
    if desk.library.space is None:
        return ["The library is empty: index some videos first."]
    hints = []
    if not found and query.filters.videos:
        hints.append(f"Only looked at path:{', '.join(query.filters.videos)}; see the library.")
    terms = [*query.terms, *(term for step in query.then for term in step.terms)]
    kinds = {term.kind for term in terms} | set(query.filters.has)
    if found or not kinds & {"said", "speech", "shown", "screen"}:
        return hints
    known = {source for source, _ in desk.library.info().words}
    if kinds & {"said", "speech"} and not known & {"speech", "subtitles"}:
        hints.append("Nobody has listened to these videos yet: index them with “transcribe”.")
    if kinds & {"shown", "screen"} and "screen" not in known:
        hints.append("Nobody has read these videos yet: index them with “read text”.")
    return hints


def _curve(desk: Desk, video_id: int, search: str) -> dict[str, Any]:
    found = desk.library.curve(desk.recent.get(search).query, desk.video(video_id))
    scores = [round(float(score), 4) for score in found.scores]
    return {
        "times": [round(float(one), 3) for one in found.times],
        "scores": scores,
        "floor": round(found.usual, 4),
        "top": max(scores, default=round(found.usual, 4)),
    }


def _moments(desk: Desk, video_id: int, search: str) -> dict[str, Any]:
    query, path = desk.recent.get(search).query, desk.video(video_id).path
    found = desk.library.search(_within(query, path), k=OF_ONE_VIDEO, per_video=OF_ONE_VIDEO)
    in_time = sorted(found, key=lambda moment: moment.span)
    return {"results": showing.moments(in_time, _marks(desk, query))}


def _within(query: Asked, path: Path) -> Asked:
    return replace(query, filters=replace(query.filters, videos=(str(path),)))
