"""Values to filter by, and the loading of the model for pictures."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.server import index_videos, serve_library
from tests.support.video_factory import ColorScene, make_video
from vsearch import Library

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from vsearch.types import Images, Matrix

FILES = {
    "2023/a/one.mp4": 2022, "2023/a/two.mp4": 2024, "2023/b/three.mp4": 2024,
    "x/a/four.mp4": 2024, "y[1]/five.mp4": 2024,
}  # fmt: skip


@pytest.fixture(scope="module")
def library_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("facets")
    for index, (name, year) in enumerate(FILES.items()):
        path = folder / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make_video(path, [ColorScene((index * 40, 90, 200), 1)])
        seconds = datetime(year, 6, 1, tzinfo=UTC).timestamp()
        os.utime(path, (seconds, seconds))
    index_videos(folder / "library", folder / "videos")
    with Library.open(folder / "library", encoder=FakeEncoder()) as library:
        library.tags.add(folder / "videos" / "x/a/four.mp4", "dog")
        library.tags.add(folder / "videos" / "2023/a/one.mp4", "dog")
        library.tags.add(folder / "videos" / "2023/a/one.mp4", "cat")
    return folder / "library"


def get_facets(client: TestClient) -> dict[str, Any]:
    answer = client.get("/api/v1/facets")
    assert answer.status_code == 200, answer.text
    facets: dict[str, Any] = answer.json()
    return facets


def test_years_and_tags_are_counted(library_path: Path) -> None:
    with serve_library(library_path) as client:
        facets = get_facets(client)
    assert facets["years"] == [{"year": 2024, "count": 4}, {"year": 2022, "count": 1}]
    assert facets["tags"] == [{"label": "dog", "count": 2}, {"label": "cat", "count": 1}]
    assert "speech" in facets["contents"]


def test_every_folder_pattern_finds_the_videos_of_the_folder(library_path: Path) -> None:
    videos = library_path.parent / "videos"
    with serve_library(library_path) as client:
        folders = get_facets(client)["folders"]
        for folder in folders:
            quoted = '"' + folder["pattern"].replace("\\", "\\\\") + '"'
            found = client.get("/api/v1/search", params={"q": f"path:{quoted}", "k": 100})
            paths = {result["video"]["path"] for result in found.json()["results"]}
            assert len(paths) == folder["count"], folder
            assert all(path.startswith(folder["path"] + os.sep) for path in paths)
    shown = {
        Path(folder["path"]).relative_to(videos).as_posix(): folder["pattern"] for folder in folders
    }
    assert shown == {
        "2023": "2023/*",
        "2023/a": str(videos / "2023" / "a"),  # there are two of this name
        "2023/b": "b/*",
        "x/a": str(videos / "x" / "a"),
        "y[1]": str(videos / "y[1]"),
    }


def test_an_empty_library_has_no_values(tmp_path: Path) -> None:
    with serve_library(tmp_path / "library") as client:
        facets = get_facets(client)
    assert facets["years"] == facets["folders"] == facets["tags"] == []


def test_warming_up_encodes_a_picture(library_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    encode_images = FakeEncoder.encode_images

    def record_images(encoder: FakeEncoder, images: Images) -> Matrix:
        encoded.append(len(images))
        return encode_images(encoder, images)

    monkeypatch.setattr(FakeEncoder, "encode_images", record_images)
    with serve_library(library_path) as client:
        assert client.post("/api/v1/warm-up").status_code == 204
    assert encoded == [1]


def test_warming_up_never_fails(library_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(FakeEncoder, "encode_images", fail)
    with serve_library(library_path) as client:
        assert client.post("/api/v1/warm-up").status_code == 204
