"""Remote queries, which refer to files by id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from vsearch import Library, Span
from vsearch.errors import QueryError
from vsearch.query.model import ResultRef
from vsearch.search.remote_query import parse_remote_query

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def library(tmp_path: Path, videos_folder: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        assert len(list(library.index([videos_folder]))) == 2
        yield library


def upload(name: str) -> Path:
    if name != "abc":
        raise QueryError("nothing was uploaded as that")
    return Path("/uploads/abc.png")


def test_videos_and_uploads_are_referenced_by_id(library: Library) -> None:
    video = library.videos()[0]
    query = parse_remote_query(
        library, f"red clip:video:{video.id}@1-2 -image:upload:abc", upload_path=upload
    )
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
def test_remote_queries_cannot_name_files(library: Library, text: str) -> None:
    with pytest.raises(QueryError):
        parse_remote_query(library, text, upload_path=upload)


def test_errors_do_not_reveal_whether_a_file_exists(library: Library, tmp_path: Path) -> None:
    there = tmp_path / "there@5"
    there.touch()
    messages = []
    for path in (there, tmp_path / "nowhere@5"):
        with pytest.raises(QueryError) as caught:
            parse_remote_query(library, f"clip:{path}")
        messages.append(str(caught.value).replace(path.name, ""))
    assert messages[0] == messages[1]


def test_path_filters_do_not_touch_the_server_disk(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "green.mp4").touch()  # another file of that name, in the folder we are in
    monkeypatch.chdir(tmp_path)
    query = parse_remote_query(library, "green path:green.mp4")
    looked: list[object] = []
    monkeypatch.setattr("os.path.exists", looked.append)
    assert [moment.video.path.name for moment in library.search(query)] == ["green.mp4"]
    assert looked == []


def test_result_references_use_the_previous_search(library: Library) -> None:
    found = library.search("red")
    results = [ResultRef.from_moment(moment) for moment in found]
    query = parse_remote_query(library, "like:#1", previous_results=results)
    assert query.terms[0].value == str(found[0].video.path)
    assert query.terms[0].span == found[0].span
    with pytest.raises(QueryError, match="no such result"):
        parse_remote_query(library, f"like:#{len(found) + 1}", previous_results=results)


def test_saved_searches_may_name_files(library: Library, tmp_path: Path) -> None:
    library.saved_searches.add("mine", f'image:"{tmp_path}/mine.png" red')
    assert parse_remote_query(library, "@mine").terms[0].value == f"{tmp_path}/mine.png"
    with pytest.raises(QueryError):
        parse_remote_query(library, f'@mine image:"{tmp_path}/mine.png"')
