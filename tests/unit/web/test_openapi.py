"""The API does what its OpenAPI description says, whatever is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import hypothesis
import pytest
from hypothesis import strategies

from served import HERE, indexed, served
from synth import BLUE, RED, Scene, make_video
from vsearch.web.app import API, create_app
from vsearch.web.guard import Guard
from vsearch.web.metrics import Metrics

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")
import requests  # noqa: E402 - comes with it
from schemathesis.specs.openapi import checks as promised  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

    from vsearch.web.desk import Desk

PROBLEM = "application/problem+json"
ENDLESS = (f"{API}/jobs/events", f"{API}/jobs/{{job}}/events")
CHECKS = [
    schemathesis.checks.not_a_server_error,
    promised.status_code_conformance,
    promised.content_type_conformance,
    promised.response_headers_conformance,
    promised.response_schema_conformance,
]
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


def described() -> dict[str, Any]:
    """The description, of an application that has nothing to serve."""
    guarded = create_app(cast("Desk", SimpleNamespace(metrics=Metrics())))
    assert isinstance(guarded, Guard)
    told: dict[str, Any] = cast("Any", guarded._app).openapi()
    return told


DESCRIBED = described()
OPERATIONS = [
    (method.upper(), path) for path, methods in DESCRIBED["paths"].items() for method in methods
]
ASKED = [(method, path) for method, path in OPERATIONS if path not in ENDLESS]
SLOW_TO_MAKE = (f"{API}/uploads", f"{API}/exports")  # each begins a process


@dataclass(frozen=True)
class Served:
    """An application to be asked, and what is known in it."""

    client: TestClient
    schema: Any
    known: dict[str, Any]  # parts of paths, by name
    search: str

    def ask(self, case: Any) -> None:
        """Ask, and compare the answer with the description."""
        asked = requests.Request(**case.as_transport_kwargs(base_url=HERE)).prepare()
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
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all: what is asked of it changes nothing that others ask for."""
    folder = tmp_path_factory.mktemp("described")
    (folder / "videos").mkdir()
    make_video(folder / "videos" / "red then blue.mp4", [Scene(RED, 2), Scene(BLUE, 2)])
    indexed(folder / "library", folder / "videos")
    with served(folder / "library") as client:
        found = client.get(f"{API}/search", params={"q": "blue"}).json()
        client.put(f"{API}/saved/sky", json={"q": "blue"}).raise_for_status()
        video = found["results"][0]["video"]["id"]
        moment = {"video_id": video, "start": 0, "end": 1}
        job = client.post(f"{API}/exports", json={"kind": "csv", "moments": [moment]}).json()
        known = {"video_id": video, "number": video, "name": "sky", "job": job["id"]}
        schema = schemathesis.openapi.from_dict(client.get(f"{API}/openapi.json").json())
        yield Served(client, schema, known, found["id"])


def strategy(api: Served, method: str, path: str, mode: Any) -> Any:
    """Requests for one operation: of what is there, of what is not, and with a search that is."""
    operation = api.schema[path][method]
    anything = operation.as_strategy(mode)
    named = {name: value for name, value in api.known.items() if f"{{{name}}}" in path}
    if method == "DELETE" or not named:
        return anything
    known = operation.as_strategy(mode, path_parameters=named)
    if "search" not in {each["name"] for each in parameters(method, path)}:
        return strategies.one_of(known, anything)
    searched = operation.as_strategy(mode, path_parameters=named, query={"search": api.search})
    return strategies.one_of(searched, known, anything)


def parameters(method: str, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = DESCRIBED["paths"][path][method.lower()].get("parameters", [])
    return found


def conforms(api: Served, method: str, path: str, examples: int) -> None:
    """Ask for an operation in many ways, always the same ones."""
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
    """Whether there is anything in a request of this kind that may be wrong."""
    if DESCRIBED["paths"][path][method.lower()].get("requestBody"):
        return True
    return any(set(each["schema"]) - {"title"} > {"type"} for each in parameters(method, path))


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_an_answer_is_as_described(api: Served, method: str, path: str) -> None:
    conforms(api, method, path, 2 if path in SLOW_TO_MAKE else 8)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), ASKED)
def test_every_answer_is_as_described(api: Served, method: str, path: str) -> None:
    conforms(api, method, path, 5 if path in SLOW_TO_MAKE else 60)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_route_says_what_it_is_for(method: str, path: str) -> None:
    told = DESCRIBED["paths"][path][method.lower()]
    assert told["summary"]
    assert told["description"].endswith(".")
    assert told["tags"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_in_json_has_a_model(method: str, path: str) -> None:
    for status, answer in DESCRIBED["paths"][path][method.lower()]["responses"].items():
        kinds = answer.get("content", {})
        for kind in ("application/json", PROBLEM):
            assert kind not in kinds or kinds[kind].get("schema"), (status, kind)
        if int(status) >= 400:
            assert kinds[PROBLEM]["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_the_description_is_what_is_served(api: Served) -> None:
    told = api.client.get(f"{API}/openapi.json").json()
    assert told == json.loads(json.dumps(DESCRIBED))


def test_an_empty_id_of_a_previous_search_is_none(api: Served) -> None:
    assert api.client.get(f"{API}/search?q=blue&previous=").status_code == 200
