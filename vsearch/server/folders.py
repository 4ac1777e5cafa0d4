"""Folders that may be indexed through the server; clients know them only by opaque ids."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch.export.excerpts import to_one_line
from vsearch.media.discovery import is_link, is_photo, is_video
from vsearch.media.exclusion import make_default_rules
from vsearch.server.problems import Problem
from vsearch.storage.path_roots import is_within_roots

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_LISTED_FOLDERS = 1_000  # subfolders in one listing
MAX_SCANNED_ENTRIES = 10_000  # directory entries examined per listing
MAX_FOLDER_IDS = 100_000  # ids kept; the least recently used are dropped


@dataclass(frozen=True, slots=True)
class Subfolder:
    """A folder inside a listed folder."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class FolderListing:
    """A folder and its direct contents."""

    id: str
    name: str
    path: str  # for display
    parent_id: str | None  # None for a root
    video_count: int  # files with a video suffix
    subfolders: tuple[Subfolder, ...]
    truncated: bool = False  # not all entries were examined
    error: str | None = None  # why it cannot be read


class AllowedFolders:
    """Folders whose videos a server may index. Thread-safe."""

    def __init__(self, roots: Sequence[Path]) -> None:
        """Restrict listing and indexing to `roots`; links that leave them are ignored."""
        root_paths = dict.fromkeys(
            Path(os.path.abspath(root_path.expanduser()))  # noqa: PTH100
            for root_path in roots
        )
        self._id_secret = secrets.token_bytes(32)
        self._root_paths = {self._make_id(root_path): root_path for root_path in root_paths}
        self._resolved_roots = tuple(root_path.resolve() for root_path in root_paths)
        self._known_paths: OrderedDict[str, Path] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._root_paths)

    @property
    def resolved_roots(self) -> tuple[Path, ...]:
        """The roots with symbolic links resolved."""
        return self._resolved_roots

    def admits_path(self, video_path: Path) -> bool:
        """Return True unless a path inside a root has become a link out of the roots.

        Paths outside the roots are those that the owner indexed from the command line.
        """
        is_below_root = any(
            video_path.is_relative_to(root_path)
            for root_path in (*self._root_paths.values(), *self._resolved_roots)
        )
        return not is_below_root or is_within_roots(video_path, self._resolved_roots)

    def list_roots(self) -> list[FolderListing]:
        """Return the root folders."""
        return [self.list_folder(folder_id) for folder_id in self._root_paths]

    def list_folder(self, folder_id: str) -> FolderListing:
        """Return the current contents of a folder.

        Raises:
            Problem: 404 if the id is unknown or the folder is no longer inside a root.
        """
        folder_path = self.resolve_path(folder_id)
        video_count, truncated, error_text = 0, False, None
        subfolder_paths: list[Path] = []
        try:
            for entry_index, entry in enumerate(iter_entries(folder_path)):
                if entry_index >= MAX_SCANNED_ENTRIES or (
                    len(subfolder_paths) >= MAX_LISTED_FOLDERS and is_folder_entry(entry)
                ):
                    truncated = True
                    break
                if is_folder_entry(entry):
                    subfolder_paths.append(Path(entry.path))
                elif is_video_entry(entry):
                    video_count += 1
        except OSError as scan_error:
            error_text = (
                f"cannot be read ({scan_error.strerror or scan_error}); check the permissions"
            )
        subfolder_paths.sort(key=lambda subfolder_path: subfolder_path.name.casefold())
        subfolders = tuple(
            Subfolder(self._register_path(subfolder_path), to_one_line(subfolder_path.name))
            for subfolder_path in subfolder_paths
        )
        parent_id = (
            None if folder_id in self._root_paths else self._register_path(folder_path.parent)
        )
        folder_name = to_one_line(folder_path.name or str(folder_path))
        return FolderListing(
            folder_id,
            folder_name,
            to_one_line(str(folder_path)),
            parent_id,
            video_count,
            subfolders,
            truncated,
            error_text,
        )

    def resolve_path(self, folder_id: str) -> Path:
        """Return the path of a folder id.

        Raises:
            Problem: 404 if the id is unknown or the folder is no longer inside a root.
        """
        with self._lock:
            folder_path = self._root_paths.get(folder_id) or self._known_paths.get(folder_id)
            if folder_id in self._known_paths:
                self._known_paths.move_to_end(folder_id)
        # checked again, because it may have become a link
        if folder_path is None or not is_within_roots(folder_path, self._resolved_roots):
            raise Problem(404, "not-found", "there is no such folder; list the folders again")
        return folder_path

    def _register_path(self, folder_path: Path) -> str:
        folder_id = self._make_id(folder_path)
        if folder_id not in self._root_paths:
            with self._lock:
                self._known_paths[folder_id] = folder_path
                self._known_paths.move_to_end(folder_id)
                while len(self._known_paths) > MAX_FOLDER_IDS:
                    self._known_paths.popitem(last=False)
        return folder_id

    def _make_id(self, folder_path: Path) -> str:
        return hmac.new(self._id_secret, os.fsencode(folder_path), hashlib.sha256).hexdigest()[:24]


# --- entries of a folder


def iter_entries(folder_path: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder that indexing would not leave out, without links.

    Raises:
        OSError: If the folder cannot be read.
    """
    rules = make_default_rules(folder_path).enter_folder(folder_path)
    with os.scandir(folder_path) as scanned_entries:
        for entry in scanned_entries:
            if not (
                is_link(entry)
                or rules.find_exclusion(Path(entry.path), is_folder=is_folder_entry(entry))
            ):
                yield entry


def is_folder_entry(entry: os.DirEntry[str]) -> bool:
    """Return True if the entry is a folder; False also if that cannot be determined."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_video_entry(entry: os.DirEntry[str]) -> bool:
    """Return True if the entry is a file with the suffix of a video or photo."""
    try:
        return entry.is_file() and (is_video(Path(entry.path)) or is_photo(Path(entry.path)))
    except OSError:
        return False
