"""API errors as problem details in JSON (RFC 9457)."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from vsearch.errors import (
    ExportError,
    LibraryError,
    MediaError,
    ModelError,
    QueryError,
    SettingsError,
    VSearchError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request
    from starlette.responses import Response

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
MAX_DETAIL_CHARS = 1_000
ERROR_PROBLEMS: tuple[tuple[type[VSearchError], int, str], ...] = (  # first match
    (QueryError, 422, "query"),
    (MediaError, 422, "media"),
    (ExportError, 422, "export"),
    (SettingsError, 422, "settings"),
    (ModelError, 503, "model"),
    (LibraryError, 409, "library"),
)


class Problem(HTTPException):
    """An error response: status, problem type and a detail that says what to do."""

    def __init__(
        self,
        status_code: int,
        problem_type: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status_code, detail, dict(headers or {}))
        self.status_code, self.problem_type = status_code, problem_type

    def __str__(self) -> str:
        return self.detail


def escape_undecodable(text: str) -> str:
    """Escape the undecodable bytes of file names (surrogates), which JSON cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode()


def to_response(problem: Problem) -> Response:
    """Create the HTTP response of a problem."""
    problem_fields: dict[str, Any] = {
        "type": f"urn:vsearch:{problem.problem_type}",
        "title": HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "detail": escape_undecodable(problem.detail)[:MAX_DETAIL_CHARS],
    }
    return JSONResponse(problem_fields, problem.status_code, problem.headers, MEDIA_TYPE)


def to_problem(error: VSearchError) -> Problem:
    """Convert an error of vsearch to the matching problem."""
    for error_class, status_code, problem_type in ERROR_PROBLEMS:
        if isinstance(error, error_class):
            return Problem(status_code, problem_type, str(error))
    return Problem(500, "error", str(error))


def install_handlers(app: FastAPI) -> None:
    """Register handlers that turn every error into a problem response."""

    @app.exception_handler(Problem)
    def _handle_problem(_: Request, error: Problem) -> Response:
        return to_response(error)

    @app.exception_handler(VSearchError)
    def _handle_library_error(_: Request, error: VSearchError) -> Response:
        return to_response(to_problem(error))

    @app.exception_handler(HTTPException)
    def _handle_http_error(_: Request, error: HTTPException) -> Response:
        problem_type = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        return to_response(
            Problem(error.status_code, problem_type, str(error.detail), headers=error.headers)
        )

    @app.exception_handler(RequestValidationError)
    def _handle_invalid_request(_: Request, error: RequestValidationError) -> Response:
        messages = [
            f"{'.'.join(map(str, field_error['loc'][1:])) or field_error['loc'][0]}: "
            f"{field_error['msg']}"
            for field_error in error.errors()[:5]
        ]
        return to_response(Problem(422, "request", "; ".join(messages)))

    @app.exception_handler(Exception)
    def _handle_unexpected_error(request: Request, error: Exception) -> Response:
        log.error("%s %s", request.method, request.url.path, exc_info=error)
        return to_response(Problem(500, "bug", "internal error; see the log of the server"))
