"""Routes for saved searches, relevance feedback and the query syntax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from vsearch.query.model import ResultRef
from vsearch.search.remote_query import parse_remote_query
from vsearch.server import presenters, schemas
from vsearch.server.facets import FacetsResponse, count_facets
from vsearch.server.problems import Problem
from vsearch.server.state import AppState, State  # noqa: TC001 - read by FastAPI
from vsearch.types import Span

if TYPE_CHECKING:
    from vsearch.query.model import Query as SearchQuery

router = APIRouter(tags=["saved"])
SearchName = Annotated[str, Path(max_length=64)]
OptionalSearchId = Annotated[str | None, Query(max_length=64)]
OptionalQueryText = Annotated[str | None, Query(max_length=2_000)]
FILTER_EXAMPLES = (
    ("path", "path:holiday/*", "a file, folder or glob"),
    ("tag", "tag:dog", "videos or parts with that tag"),
    ("after", "after:2024-05", "recorded on or after that date"),
    ("before", "before:2024-05-17", "recorded before that date"),
    ("longer", "longer:10s", "videos at least that long"),
    ("shorter", "shorter:1m30s", "videos shorter than that"),
    ("at", "at:0:10:00-0:20:00", "only that part of every video"),
    ("has", "has:speech", "with speech, music, singing, subtitles, screen text or tags"),
    ("is", "is:vertical", "wide, vertical, square, 4k, photo or video"),
    ("camera", "camera:iphone", "recorded by that camera"),
    ("near", "near:48.1,11.5,5km", "recorded near that place, also by its name"),
    ("time", "time:18:00-23:00", "recorded at that time of day"),
    ("weekday", "weekday:sat-sun", "recorded on those days"),
    ("lang", "lang:de", "with a transcript in that language"),
    ("codec", "codec:hevc", "encoded with that codec"),
    ("fps", "fps:>=50", "with so many frames per second"),
    ("model", "model:builtin:fast", "videos indexed with that model"),
    ("said", 'said:"thank you"', "spoken words"),
    ("shown", "shown:EXIT", "text on the screen (OCR)"),
    ("then", "then:<30s", "followed by, within that time"),
    ("like", "like:#3", "similar to result 3"),
)


@router.get("/query-syntax", response_model=schemas.QuerySyntax)
def get_query_syntax(state: State) -> Any:
    """Return filters, saved searches, tags and models to suggest in queries."""
    videos = state.library.videos()
    return {
        "filters": [
            dict(zip(("name", "example", "description"), filter_example, strict=True))
            for filter_example in FILTER_EXAMPLES
        ],
        "saved_searches": _list_saved_searches(state),
        "tags": sorted({tag.label for tag in state.library.tags.list()})[:500],
        "models": sorted({video.model for video in videos if video.model}),
    }


@router.get("/facets")
def get_facets(state: State) -> FacetsResponse:
    """Return the years, folders, tags and contents by which the library can be filtered."""
    return count_facets(state.library)


@router.get("/saved-searches", response_model=schemas.SavedSearchListResponse)
def list_saved_searches(state: State) -> Any:
    """List the saved searches by name."""
    return {"items": _list_saved_searches(state)}


@router.put("/saved-searches/{name}", response_model=schemas.SavedSearchResponse)
def save_search(state: State, name: SearchName, save_request: schemas.SaveSearchRequest) -> Any:
    """Save a search, to be run again as `@name`."""
    query = _resolve_query(state, save_request.search_id, save_request.q)
    terms = [*query.terms, *(term for step in query.next_steps for term in step.terms)]
    if any(
        state.upload_store.is_upload_path(term.value)
        for term in terms
        if term.kind in ("image", "clip")
    ):
        raise Problem(
            422, "query", "uploads are temporary and cannot be saved; search by text or by a video"
        )
    return presenters.present_saved_search(state.library.saved_searches.add(name, query))


@router.delete("/saved-searches/{name}", status_code=204, response_class=Response)
def delete_saved_search(state: State, name: SearchName) -> None:
    """Delete a saved search."""
    if name.removeprefix("@") not in {
        saved_search.name for saved_search in state.library.saved_searches.list()
    }:
        raise Problem(404, "not-found", f"no search is saved as {name}")
    state.library.saved_searches.remove(name)


@router.get("/feedback", response_model=schemas.FeedbackListResponse)
def list_feedback(state: State, q: OptionalQueryText = None) -> Any:
    """List the relevance labels of a query, or of all queries, newest first."""
    query = (
        None
        if q is None
        else parse_remote_query(state.library, q, upload_path=state.resolve_upload)
    )
    return {
        "items": [
            {
                "query": feedback_label.query_text,
                "video_id": feedback_label.video_id,
                "start": feedback_label.span.start,
                "end": feedback_label.span.end,
                "relevant": feedback_label.relevant,
                "created_at": feedback_label.created_at,
            }
            for feedback_label in state.library.feedback.list(query)
            # other clients cannot refer to uploads
            if not state.upload_store.mentions_upload(feedback_label.query_text)
        ]
    }


@router.post("/feedback", response_model=schemas.FeedbackCount)
def add_feedback(state: State, feedback_request: schemas.FeedbackRequest) -> Any:
    """Label a moment relevant or irrelevant to a query; null removes the label."""
    if feedback_request.end < feedback_request.start:
        raise Problem(422, "request", "end must not be less than start")
    query, video = (
        _resolve_query(state, feedback_request.search_id, feedback_request.q),
        state.require_video(feedback_request.video_id),
    )
    if feedback_request.start >= max(video.duration, 0.001):
        raise Problem(422, "request", f"start: the video ends at {video.duration:.1f} s")
    moment_span = Span(
        feedback_request.start,
        min(feedback_request.end, max(video.duration, feedback_request.start)),
    )
    labeled_spans = [
        entry.span for entry in state.library.feedback.list(query) if entry.video_id == video.id
    ]
    # labels of the same moment with slightly different bounds
    replaced_spans = [span for span in labeled_spans if span.iou(moment_span) > 0.5]
    state.library.feedback.add(
        query, [ResultRef(str(video.path), span, 0.0) for span in replaced_spans], relevant=None
    )
    labeled_results = [ResultRef(str(video.path), moment_span, 0.0)]
    return {
        "feedback_count": len(
            state.library.feedback.add(query, labeled_results, relevant=feedback_request.relevant)
        )
    }


@router.delete("/feedback", response_model=schemas.DeletedCount)
def clear_feedback(
    state: State, search_id: OptionalSearchId = None, q: OptionalQueryText = None
) -> Any:
    """Delete the relevance labels of a query."""
    return {"deleted_count": state.library.feedback.clear(_resolve_query(state, search_id, q))}


def _list_saved_searches(state: AppState) -> list[dict[str, Any]]:
    return list(map(presenters.present_saved_search, state.library.saved_searches.list()))


def _resolve_query(state: AppState, search_id: str | None, query_text: str | None) -> SearchQuery:
    """Return the query of a search id or a text; raise Problem or QueryError."""
    if (search_id is None) == (query_text is None):
        raise Problem(422, "request", "give either `search_id` or `q`")
    if search_id is not None:
        return state.search_history.get_search(search_id).query
    return parse_remote_query(state.library, query_text or "", upload_path=state.resolve_upload)
