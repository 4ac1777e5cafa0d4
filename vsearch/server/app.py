"""ASGI application: registers the routes and wraps them in the security middleware."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from vsearch import __version__
from vsearch.errors import VSearchError
from vsearch.server import openapi, problems, schemas
from vsearch.server.auth import AccessPolicy, build_cookie_name
from vsearch.server.limits import get_client_address
from vsearch.server.middleware import SecurityMiddleware, check_token_result
from vsearch.server.problems import Problem
from vsearch.server.root_path import read_root_path
from vsearch.server.routes import jobs, library, media, saved, search, uploads, videos
from vsearch.server.sessions import SESSION_SECONDS
from vsearch.server.state import AppState, State  # noqa: TC001 - read by FastAPI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp

log = logging.getLogger(__name__)
STATIC_DIR = Path(__file__).parent / "static"
API_PREFIX = "/api/v1"
ROUTE_MODULES = (search, library, videos, saved, media, uploads, jobs)
session_router = APIRouter(tags=["session"])


def create_app(state: AppState, access_policy: AccessPolicy | None = None) -> ASGIApp:
    """Create the ASGI application of one server.

    Args:
        state: The served library and its services; closed when the application shuts down.
        access_policy: Token and Host checks; by default loopback names only and no token.

    Returns:
        The FastAPI application wrapped in `SecurityMiddleware`.
    """
    effective_policy = access_policy or AccessPolicy()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        state.close()

    app = FastAPI(
        title="vsearch",
        version=__version__,
        summary="Find the moment in your own videos.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_url=None,  # `serve_document`; Swagger UI would load scripts from a CDN
        generate_unique_id_function=openapi.make_operation_id,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.app_state, app.state.access_policy = state, effective_policy
    problems.install_handlers(app)
    for route_module in ROUTE_MODULES:
        app.include_router(route_module.router, prefix=API_PREFIX)
    app.include_router(session_router, prefix=API_PREFIX)
    app.add_api_route(
        "/healthz", check_health, response_model=schemas.HealthResponse, tags=["server"]
    )
    app.add_api_route(f"{API_PREFIX}/openapi.json", serve_document, include_in_schema=False)
    app.add_api_route("/metrics", export_metrics, include_in_schema=False)
    app.add_api_route("/", serve_page, include_in_schema=False, response_model=None)
    app.mount("/static", GZipMiddleware(StaticFiles(directory=STATIC_DIR), minimum_size=1_000))
    return SecurityMiddleware(app, effective_policy, state.metrics)


async def serve_page() -> Response:
    """Return the web page."""
    return FileResponse(STATIC_DIR / "index.html", headers={"Cache-Control": "no-cache"})


async def check_health(state: State) -> dict[str, str]:
    """Return the health status and the version; 503 if the library cannot be used."""
    try:
        state.library.check_available()
    except VSearchError as error:
        log.warning("%s", error)  # with its path, which not everybody may know
        raise Problem(
            503, "library", "the library was moved, deleted or damaged; see the log of the server"
        ) from error
    return {"status": "ok", "version": __version__}


async def serve_document(request: Request) -> JSONResponse:
    """Return the OpenAPI document of this server."""
    access_policy: AccessPolicy = request.app.state.access_policy
    document = openapi.build_document(
        request.app,
        build_cookie_name(request.scope),
        requires_token=access_policy.token is not None,
    )
    if root_path := read_root_path(request.scope):
        document["servers"] = [{"url": root_path}]
    return JSONResponse(document)


async def export_metrics(state: State) -> Response:
    """Return the metrics in the Prometheus text format."""
    return Response(state.metrics.render_text(), media_type="text/plain; version=0.0.4")


@session_router.post("/session", status_code=204, response_class=Response)
async def sign_in(request: Request, token_request: schemas.TokenRequest) -> Response:
    """Exchange the token for the cookie of a new session, which does not reveal the token."""
    access_policy: AccessPolicy = request.app.state.access_policy
    check_token_result(
        await access_policy.authenticate(get_client_address(request.scope), token_request.token)
    )
    response = Response(status_code=204)
    response.set_cookie(
        build_cookie_name(request.scope),
        access_policy.sessions.create_session(),
        httponly=True,
        samesite="strict",
        path=f"{read_root_path(request.scope)}/",
        secure=request.url.scheme == "https",
        max_age=SESSION_SECONDS,
    )
    return response


@session_router.delete("/session", status_code=204, response_class=Response)
async def sign_out(request: Request) -> Response:
    """End the session of the request and delete its cookie."""
    access_policy: AccessPolicy = request.app.state.access_policy
    cookie_name, response = build_cookie_name(request.scope), Response(status_code=204)
    if (session_id := request.cookies.get(cookie_name)) is not None:
        access_policy.sessions.end_session(session_id)
    response.delete_cookie(cookie_name, path=f"{read_root_path(request.scope)}/")
    return response
