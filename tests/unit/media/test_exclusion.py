"""Files and folders that are left out of indexing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from vsearch.media.discovery import DiscoveryOptions, SkippedEntry, find_videos
from vsearch.media.exclusion import IGNORE_FILE, ExclusionRules, make_patterns

ROOT = Path("/films")


def is_excluded(path: str, *patterns: str, is_folder: bool = False) -> bool:
    rules = ExclusionRules(make_patterns(patterns, ROOT, "test"))
    return rules.find_exclusion(ROOT / path, is_folder=is_folder) is not None


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.proxy.mp4", "a.proxy.mp4", True),
        ("*.proxy.mp4", "x/y/a.PROXY.mp4", True),
        ("*.proxy.mp4", "a.mp4", False),
        ("raw", "x/raw", True),
        ("raw", "x/raws", False),
        ("/raw", "raw", True),
        ("/raw", "x/raw", False),
        ("./raw", "raw", True),
        ("x/*.mp4", "x/a.mp4", True),
        ("x/*.mp4", "y/x/a.mp4", False),
        ("x/*.mp4", "x/y/a.mp4", False),
        ("**/x/*.mp4", "y/x/a.mp4", True),
        ("x/**/b.mp4", "x/b.mp4", True),
        ("x/**/b.mp4", "x/1/2/b.mp4", True),
        ("x/**", "x/1/2/b.mp4", True),
        ("[ab].mp4", "b.mp4", True),
        ("[ab].mp4", "c.mp4", False),
        ("\\#recycle", "#recycle", True),
        ("", "a.mp4", False),
        ("!", "a.mp4", False),
        ("/", "a.mp4", False),
    ],
)
def test_patterns_are_those_of_gitignore(pattern: str, path: str, expected: bool) -> None:
    assert is_excluded(path, pattern) is expected


def test_a_slash_at_the_end_matches_folders_only() -> None:
    assert is_excluded("raw", "raw/", is_folder=True)
    assert not is_excluded("raw", "raw/")


def test_the_last_pattern_that_matches_decides() -> None:
    assert is_excluded("a.mp4", "!a.mp4", "*.mp4")
    assert not is_excluded("a.mp4", "*.mp4", "!a.mp4")


def test_a_hostile_pattern_takes_no_time() -> None:
    started_at = time.process_time()
    assert not is_excluded("a" * 250, "*a" * 100 + "b")
    assert not is_excluded("a/" * 100 + "c", "**/a/" * 100 + "b")
    assert time.process_time() - started_at < 30  # exponential in the number of stars otherwise


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "a.mp4", "raw/b.mp4", "raw/keep/c.mp4", "@eaDir/d.mp4", "$RECYCLE.BIN/e.mp4",
        "#recycle/f.mp4", ".Trash-1000/g.mp4", "code/node_modules/h.mp4", ".git/i.mp4", ".j.mp4",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def found(
    tree: Path, *excludes: str, default_excludes: bool = True, follow_links: bool = False
) -> list[str]:
    options = DiscoveryOptions(
        excludes, default_excludes=default_excludes, follow_links=follow_links
    )
    return [each.path.relative_to(tree).as_posix() for each in find_videos([tree], options)]


def test_trash_thumbnails_code_and_hidden_files_are_left_out(tree: Path) -> None:
    assert found(tree) == ["a.mp4", "raw/b.mp4", "raw/keep/c.mp4"]
    assert len(found(tree, default_excludes=False)) == 10


def test_a_folder_that_is_given_by_name_is_searched(tree: Path) -> None:
    [video] = find_videos([tree / ".git"])
    assert video.path.name == "i.mp4"


def test_the_user_excludes(tree: Path) -> None:
    assert found(tree, "raw/") == ["a.mp4"]
    assert found(tree, "keep") == ["a.mp4", "raw/b.mp4"]
    assert found(tree, str(tree / "raw" / "keep")) == ["a.mp4", "raw/b.mp4"]
    assert ".git/i.mp4" in found(tree, "!.git")
    options = DiscoveryOptions(("*.mp4",))
    assert list(find_videos([tree / "a.mp4"], options)) == []
    assert list(find_videos([f"{tree}/*.mp4"], options)) == []


def test_ignore_files_apply_to_their_folder_and_below(tree: Path) -> None:
    (tree / IGNORE_FILE).write_bytes(b"\xef\xbb\xbf# a comment\n\nraw/*.mp4\r\n")
    assert found(tree) == ["a.mp4", "raw/keep/c.mp4"]
    (tree / "raw" / IGNORE_FILE).write_text("!b.mp4\nkeep/\n")
    assert found(tree) == ["a.mp4", "raw/b.mp4"]
    assert found(tree, "!keep") == ["a.mp4", "raw/b.mp4", "raw/keep/c.mp4"]


def test_an_ignore_file_that_is_a_link_or_too_large_is_bounded(tree: Path) -> None:
    (tree / "patterns").write_text("*.mp4")
    (tree / IGNORE_FILE).symlink_to(tree / "patterns")
    assert len(found(tree)) == 3
    (tree / IGNORE_FILE).unlink()
    (tree / IGNORE_FILE).write_text("x\n" * 100_000 + "a.mp4\n")
    assert "a.mp4" in found(tree)


def test_links_are_followed_only_on_request(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "x.mp4").write_text("x")
    (tree / "link").symlink_to(other)
    (tree / "file.mp4").symlink_to(other / "x.mp4")
    assert found(tree) == ["a.mp4", "raw/b.mp4", "raw/keep/c.mp4"]
    assert "link/x.mp4" in found(tree, follow_links=True) or "file.mp4" in found(
        tree, follow_links=True
    )
    skipped: list[SkippedEntry] = []
    list(find_videos([tree], on_skipped=skipped.append))
    assert {each.path.name for each in skipped if "--follow" in each.reason} == {
        "link", "file.mp4",
    }  # fmt: skip


@pytest.mark.parametrize("suffix", ["ts", "mts"])
def test_source_code_is_not_a_transport_stream(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"code.{suffix}").write_text("export const größe = 1;\n")
    (tmp_path / f"film.{suffix}").write_bytes(b"\x47\x40\x00\x10\x00" * 100)
    (tmp_path / f"empty.{suffix}").write_bytes(b"")  # indexing reports it
    names = [each.path.name for each in find_videos([tmp_path])]
    assert names == [f"empty.{suffix}", f"film.{suffix}"]
