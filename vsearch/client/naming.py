"""What people call videos and folders of a server, and how a server lists them."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from vsearch.catalog.globs import matcher
from vsearch.errors import LibraryError, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vsearch.client.connection import Connection
    from vsearch.types import Video

PAGE = 500  # things of a list that are asked for at once
DEEPEST = 64  # folders in folders


def path_of(name: str) -> str:
    """A name as a part of an address."""
    if name in ("", ".", ".."):
        raise LibraryError(f"{name!r} is no name")
    return quote(name, safe="", errors="replace")


def pages(connection: Connection, path: str) -> Iterator[Mapping[str, Any]]:
    """All things of a list."""
    offset = 0
    while True:
        told = connection.json("GET", path, params={"offset": offset, "limit": PAGE})
        items = told["items"]
        yield from items
        offset += len(items)
        if not items or offset >= int(told["total"]):
            return


def meant(videos: Sequence[Video], names: Sequence[str]) -> list[Video]:
    """The videos that any of the names means: by path, by folder, else as a glob."""
    chosen: set[int] = set()
    for name in names:
        here = [v.id for v in videos if v.path == PurePath(name)]
        here = here or [v.id for v in videos if v.path.is_relative_to(name)]
        fits = matcher([name])
        chosen |= set(here or [v.id for v in videos if fits(v.path)])
    return [video for video in videos if video.id in chosen]


def folder_ids(connection: Connection, names: Sequence[str]) -> list[str]:
    """The ids of folders that a server offers, or of those that are named. Raises LibraryError."""
    told = connection.json("GET", "/folders")
    with connection.understood():
        roots = [_Folder(each) for each in told["items"]]
    if not roots:
        raise LibraryError(
            f"{connection.url} offers no folder to index; name some to `vsearch serve`"
        )
    if not names:
        return [root.id for root in roots]
    return [_found(connection, roots, name) for name in names]


class _Folder:
    """A folder of a server."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.id, self.name = str(told["id"]), str(told["name"])
        self.path = PurePath(str(told["path"]))
        self.below = {str(each["name"]): str(each["id"]) for each in told["folders"]}


def _found(connection: Connection, roots: Sequence[_Folder], name: str) -> str:
    """The folder that a path, a name or an id means."""
    exact = [one.id for one in roots if name == one.id or PurePath(name) == one.path]
    if len(known := exact or [one.id for one in roots if name == one.name]) == 1:
        return known[0]
    for root in roots:
        if not known and PurePath(name).is_relative_to(root.path):
            parts = PurePath(name).relative_to(root.path).parts
            if (id_ := _below(connection, root, parts)) is not None:
                return id_
    there = ", ".join(str(root.path) for root in roots[:5])
    many = "several folders are called that" if known else "that folder is not offered"
    raise LibraryError(f"{name}: {many} at {connection.url}; there are: {there}")


def _below(connection: Connection, folder: _Folder, parts: Sequence[str]) -> str | None:
    if len(parts) > DEEPEST or ".." in parts:
        return None
    id_ = folder.id
    for part in parts:
        if part not in folder.below:
            return None
        id_ = folder.below[part]
        told = connection.json("GET", f"/folders/{path_of(id_)}")
        try:
            folder = _Folder(told)
        except (KeyError, TypeError) as error:
            raise ServerError(f"{connection.url}: tells of no folder that can be read") from error
    return id_
