"""The folders that the owner named and what lies below them, known to clients by ids alone."""

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

from vsearch.export.excerpts import one_line
from vsearch.web.problems import Problem
from vsearch.web.walk import entries, is_film, is_folder, within

if TYPE_CHECKING:
    from collections.abc import Sequence

LISTED = 1_000  # folders of one listing
SEEN = 10_000  # entries that are looked at for it
KNOWN = 100_000  # folders that have an id; those asked for longest ago lose theirs


@dataclass(frozen=True, slots=True)
class Below:
    """A folder in another one."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, and what is directly in it."""

    id: str
    name: str
    path: str  # as it is shown to people
    parent: str | None  # id; None for one that the owner named
    videos: int  # files that look like videos
    folders: tuple[Below, ...]
    cut: bool = False  # there is more in it than was looked at
    error: str | None = None  # why it cannot be read


class Folders:
    """Folders of which a server may index videos. Safe to use from several threads."""

    def __init__(self, roots: Sequence[Path]) -> None:
        """`roots` are what the owner named; nothing outside of them is ever shown or indexed."""
        named = dict.fromkeys(Path(os.path.abspath(root.expanduser())) for root in roots)  # noqa: PTH100
        self._secret = secrets.token_bytes(32)
        self._named = {self._id(root): root for root in named}
        self._real = tuple(root.resolve() for root in named)
        self._known: OrderedDict[str, Path] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._named)

    @property
    def real(self) -> tuple[Path, ...]:
        """The roots, with links followed."""
        return self._real

    def roots(self) -> list[Folder]:
        """Those that the owner named."""
        return [self.get(id_) for id_ in self._named]

    def get(self, id_: str) -> Folder:
        """The folder with that id as it is now. Raises Problem."""
        path = self.path(id_)
        videos, cut, error = 0, False, None
        below: list[Path] = []
        try:
            for number, entry in enumerate(entries(path, self._real)):
                if number >= SEEN or (len(below) >= LISTED and is_folder(entry)):
                    cut = True
                    break
                if is_folder(entry):
                    below.append(Path(entry.path))
                elif is_film(entry):
                    videos += 1
        except OSError as failed:
            error = f"cannot be read ({failed.strerror or failed}); check its permissions"
        below.sort(key=lambda one: one.name.casefold())
        listed = tuple(Below(self._know(one), one_line(one.name)) for one in below)
        parent = None if id_ in self._named else self._know(path.parent)
        name = one_line(path.name or str(path))
        return Folder(id_, name, one_line(str(path)), parent, videos, listed, cut, error)

    def path(self, id_: str) -> Path:
        """The folder with that id. Raises Problem where there is none, or none any more."""
        with self._lock:
            path = self._named.get(id_) or self._known.get(id_)
            if id_ in self._known:
                self._known.move_to_end(id_)
        if path is None or not within(path, self._real):  # it may have become a link
            raise Problem(404, "not-found", "there is no such folder; list the folders anew")
        return path

    def _know(self, path: Path) -> str:
        id_ = self._id(path)
        if id_ not in self._named:
            with self._lock:
                self._known[id_] = path
                self._known.move_to_end(id_)
                while len(self._known) > KNOWN:
                    self._known.popitem(last=False)
        return id_

    def _id(self, path: Path) -> str:
        return hmac.new(self._secret, os.fsencode(path), hashlib.sha256).hexdigest()[:24]
