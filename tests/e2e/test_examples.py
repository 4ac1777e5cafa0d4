"""The examples and the notebook of the manual run, with the real packages that they are for."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library, MissingExtraError, QueryError, Span
from vsearch.cli.demo import find_sample_clips

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SUBTITLES = (
    "1\n00:00:00,500 --> 00:00:02,000\nHello there\n\n2\n00:00:04,500 --> 00:00:05,500\nBye\n"
)
pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    folder = tmp_path / "videos"
    folder.mkdir()
    make_video(folder / "talk.mp4", [ColorScene(RED, 4), ColorScene(BLUE, 4)])
    (folder / "talk.srt").write_text(SUBTITLES)
    make_video(folder / "silent.mp4", [ColorScene(GREEN, 3)])
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        assert not [result for result in opened.index([folder]) if result.error]
        yield opened


def load_example(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "examples"))
    return importlib.import_module(name)


def check_items(items: list[tuple[str, dict[str, Any]]], library: Library) -> None:
    """Check the texts and metadata of the items for the query "red"."""
    moments = list(library.search("red", k=5))
    assert len(moments) >= 2
    assert len(items) == len(moments)
    texts = {}
    for (text, metadata), moment in zip(items, moments, strict=True):
        assert metadata == {
            "path": str(moment.video.path),
            "start": moment.span.start,
            "end": moment.span.end,
            "confidence": moment.confidence,
        }
        json.dumps(metadata)
        texts[moment.video.path.name, moment.span.start] = text
    assert texts["talk.mp4", 0.0] == "talk.mp4, 0–4 s: Hello there"
    assert texts["silent.mp4", 0.0] == "silent.mp4, 0–3 s"


def test_langchain_retrieves_moments(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langchain_core")
    module = load_example("langchain_retriever", monkeypatch)
    retriever = module.MomentRetriever(library=library, min_confidence=0.0)
    documents = retriever.invoke("red")
    check_items([(one.page_content, one.metadata) for one in documents], library)
    assert len({document.id for document in documents}) == len(documents)
    assert asyncio.run(retriever.ainvoke("red")) == documents
    from langchain_core.runnables import RunnableLambda

    def list_paths(found: Any) -> list[str]:
        return [document.metadata["path"] for document in found]

    chain = retriever | RunnableLambda(list_paths)
    assert len(chain.invoke('a "red wall')) == len(documents)  # is not valid as a query
    with pytest.raises(QueryError):
        library.search('a "red wall')


def test_llama_index_retrieves_moments(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llama_index.core")
    module = load_example("llama_index_retriever", monkeypatch)
    retriever = module.MomentRetriever(library, min_confidence=0.0)
    nodes = retriever.retrieve("red")
    check_items([(one.node.text, one.node.metadata) for one in nodes], library)
    assert [node.score for node in nodes] == [node.node.metadata["confidence"] for node in nodes]
    assert len({node.node.node_id for node in nodes}) == len(nodes)
    assert len(asyncio.run(retriever.aretrieve("red"))) == len(nodes)
    assert len(retriever.retrieve('a "red wall')) == len(nodes)


@pytest.mark.parametrize("package", ["langchain_core", "llama_index.core"])
def test_retrievers_leave_out_weak_moments(
    library: Library, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    pytest.importorskip(package)
    name = "langchain_retriever" if package == "langchain_core" else "llama_index_retriever"
    retriever_class = load_example(name, monkeypatch).MomentRetriever
    moment = library.search("red")[0]
    moments = tuple(
        replace(moment, confidence=confidence, span=Span(number, number + 1))
        for number, confidence in enumerate((0.9, 0.2, None))
    )
    result = replace(library.search("red"), moments=moments)
    monkeypatch.setattr(library, "search", lambda *_, **__: result)
    retriever = retriever_class(library=library)
    found = retriever.invoke("x") if package == "langchain_core" else retriever.retrieve("x")
    assert [one.metadata["confidence"] for one in found] == [0.9, None]


def test_searches_run_next_to_each_other(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load_example("async_search", monkeypatch)
    red, blue = asyncio.run(module.search_all(library, ["red", "blue"]))
    assert red.moments == library.search("red", k=5).moments
    assert blue[0].video.path.name == "talk.mp4"
    assert asyncio.run(module.index_folder(library, str(tmp_path / "videos"))) == 2


def test_the_example_runs_as_a_program(library: Library, fake_model: None, tmp_path: Path) -> None:
    environment = os.environ | {"VSEARCH_LIBRARY": str(library.path)}
    command = [sys.executable, str(ROOT / "docs" / "examples" / "async_search.py"), "red", "blue"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.count("SearchResult(") == 2, done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "examples").glob("*.py")))
def test_examples_are_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 80


def read_notebook() -> Any:
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(ROOT / "docs" / "notebooks" / "tour.ipynb", as_version=4)


def test_the_notebook_has_no_outputs_and_is_written_plainly() -> None:
    from tests.test_language import BANNED_WORDS

    notebook = read_notebook()
    pytest.importorskip("nbformat").validate(notebook)
    for cell in notebook.cells:
        assert BANNED_WORDS.findall(cell.source) == []
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    try:
        find_sample_clips()
    except MissingExtraError:
        pytest.skip("needs the sample clips")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = read_notebook()
    client = nbclient.NotebookClient(
        notebook, timeout=240, resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    pages = [
        output.data["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "text/html" in output.get("data", {})
    ]
    assert len(pages) == 5
    assert [page.count("data:image/jpeg") for page in pages[1:]] == [4, 1, 3, 1]
    assert "bigbuckbunny.mp4" in pages[2]
