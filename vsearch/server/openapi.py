"""OpenAPI document: what FastAPI cannot derive — statuses, security schemes, ids, examples."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from vsearch.server import problems, schemas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastapi import FastAPI
    from fastapi.routing import APIRoute

PROBLEM_SCHEMA = "#/components/schemas/ProblemDetails"
BEARER_SCHEME, COOKIE_SCHEME = "bearerToken", "sessionCookie"
COMMON_STATUSES = (403, 421, 500, 503)  # of the middleware, and of failures in any route
TOKEN_STATUSES = (401, 429)
BODY_STATUSES = (400, 408, 413)
PUBLIC_TAGS = frozenset({"session", "server"})  # need no token
TAGS_WITHOUT_LIBRARY = PUBLIC_TAGS | {"uploads", "jobs"}  # operations that do not read the library
DESCRIPTIONS = {
    400: "The request cannot be read.",
    401: "The token or session is missing or wrong.",
    403: "The request comes from another site, or the operation is disabled.",
    404: "Something with this id or name does not exist, or no longer exists.",
    408: "The request body arrived too slowly.",
    409: "The library or the file does not permit this.",
    413: "The request body is too large.",
    415: "The request body has another media type.",
    416: "The range starts beyond the end of the file.",
    421: "The Host header names another server.",
    422: "A value is invalid, or the query cannot be understood.",
    429: "Too many wrong tokens, jobs or event streams; try again later.",
    500: "An internal error; see the log of the server.",
    503: "The server is busy, or the library or its model cannot be used.",
    507: "The disk of the server is full.",
}
EXAMPLE_VALUES: dict[str, Any] = {
    "q": "a dog jumps into a pool", "k": 5, "video_id": 1, "name": "dogs", "time": 12.5,
    "start": 12.5, "end": 16.0, "width": 320, "limit": 50, "offset": 0,
}  # fmt: skip
EXAMPLE_BODIES: dict[str, dict[str, Any]] = {
    "SearchRequest": {"q": "a dog jumps into a pool", "k": 5},
    "SaveSearchRequest": {"q": "a dog jumps into a pool"},
    "FeedbackRequest": {
        "q": "a dog jumps into a pool", "video_id": 1, "start": 12.5, "end": 16.0, "relevant": True,
    },
    "ExportRequest": {"kind": "clips", "moments": [{"video_id": 1, "start": 12.5, "end": 16.0}]},
}  # fmt: skip
_NAMES_ENTRY_RE = re.compile(r"_ids?$|^folder$")  # fields whose value may not exist


def make_operation_id(route: APIRoute) -> str:
    """Return the name of a route in camel case, e.g. "listVideos"."""
    first_word, *other_words = route.name.split("_")
    return first_word + "".join(map(str.capitalize, other_words))


def build_document(app: FastAPI, cookie_name: str, *, requires_token: bool) -> dict[str, Any]:
    """Build the OpenAPI document of an application.

    Args:
        app: The application with all its routes.
        cookie_name: Name of the session cookie.
        requires_token: Document the statuses and the security of a server with a token.

    Returns:
        The document, ready for JSON.
    """
    document = copy.deepcopy(app.openapi())
    components = document["components"]
    for operation in _iter_operations(document):
        is_protected = requires_token and not PUBLIC_TAGS & set(operation["tags"])
        if is_protected:
            operation["security"] = [{BEARER_SCHEME: []}, {COOKIE_SCHEME: []}]
        statuses = set(_derive_statuses(operation, components["schemas"]))
        if is_protected or (requires_token and operation["operationId"] == "signIn"):
            statuses |= set(TOKEN_STATUSES)
        responses = operation["responses"]
        for status in sorted(statuses):
            responses[str(status)] = _describe_problem(status)
        operation["responses"] = dict(sorted(responses.items()))
        for parameter in operation.get("parameters", ()):
            if parameter["name"] in EXAMPLE_VALUES:
                parameter["example"] = EXAMPLE_VALUES[parameter["name"]]
    for schema_name, example in EXAMPLE_BODIES.items():
        components["schemas"][schema_name]["examples"] = [example]
    components["schemas"]["ProblemDetails"] = schemas.ProblemDetails.model_json_schema()
    for unused_schema in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused_schema, None)
    components["securitySchemes"] = {
        BEARER_SCHEME: {
            "type": "http", "scheme": "bearer", "description": "The token of the server.",
        },
        COOKIE_SCHEME: {
            "type": "apiKey", "in": "cookie", "name": cookie_name,
            "description": "A session of `POST /api/v1/session`, for browsers.",
        },
    }  # fmt: skip
    return document


def _iter_operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path_item in document["paths"].values():
        yield from path_item.values()


def _describe_problem(status: int) -> dict[str, Any]:
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": PROBLEM_SCHEMA}}}
    return {"description": DESCRIPTIONS[status], "content": content}


def _derive_statuses(operation: dict[str, Any], schema_by_name: dict[str, Any]) -> Iterator[int]:
    """Yield the error statuses of an operation, except those of the token."""
    yield from COMMON_STATUSES
    parameters, body = operation.get("parameters", []), operation.get("requestBody")
    has_form = body is not None and "multipart/form-data" in body["content"]
    field_names = {parameter["name"] for parameter in parameters}
    field_names |= set(_iter_field_names(body, schema_by_name))
    if body is not None:
        yield from BODY_STATUSES
    if parameters or body is not None:
        yield 422
    has_path_parameter = any(parameter["in"] == "path" for parameter in parameters)
    if has_path_parameter or any(map(_NAMES_ENTRY_RE.search, field_names)):
        yield 404
    changes_entry = has_path_parameter and "202" in operation["responses"]
    reads_library = not TAGS_WITHOUT_LIBRARY & set(operation["tags"])
    if reads_library or changes_entry or field_names & {"video_id", "video_ids"}:
        yield 409
    if has_form:
        yield from (415, 507)
    if "206" in operation["responses"]:
        yield 416
    if "202" in operation["responses"] or "text/event-stream" in operation["responses"].get(
        "200", {}
    ).get("content", {}):
        yield 429


def _iter_field_names(node: Any, schema_by_name: dict[str, Any]) -> Iterable[str]:
    """Yield the names of all fields of a request body."""
    if isinstance(node, list):
        for child in node:
            yield from _iter_field_names(child, schema_by_name)
    elif isinstance(node, dict):
        if "$ref" in node:
            yield from _iter_field_names(
                schema_by_name[node["$ref"].rpartition("/")[2]], schema_by_name
            )
        yield from node.get("properties", {})
        for child in node.values():
            yield from _iter_field_names(child, schema_by_name)
