"""Several files with the same content: the video is found, played and kept by any of them."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        yield opened


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Two files with the same content in folders that contain another video each."""
    first, second = tmp_path / "camera" / "a.mp4", tmp_path / "disk" / "copy of a.mp4"
    for place in (first, second):
        place.parent.mkdir()
    make_video(first, [ColorScene(RED, 2)])
    make_video(first.with_name("other.mp4"), [ColorScene(BLUE, 2)])
    make_video(second.with_name("another.mp4"), [ColorScene(GREEN, 2)])
    shutil.copy(first, second)
    return first, second


def index(library: Library, *paths: Path) -> dict[str, str]:
    results = list(library.index(paths))
    assert [result.error for result in results if result.error] == []
    return {result.path.name: str(result.outcome) for result in results}


def index_both(library: Library, places: tuple[Path, Path]) -> None:
    first, second = places
    index(library, first.parent)
    assert index(library, second.parent)[second.name] == "duplicate"


def test_a_small_duplicate_is_recorded_and_found_by_its_path(
    library: Library, places: tuple[Path, Path]
) -> None:
    first, second = places
    index_both(library, places)
    [video] = library.videos([first])
    assert (video.path, video.other_paths) == (first, (second,))
    second.unlink()  # its content need not be read any more
    for pattern in (second, second.parent, "*copy of*", "disk/copy*"):
        assert video.id in {found.id for found in library.videos([pattern])}, pattern
        filtered = library.search("red", videos=[str(pattern)])
        assert video.id in {moment.video.id for moment in filtered}, pattern
    assert library.search(f'red path:"{second}"')[0].video.id == video.id
    assert len(library.segments_with_vectors(second)[0]) > 0
    library.tags.add(second, "found")
    assert library.search("tag:found red")[0].video.id == video.id


@pytest.mark.parametrize("kind", ["hard link", "link"])
def test_a_link_is_a_place(library: Library, places: tuple[Path, Path], kind: str) -> None:
    first, second = places
    index(library, first)
    second.unlink()
    if kind == "link":
        second.symlink_to(first)
    else:
        os.link(first, second)
    assert index(library, second) == {second.name: "duplicate"}
    assert index(library, second) == {second.name: "duplicate"}
    assert library.videos([first])[0].other_paths == (second,)


def test_rows_of_older_versions_are_completed(library: Library, places: tuple[Path, Path]) -> None:
    index_both(library, places)
    with closing(sqlite3.connect(library.path / "catalog.sqlite3")) as connection, connection:
        assert connection.execute("UPDATE duplicate_files SET video_id = NULL").rowcount == 1
    assert library.videos([places[0]])[0].other_paths == ()
    index(library, places[1].parent)
    assert library.videos([places[0]])[0].other_paths == (places[1],)


def test_the_video_answers_from_another_place_at_once(
    library: Library, places: tuple[Path, Path]
) -> None:
    first, second = places
    index_both(library, places)
    video_id = library.videos([first])[0].id
    first.unlink()
    [video] = library.check_files(library.videos([second]))
    assert (video.id, video.path, video.file_status) == (video_id, second, "available")
    assert video.other_paths == (first,)
    assert library.thumbnail(first, 1.0)[:2] == b"\xff\xd8"
    moment = library.search("red")[0]
    assert (moment.video.path, moment.video.file_status) == (second, "available")
    found = library.video(video_id)
    assert found is not None
    assert found.path == second
    assert library.missing_videos() == []
    assert library.info().missing_count == 0
    assert library.doctor() == []
    library.feedback.add("red", [moment], relevant=True)
    assert library.feedback.list("red")[0].video_id == video_id


def test_indexing_promotes_the_place_that_is_left(
    library: Library, places: tuple[Path, Path]
) -> None:
    first, second = places
    index_both(library, places)
    video_id = library.videos([first])[0].id
    library.tags.add(first, "kept")
    first.unlink()
    index(library, first.parent)  # not the folder of the copy
    assert library._catalog.video_path(video_id) == second
    assert library._catalog.videos_by_id([video_id])[video_id].other_paths == ()
    assert index(library, second.parent)[second.name] == "unchanged"
    assert library.search("tag:kept red")[0].video.id == video_id


def test_a_place_on_a_drive_that_is_offline_is_kept(
    library: Library, places: tuple[Path, Path], tmp_path: Path
) -> None:
    first, second = places
    index_both(library, places)
    first.parent.rename(tmp_path / "unplugged")
    assert index(library, second.parent)[second.name] == "duplicate"
    assert library._catalog.video_path(1) == first
    assert library.check_files(library.videos([second]))[0].file_status == "available"
    (tmp_path / "unplugged").rename(first.parent)
    assert set(index(library, first.parent, second.parent).values()) == {"unchanged", "duplicate"}
    assert library.videos([second])[0].other_paths == (second,)


def test_all_places_gone_is_missing_and_one_offline_is_offline(
    library: Library, places: tuple[Path, Path]
) -> None:
    first, second = places
    index_both(library, places)
    first.unlink()
    second.unlink()
    assert library.check_files(library.videos([first]))[0].file_status == "missing"
    shutil.rmtree(second.parent)
    assert library.check_files(library.videos([first]))[0].file_status == "offline"
    assert library.missing_videos() == []


def test_a_deleted_duplicate_is_forgotten_when_its_folder_is_indexed(
    library: Library, places: tuple[Path, Path]
) -> None:
    first, second = places
    index_both(library, places)
    second.unlink()
    index(library, first)  # another place: nothing of the other folder is checked
    index(library, second.parent)
    assert library.videos([first])[0].other_paths == ()


def test_a_duplicate_that_changes_becomes_a_video(
    library: Library, places: tuple[Path, Path]
) -> None:
    first, second = places
    index_both(library, places)
    make_video(second, [ColorScene(GREEN, 3)])
    assert index(library, second.parent)[second.name] == "indexed"
    assert library.videos([first])[0].other_paths == ()
    assert library.videos([second])[0].path == second


def test_an_edited_original_leaves_its_marks_to_the_copy(
    library: Library, places: tuple[Path, Path]
) -> None:
    first, second = places
    index_both(library, places)
    library.tags.add(first, "mark")
    video_id = library.videos([first])[0].id
    make_video(first, [ColorScene(BLUE, 3)])
    assert index(library, first.parent)[first.name] == "updated"
    assert library._catalog.video_path(video_id) == second
    assert [tag.video_id for tag in library.tags.list()] == [video_id]
    edited = library.videos([first])[0]
    assert (edited.path, edited.other_paths) == (first, ())
    assert library.doctor() == []


def test_an_edit_of_a_hard_link_edits_both(library: Library, places: tuple[Path, Path]) -> None:
    first, second = places
    second.unlink()
    os.link(first, second)
    index_both(library, places)
    content = make_video(first.with_name("new.mp4"), [ColorScene(GREEN, 3)]).read_bytes()
    first.write_bytes(content)
    index(library, first)
    [video] = library.videos([first])
    assert (video.path, library._catalog.video_at(second)) == (first, None)


def test_force_and_refining_keep_the_places(library: Library, places: tuple[Path, Path]) -> None:
    index_both(library, places)
    list(library.index([places[0]], force=True))
    assert library.videos([places[0]])[0].other_paths == (places[1],)


@pytest.mark.parametrize("removed", [0, 1])
def test_removing_one_place_keeps_the_video_under_the_other(
    library: Library, places: tuple[Path, Path], removed: int
) -> None:
    index_both(library, places)
    video_id = library.videos([places[0]])[0].id
    [result] = library.remove([places[removed]])
    assert (result.path, result.other_paths) == (places[removed], (places[1 - removed],))
    [video] = library.videos([places[1 - removed]])
    assert (video.id, video.path, video.other_paths) == (video_id, places[1 - removed], ())
    [result] = library.remove([places[1 - removed]])
    assert result.other_paths == ()
    assert library.video(video_id) is None


def test_removing_all_places_removes_the_video(library: Library, places: tuple[Path, Path]) -> None:
    index_both(library, places)
    assert len(library.remove(["*a.mp4"])) == 1
    assert len(library.videos()) == 2


def test_removing_a_place_keeps_the_one_that_is_offline(
    library: Library, places: tuple[Path, Path], tmp_path: Path
) -> None:
    first, second = places
    index_both(library, places)
    second.parent.rename(tmp_path / "unplugged")
    library.remove([first])
    [video] = library.check_files(library.videos([second]))
    assert (video.path, video.file_status, video.other_paths) == (second, "offline", ())


def test_relocate_moves_duplicates_too(
    library: Library, places: tuple[Path, Path], tmp_path: Path
) -> None:
    first, second = places
    index_both(library, places)
    new_folder = tmp_path / "new disk"
    second.parent.rename(new_folder)
    results = library.relocate(second.parent, new_folder)
    assert {(result.video.path.name, result.outcome) for result in results} == {
        ("another.mp4", "moved"), (second.name, "moved"),
    }  # fmt: skip
    assert library.videos([first])[0].other_paths == (new_folder / second.name,)
    with pytest.raises(Exception, match="no video of the library is there"):
        library.relocate(second.parent, new_folder)


def test_relocate_onto_a_known_duplicate_joins_them(
    library: Library, places: tuple[Path, Path]
) -> None:
    first, second = places
    index_both(library, places)
    first.unlink()
    [result] = library.relocate(first, second)
    assert result.outcome == "moved"
    [video] = library.videos([second])
    assert (video.path, video.other_paths) == (second, ())


def test_names_that_are_not_text_are_kept(library: Library, places: tuple[Path, Path]) -> None:
    first, second = places
    odd = second.with_name("a,\udcff\n.mp4")
    second.rename(odd)
    index(library, first)
    index(library, odd)
    assert library.videos([first])[0].other_paths == (odd,)
    assert library.videos([odd])[0].path == first
