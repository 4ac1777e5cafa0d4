"""Discovery of videos, and their fingerprints."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.support.photo_factory import make_photo
from vsearch.errors import UnreadableError
from vsearch.media.discovery import DiscoveryOptions, compute_fingerprint, find_videos

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.media.discovery import SkippedEntry


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b.mp4", "a.MKV", "notes.txt", "sub/c.webm", "sub/deep/d.mov", ".hidden/e.mp4",
        ".f.mp4", "odd [1].mp4",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def names(paths: list[str | Path], root: Path) -> list[str]:
    return [str(found.path.relative_to(root)) for found in find_videos(paths) if not found.error]


def test_a_folder_yields_its_visible_videos_sorted(tree: Path) -> None:
    expected = ["a.MKV", "b.mp4", "odd [1].mp4", "sub/c.webm", "sub/deep/d.mov"]
    assert names([tree], tree) == expected


def test_a_file_given_by_name_may_have_any_suffix(tree: Path) -> None:
    assert names([tree / "notes.txt", tree / ".f.mp4"], tree) == ["notes.txt", ".f.mp4"]


def test_globs_are_expanded(tree: Path) -> None:
    assert names([f"{tree}/*.mp4"], tree) == ["b.mp4", "odd [1].mp4"]
    assert names([f"{tree}/**/*.mov"], tree) == ["sub/deep/d.mov"]
    assert names([f"{tree}/s*"], tree) == ["sub/c.webm", "sub/deep/d.mov"]


def test_brackets_in_the_current_folder_are_literal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = tmp_path / "Show [1080p]"
    (show / "s [01]").mkdir(parents=True)
    for name in ("a.mp4", "s [01]/b.mp4"):
        (show / name).write_text(name)
    monkeypatch.chdir(show)
    assert names(["*.mp4"], show) == ["a.mp4"]
    assert names(["**/*.mp4"], show) == ["a.mp4", "s [01]/b.mp4"]
    assert names(["./s*/../*.mp4"], show) == ["a.mp4"]
    (found,) = find_videos(["none.mp4"])
    assert found.error
    assert "no such file" in found.error
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(show))
    assert names(["~/*.mp4"], show) == ["a.mp4"]


def test_an_existing_name_with_brackets_is_not_a_glob(tree: Path) -> None:
    assert names([tree / "odd [1].mp4"], tree) == ["odd [1].mp4"]


def test_every_video_is_found_once(tree: Path) -> None:
    assert names([tree / "b.mp4", tree, f"{tree}/sub/../b.mp4"], tree).count("b.mp4") == 1


def test_paths_are_absolute(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert [found.path for found in find_videos(["b.mp4"])] == [tree / "b.mp4"]


def test_the_tilde_is_the_home_folder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tree))
    assert names(["~/b.mp4"], tree) == ["b.mp4"]


def test_cyclic_links_end(tree: Path) -> None:
    (tree / "sub" / "round").symlink_to(tree)
    assert names([tree], tree).count("b.mp4") == 1


@pytest.mark.parametrize("name", ["none.mp4", "none*.mp4", "~nobody/x.mp4", "nul\0.mp4"])
def test_missing_paths_are_reported(tree: Path, name: str) -> None:
    (found,) = find_videos([f"{tree}/{name}"])
    assert found.error
    assert "\n" not in found.error


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_reported(tree: Path) -> None:
    (tree / "sub").chmod(0)
    errors = [found.error for found in find_videos([tree]) if found.error]
    (tree / "sub").chmod(0o700)
    assert len(errors) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter everything")
def test_a_folder_that_cannot_be_entered_hides_no_other(tree: Path) -> None:
    (tree / "sub").chmod(0o444)
    found = {
        pattern: [each.path.relative_to(tree) for each in find_videos([pattern])]
        for pattern in (str(tree), f"{tree}/*/*", f"{tree}/*")
    }
    (tree / "sub").chmod(0o700)
    for paths in found.values():
        assert tree not in [tree / path for path in paths]
    assert len(found[str(tree)]) == 5  # sub/deep only as an error
    assert len(found[f"{tree}/*"]) == 5


def test_an_unreadable_entry_is_reported_and_the_others_are_found(tree: Path) -> None:
    (tree / "a link.mp4").symlink_to("x" * 300)  # longer than file systems allow
    found = {each.path.name: each.error for each in find_videos([tree])}
    assert len(found) == 6
    assert [name for name, error in found.items() if error] == ["a link.mp4"]
    assert str(tree / "a link.mp4") in (found["a link.mp4"] or "")


def test_a_pipe_is_ignored_without_blocking(tree: Path) -> None:
    os.mkfifo(tree / "pipe.webp")
    assert "pipe.webp" not in names([tree], tree)


@pytest.fixture
def camera_folder(tmp_path: Path) -> Path:
    make_photo(tmp_path / "a.JPG")
    make_photo(tmp_path / "icon.png", size=(63, 640))
    make_photo(tmp_path / "large icon.png", size=(64, 64))
    make_photo(tmp_path / "still.webp")
    pictures = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    pictures[0].save(tmp_path / "moving.webp", save_all=True, append_images=pictures[1:])
    (tmp_path / "broken.heic").write_bytes(b"\0" * 100)
    (tmp_path / "film.mp4").write_bytes(b"film")
    return tmp_path


def test_photos_are_found_but_for_icons(camera_folder: Path) -> None:
    skipped: list[SkippedEntry] = []
    found = [one.path.name for one in find_videos([camera_folder], on_skipped=skipped.append)]
    assert found == [
        "a.JPG", "broken.heic", "film.mp4", "large icon.png", "moving.webp", "still.webp"
    ]  # fmt: skip
    [icon] = skipped
    assert (icon.path.name, icon.is_default) == ("icon.png", True)
    assert "64 × 64 pixels" in icon.reason


def test_photos_may_be_left_out(camera_folder: Path) -> None:
    def find(*paths: Path | str) -> list[str]:
        options = DiscoveryOptions(photos=False)
        return [one.path.name for one in find_videos(paths, options) if not one.error]

    assert find(camera_folder) == ["film.mp4", "moving.webp"]
    assert find(f"{camera_folder}/*") == ["film.mp4", "moving.webp", "still.webp"]
    assert find(camera_folder / "a.JPG", camera_folder / "icon.png") == ["a.JPG", "icon.png"]


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 5_000_000])
def test_the_fingerprint_depends_on_content_only(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b").write_bytes(content)
    assert compute_fingerprint(tmp_path / "a") == compute_fingerprint(tmp_path / "b")
    assert len(compute_fingerprint(tmp_path / "a")) == 32


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_edits_of_header_tail_or_length_change_the_fingerprint(tmp_path: Path, size: int) -> None:
    content = bytearray(os.urandom(size))
    variants = [bytes(content)]
    for at in (0, size - 1):
        edited = bytearray(content)
        edited[at] ^= 1
        variants.append(bytes(edited))
    variants += [bytes(content) + b"x", bytes(content[:-1]), bytes(size)]
    prints = set()
    for variant in variants:
        (tmp_path / "a").write_bytes(variant)
        prints.add(compute_fingerprint(tmp_path / "a"))
    assert len(prints) == len(variants)


def test_a_file_that_cannot_be_read_has_no_fingerprint(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe"):
        with pytest.raises(UnreadableError, match="cannot be read"):
            compute_fingerprint(path)


def test_a_video_is_found_by_its_path_without_links(tmp_path: Path) -> None:
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "b.mp4").write_bytes(b"video")
    (tmp_path / "a").symlink_to(tmp_path / "z")
    (tmp_path / "z" / "a.mp4").symlink_to(tmp_path / "z" / "b.mp4")
    assert [found.path for found in find_videos([tmp_path])] == [tmp_path / "z" / "b.mp4"]
