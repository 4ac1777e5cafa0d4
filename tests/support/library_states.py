"""States of the library view; see `page_states`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.page_states import STATES, state

if TYPE_CHECKING:
    from playwright.sync_api import Route

    from tests.support.browser import WatchedPage

__all__ = ["STATES"]  # of the search view, too
CREATED_AT = "2024-05-17T12:00:00Z"
JOB: dict[str, Any] = {
    "kind": "index", "created_at": CREATED_AT, "phase": None, "stage": None, "eta_seconds": None,
    "current_file": None, "file_number": None, "file_count": None, "errors": [],
    "errors_truncated": 0, "error": None, "files": [], "counts": {},
}  # fmt: skip
REASONS = (
    "not a readable video, or damaged at its start; re-encode or copy it again",
    "no picture",
)
JOBS: list[dict[str, Any]] = [
    {
        **JOB, "job_id": "2", "title": "Camera", "state": "running", "progress": 0.42,
        "phase": "processing", "stage": "index", "eta_seconds": 312.0,
        "current_file": "DSC_0042.MOV", "file_number": 43, "file_count": 101,
    },
    {
        **JOB, "job_id": "1", "title": "Phone", "state": "done", "progress": 1.0,
        "counts": {"indexed": 12, "unchanged": 310, "failed": 2},
        "errors": [
            {"failure_id": number, "path": f"/videos/IMG_{number}.mp4", "name": f"IMG_{number}.mp4",
             "error": reason, "is_retried": bool(number)}
            for number, reason in enumerate(REASONS)
        ],
    },
]  # fmt: skip


def fix_library(route: Route) -> None:
    """Answer with a size, and with extras, that do not depend on the machine."""
    response = route.fetch()
    about = response.json()
    permissions = {**about["permissions"], "transcribe": True, "ocr": True}
    route.fulfill(
        response=response,
        json={**about, "size": 1_200_000, "name": "library", "permissions": permissions},
    )


@state("library")
def open_library(seen: WatchedPage) -> None:
    """Open the library and wait until all cards and notices are there."""
    seen.page.route("**/api/v1/library", fix_library)
    seen.open_path("/?view=library")
    seen.page.get_by_test_id("video").first.wait_for()
    seen.page.get_by_test_id("notice-speech").wait_for()
    seen.page.wait_for_function(
        """() => !document.querySelector('.vg-skeleton')
            && [...document.querySelectorAll('.vcard img')].every((picture) => picture.complete)"""
    )


@state("library-menu")
def open_menu(seen: WatchedPage) -> None:
    open_library(seen)
    seen.page.get_by_test_id("video-menu").first.click()
    seen.page.get_by_role("menu").wait_for()


@state("library-jobs")
def show_jobs(seen: WatchedPage) -> None:
    seen.page.route("**/api/v1/jobs", lambda route: route.fulfill(json={"items": JOBS}))
    seen.page.route(
        "**/api/v1/jobs/events",
        lambda route: route.fulfill(content_type="text/event-stream", body="retry: 600000\n\n"),
    )
    open_library(seen)
    seen.page.get_by_test_id("job-error").first.wait_for()
