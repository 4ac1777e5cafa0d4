"""API errors as problem details in JSON (RFC 9457)."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount

from vsearch.errors import (
    ExportError,
    LibraryError,
    MediaError,
    ModelError,
    QueryError,
    SettingsError,
    VSearchError,
)
from vsearch.server.wording import remove_shell_advice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request
    from starlette.responses import Response
    from starlette.types import Scope

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


def clean_message(message: str) -> str:
    """Return a message as clients of the API get it."""
    return remove_shell_advice(escape_undecodable(message))


def to_response(problem: Problem) -> Response:
    """Create the HTTP response of a problem."""
    problem_fields: dict[str, Any] = {
        "type": f"urn:vsearch:{problem.problem_type}",
        "title": HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "detail": clean_message(problem.detail)[:MAX_DETAIL_CHARS],
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
    def _handle_http_error(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == 405:  # a route names its own methods only
            headers["Allow"] = ", ".join(_list_methods(app, request.scope))
        problem_type = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        return to_response(
            Problem(error.status_code, problem_type, str(error.detail), headers=headers)
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


def _list_methods(app: FastAPI, scope: Scope) -> list[str]:
    """Return the methods that any route accepts at the path of a request."""
    # a mount has changed the root path of the request
    root_path = scope.get("app_root_path", scope.get("root_path", ""))
    outer_scope = {**scope, "root_path": root_path}
    scope = {**scope, "root_path": scope.get("app_root_path", scope.get("root_path", ""))}
    return [
        method
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        if any(
            route.matches({**outer_scope, "method": method})[0] is Match.FULL
            for route in app.router.routes
            # static files are mounted, which matches any method
            if method in ("GET", "HEAD") or not isinstance(route, Mount)
        )
    ]
