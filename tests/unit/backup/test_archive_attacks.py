"""Backups that are damaged or hostile: refused, and nothing is changed."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import struct
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.migrations.schemas import future
from vsearch import Library
from vsearch.backup import archive
from vsearch.backup.archive import is_allowed
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.open import open_pool
from vsearch.errors import DamagedLibraryError, LibraryError, NewerLibraryError, VSearchError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MANIFEST = {
    "format": "vsearch backup",
    "version": 1,
    "created_at": "2025-01-01T00:00:00+00:00",
    "schema": "0010",
    "video_count": 0,
    "feature_count": 0,
    "lost_features": [],
}


@pytest.fixture
def catalog_bytes(tmp_path: Path) -> bytes:
    file = tmp_path / "source.sqlite3"
    Catalog.open(file, create=True).close()
    content = file.read_bytes()
    file.unlink()
    return content


def write(
    path: Path,
    members: Sequence[tuple[str | zipfile.ZipInfo, bytes]],
    manifest: dict[str, Any] | None = None,
    checksums: bytes | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Write an archive by hand."""
    with zipfile.ZipFile(path, "w", compression) as zip_file:
        lines = b""
        for name, content in members:
            zip_file.writestr(name, content)
            plain_name = name if isinstance(name, str) else name.filename
            lines += f"{hashlib.sha256(content).hexdigest()}  {plain_name}\n".encode()
        lines = lines if checksums is None else checksums
        zip_file.writestr("checksums.txt", lines)
        digest = {"checksums_sha256": hashlib.sha256(lines).hexdigest()}
        zip_file.writestr("manifest.json", json.dumps({**MANIFEST, **digest, **(manifest or {})}))
    return path


def refuse(path: Path, match: str, error: type[VSearchError] = DamagedLibraryError) -> None:
    target = path.parent / "target"
    with pytest.raises(error, match=match):
        Library.restore(path, target)
    assert not target.exists()
    assert [entry.name for entry in path.parent.iterdir() if entry != path] == []


def test_an_archive_by_hand_is_restored(tmp_path: Path, catalog_bytes: bytes) -> None:
    path = write(tmp_path / "backup", [("catalog.sqlite3", catalog_bytes)])
    Library.restore(path, tmp_path / "target")
    with Catalog.open(tmp_path / "target" / "catalog.sqlite3") as catalog:
        assert catalog.videos() == []


@pytest.mark.parametrize(
    "name",
    [
        "../evil.npz",
        "features/../../evil",
        "features/..",
        "/etc/evil.npz",
        "features//evil",
        "features/a\\..\\b",
        "features/./evil",
        "features/.hidden",
        ".ssh/authorized_keys",
        "evil.txt",
        "writer.lock",
        "catalog.sqlite3-wal",
        "index/a.exact",
        "features/" + "a" * 300,
        "features/" + "a/" * 9 + "b",
        "training/a\nb",
        "training/",
    ],
)
def test_other_names_are_refused(tmp_path: Path, catalog_bytes: bytes, name: str) -> None:
    assert not is_allowed(name)
    path = write(tmp_path / "backup", [("catalog.sqlite3", catalog_bytes), (name, b"evil")])
    refuse(path, "is not a file of a library")


def test_links_are_plain_files(tmp_path: Path, catalog_bytes: bytes) -> None:
    link = zipfile.ZipInfo("features/link")
    link.external_attr = 0o120777 << 16
    path = write(tmp_path / "backup", [("catalog.sqlite3", catalog_bytes), (link, b"/etc/passwd")])
    Library.restore(path, tmp_path / "target")
    assert (tmp_path / "target" / "features" / "link").read_bytes() == b"/etc/passwd"
    assert not (tmp_path / "target" / "features" / "link").is_symlink()


def test_compressed_members_are_refused(tmp_path: Path, catalog_bytes: bytes) -> None:
    members = [("catalog.sqlite3", catalog_bytes), ("features/bomb", b"\0" * 1_000_000)]
    path = write(tmp_path / "backup", members, compression=zipfile.ZIP_DEFLATED)
    refuse(path, "larger than the file")


def test_members_that_overlap_are_refused(tmp_path: Path, catalog_bytes: bytes) -> None:
    path = write(
        tmp_path / "backup",
        [("catalog.sqlite3", catalog_bytes), *((f"features/{i}", b"") for i in range(20))],
    )
    content = bytearray(path.read_bytes())
    for i in range(20):  # the directory says that each of them is the whole catalog
        position = content.rfind(f"features/{i}".encode()) - 46
        struct.pack_into("<3L", content, position + 16, 0, len(catalog_bytes), len(catalog_bytes))
        struct.pack_into("<L", content, position + 42, 0)
    path.write_bytes(content)
    refuse(path, "larger than the file|damaged")


def test_two_files_of_one_name_are_refused(tmp_path: Path, catalog_bytes: bytes) -> None:
    members = [("catalog.sqlite3", catalog_bytes), ("features/a", b"1"), ("features/A", b"2")]
    refuse(write(tmp_path / "backup", members), "several files of one name")


def test_wrong_checksums_are_refused(tmp_path: Path, catalog_bytes: bytes) -> None:
    members = [("catalog.sqlite3", catalog_bytes), ("features/a", b"1")]
    good_line = f"{hashlib.sha256(catalog_bytes).hexdigest()}  catalog.sqlite3\n".encode()
    for lines in (
        good_line,
        good_line + b"0" * 64 + b"  features/a\n",
        good_line + b"x  features/a\n",
        good_line * 2,
        b"\xff" * 100,
        b"",
        good_line.rstrip(),
    ):
        refuse(write(tmp_path / "backup", members, checksums=lines), "does not match|damaged")
    refuse(write(tmp_path / "backup", members, {"checksums_sha256": "0" * 64}), "does not match")


@pytest.mark.parametrize(
    "manifest",
    [
        {"format": "other"},
        {"version": None},
        {"video_count": "many"},
        {"lost_features": 7},
        {"created_at": None, "schema": None, "format": []},
    ],
)
def test_other_manifests_are_refused(
    tmp_path: Path, catalog_bytes: bytes, manifest: dict[str, Any]
) -> None:
    path = write(tmp_path / "backup", [("catalog.sqlite3", catalog_bytes)], manifest)
    refuse(path, "backup", VSearchError)


def test_a_newer_format_or_schema_is_refused(tmp_path: Path, catalog_bytes: bytes) -> None:
    path = write(tmp_path / "backup", [("catalog.sqlite3", catalog_bytes)], {"version": 2})
    refuse(path, "newer vsearch", NewerLibraryError)
    file = tmp_path / "newer.sqlite3"
    file.write_bytes(catalog_bytes)
    open_pool(file, schema=future(tmp_path / "scripts")).dispose()
    path = write(tmp_path / "second", [("catalog.sqlite3", file.read_bytes())])
    with pytest.raises(NewerLibraryError, match="newer vsearch"):
        Library.restore(path, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_damaged_or_hostile_catalog_is_refused(tmp_path: Path, catalog_bytes: bytes) -> None:
    broken = bytearray(catalog_bytes)
    broken[8192:40960] = bytes(32768)
    hostile = tmp_path / "hostile.sqlite3"
    hostile.write_bytes(catalog_bytes)
    with closing(sqlite3.connect(hostile)) as raw:
        raw.execute("PRAGMA journal_mode = DELETE")
        raw.execute("CREATE TRIGGER x AFTER INSERT ON tags BEGIN DELETE FROM videos; END")
    hostile_bytes = hostile.read_bytes()
    hostile.unlink()
    for content in (b"", b"x" * 5000, bytes(broken), hostile_bytes):
        refuse(write(tmp_path / "backup", [("catalog.sqlite3", content)]), "catalog")
    refuse(write(tmp_path / "backup", [("vsearch.toml", b"")]), "no catalog")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    for content in (b"", b"x", b"PK\x05\x06", b"PK\x05\x06" + b"\xff" * 18, b"\0" * 70_000):
        path.write_bytes(content)
        refuse(path, "is not a backup of vsearch")
    path.unlink()
    with pytest.raises(LibraryError, match=f"{path} does not exist; name the file"):
        Library.restore(path, tmp_path / "target")
    with pytest.raises(LibraryError, match="does not exist; name the file"):
        Library.restore(path / "below" / "it", tmp_path / "target")
    path.mkdir()
    with pytest.raises(LibraryError, match=f"{path} is a folder; name the file"):
        Library.restore(path, tmp_path / "target")


def test_a_huge_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "backup", [(f"features/{i}", b"") for i in range(100)])
    monkeypatch.setattr(archive, "MAX_MEMBERS", 50)
    refuse(path, "directory is too large")


def test_any_damage_is_noticed_and_loses_nothing(tmp_path: Path, catalog_bytes: bytes) -> None:
    members = [("catalog.sqlite3", catalog_bytes), ("features/a", bytes(range(256)) * 40)]
    path, target = write(tmp_path / "backup", members), tmp_path / "target"
    content, rng = path.read_bytes(), random.Random(0)
    for attempt in range(60):
        damaged = bytearray(content)
        if attempt % 3 == 0:
            del damaged[rng.randrange(len(content)) :]
        else:
            damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            Library.restore(path, target)
        except VSearchError:
            assert not target.exists()
        else:  # a bit that means nothing, such as a date
            assert (target / "catalog.sqlite3").read_bytes() == catalog_bytes
            assert (target / "features" / "a").read_bytes() == members[1][1]
            (target / "features" / "a").unlink()
            (target / "features").rmdir()
            (target / "catalog.sqlite3").unlink()
            target.rmdir()
