"""Backup archives: uncompressed zip files with a checksum of each member.

The last members are `checksums.txt`, in the format of `sha256sum`, and `manifest.json`. An archive
may come from somebody else: nothing is written that its size or its member names could abuse.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zipfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from vsearch.errors import DamagedLibraryError, NewerLibraryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

FORMAT_NAME, FORMAT_VERSION = "vsearch backup", 1
MANIFEST_FILE, CHECKSUMS_FILE = "manifest.json", "checksums.txt"
CHUNK_BYTES = 1 << 20
MAX_MEMBERS = 2_000_000
MAX_DIRECTORY_BYTES = 512 * MAX_MEMBERS
MAX_MANIFEST_BYTES = 16 << 20
_MAX_NAME_BYTES = 400
# the files of a library; no part is `..`, hidden, or leads elsewhere
_NAME_PART = rf"(?!\.)[^/\\\x00-\x1f\x7f{':*?<>|' if os.name == 'nt' else ''}]{{1,200}}"
_MEMBER_NAME = re.compile(
    rf"catalog\.sqlite3|vsearch\.toml|indexed_folders\.json|{_NAME_PART}\.npz"
    rf"|(?:features|training)(?:/{_NAME_PART}){{1,8}}"
)
_CHECKSUM_LINE = re.compile(r"([0-9a-f]{64})  (.+)\n")
_END_RECORD = struct.Struct("<4s4H2LH")  # end of central directory
_END_SIGNATURE = b"PK\x05\x06"
_END_LOCATOR_64 = struct.Struct("<4sLQL")
_END_RECORD_64 = struct.Struct("<4sQ2H2L4Q")
_MAX_COMMENT_BYTES = 65_535


@dataclass(frozen=True, slots=True)
class BackupInfo:
    """A backup of a library.

    Attributes:
        created_at: UTC, ISO 8601.
        schema: Schema revision of the catalog.
        video_count: Number of videos.
        feature_count: Number of files of frame features.
        lost_features: Videos whose frame features are not in the backup, because they were
            missing from the library, or damaged there.
        size_bytes: Size of the file.
    """

    created_at: str
    schema: str
    video_count: int
    feature_count: int
    lost_features: tuple[str, ...] = ()
    size_bytes: int = 0


class ArchiveWriter:
    """Writes an archive, member by member."""

    def __init__(self, output_file: BinaryIO) -> None:
        """Write to a file that is open for writing."""
        self._zip_file = zipfile.ZipFile(output_file, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._checksums: dict[str, str] = {}

    def __contains__(self, member_name: str) -> bool:
        return member_name in self._checksums

    def add_file(self, member_name: str, file_path: Path) -> None:
        """Add a file.

        Args:
            member_name: Path in the library, with slashes.
            file_path: The file.

        Raises:
            OSError: The file cannot be read, or the archive cannot be written.
        """
        digest = hashlib.sha256()
        with (
            file_path.open("rb") as source_file,
            self._zip_file.open(_member_info(member_name), "w", force_zip64=True) as member_file,
        ):
            while chunk := source_file.read(CHUNK_BYTES):
                digest.update(chunk)
                member_file.write(chunk)
        self._checksums[member_name] = digest.hexdigest()

    def add_bytes(self, member_name: str, content: bytes) -> None:
        """Add a file whose content was read already.

        Args:
            member_name: Path in the library, with slashes.
            content: Its content.

        Raises:
            OSError: The archive cannot be written.
        """
        self._zip_file.writestr(_member_info(member_name), content)
        self._checksums[member_name] = hashlib.sha256(content).hexdigest()

    def close(self) -> None:
        """Close the archive, which is incomplete unless it was finished."""
        self._zip_file.close()

    def finish(self, backup_info: BackupInfo) -> None:
        """Write checksums, manifest and directory."""
        digest = hashlib.sha256()
        with self._zip_file.open(
            _member_info(CHECKSUMS_FILE), "w", force_zip64=True
        ) as member_file:
            for member_name, checksum in self._checksums.items():
                line = f"{checksum}  {member_name}\n".encode()
                digest.update(line)
                member_file.write(line)
        manifest = {
            "format": FORMAT_NAME,
            "version": FORMAT_VERSION,
            "checksums_sha256": digest.hexdigest(),
            **{key: value for key, value in asdict(backup_info).items() if key != "size_bytes"},
        }
        self._zip_file.writestr(_member_info(MANIFEST_FILE), json.dumps(manifest, indent=1))
        self._zip_file.close()


def _member_info(member_name: str) -> zipfile.ZipInfo:
    member_info = zipfile.ZipInfo(member_name)
    member_info.external_attr = 0o600 << 16
    return member_info


@dataclass(slots=True)
class ArchiveReader:
    """A verified directory of an archive, whose members are verified as they are extracted."""

    backup_path: Path
    info: BackupInfo
    _zip_file: zipfile.ZipFile
    _checksums_digest: str
    _names: set[str] = field(default_factory=set)

    def extract_all(self, target_folder: Path) -> None:
        """Extract all members and compare their checksums.

        Args:
            target_folder: A folder that only this process uses.

        Raises:
            DamagedLibraryError: A member is missing, damaged or not allowed.
            OSError: A file cannot be written.
        """
        remaining_names = self._names - {MANIFEST_FILE, CHECKSUMS_FILE}
        listing_digest = hashlib.sha256()
        with damage_named(self.backup_path), self._zip_file.open(CHECKSUMS_FILE) as listing_file:
            while line := listing_file.readline(_MAX_NAME_BYTES + 100):
                listing_digest.update(line)
                line_match = _CHECKSUM_LINE.fullmatch(line.decode())
                if line_match is None or line_match[2] not in remaining_names:
                    raise ValueError(f"{CHECKSUMS_FILE} does not match the other files")
                remaining_names.remove(line_match[2])
                self._extract_member(line_match[2], line_match[1], target_folder)
            if remaining_names or listing_digest.hexdigest() != self._checksums_digest:
                raise ValueError(f"{CHECKSUMS_FILE} does not match the other files")

    def _extract_member(self, member_name: str, checksum: str, target_folder: Path) -> None:
        target_path = target_folder.joinpath(*member_name.split("/"))
        target_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with self._zip_file.open(member_name) as member_file, target_path.open("xb") as target_file:
            while chunk := member_file.read(CHUNK_BYTES):
                digest.update(chunk)
                target_file.write(chunk)
        if digest.hexdigest() != checksum:
            raise ValueError(f"the checksum of {member_name} does not match")


@contextmanager
def open_archive(backup_path: Path) -> Iterator[ArchiveReader]:
    """Open an archive and verify its directory.

    Args:
        backup_path: The file.

    Yields:
        The archive.

    Raises:
        DamagedLibraryError: It is not a backup, or damaged.
        NewerLibraryError: A newer version of vsearch wrote it.
        OSError: The file cannot be read.
    """
    with backup_path.open("rb") as backup_file:
        with damage_named(backup_path):
            size_bytes = backup_file.seek(0, 2)
            _check_directory_size(backup_file, size_bytes)
            zip_file = zipfile.ZipFile(backup_file)
        with zip_file:
            with damage_named(backup_path):
                member_names = _check_members(zip_file, size_bytes)
                manifest = json.loads(zip_file.read(MANIFEST_FILE))
                backup_info, checksums_digest = _read_manifest(manifest, size_bytes)
            yield ArchiveReader(backup_path, backup_info, zip_file, checksums_digest, member_names)


@contextmanager
def damage_named(backup_path: Path) -> Iterator[None]:
    """Translate errors of a block that reads a damaged archive into DamagedLibraryError."""
    try:
        yield
    except (OSError, DamagedLibraryError, NewerLibraryError):
        raise
    except Exception as exc:  # zipfile and json raise almost anything
        reason = str(exc) or type(exc).__name__
        raise DamagedLibraryError(
            f"{backup_path} is not a backup of vsearch, or it is damaged ({reason[:200]}). Nothing "
            "was changed; use another copy of the backup."
        ) from exc


def _check_directory_size(backup_file: BinaryIO, size_bytes: int) -> None:
    """Raise ValueError for a directory that would need too much memory."""
    tail_bytes = min(size_bytes, _END_RECORD.size + _MAX_COMMENT_BYTES)
    tail_start = backup_file.seek(size_bytes - tail_bytes)
    tail = backup_file.read(tail_bytes)
    end_offset = tail.rfind(_END_SIGNATURE)
    if end_offset < 0:
        raise ValueError("it is not a complete zip file")
    end_record = _END_RECORD.unpack_from(tail, end_offset)
    member_count, directory_bytes = end_record[4], end_record[5]
    locator_position = tail_start + end_offset - _END_LOCATOR_64.size
    if locator_position >= 0:
        backup_file.seek(locator_position)
        locator = _END_LOCATOR_64.unpack(backup_file.read(_END_LOCATOR_64.size))
        if locator[0] == b"PK\x06\x07":
            backup_file.seek(locator_position - _END_RECORD_64.size)
            record_64 = _END_RECORD_64.unpack(backup_file.read(_END_RECORD_64.size))
            if record_64[0] != b"PK\x06\x06":
                raise ValueError("its directory is damaged")
            member_count, directory_bytes = record_64[7], record_64[8]
    if member_count > MAX_MEMBERS or directory_bytes > min(MAX_DIRECTORY_BYTES, size_bytes):
        raise ValueError("its directory is too large")


def _check_members(zip_file: zipfile.ZipFile, size_bytes: int) -> set[str]:
    """Return the names of all members; raise ValueError if one is not allowed."""
    members, total_bytes = zip_file.infolist(), 0
    member_names = {member.filename for member in members}
    folded_names = {member_name.casefold() for member_name in member_names}
    if len(folded_names) != len(members):
        raise ValueError("it has several files of one name")
    for member in members:
        is_stored = (
            member.compress_type == zipfile.ZIP_STORED
            and member.file_size == member.compress_size
            and not member.flag_bits & 1  # encrypted
        )
        total_bytes += member.file_size
        if not is_stored or total_bytes > size_bytes:
            raise ValueError(f"{member.filename[:100]!r} is larger than the file")
        if member.filename not in (MANIFEST_FILE, CHECKSUMS_FILE) and not is_allowed(
            member.filename
        ):
            raise ValueError(f"{member.filename[:100]!r} is not a file of a library")
    if not {MANIFEST_FILE, CHECKSUMS_FILE, "catalog.sqlite3"} <= member_names:
        raise ValueError("it has no catalog or no manifest")
    if zip_file.getinfo(MANIFEST_FILE).file_size > MAX_MANIFEST_BYTES:
        raise ValueError(f"{MANIFEST_FILE} is too large")
    return member_names


def is_allowed(member_name: str) -> bool:
    """Return whether a name is that of a file of a library, below its folder."""
    return (
        len(member_name.encode("utf-8", "surrogatepass")) <= _MAX_NAME_BYTES
        and _MEMBER_NAME.fullmatch(member_name) is not None
    )


def _read_manifest(manifest: Any, size_bytes: int) -> tuple[BackupInfo, str]:
    """Return the description of the backup and the digest of its checksums."""
    if manifest["format"] != FORMAT_NAME:
        raise ValueError("it is another kind of zip file")
    if int(manifest["version"]) != FORMAT_VERSION:
        raise NewerLibraryError(
            f"the backup was written by a newer vsearch: its format is {manifest['version']!r}, "
            f"this version knows {FORMAT_VERSION}. Upgrade vsearch; nothing was changed."
        )
    backup_info = BackupInfo(
        str(manifest["created_at"]),
        str(manifest["schema"]),
        int(manifest["video_count"]),
        int(manifest["feature_count"]),
        tuple(map(str, manifest["lost_features"])),
        size_bytes,
    )
    return backup_info, str(manifest["checksums_sha256"])
