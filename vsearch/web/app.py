"""The application: routes, and what guards them."""

from __future__ import annotations

import hmac
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from vsearch import __version__
from vsearch.web import (
    keeping,
    pictures,
    problems,
    schemas,
    searching,
    uploading,
    videos,
    working,
)
from vsearch.web.access import Access, cookie_name
from vsearch.web.desk import Desk, OnDesk  # noqa: TC001 - FastAPI reads annotations
from vsearch.web.guard import Guard
from vsearch.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp

STATIC = Path(__file__).parent / "static"
API = "/api/v1"
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {
        "model": schemas.Problem,
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        "description": "A problem (RFC 9457).",
    }
    for code in (400, 401, 403, 404, 408, 409, 413, 415, 416, 421, 422, 429, 500, 503, 507)
}
ROUTERS = (searching, videos, keeping, pictures, uploading, working)

session = APIRouter(tags=["session"])


def create_app(desk: Desk, access: Access | None = None) -> ASGIApp:
    """The application that serves what is on a desk, which it clears when it ends."""
    allowed = access or Access()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        desk.close()

    app = FastAPI(
        title="vsearch",
        version=__version__,
        summary="Find the moment in your own videos.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # loads its scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        responses=ERRORS,
        redirect_slashes=False,
    )
    app.state.desk, app.state.access = desk, allowed
    problems.install(app)
    for routes in ROUTERS:
        app.include_router(routes.router, prefix=API)
    app.include_router(session, prefix=API)
    app.add_api_route("/healthz", health, response_model=schemas.Health, tags=["server"])
    app.add_api_route("/metrics", metrics, include_in_schema=False)
    app.add_api_route("/", page, include_in_schema=False, response_model=None)
    app.mount("/static", GZipMiddleware(StaticFiles(directory=STATIC), minimum_size=1_000))
    return Guard(app, allowed, desk.metrics)


async def page() -> Response:
    """The page."""
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


async def health() -> dict[str, str]:
    """Whether the server answers."""
    return {"status": "ok", "version": __version__}


async def metrics(desk: OnDesk) -> Response:
    """Figures, as Prometheus reads them."""
    return Response(desk.metrics.text(), media_type="text/plain; version=0.0.4")


@session.post("/session", status_code=204, response_class=Response)
def sign_in(request: Request, given: schemas.Token) -> Response:
    """Let a page in that has the token; it keeps a cookie, from which nobody can tell it."""
    access: Access = request.app.state.access
    address = request.client.host if request.client else ""
    if access.waits(address):
        raise Problem(429, "token", "too many wrong tokens: wait a minute")
    wanted = access.token or ""
    if access.token is not None and not hmac.compare_digest(given.token.encode(), wanted.encode()):
        access.refuse(address)
        raise Problem(401, "token", "that is not the token of this server")
    answer = Response(status_code=204)
    answer.set_cookie(
        cookie_name(request.scope), access.cookie, httponly=True, samesite="strict", path="/",
        secure=request.url.scheme == "https", max_age=30 * 24 * 3600,
    )  # fmt: skip
    return answer


@session.delete("/session", status_code=204, response_class=Response)
def sign_out(request: Request) -> Response:
    """Forget the cookie."""
    answer = Response(status_code=204)
    answer.delete_cookie(cookie_name(request.scope), path="/")
    return answer
