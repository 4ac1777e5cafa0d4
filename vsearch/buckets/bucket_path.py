"""Paths of files in buckets: a `pathlib.Path` whose text is the URL, and which reads by ranges.

Code that uses `stat`, `open`, `is_file` and the parts of a path works with a file on disk and in a
bucket. What needs a file on disk (`os.stat`, `os.scandir`, a program) must not get such a path.
"""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from vsearch.buckets.filesystems import (
    BACKENDS,
    ObjectAddress,
    ObjectInfo,
    compute_token,
    iter_listing,
    read_info,
)
from vsearch.buckets.range_file import RangeFile
from vsearch.errors import MissingExtraError, SettingsError, TransferError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import IO, Self

    from vsearch.types import PathInput

_BUCKET_RE = re.compile(rf"({'|'.join(BACKENDS)}):/{{1,2}}(?=[^/])", re.IGNORECASE)
# signed links, which are secrets and which no key contains
_SIGNATURE_RE = re.compile(r"(?i)[?&](?:x-amz-|x-goog-|awsaccesskeyid=|signature=|sig=|se=)")
_DIRECTORY_MODE, _FILE_MODE = stat.S_IFDIR | 0o555, stat.S_IFREG | 0o444
_BUCKET_DEVICE = 2**63 - 1  # a number of no device


class BucketPath(PosixPath):
    """Path of a file or folder in a bucket, such as `s3://films/2024/beach.mp4`.

    Its parts are those of `/s3:/films/2024/beach.mp4`, so that it is absolute and has parents.
    Links do not exist in buckets.
    """

    listed_info: ObjectInfo | None = None  # state in the listing in which the file was found

    if sys.version_info >= (3, 12):

        def __init__(self, *segments: PathInput) -> None:
            super().__init__(*map(_to_segment, segments))

    else:

        def __new__(cls, *segments: PathInput) -> Self:
            """Create a path from a URL and names."""
            return super().__new__(cls, *map(_to_segment, segments))

    def __str__(self) -> str:
        scheme, separator, rest = super().__str__()[1:].partition(":/")
        return f"{scheme}://{rest}" if separator else super().__str__()

    def __repr__(self) -> str:
        return f"BucketPath({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return BucketPath, (str(self),)

    @property
    def address(self) -> ObjectAddress:
        """Address of the file or folder."""
        return ObjectAddress(self.scheme, self.bucket_name, self.key)

    @property
    def scheme(self) -> str:
        """Scheme of the URL, a key of `BACKENDS`."""
        return self.parts[1].rstrip(":")

    @property
    def bucket_name(self) -> str:
        """Name of the bucket or container."""
        return self.parts[2]

    @property
    def key(self) -> str:
        """Key of the file in its bucket; empty for the bucket itself."""
        return "/".join(self.parts[3:])

    def as_posix(self) -> str:
        """Return the URL."""
        return str(self)

    def as_uri(self) -> str:
        """Return the URL with special characters quoted."""
        return f"{self.scheme}://{quote('/'.join(self.parts[2:]))}"

    def absolute(self) -> Self:
        """Return the path itself."""
        return self

    def resolve(self, strict: bool = False) -> Self:  # noqa: ARG002 - as of Path
        """Return the path itself: there are no links."""
        return self

    def expanduser(self) -> Self:
        """Return the path itself."""
        return self

    def samefile(self, other_path: PathInput) -> bool:
        """Return whether the other path is the same."""
        return str(self) == str(other_path)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:  # noqa: ARG002 - as of Path
        """Return size and times of a file; its ETag is the change time.

        Raises:
            FileNotFoundError: There is no such file.
            OSError: The bucket does not answer, or does not permit it.
        """
        try:
            info = self.read_info()
        except FileNotFoundError:
            if not self.is_dir():
                raise
            number = compute_token(str(self))
            return os.stat_result((_DIRECTORY_MODE, number, _BUCKET_DEVICE, 1, 0, 0, 0, 0, 0, 0))
        number, seconds = compute_token(str(self)), info.mtime_ns // 10**9
        return os.stat_result(
            (
                *(_FILE_MODE, number, _BUCKET_DEVICE, 1, 0, 0, info.size_bytes),
                *(seconds, seconds, seconds, seconds, seconds, seconds),
                *(info.mtime_ns, info.mtime_ns, info.state_token),
            )
        )

    def lstat(self) -> os.stat_result:
        """Return the same as `stat`."""
        return self.stat()

    def read_info(self) -> ObjectInfo:
        """Return the state of the file: as listed, if it was found in a listing."""
        if self.listed_info is not None:
            return self.listed_info
        try:
            return read_info(self.address)
        except (MissingExtraError, SettingsError) as error:
            raise OSError(str(error)) from error

    def forget_listing(self) -> Self:
        """Return the path without the state in a listing, so that the present state is read."""
        return type(self)(str(self))

    def exists(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002 - as of Path
        """Return whether there is a file or a folder."""
        return self.is_file() or self.is_dir()

    def is_file(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002 - as of Path
        """Return whether there is a file with this key.

        Raises:
            TransferError: The bucket does not answer, or does not permit it.
        """
        if not self.key:
            return False
        try:
            self.read_info()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise TransferError(format_transfer_error(self, error)) from error
        return True

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002 - as of Path
        """Return whether there are files below this path.

        Raises:
            TransferError: The bucket does not answer, or does not permit it.
        """
        try:
            return next(iter_entries(self, max_count=1), None) is not None
        except FileNotFoundError:
            return False
        except OSError as error:
            raise TransferError(format_transfer_error(self, error)) from error

    def is_symlink(self) -> bool:
        """Return False."""
        return False

    def iterdir(self) -> Generator[Self, None, None]:
        """Yield the files and folders directly below this path."""
        for entry in iter_entries(self):
            yield self / entry.name

    def open(  # type: ignore[override] # reading only
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.IOBase:
        """Open the file for reading by ranges.

        Raises:
            OSError: There is no such file, or it cannot be read.
        """
        if mode not in ("r", "rt", "rb"):
            raise OSError("files in buckets are only read")
        range_file = self.open_ranges()
        if mode == "rb":
            return io.BufferedReader(range_file) if buffering else range_file
        return io.TextIOWrapper(io.BufferedReader(range_file), encoding, errors, newline)

    def open_ranges(self, *, last_byte: int | None = None) -> RangeFile:
        """Open the file for reading by ranges, up to `last_byte`.

        Raises:
            OSError: There is no such file, or it cannot be read.
        """
        return RangeFile(self.address, self.read_info(), last_byte=last_byte)


@dataclass(frozen=True, slots=True)
class BucketEntry:
    """A file or folder in a listing; it has what is used of `os.DirEntry`."""

    name: str
    path: BucketPath  # of the folder that contains it, without a valid name
    info: ObjectInfo | None  # None for a folder

    @property
    def has_valid_name(self) -> bool:
        """True if the name can be a part of a path."""
        return _is_valid_name(self.name)

    def is_dir(self) -> bool:
        """Return whether it is a folder."""
        return self.info is None

    def is_file(self) -> bool:
        """Return whether it is a file."""
        return self.info is not None

    def is_symlink(self) -> bool:
        """Return False."""
        return False

    def stat(self, *, follow_symlinks: bool = True) -> BucketEntry:  # noqa: ARG002 - as of DirEntry
        """Return the entry itself, which has no attributes of Windows."""
        return self


def iter_entries(folder: BucketPath, *, max_count: int | None = None) -> Iterator[BucketEntry]:
    """Yield the files and folders directly below a path, page by page, by name within a page.

    Args:
        folder: A folder or a bucket.
        max_count: Enough entries.

    Raises:
        FileNotFoundError: There is no such bucket.
        OSError: The bucket does not answer, or does not permit it.
    """
    for name, info in iter_listing(folder.address, max_count=max_count):
        if _is_valid_name(name):
            entry_path = folder / name
            entry_path.listed_info = info
            yield BucketEntry(name, entry_path, info)
        else:
            yield BucketEntry(name, folder, info)


def _is_valid_name(name: str) -> bool:
    return name not in ("", ".", "..") and not set(name) & {"/", "\0"}


def to_path(path: PathInput) -> Path:
    """Return a path of a file on disk, or in a bucket if it is a URL of one.

    Args:
        path: Text or path; `Path("s3://films/a.mp4")`, which joins the slashes, is understood, too.
    """
    if isinstance(path, BucketPath):
        return path
    if is_bucket_url(path):
        return BucketPath(os.fspath(path))
    return path if isinstance(path, Path) else Path(path)


def to_absolute(path: PathInput) -> Path:
    """Return an absolute path, links kept; a URL of a bucket as `to_path` does. Never raises."""
    if is_bucket_url(path):
        return to_path(path)
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


def is_bucket_url(path: PathInput) -> bool:
    """Return whether a text is the URL of a file or folder in a bucket."""
    return _BUCKET_RE.match(os.fspath(path)) is not None


def check_bucket_url(path_text: str) -> None:
    """Raise SettingsError for a URL with a password or a signature, without repeating it.

    Args:
        path_text: A URL for which `is_bucket_url` is true.
    """
    scheme = path_text.partition(":")[0].lower()
    bucket_name = re.split(r"[/?#]", _BUCKET_RE.sub("", path_text))[0]
    if "@" in bucket_name or _SIGNATURE_RE.search(path_text):
        raise SettingsError(
            f"{scheme}://…: the URL contains a password or a signature; leave it out: credentials "
            "come from the environment or the configuration of the bucket's own tools"
        )
    if os.name == "nt":
        raise SettingsError(f"{scheme}://…: buckets are not supported on Windows; use WSL")


def format_transfer_error(path: BucketPath | ObjectAddress, error: OSError) -> str:
    """Return the message for a file or folder in a bucket that cannot be read to its end."""
    reason = error.strerror or str(error)
    if isinstance(error, PermissionError):
        return f"{path}: cannot be read ({reason})"
    return (
        f"{path}: cannot be read ({reason}); run the command again when the bucket can be reached"
    )


def as_image_source(path: Path) -> Path | IO[bytes]:
    """Return what Pillow opens: the path of a file on disk, or an open file in a bucket."""
    return cast("IO[bytes]", path.open("rb")) if isinstance(path, BucketPath) else path


def _to_segment(segment: PathInput) -> PathInput:
    """Return the internal form of a URL; names and other paths unchanged."""
    if isinstance(segment, BucketPath):
        segment = str(segment)
    if isinstance(segment, str) and (url_match := _BUCKET_RE.match(segment)):
        return f"/{url_match[1].lower()}:/{segment[url_match.end() :]}"
    return segment
