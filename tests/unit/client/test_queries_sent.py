"""Queries as sent to a server, with upload ids in place of local files."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2
import pytest

from vsearch.client.connection import ServerConnection
from vsearch.client.queries import QueryUploads, build_query_text, storable_query, uses_result_refs
from vsearch.errors import QueryError
from vsearch.query.model import Query, Step, Term
from vsearch.query.parser import parse_query
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path


class FakeServer:
    """A fake server that stores uploads."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}  # stored uploads by id
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":
            del self.names[request.url.path.rpartition("/")[2]]
            return httpx2.Response(204)
        body = request.read()
        self.bodies.append(body)
        id_ = f"u{len(self.bodies)}"
        self.names[id_] = body.partition(b'filename="')[2].partition(b'"')[0].decode()
        return httpx2.Response(201, content=json.dumps({"upload_id": id_}).encode())

    def uploads(self) -> QueryUploads:
        return QueryUploads(
            ServerConnection("http://a.example", transport=httpx2.MockTransport(self))
        )


def with_files(query: Query, files: dict[str, str]) -> Query:
    """Return the query with replaced file names."""

    def renamed(terms: tuple[Term, ...]) -> tuple[Term, ...]:
        return tuple(replace(term, value=files.get(term.value, term.value)) for term in terms)

    steps = tuple(Step(renamed(step.terms), step.max_gap_seconds) for step in query.next_steps)
    return replace(query, terms=renamed(query.terms), next_steps=steps)


@pytest.mark.parametrize(
    "query",
    [
        "image:a.png",
        "a dog image:a.png at night",
        '-2:image:a.png "a dog" path:b*/* -tag:cat',
        "clip:c.mp4@3-8 then:<30s image:a.png after:2024",
        '"a dog" then: -clip:"c.mp4"@0:03-0:08 red',
        "image:a.png image:a.png clip:video:3@1-2 image:upload:x",
    ],
)
def test_files_are_uploaded_once_and_replaced_by_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "c.mp4"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    server = FakeServer()
    with server.uploads().upload_files(query) as sent:
        assert "a.png" not in sent
        assert "c.mp4" not in sent
        back = {f"upload:{id_}": name for id_, name in server.names.items()}
        assert with_files(parse_query(sent), back) == parse_query(query)
        assert len(server.names) == len(set(server.names.values()))
    assert server.names == {}


@pytest.mark.parametrize(
    "query", ["a dog", '"a  dog"  2:red', "@seas -blue", "like:#3", "clip:video:12@3-8", "then:"]
)
def test_a_query_without_files_is_sent_as_typed(query: str) -> None:
    with FakeServer().uploads().upload_files(query) as sent:
        assert sent == query
    assert storable_query(query) == query
    assert uses_result_refs(query) == query.startswith("like")


def test_uploads_are_deleted_if_the_search_fails(tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(b"x")
    server = FakeServer()
    with suppress(ZeroDivisionError), server.uploads().upload_files(f'image:"{tmp_path}/a b.png"'):
        assert list(server.names.values()) == ["a b.png"]
        raise ZeroDivisionError
    assert server.names == {}


def test_file_names_are_sent_without_folders(tmp_path: Path) -> None:
    (tmp_path / "ä\udcff.png").write_bytes(b"x")
    server = FakeServer()
    with server.uploads().upload_files(f"image:{tmp_path}/ä\udcff.png"):
        [body] = server.bodies
        assert str(tmp_path).encode() not in body


def test_arguments_become_query_text() -> None:
    assert build_query_text("a dog", videos=["b *"], tags=["cat"]) == 'a dog path:"b *" tag:cat'
    asked = build_query_text("a dog", image="a.png", videos=["b"])
    assert parse_query(asked) == parse_query("a dog", image_paths=["a.png"], video_globs=["b"])
    asked = build_query_text(" ", clip="c.mp4", span=(3, 8))
    assert parse_query(asked).terms == (Term("clip", "c.mp4", span=Span(3, 8)),)
    query = parse_query('"a dog" then:<3s cat path:b')
    assert parse_query(build_query_text(query)) == query
    with pytest.raises(QueryError, match="clip"):
        build_query_text("", clip="c.mp4", span=(8, 3))


def test_local_files_cannot_be_stored() -> None:
    with pytest.raises(QueryError, match="cannot store local files"):
        storable_query("a dog image:a.png")
