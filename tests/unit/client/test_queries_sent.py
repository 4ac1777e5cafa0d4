"""A query on its way to a server: the same question, with ids where files were named."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2
import pytest

from vsearch.client.asking import Uploads, kept, refers, text_of
from vsearch.client.connection import Connection
from vsearch.errors import QueryError
from vsearch.search.query import parse
from vsearch.types import Query, Span, Step, Term

if TYPE_CHECKING:
    from pathlib import Path


class FakeServer:
    """Takes uploads, and counts them."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}  # those it has, by id
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":
            del self.names[request.url.path.rpartition("/")[2]]
            return httpx2.Response(204)
        body = request.read()
        self.bodies.append(body)
        id_ = f"u{len(self.bodies)}"
        self.names[id_] = body.partition(b'filename="')[2].partition(b'"')[0].decode()
        return httpx2.Response(201, content=json.dumps({"id": id_}).encode())

    def uploads(self) -> Uploads:
        return Uploads(Connection("http://a.example", transport=httpx2.MockTransport(self)))


def with_files(query: Query, files: dict[str, str]) -> Query:
    """The query with other names of files."""

    def renamed(terms: tuple[Term, ...]) -> tuple[Term, ...]:
        return tuple(replace(term, value=files.get(term.value, term.value)) for term in terms)

    steps = tuple(Step(renamed(step.terms), step.within) for step in query.then)
    return replace(query, terms=renamed(query.terms), then=steps)


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
def test_files_are_sent_once_and_named_by_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "c.mp4"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    server = FakeServer()
    with server.uploads().named(query) as sent:
        assert "a.png" not in sent
        assert "c.mp4" not in sent
        back = {f"upload:{id_}": name for id_, name in server.names.items()}
        assert with_files(parse(sent), back) == parse(query)
        assert len(server.names) == len(set(server.names.values()))
    assert server.names == {}


@pytest.mark.parametrize(
    "query", ["a dog", '"a  dog"  2:red', "@seas -blue", "like:#3", "clip:video:12@3-8", "then:"]
)
def test_what_names_no_file_is_sent_as_it_was_typed(query: str) -> None:
    with FakeServer().uploads().named(query) as sent:
        assert sent == query
    assert kept(query) == query
    assert refers(query) == query.startswith("like")


def test_what_was_sent_is_taken_back_where_the_search_fails(tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(b"x")
    server = FakeServer()
    with suppress(ZeroDivisionError), server.uploads().named(f'image:"{tmp_path}/a b.png"'):
        assert list(server.names.values()) == ["a b.png"]
        raise ZeroDivisionError
    assert server.names == {}


def test_names_of_files_are_sent_without_their_folders(tmp_path: Path) -> None:
    (tmp_path / "ä\udcff.png").write_bytes(b"x")
    server = FakeServer()
    with server.uploads().named(f"image:{tmp_path}/ä\udcff.png"):
        [body] = server.bodies
        assert str(tmp_path).encode() not in body


def test_arguments_become_text() -> None:
    assert text_of("a dog", videos=["b *"], tags=["cat"]) == 'a dog path:"b *" tag:cat'
    asked = text_of("a dog", image="a.png", videos=["b"])
    assert parse(asked) == parse("a dog", images=["a.png"], videos=["b"])
    asked = text_of(" ", clip="c.mp4", span=(3, 8))
    assert parse(asked).terms == (Term("clip", "c.mp4", span=Span(3, 8)),)
    query = parse('"a dog" then:<3s cat path:b')
    assert parse(text_of(query)) == query
    with pytest.raises(QueryError, match="no part of a clip"):
        text_of("", clip="c.mp4", span=(8, 3))


def test_the_server_keeps_no_files_from_here() -> None:
    with pytest.raises(QueryError, match="not kept by the server"):
        kept("a dog image:a.png")
