"""Every error of the API as a problem in JSON (RFC 9457)."""

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
MOST = 1_000  # characters of a detail
KINDS: tuple[tuple[type[VSearchError], int, str], ...] = (  # the first that fits
    (QueryError, 422, "query"),
    (MediaError, 422, "media"),
    (ExportError, 422, "export"),
    (SettingsError, 422, "settings"),
    (ModelError, 503, "model"),
    (LibraryError, 409, "library"),
)


class Problem(HTTPException):
    """What a request is refused with: a status, a kind of problem, what is wrong and what to do."""

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.status, self.kind = status, kind

    def __str__(self) -> str:
        return self.detail


def plain(text: str) -> str:
    """Text without what no JSON can hold: bytes of a file's name that are no letters."""
    return text.encode("utf-8", "backslashreplace").decode()


def answer(problem: Problem) -> Response:
    """A problem as it is sent."""
    content: dict[str, Any] = {
        "type": f"urn:vsearch:{problem.kind}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": plain(problem.detail)[:MOST],
    }
    return JSONResponse(content, problem.status, problem.headers, MEDIA_TYPE)


def told(error: VSearchError) -> Problem:
    """An error of vsearch as a problem."""
    for family, status, kind in KINDS:
        if isinstance(error, family):
            return Problem(status, kind, str(error))
    return Problem(500, "error", str(error))


def install(app: FastAPI) -> None:
    """Let nothing but problems come of errors."""

    @app.exception_handler(Problem)
    def _problem(_: Request, error: Problem) -> Response:
        return answer(error)

    @app.exception_handler(VSearchError)
    def _error(_: Request, error: VSearchError) -> Response:
        return answer(told(error))

    @app.exception_handler(HTTPException)
    def _http(_: Request, error: HTTPException) -> Response:
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        return answer(Problem(error.status_code, kind, str(error.detail), headers=error.headers))

    @app.exception_handler(RequestValidationError)
    def _invalid(_: Request, error: RequestValidationError) -> Response:
        wrong = [
            f"{'.'.join(str(part) for part in one['loc'][1:]) or one['loc'][0]}: {one['msg']}"
            for one in error.errors()[:5]
        ]
        return answer(Problem(422, "request", "; ".join(wrong)))

    @app.exception_handler(Exception)
    def _bug(request: Request, error: Exception) -> Response:
        log.error("%s %s", request.method, request.url.path, exc_info=error)
        return answer(Problem(500, "bug", "something went wrong; the log of this server tells"))
