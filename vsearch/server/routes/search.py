"""Routes for searching, and for the similarity curve and moments of one video."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from vsearch.query import formatting
from vsearch.search.remote_query import parse_remote_query
from vsearch.search.serialization import search_details_to_dict
from vsearch.server import presenters, schemas
from vsearch.server.problems import Problem
from vsearch.server.state import AppState, State  # noqa: TC001 - read by FastAPI

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.query.model import Query as SearchQuery
    from vsearch.types import RelevanceLabel

router = APIRouter(tags=["search"])
MAX_MOMENTS_PER_VIDEO = 50
SearchIdParam = Annotated[str, Query(max_length=64)]


@router.get("/search", response_model=schemas.SearchResultsResponse)
async def search(
    state: State,
    q: Annotated[str, Query(max_length=2_000)] = "",
    k: Annotated[int, Query(ge=1, le=1_000)] = 10,
    per_video: Annotated[int | None, Query(ge=1, le=1_000)] = None,
    diversify: bool = False,
    include_duplicates: bool = False,
    previous_search_id: SearchIdParam | None = None,
) -> Any:
    """Find the best moments. Images and clips are given as `upload:ID` or `video:ID`."""
    search_request = schemas.SearchRequest(
        q=q,
        k=k,
        per_video=per_video,
        diversify=diversify,
        include_duplicates=include_duplicates,
        previous_search_id=previous_search_id or None,
    )
    return await state.search_limit.run(lambda: _run_search(state, search_request))


@router.post("/search", response_model=schemas.SearchResultsResponse)
async def search_with_media(state: State, search_request: schemas.SearchRequest) -> Any:
    """Find the best moments for text, images and clips."""
    return await state.search_limit.run(lambda: _run_search(state, search_request))


@router.get("/videos/{video_id}/curve", response_model=schemas.CurveResponse)
async def get_curve(state: State, video_id: schemas.VideoId, search_id: SearchIdParam) -> Any:
    """Return the similarity of each stored frame of a video to a search."""
    return await state.search_limit.run(lambda: _compute_curve(state, video_id, search_id))


@router.get("/videos/{video_id}/moments", response_model=schemas.MomentListResponse)
async def get_moments(state: State, video_id: schemas.VideoId, search_id: SearchIdParam) -> Any:
    """Return all moments of a video that match a search, in chronological order."""
    return await state.search_limit.run(lambda: _find_moments(state, video_id, search_id))


def _run_search(state: AppState, search_request: schemas.SearchRequest) -> dict[str, Any]:
    query_text = " ".join([search_request.q, *_format_media_terms(search_request)]).strip()
    previous_results = (
        state.search_history.get_search(search_request.previous_search_id).results
        if search_request.previous_search_id
        else ()
    )
    with state.metrics.time_stage("parse"):
        query = parse_remote_query(
            state.library,
            query_text,
            upload_path=state.resolve_upload,
            previous_results=previous_results,
        )
    with state.metrics.time_stage("search"):
        search_result = state.library.search(
            query,
            k=search_request.k,
            per_video=search_request.per_video,
            diversify=search_request.diversify,
            include_duplicates=search_request.include_duplicates,
        )
    recorded_search = state.search_history.add_search(query, search_result.moments)
    with state.metrics.time_stage("present"):
        feedback_labels = _list_feedback(state, query)
        return {
            "search_id": recorded_search.search_id,
            "query": query_text,
            "query_tokens": list(presenters.describe_tokens(query_text)),
            **search_details_to_dict(search_result),
            "results": presenters.present_moments(search_result, feedback_labels),
        }


def _format_media_terms(search_request: schemas.SearchRequest) -> list[str]:
    """Return the images and clips of a request as query terms."""
    media_terms = [
        f"image:{formatting.escape_value(f'upload:{upload_id}')}"
        for upload_id in search_request.images
    ]
    for clip in search_request.clips:
        if (clip.upload_id is None) == (clip.video_id is None):
            raise Problem(422, "request", "a clip needs either upload_id or video_id")
        media_name = (
            f"upload:{clip.upload_id}" if clip.video_id is None else f"video:{clip.video_id}"
        )
        if (clip.start is None) != (clip.end is None):
            raise Problem(422, "request", "a clip span needs both start and end")
        span_suffix = "" if clip.start is None else f"@{clip.start:.3f}-{clip.end:.3f}"
        media_terms.append(f"clip:{formatting.quote_phrase(media_name)}{span_suffix}")
    return media_terms


def _list_feedback(state: AppState, query: SearchQuery) -> list[RelevanceLabel]:
    return [] if query.next_steps else state.library.feedback.list(query)


def _compute_curve(state: AppState, video_id: int, search_id: str) -> dict[str, Any]:
    similarity_curve = state.library.similarity_curve(
        state.search_history.get_search(search_id).query, state.require_video(video_id)
    )
    rounded_scores = [round(float(score), 4) for score in similarity_curve.scores]
    return {
        "times": [round(float(frame_time), 3) for frame_time in similarity_curve.frame_times],
        "scores": rounded_scores,
        "baseline": round(similarity_curve.baseline, 4),
        "max_score": max(rounded_scores, default=round(similarity_curve.baseline, 4)),
    }


def _find_moments(state: AppState, video_id: int, search_id: str) -> dict[str, Any]:
    query, video_path = (
        state.search_history.get_search(search_id).query,
        state.require_video(video_id).path,
    )
    moments = state.library.search(
        _restrict_to_video(query, video_path),
        k=MAX_MOMENTS_PER_VIDEO,
        per_video=MAX_MOMENTS_PER_VIDEO,
    )
    chronological = sorted(moments, key=lambda moment: moment.span)
    return {"results": presenters.present_moments(chronological, _list_feedback(state, query))}


def _restrict_to_video(query: SearchQuery, video_path: Path) -> SearchQuery:
    return replace(query, filters=replace(query.filters, path_patterns=(str(video_path),)))
