"""`vsearch index URL`: downloads become videos of the library."""

from __future__ import annotations

import json
import shutil
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import GREEN, RED, ColorScene, make_video
from tests.support.web_server import Served, WebServer, serve
from vsearch import Library, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.processes import CommandRunner
    from vsearch.media.download import DownloadProgress
    from vsearch.progress import IndexResult


@pytest.fixture
def web() -> Iterator[WebServer]:
    yield from serve()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        yield opened


@pytest.fixture
def red(tmp_path: Path) -> bytes:
    return make_video(tmp_path / "made.mp4", [ColorScene(RED, 2)]).read_bytes()


@pytest.fixture
def fake_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program `yt-dlp` on the path that does what a script says."""
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    program = tmp_path / "bin" / "yt-dlp"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", str(program.parent))
    return program


def write_program(program: Path, body: str) -> None:
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib, shutil, sys, time\n"
        f"pathlib.Path({str(program.with_name('arguments'))!r}).write_text(json.dumps(sys.argv[1:]))\n"
        "[folder] = [pathlib.Path(a[8:]) for a in sys.argv if a.startswith('--paths=')]\n" + body
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def index(library: Library, *paths: str | Path, **options: int) -> list[IndexResult]:
    return list(library.index(paths, **options))  # type: ignore[arg-type]


def test_a_url_is_indexed_and_its_source_is_shown(
    library: Library, web: WebServer, red: bytes
) -> None:
    web.files["/films/red%20one.mp4?token=hidden"] = Served(red)
    url = web.url.replace("//", "//me:hidden@") + "/films/red%20one.mp4?token=hidden"
    progress: list[DownloadProgress] = []
    [result] = library.index([url], on_download=progress.append)
    assert result.outcome is Outcome.INDEXED
    assert progress[-1].received_bytes == len(red)
    [video] = library.videos()
    assert video.path.parent == library.path / "downloads"
    assert video.path.name.startswith("red_one-")
    assert video.source_url == f"{web.url}/films/red%20one.mp4?token=REDACTED"
    assert result.video == video
    assert library.search("red")[0].video.source_url == video.source_url
    assert b"hidden" not in (library.path / "catalog.sqlite3").read_bytes()
    assert [one.outcome for one in index(library, url)] == [Outcome.UNCHANGED]
    assert web.statuses() == [200, 304]
    assert library.doctor() == []


def test_a_bad_url_does_not_stop_the_others(
    library: Library, web: WebServer, red: bytes, tmp_path: Path
) -> None:
    web.files["/a.mp4"] = Served(red)
    web.files["/text.mp4"] = Served(b"no video", media_type="text/plain")
    bad = ["ftp://h/a.mp4", "dav://b/a.mp4", "file:///a.mp4", "rtsp://h/1", "data://x/y"]
    results = index(
        library, f"{web.url}/none.mp4", *bad, f"{web.url}/text.mp4", f"{web.url}/a.mp4",
        tmp_path / "made.mp4",
    )  # fmt: skip
    assert sorted(str(result.outcome) for result in results) == [
        "duplicate", *["failed"] * 7, "indexed"
    ]  # fmt: skip
    errors = [result.error or "" for result in results if result.error]
    assert any(error.startswith(f"{web.url}/none.mp4: does not exist") for error in errors)
    assert all(any(url in error for error in errors) for url in bad if url != "data://x/y")


def test_a_changed_file_is_updated_and_keeps_its_source(
    library: Library, web: WebServer, red: bytes, tmp_path: Path
) -> None:
    url = f"{web.url}/a.mp4"
    web.files["/a.mp4"] = Served(red)
    index(library, url)
    green = make_video(tmp_path / "green.mp4", [ColorScene(GREEN, 2)]).read_bytes()
    web.files["/a.mp4"] = Served(green, etag='"two"', last_modified=None)
    [result] = index(library, url)
    assert (result.outcome, result.video and result.video.source_url) == (Outcome.UPDATED, url)
    list(library.index([library.path / "downloads"], force=True))
    assert library.videos()[0].source_url == url


def test_a_copy_of_a_known_video_is_a_duplicate_without_its_url(
    library: Library, web: WebServer, red: bytes, tmp_path: Path
) -> None:
    index(library, tmp_path / "made.mp4")
    web.files["/a.mp4"] = Served(red)
    assert [one.outcome for one in index(library, f"{web.url}/a.mp4")] == [Outcome.DUPLICATE]
    [video] = library.videos()
    assert video.source_url is None
    assert [path.parent.name for path in video.other_paths] == ["downloads"]


def test_too_large_files_are_refused(library: Library, web: WebServer, red: bytes) -> None:
    web.files["/a.mp4"] = Served(red)
    [result] = index(library, f"{web.url}/a.mp4", max_download_bytes=len(red) - 1)
    assert "larger than" in (result.error or "")


def test_a_server_never_fetches_urls(library: Library, web: WebServer, red: bytes) -> None:
    web.files["/a.mp4"] = Served(red)
    [result] = list(library.index([f"{web.url}/a.mp4"], roots=[library.path.parent]))
    assert result.outcome is Outcome.FAILED
    assert web.requests == []


def test_removing_the_video_deletes_the_download(
    library: Library, web: WebServer, red: bytes, tmp_path: Path
) -> None:
    downloads = library.path / "downloads"
    web.files["/a.mp4"] = Served(red)
    index(library, f"{web.url}/a.mp4", tmp_path / "made.mp4")
    (downloads / "mine.txt").touch()
    library.remove([tmp_path / "made.mp4"])
    assert len(list(downloads.glob("*.mp4"))) == 1
    library.remove(library.videos()[0:1][0].path for _ in "1")
    assert [path.name for path in downloads.iterdir()] == ["mine.txt"]
    assert (tmp_path / "made.mp4").exists()


def test_downloads_move_with_the_library(web: WebServer, red: bytes, tmp_path: Path) -> None:
    web.files["/a.mp4"] = Served(red)
    url = f"{web.url}/a.mp4"
    with Library.open(tmp_path / "old", encoder=FakeEncoder()) as library:
        index(library, url)
    (tmp_path / "old").rename(tmp_path / "new")
    shutil.copytree(tmp_path / "new", tmp_path / "newer")
    with Library.open(tmp_path / "new", encoder=FakeEncoder()) as library:
        [result] = library.relocate(tmp_path / "old" / "downloads", library.path / "downloads")
        assert result.outcome == "moved"
        assert [one.outcome for one in index(library, url)] == [Outcome.UNCHANGED]
    with Library.open(tmp_path / "newer", encoder=FakeEncoder()) as library:
        assert [one.outcome for one in index(library, url)] == [Outcome.MOVED]
        assert library.videos()[0].source_url == url
    assert web.statuses() == [200, 304, 304]


def test_doctor_names_incomplete_and_forgotten_downloads(
    library: Library, web: WebServer, red: bytes
) -> None:
    web.files["/a.mp4"] = Served(red)
    web.files["/b.mp4"] = Served(red * 3, cut_after=100, has_ranges=False, status=200)
    index(library, f"{web.url}/a.mp4")
    (library.path / "downloads" / "0123456789ab.part").touch()
    (library.path / "downloads" / "left-0123456789ab.mp4").touch()
    incomplete, forgotten = library.doctor()
    assert "a download is incomplete" in incomplete
    assert "left-0123456789ab.mp4: was downloaded but is not in the library" in forgotten


def test_a_preview_downloads_nothing(library: Library, web: WebServer, red: bytes) -> None:
    web.files["/a.mp4"] = Served(red)
    url = f"{web.url}/a.mp4"
    [entry] = library.preview_index([url])
    assert (entry.state, entry.reason) == ("new", f"to be downloaded from {url}")
    assert web.requests == []
    index(library, url)
    [entry] = library.preview_index([url])
    assert entry.state == "unchanged"


def test_a_page_needs_the_extra(library: Library, web: WebServer, fake_program: Path) -> None:
    web.files["/watch"] = Served(b"<html>", media_type="text/html")
    [result] = index(library, f"{web.url}/watch")
    assert result.error == (
        f"{web.url}/watch: is a web page, not a video file; to index the videos of web pages, "
        "pip install 'vsearch[web]'; or download the file with a browser"
    )


def test_the_video_of_a_page_is_downloaded_once(
    library: Library, web: WebServer, red: bytes, fake_program: Path, tmp_path: Path
) -> None:
    web.files["/watch?v=-rf"] = Served(b"<html>", media_type="text/html")
    url = f"{web.url}/watch?v=-rf"
    write_program(
        fake_program,
        "(folder / 'part.mp4.part').touch()\n"
        f"shutil.copy({str(tmp_path / 'made.mp4')!r}, folder / 'A title & more.mp4')\n",
    )
    for outcome in (Outcome.INDEXED, Outcome.UNCHANGED):
        [result] = index(library, url)
        assert result.outcome is outcome, result.error
        assert result.path.name.startswith("A_title_more-")
    assert library.videos()[0].source_url == url
    arguments = json.loads(fake_program.with_name("arguments").read_text())
    assert arguments[-2:] == ["--", url]
    assert {"--ignore-config", "--no-playlist"} <= set(arguments)
    assert any(argument.startswith("--max-filesize=") for argument in arguments)
    assert len(list((library.path / "downloads").iterdir())) == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("print('WARNING: x\\nERROR: Unsupported URL'); sys.exit(1)", "(Unsupported URL)"),
        ("sys.exit(0)", "(no video found)"),
        ("print('File is larger than max-filesize')", "--max-download"),
        ("(folder / 'a.mp4').write_bytes(bytes(3000))", "--max-download"),
        ("(folder / 'a.mp4.part').write_bytes(bytes(9000)); time.sleep(60)", "--max-download"),
        ("(folder / 'a.mp4').symlink_to('/etc/hostname')", "(no video found)"),
    ],
)
def test_what_goes_wrong_with_a_page_is_named(
    library: Library, web: WebServer, fake_program: Path, body: str, message: str
) -> None:
    web.files["/watch"] = Served(b"<html>", media_type="text/html")
    write_program(fake_program, body + "\n")
    [result] = index(library, f"{web.url}/watch", max_download_bytes=2000)
    assert (result.error or "").startswith(f"{web.url}/watch: ")
    assert message in (result.error or "")


def test_the_command_downloads_and_shows_where_from(
    run_vsearch: CommandRunner, fake_model: None, web: WebServer, red: bytes
) -> None:
    web.files["/a.mp4"] = Served(red)
    url = f"{web.url}/a.mp4"
    preview = run_vsearch("index", "--dry-run", url)
    assert f"to be downloaded from {url}" in preview.stdout
    done = run_vsearch("index", url, "--max-download", "1 GB")
    assert f"download   {url}" in done.stderr
    [video] = json.loads(run_vsearch("list", "--json").stdout)["videos"]
    assert video["source_url"] == url
    assert f"from     {url}" in run_vsearch("list").stdout
    for query in (f"image:{url}", f"clip:{url}"):
        refused = run_vsearch("search", query, exit_code=1)
        assert "vsearch index URL" in refused.stderr, refused.stderr
    run_vsearch("index", url, "--max-download", "big", exit_code=2)
