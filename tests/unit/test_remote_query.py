"""Queries in which files go by ids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fakes import FakeEncoder
from vsearch import Library, Span
from vsearch.errors import QueryError
from vsearch.remote_query import by_ids

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def library(tmp_path: Path, videos: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        assert len(list(library.index([videos]))) == 2
        yield library


def upload(name: str) -> Path:
    if name != "abc":
        raise QueryError("nothing was uploaded as that")
    return Path("/uploads/abc.png")


def test_a_video_and_an_upload_go_by_their_ids(library: Library) -> None:
    video = library.videos()[0]
    query = by_ids(library, f"red clip:video:{video.id}@1-2 -image:upload:abc", upload=upload)
    words, clip, picture = query.terms
    assert (words.value, clip.value, picture.value) == ("red", str(video.path), "/uploads/abc.png")
    assert clip.span == Span(1, 2)
    assert picture.weight == -1


@pytest.mark.parametrize(
    "text",
    [
        "image:/etc/passwd", "clip:/etc/passwd", "clip:/etc/passwd@1-2", 'clip:"/etc/passwd"@1-2',
        "image:file:///etc/passwd", "clip:../x.mp4@9", "image:upload:../x", "image:upload:",
        "clip:video:999@1-2", "clip:video:-1", "clip:video:1e3", "clip:video:٣",
        f"clip:video:{'9' * 30}", "image:http://127.0.0.1/x", "like:#1", "image:~/x.png",
    ],
)  # fmt: skip
def test_files_are_never_named_by_paths(library: Library, text: str) -> None:
    with pytest.raises(QueryError):
        by_ids(library, text, upload=upload)


def test_it_is_not_told_whether_there_is_such_a_file(library: Library, tmp_path: Path) -> None:
    there = tmp_path / "there@5"
    there.touch()
    told = []
    for path in (there, tmp_path / "nowhere@5"):
        with pytest.raises(QueryError) as caught:
            by_ids(library, f"clip:{path}")
        told.append(str(caught.value).replace(path.name, ""))
    assert told[0] == told[1]


def test_no_path_is_looked_for_on_the_disk_of_the_server(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "green.mp4").touch()  # another file of that name, in the folder we are in
    monkeypatch.chdir(tmp_path)
    query = by_ids(library, "green path:green.mp4")
    looked: list[object] = []
    monkeypatch.setattr("os.path.exists", looked.append)
    assert [moment.video.path.name for moment in library.search(query)] == ["green.mp4"]
    assert looked == []


def test_results_are_those_of_the_search_before(library: Library) -> None:
    found = library.search("red")
    query = by_ids(library, "like:#1", previous=found)
    assert query.terms[0].value == str(found[0].video.path)
    assert query.terms[0].span == found[0].span
    with pytest.raises(QueryError, match="no such result"):
        by_ids(library, f"like:#{len(found) + 1}", previous=found)


def test_what_the_owner_saved_may_name_files(library: Library, tmp_path: Path) -> None:
    library.save("mine", f'image:"{tmp_path}/mine.png" red')
    assert by_ids(library, "@mine").terms[0].value == f"{tmp_path}/mine.png"
    with pytest.raises(QueryError):
        by_ids(library, f'@mine image:"{tmp_path}/mine.png"')
