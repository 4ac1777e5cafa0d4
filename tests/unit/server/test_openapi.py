"""The API conforms to its OpenAPI schema for valid and invalid requests."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import hypothesis
import pytest
import requests
from hypothesis import strategies
from schemathesis.specs.openapi import checks as openapi_checks

from tests.support.server import BASE_URL, index_videos, serve_library
from tests.support.video_factory import BLUE, RED, ColorScene, make_video
from vsearch.server import openapi
from vsearch.server.app import API_PREFIX, create_app
from vsearch.server.auth import AccessPolicy
from vsearch.server.metrics import ServerMetrics
from vsearch.server.middleware import SecurityMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

    from vsearch.server.state import AppState

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")
PROBLEM = "application/problem+json"
ENDLESS_PATHS = (f"{API_PREFIX}/jobs/events", f"{API_PREFIX}/jobs/{{job_id}}/events")
CHECKS = [
    schemathesis.checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.negative_data_rejection,
    openapi_checks.unsupported_method,
    openapi_checks.missing_required_header,
]
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


def build_schema(*, requires_token: bool = False) -> dict[str, Any]:
    """Return the OpenAPI schema of an application without a library."""
    guarded = create_app(cast("AppState", SimpleNamespace(metrics=ServerMetrics())))
    assert isinstance(guarded, SecurityMiddleware)
    return openapi.build_document(
        cast("Any", guarded._app), "vsearch-8765", requires_token=requires_token
    )


SCHEMA = build_schema()
OPERATIONS = [
    (method.upper(), path) for path, methods in SCHEMA["paths"].items() for method in methods
]
TESTED_OPERATIONS = [(method, path) for method, path in OPERATIONS if path not in ENDLESS_PATHS]
SLOW_TO_MAKE = (f"{API_PREFIX}/uploads", f"{API_PREFIX}/exports")  # each starts a process


@dataclass(frozen=True)
class ServedApi:
    """An application under test, and valid ids in it."""

    client: TestClient
    schema: Any
    known: dict[str, Any]  # path parameters by name
    search_id: str

    def ask(self, case: Any) -> None:
        """Send a request and validate the response against the schema."""
        asked = requests.Request(**case.as_transport_kwargs(base_url=BASE_URL)).prepare()
        headers = {name: str(value) for name, value in asked.headers.items()}
        content = cast("bytes | str | None", asked.body)
        answer = self.client.request(
            str(asked.method), str(asked.url), headers=headers, content=content
        )
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == PROBLEM
            assert answer.json()["status"] == answer.status_code


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApi]:
    """One server for all tests; requests do not affect each other."""
    folder = tmp_path_factory.mktemp("build_schema")
    (folder / "videos").mkdir()
    make_video(folder / "videos" / "red then blue.mp4", [ColorScene(RED, 2), ColorScene(BLUE, 2)])
    index_videos(folder / "library", folder / "videos")
    with serve_library(folder / "library") as client:
        found = client.get(f"{API_PREFIX}/search", params={"q": "blue"}).json()
        client.put(f"{API_PREFIX}/saved-searches/sky", json={"q": "blue"}).raise_for_status()
        video = found["results"][0]["video"]["video_id"]
        moment = {"video_id": video, "start": 0, "end": 1}
        job = client.post(f"{API_PREFIX}/exports", json={"kind": "csv", "moments": [moment]}).json()
        known = {"video_id": video, "name": "sky", "job_id": job["job_id"]}
        schema = schemathesis.openapi.from_dict(client.get(f"{API_PREFIX}/openapi.json").json())
        yield ServedApi(client, schema, known, found["search_id"])


def strategy(api: ServedApi, method: str, path: str, mode: Any) -> Any:
    """Return requests for one operation: random ones, and with valid ids."""
    operation = api.schema[path][method]
    anything = operation.as_strategy(mode)
    named = {name: value for name, value in api.known.items() if f"{{{name}}}" in path}
    if method == "DELETE" or not named:
        return anything
    known = operation.as_strategy(mode, path_parameters=named)
    if "search_id" not in {each["name"] for each in parameters(method, path)}:
        return strategies.one_of(known, anything)
    searched = operation.as_strategy(
        mode, path_parameters=named, query={"search_id": api.search_id}
    )
    return strategies.one_of(searched, known, anything)


def parameters(method: str, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = SCHEMA["paths"][path][method.lower()].get("parameters", [])
    return found


def conforms(api: ServedApi, method: str, path: str, examples: int) -> None:
    """Send many reproducible requests for one operation."""
    for mode in MODES:
        if not can_be_wrong(method, path) and mode is schemathesis.GenerationMode.NEGATIVE:
            continue

        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.generate],
        )
        @hypothesis.given(case=strategy(api, method, path, mode))
        def asked(case: Any) -> None:
            api.ask(case)

        asked()


def can_be_wrong(method: str, path: str) -> bool:
    """Return True if a request for the operation can be invalid."""
    if SCHEMA["paths"][path][method.lower()].get("requestBody"):
        return True
    return any(set(each["schema"]) - {"title"} > {"type"} for each in parameters(method, path))


@pytest.mark.parametrize(("method", "path"), TESTED_OPERATIONS)
def test_responses_conform_to_the_schema(api: ServedApi, method: str, path: str) -> None:
    conforms(api, method, path, 2 if path in SLOW_TO_MAKE else 8)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), TESTED_OPERATIONS)
def test_many_responses_conform_to_the_schema(api: ServedApi, method: str, path: str) -> None:
    conforms(api, method, path, 5 if path in SLOW_TO_MAKE else 60)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_route_is_documented(method: str, path: str) -> None:
    operation_schema = SCHEMA["paths"][path][method.lower()]
    assert operation_schema["summary"]
    assert operation_schema["description"].endswith(".")
    assert operation_schema["tags"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_json_response_has_a_model(method: str, path: str) -> None:
    for status, answer in SCHEMA["paths"][path][method.lower()]["responses"].items():
        kinds = answer.get("content", {})
        for kind in ("application/json", PROBLEM):
            assert kind not in kinds or kinds[kind].get("schema"), (status, kind)
        if int(status) >= 400:
            assert kinds[PROBLEM]["schema"] == {"$ref": "#/components/schemas/ProblemDetails"}


def test_the_served_schema_is_the_generated_one(api: ServedApi) -> None:
    operation_schema = api.client.get(f"{API_PREFIX}/openapi.json").json()
    assert operation_schema == json.loads(json.dumps(SCHEMA))


def test_an_empty_previous_search_id_is_ignored(api: ServedApi) -> None:
    assert api.client.get(f"{API_PREFIX}/search?q=blue&previous_search_id=").status_code == 200


TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server with a token, which it does not send."""
    folder = tmp_path_factory.mktemp("protected")
    with serve_library(folder / "library", access=AccessPolicy(TOKEN)) as client:
        yield client


def test_operation_ids_are_plain_and_unique() -> None:
    ids = [SCHEMA["paths"][path][method.lower()]["operationId"] for method, path in OPERATIONS]
    assert {"search", "listVideos", "getVideo", "saveSearch", "signIn"} <= set(ids)
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", one) for one in ids)


def test_ids_have_one_name() -> None:
    for name, schema in SCHEMA["components"]["schemas"].items():
        assert "id" not in schema.get("properties", {}), name
    for method, path in OPERATIONS:
        assert "id" not in {one["name"] for one in parameters(method, path)}


def test_times_have_a_zone(tmp_path: Path) -> None:
    document = json.dumps(SCHEMA["components"]["schemas"])
    assert document.count("date-time") >= 4
    index_videos(tmp_path / "library", make_video(tmp_path / "red.mp4"))
    with serve_library(tmp_path / "library") as client:
        [video] = client.get(f"{API_PREFIX}/videos").json()["items"]
        moment = {"video_id": video["video_id"], "start": 0, "end": 1}
        asked = {"kind": "csv", "moments": [moment]}
        job = client.post(f"{API_PREFIX}/exports", json=asked).json()
    assert datetime.fromisoformat(video["modified_at"]).tzinfo is not None
    assert datetime.fromisoformat(job["created_at"]).tzinfo is not None


def test_security_is_documented_as_it_is_checked(protected: TestClient) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    document = protected.get(f"{API_PREFIX}/openapi.json", headers=headers).json()
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearerToken"] == {
        "type": "http", "scheme": "bearer", "description": "The token of the server.",
    }  # fmt: skip
    protected.cookies.clear()
    for path, methods in document["paths"].items():
        if "get" not in methods or "{" in path or path.endswith("/events"):
            continue
        is_protected = bool(methods["get"].get("security"))
        assert ("401" in methods["get"]["responses"]) is is_protected
        assert (protected.get(path).status_code == 401) is is_protected, path
        if is_protected:
            assert protected.get(path, headers=headers).status_code != 401
    protected.post(f"{API_PREFIX}/session", json={"token": TOKEN}).raise_for_status()
    assert protected.cookies.get(schemes["sessionCookie"]["name"])
    assert protected.get(f"{API_PREFIX}/library").status_code == 200
    protected.cookies.clear()


def test_only_servers_with_a_token_document_401() -> None:
    with_token = build_schema(requires_token=True)
    for method, path in OPERATIONS:
        assert "401" not in SCHEMA["paths"][path][method.lower()]["responses"]
        statuses = with_token["paths"][path][method.lower()]["responses"]
        assert ("401" in statuses) is (path not in ("/healthz",) and (method, path) != (
            "DELETE", f"{API_PREFIX}/session"
        ))  # fmt: skip


@pytest.mark.parametrize(
    ("path", "expected", "absent"),
    [
        ("GET /library", {409, 503}, {400, 404, 413, 415, 416, 422, 507}),
        ("GET /videos/{video_id}", {404, 409, 422}, {400, 415, 416, 507}),
        ("GET /videos/{video_id}/file", {206, 404, 409, 416}, {415, 507}),
        ("POST /uploads", {400, 408, 413, 415, 422, 507}, {404, 409, 416}),
        ("POST /search", {400, 404, 408, 409, 413, 422}, {415, 416, 507}),
        ("GET /jobs", {500}, {404, 409, 422}),
    ],
)
def test_statuses_are_those_that_can_occur(path: str, expected: set[int], absent: set[int]) -> None:
    method, _, name = path.partition(" ")
    statuses = set(map(int, SCHEMA["paths"][API_PREFIX + name][method.lower()]["responses"]))
    assert expected <= statuses
    assert not absent & statuses


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", f"{API_PREFIX}/search", "GET, POST"),
        ("POST", f"{API_PREFIX}/saved-searches/x", "PUT, DELETE"),
        ("POST", f"{API_PREFIX}/videos/1/file", "GET, HEAD"),
        ("PUT", f"{API_PREFIX}/feedback", "GET, POST, DELETE"),
        ("GET", f"{API_PREFIX}/session", "POST, DELETE"),
        ("DELETE", "/static/app.js", "GET, HEAD"),
        ("DELETE", "/healthz", "GET"),
    ],
)
def test_allow_names_all_methods_of_a_path(
    api: ServedApi, method: str, path: str, allowed: str
) -> None:
    answer = api.client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_examples_are_valid(api: ServedApi) -> None:
    assert api.client.post(
        f"{API_PREFIX}/search",
        json=SCHEMA["components"]["schemas"]["SearchRequest"]["examples"][0],
    ).is_success
    for method, path in OPERATIONS:
        for parameter in parameters(method, path):
            if parameter["name"] in ("q", "video_id", "k"):
                assert parameter["example"]


def test_no_page_of_the_documentation_loads_from_elsewhere(api: ServedApi) -> None:
    for path in ("/docs", "/redoc", f"{API_PREFIX}/docs"):
        assert api.client.get(path).status_code == 404


def test_messages_name_no_commands(api: ServedApi) -> None:
    found = api.client.get(f"{API_PREFIX}/search", params={"q": "said:hello"}).json()
    assert found["hints"]
    unknown = api.client.get(f"{API_PREFIX}/search", params={"q": "blue tag:nothing"})
    for text in (*found["hints"], unknown.json()["detail"]):
        assert "`vsearch" not in text
        assert " --" not in text


def list_documented_operations() -> list[tuple[str, str]]:
    """Return the operations of `docs/rest-api.md`; `/curve` replaces the end of the path before."""
    page = (Path(__file__).parents[3] / "docs" / "rest-api.md").read_text("utf-8")
    operations = []
    for row in re.findall(r"^\| (`.+?`) \|", page, re.MULTILINE):
        method, methods, last_path = "", [], ""
        for entry in re.findall(r"`(.+?)`", row):
            if not entry.startswith("/"):
                method, _, path = entry.partition(" ")
                methods.append(method)
                if not path:  # the next entry names the path
                    continue
            else:
                path = last_path.rpartition("/")[0] + entry
                methods.append(method)
            operations += [(method, f"{API_PREFIX}{path}") for method in methods]
            methods, last_path = [], path
    return operations


def test_the_documented_operations_exist() -> None:
    documented = list_documented_operations()
    assert len(documented) > 20
    assert set(documented) <= set(OPERATIONS)
