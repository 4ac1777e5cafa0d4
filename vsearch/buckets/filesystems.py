"""Filesystems of buckets through fsspec: state of files, listings by pages, ranges, with retries.

Credentials and end points come from the environment and the configuration of each backend alone.
Errors are `OSError` with a short text of our own, because those of the backends name end points.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import random
import time
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from vsearch.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

_Answer = TypeVar("_Answer")
BACKENDS = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}  # packages; the extras have the schemes
CONNECT_SECONDS = 10.0
ATTEMPT_SECONDS = 30.0  # for one request
READ_SECONDS = 60.0  # for all attempts to read a range or to list a page
STATE_SECONDS = 15.0  # for all attempts to read the state of a file
_FIRST_PAUSE_SECONDS = 0.3  # doubled with each attempt
_MAX_PAUSE_SECONDS = 5.0
_MAX_CONNECTIONS = 64
_PAGE_KEYS = 1_000
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError")
_DENIED_CODES = (
    *("AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
    *("ExpiredToken", "InvalidToken", "RequestTimeTooSkewed", "401", "403"),
)
_PASSING_STATUSES = (408, 409, 425, 429)
_GONE_CODES = ("NoSuchKey", "NoSuchVersion", "NotFound", "404")


class ContentChangedError(OSError):
    """Raised if a file was replaced while it was read."""


class RequestRefusedError(OSError):
    """Raised if a server refuses a request for good."""


# of no use to repeat
_FINAL_ERRORS = (FileNotFoundError, PermissionError, ContentChangedError, RequestRefusedError)


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """Address of a file or folder in a bucket."""

    scheme: str  # a key of `BACKENDS`
    bucket_name: str
    key: str  # empty for the bucket itself

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket_name}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """State of a file in a bucket."""

    size_bytes: int
    mtime_ns: int  # nanoseconds since the epoch
    etag: str  # empty if the server sends none

    @property
    def state_token(self) -> int:
        """A number that changes with the content: of the ETag, or of size and time without one."""
        return compute_token(self.etag or f"{self.size_bytes} {self.mtime_ns}")


def compute_token(text: str) -> int:
    """Return a positive number of 63 bits for a text."""
    return (int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1) or 1


def require_backend(scheme: str) -> None:
    """Raise MissingExtraError with the command to install the backend of a scheme, if absent."""
    try:
        importlib.import_module(BACKENDS[scheme])
    except ImportError as error:
        raise MissingExtraError(
            f"{scheme}:// needs the package {BACKENDS[scheme]}, which is not installed: "
            f"pip install 'vsearch[{scheme}]'"
        ) from error


@lru_cache(maxsize=len(BACKENDS))
def open_filesystem(scheme: str) -> Any:
    """Return the filesystem of a scheme, configured by its own environment.

    Raises:
        MissingExtraError: Its package is not installed.
    """
    require_backend(scheme)
    import fsspec  # deferred: comes with the backends

    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme == "s3":
        options["config_kwargs"] = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": ATTEMPT_SECONDS,
            "retries": {"max_attempts": 0},
            "max_pool_connections": _MAX_CONNECTIONS,
        }
    filesystem = fsspec.filesystem(scheme, **options)
    if scheme == "s3":
        filesystem.retries = 1  # `_call` repeats
    return filesystem


def read_info(address: ObjectAddress, *, seconds: float | None = None) -> ObjectInfo:
    """Return the present state of a file.

    Args:
        address: The file.
        seconds: Time for all attempts.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: The bucket is gone or does not answer, or does not permit it.
        MissingExtraError: The backend is not installed.
    """
    filesystem = open_filesystem(address.scheme)

    async def request_info() -> ObjectInfo:
        if address.scheme == "s3":
            return _parse_info(
                await filesystem._call_s3(
                    "head_object", Bucket=address.bucket_name, Key=address.key
                )
            )
        info = await filesystem._info(f"{address.bucket_name}/{address.key}")
        if info.get("type") == "directory":
            raise FileNotFoundError(errno.ENOENT, "no such file")
        return _parse_info(info)

    try:
        return _call(address, request_info, seconds=seconds or STATE_SECONDS)
    except FileNotFoundError:
        check_bucket(address)
        raise


def check_bucket(address: ObjectAddress) -> None:
    """Raise OSError (ENODEV) if the bucket of a file does not exist, rather than the file."""
    bucket = replace(address, key="")
    try:
        next(iter_listing(bucket, max_count=1), None)
    except FileNotFoundError as error:
        raise OSError(errno.ENODEV, "there is no such bucket") from error
    except PermissionError:
        return  # files may be readable in a bucket that must not be listed


def read_range(address: ObjectAddress, info: ObjectInfo, start: int, end: int) -> bytes:
    """Read the bytes of a file from `start` up to `end`.

    Args:
        address: The file.
        info: Its state when it was opened.
        start: First byte.
        end: Byte after the last one; at most the size of the file.

    Raises:
        ContentChangedError: The file was replaced.
        OSError: It cannot be read.
    """
    filesystem = open_filesystem(address.scheme)

    async def request_range() -> bytes:
        if address.scheme != "s3":
            key = f"{address.bucket_name}/{address.key}"
            content = bytes(await filesystem._cat_file(key, start=start, end=end))
        else:
            condition = {"IfMatch": info.etag} if info.etag else {}
            response = await filesystem._call_s3(
                "get_object",
                Bucket=address.bucket_name,
                Key=address.key,
                Range=f"bytes={start}-{end - 1}",
                **condition,
            )
            content = await _read_body(response, end - start)
        if len(content) != end - start:
            raise TimeoutError(errno.ETIMEDOUT, "the answer is incomplete")
        return content

    return _call(address, request_range, seconds=READ_SECONDS)


async def _read_body(response: Any, byte_count: int) -> bytes:
    """Read the body of an answer, no more than one byte too many."""
    content = bytearray()
    body = response["Body"]
    try:
        while len(content) <= byte_count:
            chunk = await body.read(byte_count + 1 - len(content))
            if not chunk:
                break
            content += chunk
    finally:
        body.close()
    return bytes(content)


def iter_listing(
    address: ObjectAddress, *, max_count: int | None = None
) -> Iterator[tuple[str, ObjectInfo | None]]:
    """Yield the files and folders directly below an address, page by page, by name within a page.

    Args:
        address: A folder or a bucket.
        max_count: Enough entries.

    Yields:
        The name and the state, which is None for a folder.

    Raises:
        FileNotFoundError: There is no such bucket.
        OSError: The bucket does not answer, or does not permit it.
    """
    prefix = f"{address.key}/" if address.key else ""
    for files, folder_prefixes in _iter_pages(address, prefix, max_count):
        entries: dict[str, ObjectInfo | None] = {
            key.removeprefix(prefix): info
            for key, info in files
            if key != prefix  # a marker of the folder
        }
        folder_names = [
            folder_prefix.removeprefix(prefix).removesuffix("/")
            for folder_prefix in folder_prefixes
        ]
        names = [*entries, *folder_names]  # a file and a folder may have one name
        infos = [*entries.values(), *(None for _ in folder_names)]
        yield from sorted(zip(names, infos, strict=True), key=itemgetter(0))


def _iter_pages(
    address: ObjectAddress, prefix: str, max_count: int | None
) -> Iterator[tuple[list[tuple[str, ObjectInfo]], list[str]]]:
    """Yield pages of (key, state) of files, and of the prefixes of folders."""
    filesystem = open_filesystem(address.scheme)
    if address.scheme != "s3":
        yield _list_folder(filesystem, address, prefix)
        return
    arguments: dict[str, Any] = {
        "Bucket": address.bucket_name,
        "Prefix": prefix,
        "Delimiter": "/",
        "MaxKeys": min(_PAGE_KEYS, max_count + 1 if max_count else _PAGE_KEYS),
    }
    while True:

        async def request_page() -> Any:
            return await filesystem._call_s3("list_objects_v2", **arguments)

        page = _call(address, request_page, seconds=STATE_SECONDS if max_count else READ_SECONDS)
        yield (
            [(item["Key"], _parse_info(item)) for item in page.get("Contents", ())],
            [item["Prefix"] for item in page.get("CommonPrefixes", ())],
        )
        next_token = page.get("NextContinuationToken")
        if not page.get("IsTruncated") or next_token in (None, arguments.get("ContinuationToken")):
            return
        arguments["ContinuationToken"] = next_token


def _list_folder(
    filesystem: Any, address: ObjectAddress, prefix: str
) -> tuple[list[tuple[str, ObjectInfo]], list[str]]:
    """Return what a backend without pages lists."""
    bucket_prefix = f"{address.bucket_name}/"

    async def request_listing() -> Any:
        return await filesystem._ls(f"{bucket_prefix}{prefix}".rstrip("/"), detail=True)

    files, folder_prefixes = [], []
    for item in _call(address, request_listing, seconds=READ_SECONDS):
        key = item["name"].removeprefix(bucket_prefix)
        if item.get("type") == "directory":
            folder_prefixes.append(f"{key.rstrip('/')}/")
        elif key.startswith(prefix):
            files.append((key, _parse_info(item)))
    return files, folder_prefixes


def _parse_info(item: dict[str, Any]) -> ObjectInfo:
    """Return the state of a file from an answer of any backend."""
    fields = {name.lower(): value for name, value in item.items()}
    size = next((fields[name] for name in ("contentlength", "size") if fields.get(name)), 0)
    modified = next(
        (
            fields[name]
            for name in ("lastmodified", "last_modified", "updated", "mtime")
            if fields.get(name)
        ),
        0.0,
    )
    if isinstance(modified, str):
        modified = datetime.fromisoformat(modified)
    seconds = modified.timestamp() if isinstance(modified, datetime) else float(modified)
    return ObjectInfo(int(size), round(seconds * 1e6) * 1_000, str(fields.get("etag") or ""))


def _call(
    address: ObjectAddress, request: Callable[[], Awaitable[_Answer]], *, seconds: float
) -> _Answer:
    """Send a request, and repeat it with growing pauses after errors that may pass."""
    import asyncio  # deferred: a laptop needs neither

    from fsspec.asyn import sync

    loop = open_filesystem(address.scheme).loop

    async def attempt() -> _Answer:
        return await asyncio.wait_for(request(), min(ATTEMPT_SECONDS, seconds))

    deadline, pause_seconds = time.monotonic() + seconds, _FIRST_PAUSE_SECONDS
    while True:
        try:
            answer: _Answer = sync(loop, attempt)
        except Exception as error:
            plain_error = _translate_error(error)
            if (
                isinstance(plain_error, _FINAL_ERRORS)
                or time.monotonic() + pause_seconds > deadline
            ):
                raise plain_error from None  # the cause may name a signed URL
        else:
            return answer
        time.sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
        pause_seconds = min(2 * pause_seconds, _MAX_PAUSE_SECONDS)


def _translate_error(error: Exception) -> OSError:
    """Return an error of a backend as an OSError with a text that contains no secret."""
    original = error.__cause__ or error
    response = getattr(original, "response", None)
    fields = response.get("Error", {}) if isinstance(response, dict) else {}
    code, kind = str(fields.get("Code", "")), type(original).__name__
    if code in ("PreconditionFailed", "412"):
        return ContentChangedError(errno.ESTALE, "it was replaced while it was read")
    if code == "NoSuchBucket":
        return FileNotFoundError(errno.ENOENT, "there is no such bucket")
    if isinstance(error, FileNotFoundError) or code in _GONE_CODES:
        return FileNotFoundError(errno.ENOENT, "there is no such file")
    if kind in _NO_CREDENTIALS:
        return PermissionError(
            errno.EACCES, "there are no credentials; set them as for the bucket's own tools"
        )
    if isinstance(error, PermissionError) or code in _DENIED_CODES:
        return PermissionError(errno.EACCES, "the bucket does not permit it; check the credentials")
    if kind == "ParamValidationError":
        return RequestRefusedError(errno.EINVAL, "the name of the bucket or the key is not valid")
    if code:
        metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
        status = metadata.get("HTTPStatusCode", 0)
        is_final = 400 <= status < 500 and status not in _PASSING_STATUSES
        error_class = RequestRefusedError if is_final else OSError
        return error_class(errno.EIO, f"the bucket's server answers {code[:60]}")
    if isinstance(error, TimeoutError):
        return TimeoutError(errno.ETIMEDOUT, "the bucket's server does not answer in time")
    return OSError(errno.EHOSTUNREACH, f"the bucket's server cannot be reached: {kind}")
