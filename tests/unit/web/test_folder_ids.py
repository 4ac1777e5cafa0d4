"""Folders that may be indexed: known by ids alone, and never left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from vsearch.web import folders as limits
from vsearch.web.folders import Folder, Folders
from vsearch.web.problems import Problem
from vsearch.web.walk import videos

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder with two folders in it, hidden things, and no video that would open."""
    root = tmp_path / "films"
    for name in ("2024/beach", "2025", ".hidden"):
        (root / name).mkdir(parents=True)
    for name in ("a.mp4", "b.MKV", "notes.txt", ".c.mp4", "2024/d.mov", "2024/beach/e.webm"):
        (root / name).write_bytes(b"x")
    (root / "still.webp").write_bytes(b"RIFF\0\0\0\0WEBPVP8 ")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "secret.mp4").write_bytes(b"x")
    return root


def named(folder: Folder, name: str) -> str:
    return next(one.id for one in folder.folders if one.name == name)


def test_a_folder_tells_its_videos_and_the_folders_in_it_but_no_hidden_ones(films: Path) -> None:
    [root] = Folders([films]).roots()
    assert (root.name, root.path, root.parent) == ("films", str(films), None)
    assert root.videos == 2
    assert [one.name for one in root.folders] == ["2024", "2025"]
    assert not root.cut
    assert root.error is None


def test_one_goes_down_and_up_again_by_ids(films: Path) -> None:
    folders = Folders([films])
    [root] = folders.roots()
    year = folders.get(named(root, "2024"))
    beach = folders.get(named(year, "beach"))
    assert (year.videos, beach.videos, beach.folders) == (1, 1, ())
    assert (beach.parent, year.parent) == (year.id, root.id)
    assert folders.path(beach.id) == films / "2024" / "beach"


def test_ids_hold_no_path_and_are_others_in_the_next_process(films: Path) -> None:
    one, other = Folders([films]), Folders([films])
    [id_], [again] = ([root.id for root in each.roots()] for each in (one, other))
    assert id_ != again
    assert set(id_) <= set("0123456789abcdef")
    with pytest.raises(Problem) as refused:
        other.path(id_)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    "id_", ["", "/", "..", "../private", "/etc", "C:\\", "films", "a\0b", "%2e%2e", "\udcff"]
)
def test_what_is_no_id_means_no_folder(films: Path, id_: str) -> None:
    folders = Folders([films])
    folders.roots()
    with pytest.raises(Problem, match="no such folder"):
        folders.get(id_)


def test_folders_that_were_never_listed_are_not_known(films: Path) -> None:
    folders = Folders([films])
    with pytest.raises(Problem):
        folders.path(folders._id(films / "2024"))


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_are_followed_within_the_folders_and_never_out_of_them(
    films: Path, tmp_path: Path
) -> None:
    (films / "out").symlink_to(tmp_path / "private")
    (films / "up").symlink_to("..")
    (films / "in").symlink_to(films / "2024")
    (films / "circle").symlink_to(films / "circle")
    (films / "linked.mp4").symlink_to(tmp_path / "private" / "secret.mp4")
    [root] = Folders([films]).roots()
    assert [one.name for one in root.folders] == ["2024", "2025", "in"]
    assert root.videos == 2
    real = [films.resolve()]
    below = {path.relative_to(films).as_posix() for path in videos([films], real)}
    assert below == {"a.mp4", "b.MKV", "2024/d.mov", "2024/beach/e.webm"}


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_folder_that_became_a_link_out_is_not_there_any_more(films: Path, tmp_path: Path) -> None:
    folders = Folders([films])
    id_ = named(folders.roots()[0], "2025")
    (films / "2025").rmdir()
    (films / "2025").symlink_to(tmp_path / "private")
    with pytest.raises(Problem, match="no such folder"):
        folders.get(id_)
    assert not list(videos([films / "2025"], [films.resolve()]))


def test_a_link_that_the_owner_named_is_a_root(films: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(films)
    folders = Folders([tmp_path / "link"])
    [root] = folders.roots()
    assert (root.path, root.videos) == (str(tmp_path / "link"), 2)
    assert folders.get(named(root, "2024")).videos == 1


def test_a_folder_that_is_gone_says_so(films: Path) -> None:
    folders = Folders([films / "no such folder"])
    [root] = folders.roots()
    assert root.error is not None
    assert "No such file" in root.error
    assert (root.videos, root.folders) == (0, ())


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="may read everything")
def test_a_folder_that_may_not_be_read_says_so(films: Path) -> None:
    folders = Folders([films])
    id_ = named(folders.roots()[0], "2025")
    (films / "2025").chmod(0)
    assert folders.get(id_).error is not None
    assert films / "2025" in set(videos([films], folders.real))


def test_long_listings_are_cut_and_say_so(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LISTED", 3)
    for number in range(5):
        (films / "2025" / f"month {number}").mkdir()
    folders = Folders([films])
    year = folders.get(named(folders.roots()[0], "2025"))
    assert (len(year.folders), year.cut) == (3, True)


def test_ids_asked_for_longest_ago_are_forgotten_but_never_those_of_roots(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "KNOWN", 2)
    folders = Folders([films])
    [root] = folders.roots()
    folders.get(named(folders.get(named(root, "2024")), "beach"))
    with pytest.raises(Problem):
        folders.get(named(root, "2025"))
    assert folders.get(root.id).videos == 2


def test_odd_names_are_text_that_json_can_hold(films: Path) -> None:
    odd = os.fsdecode(b"caf\xe9 <b>\n")
    try:
        (films / odd).mkdir()
    except OSError:
        pytest.skip("this disk takes no such name")
    folders = Folders([films])
    [root] = folders.roots()
    names = [one.name for one in root.folders]
    assert "caf\\udce9 <b>\\n" in names
    assert all(name.encode() and name.isprintable() for name in names)
    assert folders.path(named(root, "caf\\udce9 <b>\\n")) == films / odd
