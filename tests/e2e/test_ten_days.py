"""Ten days with one library; at the end, every row is checked."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import ExifTags, Image

from tests.support.video_factory import BLUE, GREEN, RED, YELLOW, ColorScene, make_video
from vsearch import Library

if TYPE_CHECKING:
    from tests.support.processes import CommandRunner

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fake_model"), pytest.mark.timeout(600)]
MAGENTA, CYAN = (210, 30, 200), (30, 200, 210)
# The schema that version 0.1 wrote, on which day 10 starts.
DOWNGRADE = """
    DROP TRIGGER names_inserted;
    DROP TRIGGER names_deleted;
    DROP TRIGGER names_updated;
    DROP TABLE names_fts;
    DROP TABLE video_names;
    DROP TABLE sound_spans;
    DROP TABLE sound_analyses;
    CREATE TABLE old_duplicates (
        path TEXT NOT NULL, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        ctime_ns INTEGER, inode TEXT, content_digest TEXT,
        CONSTRAINT pk_duplicate_files PRIMARY KEY (path));
    INSERT INTO old_duplicates
        SELECT path, size_bytes, mtime_ns, ctime_ns, inode, content_digest FROM duplicate_files;
    DROP TABLE duplicate_files;
    ALTER TABLE old_duplicates RENAME TO duplicate_files;
    ALTER TABLE library DROP COLUMN settings;
    ALTER TABLE videos DROP COLUMN is_photo;
    ALTER TABLE videos DROP COLUMN utc_offset_minutes;
    ALTER TABLE videos DROP COLUMN latitude;
    ALTER TABLE videos DROP COLUMN longitude;
    ALTER TABLE videos DROP COLUMN camera;
    ALTER TABLE videos DROP COLUMN source_url;
    UPDATE alembic_version SET version_num = '0008';
"""
# what an older version did not record, or what differs from run to run
NOT_COMPARED = ("alembic_version", "cues_fts", "names_fts", "sqlite_sequence")


class Story:
    """A library on one computer, and the person who uses it."""

    def __init__(self, folder: Path, run: CommandRunner) -> None:
        self.folder, self.run = folder, run
        self.library, self.camera = folder / "library", folder / "camera"
        self.drive, self.unplugged = folder / "drive", folder / "not mounted"
        self.camera.mkdir()

    def vsearch(self, command: str, *arguments: str | Path, exit_code: int = 0) -> str:
        """Run a command on the library; return what it prints."""
        words = command.split()
        result = self.run(*words, *arguments, "--library", self.library, exit_code=exit_code)
        return result.stdout

    def index(self, *folders: Path) -> dict[str, str]:
        """Index folders; return the outcome by file name."""
        with Library.open(self.library, create=True) as library:
            return {one.path.name: str(one.outcome) for one in library.index(folders)}

    def find(self, *query: str) -> list[dict[str, Any]]:
        """Return the moments that a search finds."""
        moments: list[dict[str, Any]] = json.loads(self.vsearch("search --json", *query))["results"]
        return moments

    def best(self, *query: str) -> str:
        """Return the file name of the best result."""
        return Path(self.find(*query)[0]["video"]).name

    def listed(self) -> dict[str, str | None]:
        """Return the status of each file, by its path in the story's folder."""
        videos = json.loads(self.vsearch("list --json"))["videos"]
        return {self._short(Path(video["path"])): video["file_status"] for video in videos}

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of the catalog, by table."""
        with closing(sqlite3.connect(self.library / "catalog.sqlite3")) as raw:
            tables = [name for (name,) in raw.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
            ) if not name.startswith(NOT_COMPARED)]  # fmt: skip
            return {
                table: sorted(raw.execute(f'SELECT * FROM "{table}"'), key=repr) for table in tables
            }

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return rows of the catalog, paths shortened."""
        with closing(sqlite3.connect(self.library / "catalog.sqlite3")) as raw:
            raw.create_function("short", 1, lambda path: self._short(Path(path)))
            return raw.execute(sql).fetchall()

    def check(self) -> None:
        """Check that the doctor finds nothing, but that a drive is not there."""
        is_plugged = self.drive.exists() or not self.unplugged.exists()
        problems = self.vsearch("doctor", exit_code=0 if is_plugged else 1)
        assert is_plugged or "offline" in problems, problems

    def _short(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def film(path: Path, *colors: tuple[int, int, int], fps: int = 10) -> Path:
    """Make a video of one scene of three seconds per color."""
    path.parent.mkdir(exist_ok=True)
    return make_video(path, [ColorScene(color, 3.0) for color in colors], fps=fps)


def test_ten_days(
    tmp_path: Path, run_vsearch: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(tmp_path, run_vsearch)
    for day in (
        day_1_the_camera, day_2_it_grows, day_3_marks_and_tags, day_4_the_drive_is_unplugged,
        day_5_it_is_back_elsewhere, day_6_renamed_edited_deleted, day_7_another_model,
        day_8_exports_and_a_power_cut, day_9_the_disk_dies, day_10_the_upgrade,
    ):  # fmt: skip
        day(story)
        story.check()
        monkeypatch.delenv("VSEARCH_MODEL", raising=False)  # the library remembers its model
    check_every_row(story)


def day_1_the_camera(story: Story) -> None:
    film(story.camera / "first red.mp4", RED, BLUE)
    film(story.camera / "green.mp4", GREEN)
    (story.camera / "green.srt").write_text("1\n00:00:00,500 --> 00:00:02,000\nhello meadow\n")
    film(story.camera / "#recycle" / "thrown away.mp4", YELLOW)
    (story.camera / "notes.txt").write_text("not a video")
    assert story.index(story.camera) == {"first red.mp4": "indexed", "green.mp4": "indexed"}
    assert story.best("red") == "first red.mp4"
    assert story.best("said:meadow") == "green.mp4"


def day_2_it_grows(story: Story) -> None:
    story.vsearch("save", "reds", "red")
    film(story.camera / "second red.mp4", RED, fps=12)
    film(story.camera / "yellow.mp4", YELLOW, BLUE)
    watched = [
        json.loads(line) for line in story.vsearch("watch --once --json", story.camera).splitlines()
    ]
    for second in (1, 2):  # a burst
        picture = Image.effect_noise((320, 240), 40).resize((640, 480)).convert("RGB")
        picture.paste(CYAN, (40, 40, 600, 440))
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = (
            f"2025:07:01 10:00:0{second}"
        )
        picture.save(story.camera / f"IMG_{second}.jpg", exif=exif)
    story.index(story.camera)
    assert story.listed()["camera/IMG_1.jpg"] == "available"
    [photo] = story.find("cyan is:photo")
    assert photo["explanation"]["duplicates_hidden"] == 1
    assert len(story.find("after:2025-07 before:2025-08")) == 2  # without words
    alerts = [one for one in watched if one.get("alert") == "reds"]
    assert "second red.mp4" in json.dumps(alerts)
    assert set(story.index(story.camera).values()) == {"unchanged"}


def day_3_marks_and_tags(story: Story) -> None:
    story.vsearch("tags", story.camera / "green.mp4", "--add", "meadow")
    story.vsearch("tags", f"{story.camera / 'first red.mp4'}@0-2", "--add", "grandma dances")
    story.vsearch("save", "meadows", "tag:meadow green")
    results = story.find("red")
    second = [Path(one["video"]).name for one in results].index("second red.mp4") + 1
    story.vsearch("mark", str(second), "up")
    assert story.best("@meadows") == "green.mp4"
    assert story.best("blue", 'tag:"grandma dances"') == "first red.mp4"


def day_4_the_drive_is_unplugged(story: Story) -> None:
    film(story.drive / "magenta.mp4", MAGENTA)
    film(story.drive / "cyan.mp4", CYAN, RED)
    shutil.copyfile(story.camera / "green.mp4", story.drive / "copy of green.mp4")
    outcomes = story.index(story.drive)
    assert outcomes == {
        "magenta.mp4": "indexed", "cyan.mp4": "indexed", "copy of green.mp4": "duplicate",
    }  # fmt: skip
    story.vsearch("tags", story.drive / "magenta.mp4", "--add", "party")
    story.drive.rename(story.unplugged)
    status = story.listed()
    assert {status["drive/magenta.mp4"], status["drive/cyan.mp4"]} == {"offline"}
    assert story.best("magenta") == "magenta.mp4"  # found without its file
    story.vsearch("remove --missing --yes")
    assert story.listed() == status  # a drive that is unplugged is not thrown away


def day_5_it_is_back_elsewhere(story: Story) -> None:
    story.drive = story.folder / "other mount"
    story.unplugged.rename(story.drive)
    story.vsearch("relocate", story.folder / "drive", story.drive)
    assert set(story.index(story.camera, story.drive).values()) == {"unchanged", "duplicate"}
    assert story.listed()["other mount/magenta.mp4"] == "available"
    assert story.best("magenta", "tag:party") == "magenta.mp4"


def day_6_renamed_edited_deleted(story: Story) -> None:
    (story.camera / "2026").mkdir()
    (story.camera / "first red.mp4").rename(story.camera / "2026" / "Grandma.mp4")
    film(story.camera / "yellow.mp4", YELLOW, MAGENTA)  # edited
    (story.drive / "cyan.mp4").unlink()
    outcomes = story.index(story.camera, story.drive)
    assert outcomes == {
        "Grandma.mp4": "moved", "green.mp4": "unchanged", "second red.mp4": "unchanged",
        "yellow.mp4": "updated", "magenta.mp4": "unchanged", "copy of green.mp4": "duplicate",
        "IMG_1.jpg": "unchanged", "IMG_2.jpg": "unchanged",
    }  # fmt: skip
    assert story.listed()["other mount/cyan.mp4"] == "missing"
    story.vsearch("remove --missing --yes")
    assert "other mount/cyan.mp4" not in story.listed()
    assert story.best("blue", 'tag:"grandma dances"') == "Grandma.mp4"
    assert story.best("magenta", "path:yellow.mp4") == "yellow.mp4"


def day_7_another_model(story: Story) -> None:
    story.vsearch("model switch", "fake:other")
    assert story.best("green") == "green.mp4"
    story.vsearch("model rollback")
    story.vsearch("model switch", "fake:other")
    with Library.open(story.library) as library:
        assert library.settings.model == "fake:other"
        assert {info.video_count for info in library.models.list()} == {7}


def day_8_exports_and_a_power_cut(story: Story) -> None:
    out = story.folder / "out"
    story.vsearch("search", "red")
    lists = ("--edl", out / "red.edl", "--csv", out / "a.csv")
    story.vsearch("export", "#1-2", "--clips", out, *lists)
    assert len(list(out.glob("*.mp4"))) == 2
    assert (out / "red.edl").read_text().count("* FROM CLIP NAME") == 2
    assert len((out / "a.csv").read_text("utf-8").splitlines()) == 3
    for number in range(4):
        film(story.camera / f"evening {number}.mp4", (40 + 50 * number, 90, 140), fps=11)
    command = [sys.executable, "-m", "vsearch", "--library", str(story.library), "index",
               str(story.camera)]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as indexing:
        while not (done := story.ask("SELECT path FROM videos WHERE path LIKE '%evening%'")):
            assert indexing.poll() is None
        indexing.kill()
    outcomes = story.index(story.camera)
    assert len(outcomes) == 10
    assert all(outcomes[Path(path).name] == "unchanged" for (path,) in done)
    assert {outcomes[f"evening {number}.mp4"] for number in range(4)} <= {"indexed", "unchanged"}
    assert set(story.index(story.camera).values()) == {"unchanged"}


def day_9_the_disk_dies(story: Story) -> None:
    answers, rows = story.find("red"), story.rows()
    story.vsearch("backup", story.folder / "library.backup")
    story.vsearch("tags", story.camera / "yellow.mp4", "--add", "after the backup")
    shutil.rmtree(story.library)
    story.vsearch("restore", story.folder / "library.backup")
    assert story.rows() == rows
    assert story.find("red") == answers


def day_10_the_upgrade(story: Story) -> None:
    photos = sorted(story.camera.glob("*.jpg"))  # which version 0.1 did not index
    story.vsearch("remove", *photos)
    answers, rows = story.find("red"), story.rows()
    with closing(sqlite3.connect(story.library / "catalog.sqlite3")) as raw:
        raw.executescript(DOWNGRADE)
    assert story.find("red") == answers
    upgraded = story.rows()
    [(copy, *_)] = upgraded.pop("duplicate_files")  # whose video, and its name, the next run finds
    assert copy == rows.pop("duplicate_files")[0][0]
    assert len(upgraded.pop("video_names")) == len(rows.pop("video_names"))
    assert upgraded == rows
    story.vsearch("model delete", "fake")
    outcomes = story.index(story.camera, story.drive)
    assert [outcomes.pop(photo.name) for photo in photos] == ["indexed", "indexed"]
    assert set(outcomes.values()) == {"unchanged", "duplicate"}
    assert story.best('name:"copy of green"') == "green.mp4"


def check_every_row(story: Story) -> None:
    evenings = [(f"camera/evening {number}.mp4", 3.0, None) for number in range(4)]
    assert story.ask("SELECT short(path), duration, warning FROM videos ORDER BY 1") == [
        ("camera/2026/Grandma.mp4", 6.0, None),
        ("camera/IMG_1.jpg", 0.04, None),
        ("camera/IMG_2.jpg", 0.04, None),
        *evenings,
        ("camera/green.mp4", 3.0, None),
        ("camera/second red.mp4", 3.0, None),
        ("camera/yellow.mp4", 6.0, None),
        ("other mount/magenta.mp4", 3.0, None),
    ]
    of_video = "FROM {0} JOIN videos ON videos.id = {0}.video_id"
    spans = story.ask(f'SELECT short(path), start, "end" {of_video.format("segments")}')
    by_video: dict[str, list[tuple[float, float]]] = {}
    for path, start, end in sorted(spans):
        by_video.setdefault(path, []).append((start, end))
    assert by_video == {
        path: [(0.0, 3.0), (3.0, 6.0)] if duration == 6 else [(0.0, duration)]
        for path, duration in story.ask("SELECT short(path), duration FROM videos")
    }
    tags = story.ask(
        f'SELECT short(path), label, tags.start, tags."end", source {of_video.format("tags")}'
    )
    assert sorted(tags) == [
        ("camera/2026/Grandma.mp4", "grandma dances", 0.0, 2.0, "by hand"),
        ("camera/green.mp4", "meadow", None, None, "by hand"),
        ("other mount/magenta.mp4", "party", None, None, "by hand"),
    ]
    marks = f"SELECT query, short(path), relevant {of_video.format('relevance_feedback')}"
    assert story.ask(marks) == [("red", "camera/second red.mp4", 1)]
    cues = f"SELECT short(path), source, text {of_video.format('cues')}"
    assert story.ask(cues) == [("camera/green.mp4", "subtitles", "hello meadow")]
    assert story.ask("SELECT name, query FROM saved_searches ORDER BY name") == [
        ("meadows", "green tag:meadow"), ("reds", "red"),
    ]  # fmt: skip
    joined = of_video.format("duplicate_files")
    places = story.ask(f"SELECT short(duplicate_files.path), short(videos.path) {joined}")
    assert places == [("other mount/copy of green.mp4", "camera/green.mp4")]
    assert story.ask("SELECT name FROM spaces") == [("fake-other",)]
    counts = {table: len(rows) for table, rows in story.rows().items()}
    segments = sum(map(len, by_video.values()))
    assert counts["videos"] == counts["frame_features"] == counts["video_names"] == 11
    assert counts["vectors"] == counts["segments"] == segments == 13
    features = {file.name for file in (story.library / "features" / "fake-other").iterdir()}
    assert features == {f"{id_}.safetensors" for (id_,) in story.ask("SELECT id FROM videos")}
    assert not list((story.library / "features").glob("fake"))
    assert not list(story.library.rglob("*.part"))
    assert story.best("magenta", "tag:party") == "magenta.mp4"
