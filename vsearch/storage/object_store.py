"""Whole files under names, in a folder or a bucket.

Every file appears complete or not at all. Names are chosen so that a name never has two contents.
"""

from __future__ import annotations

import logging
import math
import os
import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from errno import ENOENT
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from vsearch.errors import MissingExtraError, StoreError
from vsearch.storage.atomic_files import PARTIAL_SUFFIX, atomic_write
from vsearch.storage.store_urls import EXTRAS_BY_SCHEME, find_store_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

log = logging.getLogger(__name__)
RETRY_SECONDS = 30.0  # during which a failed request is repeated, with growing pauses
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.2, 5.0
UNAVAILABLE_SECONDS = 30.0  # after a failure, in which requests are not repeated
FAST_FAILURE_SECONDS = 5.0  # after a failure, in which nothing is read: searches go on without
_CONNECT_SECONDS, _READ_SECONDS = 5, 15  # of one request
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A file of a store."""

    name: str  # relative to the store, with slashes
    size_bytes: int
    modified_at: float | None  # seconds since the epoch; None: not known


class ObjectStore(Protocol):
    """Files of a store. Safe to use from several threads.

    Methods raise FileNotFoundError for a missing file, and StoreError if the store cannot be used.
    """

    url: str  # for messages
    is_local: bool  # need not be cached

    def write(self, name: str, content: bytes) -> None:
        """Write or replace a file, which is complete whenever it can be read."""
        ...

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes `start` to `end` of a file; fewer where it ends before."""
        ...

    def list_objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the files below a folder of the store, or of all of it."""
        ...

    def remove(self, name: str) -> None:
        """Delete a file, if it exists."""
        ...


def open_object_store(store: str, *, retry_seconds: float | None = None) -> ObjectStore:
    """Return the store at an address; nothing is read and no connection is opened yet.

    Args:
        store: A folder or URL that `check_store` accepts.
        retry_seconds: Time in which failed requests are repeated; None: `RETRY_SECONDS`.
    """
    folder = find_store_folder(store)
    if folder is not None:
        return FolderObjects(folder)
    return BucketObjects(store, RETRY_SECONDS if retry_seconds is None else retry_seconds)


class FolderObjects:
    """Files in a folder, which several machines may share."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is created when something is written."""
        self.url, self.is_local, self._folder = str(folder), True, folder

    def write(self, name: str, content: bytes) -> None:
        """See `ObjectStore.write`."""
        try:
            with atomic_write(self._folder / name, sweep=False) as object_file:
                object_file.write(content)
        except OSError as error:
            raise self._describe(error, "written") from error

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """See `ObjectStore.read`."""
        try:
            with (self._folder / name).open("rb") as object_file:
                object_file.seek(start)
                return object_file.read() if end is None else object_file.read(end - start)
        except FileNotFoundError:
            if not self._folder.is_dir():  # a drive that is not connected
                raise StoreError(
                    f"{self.url}: the folder of the store is missing; connect its drive"
                ) from None
            raise
        except OSError as error:
            raise self._describe(error, "read") from error

    def list_objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore.list_objects`."""
        for folder_name, _, file_names in os.walk(self._folder / prefix):
            for file_name in file_names:
                file_path = self._folder / folder_name / file_name
                if file_path.suffix == PARTIAL_SUFFIX:
                    continue
                with suppress(FileNotFoundError):  # deleted meanwhile
                    status = file_path.stat()
                    name = file_path.relative_to(self._folder).as_posix()
                    yield StoredObject(name, status.st_size, status.st_mtime)

    def remove(self, name: str) -> None:
        """See `ObjectStore.remove`."""
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._describe(error, "deleted") from error

    def _describe(self, error: OSError, participle: str) -> StoreError:
        return StoreError(
            f"{self.url}: the store cannot be {participle} ({error.strerror or error}). Check the "
            "folder, its free space and permissions, and run the command again; what is stored "
            "is safe."
        )


class BucketObjects:
    """Files in a bucket, by the fsspec client of its kind, with credentials of that client."""

    def __init__(self, url: str, retry_seconds: float = RETRY_SECONDS) -> None:
        """Use a bucket; the client is loaded by the first request.

        Args:
            url: As in the settings, e.g. `s3://bucket/films`.
            retry_seconds: Time in which failed requests are repeated.
        """
        self.url, self.is_local, self._retry_seconds = url.rstrip("/"), False, retry_seconds
        self._client: tuple[Any, str] | None = None
        self._lock = threading.Lock()
        self._failure: tuple[float, str] | None = None  # monotonic time and message of the last

    def write(self, name: str, content: bytes) -> None:
        """See `ObjectStore.write`."""
        try:
            self._request(lambda client, root: client.pipe_file(f"{root}/{name}", content))
        except FileNotFoundError as error:
            raise self._describe(error) from error

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """See `ObjectStore.read`."""

        def read_range(client: Any, root: str) -> bytes:
            try:
                if not start and end is None:  # an empty file has no ranges
                    return bytes(client.cat_file(f"{root}/{name}"))
                return bytes(client.cat_file(f"{root}/{name}", start=start, end=end))
            except OSError as error:
                if _names(error) & _PAST_END:
                    return b""
                raise

        return self._request(read_range, is_read=True)

    def list_objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore.list_objects`."""

        def list_files(client: Any, root: str) -> list[tuple[str, dict[str, Any]]]:
            client.invalidate_cache()
            found = client.find(f"{root}/{prefix}".rstrip("/"), detail=True)
            skipped = len(root.lstrip("/")) + 1
            return [(path.lstrip("/")[skipped:], details) for path, details in found.items()]

        with suppress(FileNotFoundError):
            for name, details in self._request(list_files):
                yield StoredObject(name, int(details["size"]), _modified_at(details))

    def remove(self, name: str) -> None:
        """See `ObjectStore.remove`."""
        with suppress(FileNotFoundError):
            self._request(lambda client, root: client.rm_file(f"{root}/{name}"))

    def _connect(self) -> tuple[Any, str]:
        """Return the client, and the path of the store in it."""
        with self._lock:
            if self._client is None:
                scheme = self.url.partition("://")[0]
                options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
                if scheme == "s3":  # requests are repeated here
                    timeouts = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS}
                    options["config_kwargs"] = {**timeouts, "retries": {"max_attempts": 1}}
                try:
                    from fsspec.core import url_to_fs  # deferred: of an extra

                    client, root = url_to_fs(self.url, **options)
                    if scheme == "s3":
                        client.retries = 1
                    self._client = client, root
                except ImportError as error:
                    raise MissingExtraError(
                        f"{self.url}: {scheme}:// needs a package that is not installed: "
                        f"pip install 'vsearch[{EXTRAS_BY_SCHEME[scheme]}]'"
                    ) from error
            return self._client

    def _request(self, send: Callable[[Any, str], _Result], *, is_read: bool = False) -> _Result:
        """Send a request, again after a failure that may pass.

        Raises:
            FileNotFoundError: The bucket has no such file.
            StoreError: The bucket cannot be used.
        """
        failed_at, message = self._failure or (-math.inf, "")
        failed_seconds = time.monotonic() - failed_at
        if is_read and failed_seconds < FAST_FAILURE_SECONDS:
            raise StoreError(message)
        is_repeated = failed_seconds >= UNAVAILABLE_SECONDS
        deadline = time.monotonic() + self._retry_seconds * is_repeated
        for attempt in count():
            try:
                result = send(*self._connect())
                self._failure = None
                return result
            except (MissingExtraError, StoreError):
                raise
            except Exception as error:  # clients raise almost anything
                if isinstance(error, FileNotFoundError) and not _names(error) & _NO_BUCKET:
                    raise FileNotFoundError(ENOENT, os.strerror(ENOENT), self.url) from error
                pause_seconds = min(FIRST_PAUSE_SECONDS * 2**attempt, MAX_PAUSE_SECONDS)
                if _is_permanent(error) or time.monotonic() + pause_seconds > deadline:
                    store_error = self._describe(error)
                    self._failure = time.monotonic(), str(store_error)
                    raise store_error from error
                log.info("%s: %s; repeated", self.url, type(error).__name__)
                time.sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311 - not secret
        raise AssertionError("unreachable")

    def _describe(self, error: Exception) -> StoreError:
        """Return the error for the user, without the text of the client: it may have secrets."""
        names = _names(error)
        if names & _NO_BUCKET or isinstance(error, FileNotFoundError):
            problem = "there is no such bucket; create it, or correct `store` in the settings"
        elif names & _WRONG_REGION:
            problem = (
                "the bucket is in another region or at another endpoint; set the region and "
                "endpoint of its client (for s3: AWS_REGION, AWS_ENDPOINT_URL)"
            )
        elif names & _NO_CREDENTIALS:
            problem = (
                "no valid credentials were found; set them in the environment or configuration of "
                "the bucket's client (for s3: AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY)"
            )
        elif isinstance(error, PermissionError):
            problem = "no permission; check the credentials and what they may do in this bucket"
        else:
            problem = (
                f"the store cannot be reached or used ({type(error).__name__}). Check the network "
                "and the endpoint, and run the command again; what is stored is safe"
            )
        return StoreError(f"{self.url}: {problem}")


_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound", "InvalidBucketName"}
_WRONG_REGION = {
    "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
    "InvalidRegionError", "301",
}  # fmt: skip
_NO_CREDENTIALS = {
    "NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError",
    "TokenRetrievalError", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken",
    "InvalidToken", "DefaultCredentialsError", "RefreshError", "ClientAuthenticationError",
}  # fmt: skip
_PAST_END = {"InvalidRange", "416"}
_PERMANENT_NAMES = _NO_BUCKET | _WRONG_REGION | _NO_CREDENTIALS | {"ParamValidationError"}


def _names(error: BaseException) -> set[str]:
    """Return the names of an error and its causes, and the codes that the server sent."""
    names: set[str] = set()
    cause: BaseException | None = error
    while cause is not None:
        names.add(type(cause).__name__)
        response: Any = getattr(cause, "response", None)
        if isinstance(response, dict):
            names.add(str(response.get("Error", {}).get("Code")))
        cause = cause.__cause__ or cause.__context__
    return names


def _is_permanent(error: Exception) -> bool:
    """Return whether the same request would fail again."""
    return isinstance(error, PermissionError | ValueError | TypeError | AttributeError) or bool(
        _names(error) & _PERMANENT_NAMES
    )


def _modified_at(details: dict[str, Any]) -> float | None:
    for key in ("LastModified", "last_modified", "updated", "mtime", "created"):
        modified: object = details.get(key)
        if isinstance(modified, str):
            with suppress(ValueError):
                modified = datetime.fromisoformat(modified)
        if isinstance(modified, datetime):
            return modified.timestamp()
        if isinstance(modified, float):
            return modified
    return None
