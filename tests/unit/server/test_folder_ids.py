"""Folders that may be indexed: identified by opaque ids and never left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from vsearch.server import folders as folders_module
from vsearch.server.folders import AllowedFolders, FolderListing
from vsearch.server.problems import Problem

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root_folder(tmp_path: Path) -> Path:
    """A folder with two subfolders, hidden entries and files with video suffixes."""
    root = tmp_path / "films"
    for name in ("2024/beach", "2025", ".hidden"):
        (root / name).mkdir(parents=True)
    for name in ("a.mp4", "b.MKV", "notes.txt", ".c.mp4", "2024/d.mov", "2024/beach/e.webm"):
        (root / name).write_bytes(b"x")
    (root / "still.webp").write_bytes(b"RIFF\0\0\0\0WEBPVP8 ")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "secret.mp4").write_bytes(b"x")
    return root


def subfolder_id(folder: FolderListing, name: str) -> str:
    return next(one.id for one in folder.subfolders if one.name == name)


def test_a_listing_counts_videos_and_lists_subfolders_without_hidden_ones(
    root_folder: Path,
) -> None:
    [root] = AllowedFolders([root_folder]).list_roots()
    assert (root.name, root.path, root.parent_id) == ("films", str(root_folder), None)
    assert root.video_count == 3
    assert [one.name for one in root.subfolders] == ["2024", "2025"]
    assert not root.truncated
    assert root.error is None


def test_subfolders_and_parents_are_reached_by_id(root_folder: Path) -> None:
    folders = AllowedFolders([root_folder])
    [root] = folders.list_roots()
    year = folders.list_folder(subfolder_id(root, "2024"))
    beach = folders.list_folder(subfolder_id(year, "beach"))
    assert (year.video_count, beach.video_count, beach.subfolders) == (1, 1, ())
    assert (beach.parent_id, year.parent_id) == (year.id, root.id)
    assert folders.resolve_path(beach.id) == root_folder / "2024" / "beach"


def test_ids_reveal_no_path_and_differ_between_processes(root_folder: Path) -> None:
    one, other = AllowedFolders([root_folder]), AllowedFolders([root_folder])
    [id_], [again] = ([root.id for root in each.list_roots()] for each in (one, other))
    assert id_ != again
    assert set(id_) <= set("0123456789abcdef")
    with pytest.raises(Problem) as refused:
        other.resolve_path(id_)
    assert refused.value.status_code == 404


@pytest.mark.parametrize(
    "id_", ["", "/", "..", "../private", "/etc", "C:\\", "films", "a\0b", "%2e%2e", "\udcff"]
)
def test_an_invalid_id_is_not_found(root_folder: Path, id_: str) -> None:
    folders = AllowedFolders([root_folder])
    folders.list_roots()
    with pytest.raises(Problem, match="no such folder"):
        folders.list_folder(id_)


def test_folders_never_listed_are_unknown(root_folder: Path) -> None:
    folders = AllowedFolders([root_folder])
    with pytest.raises(Problem):
        folders.resolve_path(folders._make_id(root_folder / "2024"))


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_and_what_indexing_leaves_out_are_not_listed(
    root_folder: Path, tmp_path: Path
) -> None:
    (root_folder / "out").symlink_to(tmp_path / "private")
    (root_folder / "up").symlink_to("..")
    (root_folder / "in").symlink_to(root_folder / "2024")
    (root_folder / "circle").symlink_to(root_folder / "circle")
    (root_folder / "linked.mp4").symlink_to(tmp_path / "private" / "secret.mp4")
    (root_folder / "@eaDir").mkdir()
    (root_folder / "private").mkdir()
    (root_folder / ".vsearchignore").write_text("private/")
    [root] = AllowedFolders([root_folder]).list_roots()
    assert [one.name for one in root.subfolders] == ["2024", "2025"]
    assert root.video_count == 3


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_folder_replaced_by_a_link_out_of_the_roots_is_not_found(
    root_folder: Path, tmp_path: Path
) -> None:
    folders = AllowedFolders([root_folder])
    id_ = subfolder_id(folders.list_roots()[0], "2025")
    (root_folder / "2025").rmdir()
    (root_folder / "2025").symlink_to(tmp_path / "private")
    with pytest.raises(Problem, match="no such folder"):
        folders.list_folder(id_)


def test_a_link_can_be_a_root(root_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root_folder)
    folders = AllowedFolders([tmp_path / "link"])
    [root] = folders.list_roots()
    assert (root.path, root.video_count) == (str(tmp_path / "link"), 3)
    assert folders.list_folder(subfolder_id(root, "2024")).video_count == 1


def test_a_missing_folder_reports_an_error(root_folder: Path) -> None:
    folders = AllowedFolders([root_folder / "no such folder"])
    [root] = folders.list_roots()
    assert root.error is not None
    assert "No such file" in root.error
    assert (root.video_count, root.subfolders) == (0, ())


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="may read everything")
def test_an_unreadable_folder_reports_an_error(root_folder: Path) -> None:
    folders = AllowedFolders([root_folder])
    id_ = subfolder_id(folders.list_roots()[0], "2025")
    (root_folder / "2025").chmod(0)
    assert folders.list_folder(id_).error is not None


def test_long_listings_are_truncated(root_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders_module, "MAX_LISTED_FOLDERS", 3)
    for number in range(5):
        (root_folder / "2025" / f"month {number}").mkdir()
    folders = AllowedFolders([root_folder])
    year = folders.list_folder(subfolder_id(folders.list_roots()[0], "2025"))
    assert (len(year.subfolders), year.truncated) == (3, True)


def test_least_recently_used_ids_expire_except_roots(
    root_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders_module, "MAX_FOLDER_IDS", 2)
    folders = AllowedFolders([root_folder])
    [root] = folders.list_roots()
    folders.list_folder(subfolder_id(folders.list_folder(subfolder_id(root, "2024")), "beach"))
    with pytest.raises(Problem):
        folders.list_folder(subfolder_id(root, "2025"))
    assert folders.list_folder(root.id).video_count == 3


def test_undecodable_names_are_escaped_for_json(root_folder: Path) -> None:
    odd = os.fsdecode(b"caf\xe9 <b>\n")
    try:
        (root_folder / odd).mkdir()
    except OSError:
        pytest.skip("this disk takes no such name")
    folders = AllowedFolders([root_folder])
    [root] = folders.list_roots()
    names = [one.name for one in root.subfolders]
    assert "caf\\udce9 <b>\\n" in names
    assert all(name.encode() and name.isprintable() for name in names)
    assert folders.resolve_path(subfolder_id(root, "caf\\udce9 <b>\\n")) == root_folder / odd
