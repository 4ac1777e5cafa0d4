"""A client generated from the OpenAPI document works with a server."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.server import index_videos
from tests.support.video_factory import BLUE, RED, ColorScene, make_video
from vsearch import Library
from vsearch.server.app import create_app
from vsearch.server.auth import AccessPolicy
from vsearch.server.listeners import listen_on_port
from vsearch.server.metrics import ServerMetrics
from vsearch.server.openapi import build_document
from vsearch.server.run import ServerOptions, create_server, create_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vsearch.server.state import AppState

pytest.importorskip("openapi_python_client", reason="needs openapi-python-client")
TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a generated package that can be imported."""
    folder = tmp_path_factory.mktemp("generated")
    state = cast("AppState", SimpleNamespace(metrics=ServerMetrics()))
    app = cast("Any", create_app(state))._app
    document = build_document(app, "vsearch-8765", requires_token=True)
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "config.yaml").write_text(
        "post_hooks: []\n"
        "content_type_overrides:\n"  # those that the generator does not know
        "  image/jpeg: application/octet-stream\n"
        "  image/webp: application/octet-stream\n"
        "  video/mp4: application/octet-stream\n"
        "  video/webm: application/octet-stream\n"
    )
    subprocess.run(
        [
            sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none",
            "--path", folder / "openapi.json", "--output-path", folder / "generated_vsearch",
            "--config", folder / "config.yaml",
        ],
        check=True, timeout=120,
    )  # fmt: skip
    sys.path.insert(0, str(folder))
    yield "generated_vsearch"
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with a token over a small library."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "videos").mkdir()
    make_video(folder / "videos" / "red then blue.mp4", [ColorScene(RED, 4), ColorScene(BLUE, 4)])
    index_videos(folder / "library", folder / "videos")
    with (
        Library.open(folder / "library", encoder=FakeEncoder()) as library,
        listen_on_port("127.0.0.1", 0) as listening_socket,
    ):
        [video] = library.videos()
        library.tags.add(str(video.path), "party")
        policy = AccessPolicy.for_host("127.0.0.1", TOKEN)
        server = create_server(create_state(library), policy, ServerOptions(token=TOKEN))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening_socket]})
        thread.start()
        yield f"http://127.0.0.1:{listening_socket.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def connect(package: str, url: str) -> Iterator[Callable[..., Any]]:
    """Return a function that creates a client of a class of the package; closed at the end."""
    clients: list[Any] = []

    def create(class_name: str, **options: str) -> Any:
        client_class = getattr(importlib.import_module(package), class_name)
        clients.append(client_class(base_url=url, **options))
        return clients[-1]

    yield create
    for client in clients:
        client.get_httpx_client().close()


def test_the_generated_client_searches_lists_and_saves(
    package: str, connect: Callable[..., Any]
) -> None:
    def operation(name: str) -> Any:
        return importlib.import_module(f"{package}.api.{name}")

    def model(name: str) -> Any:
        return getattr(importlib.import_module(f"{package}.models"), name)

    client = connect("AuthenticatedClient", token=TOKEN)
    found = operation("search.search").sync(client=client, q="blue", k=3)
    best = found.results[0]
    assert best.video.name == "red then blue.mp4"
    assert best.start >= 3

    listed = operation("library.list_videos").sync(client=client)
    assert [one.video_id for one in listed.items] == [best.video.video_id]

    shown = operation("library.get_video").sync(best.video.video_id, client=client)
    assert [one.label for one in shown.tags] == ["party"]
    assert shown.modified_at.tzinfo is not None
    tagged = operation("search.search").sync(client=client, q="red tag:party")
    assert tagged.results

    body = model("SaveSearchRequest")(search_id=found.search_id)
    saved = operation("saved.save_search").sync("sea", client=client, body=body)
    assert (saved.name, saved.query) == ("sea", "blue")
    again = operation("search.search_with_media").sync(
        client=client, body=model("SearchRequest")(q="@sea")
    )
    assert again.results[0].start == best.start
    assert len(operation("saved.list_saved_searches").sync(client=client).items) == 1

    missing = operation("library.get_video").sync(999, client=client)
    assert (missing.status, missing.detail) == (404, "the library has no video 999")


def test_the_generated_client_needs_the_token(package: str, connect: Callable[..., Any]) -> None:
    client = connect("Client")
    list_videos = importlib.import_module(f"{package}.api.library.list_videos")
    assert list_videos.sync_detailed(client=client).status_code == 401
