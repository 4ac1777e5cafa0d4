"""`vsearch backup` and `vsearch restore`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.support.server import index_videos
from vsearch import Library, NoLibraryError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def library(tmp_path: Path, videos_folder: Path) -> Path:
    index_videos(tmp_path / "library", videos_folder)
    return tmp_path / "library"


def test_a_library_is_saved_and_restored(
    library: Path, tmp_path: Path, run_vsearch: CommandRunner
) -> None:
    backup = tmp_path / "backup"
    saved = run_vsearch("--library", str(library), "backup", str(backup)).stdout
    assert saved.startswith("2 videos saved, ")
    run_vsearch("--library", str(library), "backup", str(backup), exit_code=1)
    run_vsearch("--library", str(library), "backup", "--force", str(backup))
    run_vsearch("--library", str(library), "remove", "*")
    refused = run_vsearch("--library", str(library), "restore", str(backup), exit_code=1)
    assert "--force" in refused.stderr
    restored = run_vsearch("--library", str(library), "restore", str(backup), "--force").stdout
    assert restored.startswith("2 videos restored, ")
    found = run_vsearch("--library", str(library), "search", "green").stdout
    assert "green.mp4" in found


def test_lost_features_are_named(library: Path, tmp_path: Path, run_vsearch: CommandRunner) -> None:
    features = sorted((library / "features").rglob("*.safetensors"))
    features[0].unlink()
    result = run_vsearch("--library", str(library), "backup", str(tmp_path / "backup"), exit_code=1)
    assert "frame features are missing" in result.stderr
    assert (tmp_path / "backup").exists()


def test_damaged_features_are_named(
    library: Path, tmp_path: Path, run_vsearch: CommandRunner
) -> None:
    """By `backup`, `rebuild`, which rebuilds everything else, and `doctor`, with the remedy."""
    features_path = sorted((library / "features").rglob("*.safetensors"))[0]
    content = bytearray(features_path.read_bytes())
    content[-2] ^= 1
    features_path.write_bytes(content)
    for words in (["backup", str(tmp_path / "backup")], ["rebuild"], ["doctor"]):
        result = run_vsearch("--library", str(library), *words, exit_code=1)
        [message] = [
            line for line in (result.stderr + result.stdout).splitlines() if "damaged" in line
        ]
        assert "vsearch index --force" in message
        assert ".mp4" in message
        assert ".safetensors" not in message


def test_doctor_names_a_damaged_index_once(
    library: Path, run_vsearch: CommandRunner, caplog: pytest.LogCaptureFixture
) -> None:
    index_path = next((library / "index").glob("*.npz"))
    index_path.write_bytes(b"junk")
    result = run_vsearch("--library", str(library), "doctor", exit_code=1)
    assert result.stdout.count("is damaged") == 1
    assert "is damaged" not in caplog.text  # which goes to stderr


def test_a_lost_catalog_is_named_with_the_way_back(
    library: Path, tmp_path: Path, videos_folder: Path, run_vsearch: CommandRunner
) -> None:
    run_vsearch("--library", str(library), "backup", str(tmp_path / "backup"))
    features = sorted((library / "features").rglob("*.safetensors"))
    for remaining in (b"", None):
        if remaining is None:
            (library / "catalog.sqlite3").unlink()
        else:
            (library / "catalog.sqlite3").write_bytes(remaining)
        for command in (["index", str(videos_folder)], ["search", "green"], ["doctor"], ["list"]):
            error = run_vsearch("--library", str(library), *command, exit_code=1).stderr
            assert "2 videos" in error
            assert "vsearch restore" in error
        assert sorted((library / "features").rglob("*.safetensors")) == features
    run_vsearch("--library", str(library), "restore", "--force", str(tmp_path / "backup"))
    run_vsearch("--library", str(library), "doctor")


def test_a_library_that_does_not_exist_is_not_created_by_reading(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "typo")
    for read in (
        lambda: library.search("green"),
        library.videos,
        library.info,
        library.rebuild,
        library.doctor,
        library.saved_searches.list,
        lambda: library.saved_searches.add("a", "b"),
        lambda: library.backup(tmp_path / "backup"),
        lambda: list(library.transcripts.transcribe()),
    ):
        with pytest.raises(NoLibraryError):
            read()
    assert list(tmp_path.iterdir()) == []


def test_indexing_creates_a_library(tmp_path: Path, videos_folder: Path) -> None:
    with Library.open(tmp_path / "new") as library:
        assert len(list(library.index([videos_folder]))) == 2
        assert len(library.videos()) == 2
    with Library.open(tmp_path / "empty", create=True) as library:
        assert library.videos() == []
    with pytest.raises(NoLibraryError):
        Library.open(tmp_path / "typo", create=False)


def test_a_new_library_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    Library.open(tmp_path / "new", create=True).close()
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    (tmp_path / "shared").mkdir(mode=0o755)
    before = (tmp_path / "shared").stat().st_mode
    Library.open(tmp_path / "shared", create=True).close()
    assert (tmp_path / "shared").stat().st_mode == before


def test_contact_sheet_and_doctor_report_an_impossible_path(
    library: Path, tmp_path: Path, run_vsearch: CommandRunner
) -> None:
    for stored in ("-rf", "/a\0b"):
        with closing(sqlite3.connect(library / "catalog.sqlite3")) as raw:
            raw.execute("UPDATE videos SET path = ? WHERE id = 1", (stored,))
            raw.commit()
        sheet = str(tmp_path / "sheet.html")
        for command in (["search", "green", "--contact-sheet", sheet], ["doctor"], ["list"]):
            result = run_vsearch("--library", str(library), *command, exit_code=1)
            assert "invalid row" in result.stdout + result.stderr
            assert "Traceback" not in result.stderr
