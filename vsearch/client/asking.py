"""A query as a server takes it: pictures and clips of one's own are uploaded, and go by their ids.

Text is sent as it was typed, but for the names of files.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from vsearch.errors import QueryError, UnreadableError, VSearchError
from vsearch.search.grammar import parts
from vsearch.search.query import Names, parse, query_of
from vsearch.types import Filters, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vsearch.client.connection import Connection
    from vsearch.types import Span

    Name = str | os.PathLike[str]

OURS = ("upload:", "video:")  # what stands before an id of the server


def text_of(
    query: str | Query,
    image: Name | None = None,
    clip: Name | None = None,
    span: Span | tuple[float, float] | None = None,
    videos: Sequence[str] = (),
    tags: Sequence[str] = (),
) -> str:
    """All that is asked, as one text. Raises QueryError."""
    if isinstance(query, Query):
        if videos or tags or (image, clip, span) != (None, None, None):
            raise QueryError("a Query holds its own pictures, clips and filters: give it alone")
        return str(query)
    more = Filters(videos=tuple(videos), tags=tuple(tags)).written()
    if (image, clip, span) != (None, None, None):
        more = [str(query_of("", image, clip, span, videos, tags))]
    return " ".join([query, *more] if query.strip() else more)


def kept(text: str) -> str:
    """Text that a server can keep: one without files from here. Raises QueryError."""
    return _by_ids(text, _refused)


def refers(text: str) -> bool:
    """Whether a query names results of the last one. Raises QueryError."""
    return any(part.name == "like" for part in parts(text))


class Uploads:
    """Files that go to a server for one search, and are gone from it afterwards."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ids: dict[Path, str] = {}

    @contextmanager
    def named(self, text: str) -> Iterator[str]:
        """The text with the ids of uploads, which last as long as the block."""
        try:
            yield _by_ids(text, self._id)
        finally:
            for each in self._ids.values():
                self._forget(each)
            self._ids.clear()

    def _id(self, name: str) -> str:
        path = Path(os.path.expanduser(name))  # noqa: PTH111 - never raises
        if path not in self._ids:
            self._ids[path] = self._send(path)
        return f"upload:{self._ids[path]}"

    def _send(self, path: Path) -> str:
        if not os.path.isfile(path):  # noqa: PTH113 - never raises, however odd the name
            raise UnreadableError(
                f"{path}: there is no such file here; a video of the server is video:ID"
            )
        sent = path.name.encode("utf-8", "replace").decode()
        try:
            with path.open("rb") as file:
                told = self._connection.json("POST", "/uploads", files={"file": (sent, file)})
        except OSError as error:
            raise UnreadableError(f"{path}: cannot be read ({error.strerror})") from error
        with self._connection.understood():
            return str(told["id"])

    def _forget(self, id_: str) -> None:
        try:
            self._connection.json("DELETE", f"/uploads/{quote(id_, safe='')}")
        except VSearchError:  # it forgets it by itself, later
            return


def _by_ids(text: str, file: Callable[[str], str]) -> str:
    """A query in which every picture and clip from here has become what `file` calls it."""
    written, changed = [], False
    for part in parts(text):
        typed = part.text
        if part.name in ("image", "clip") and not part.value.startswith(OURS):
            [term] = parse(typed, names=Names(file=file)).terms
            typed, changed = str(term), True
        written.append(typed)
    return " ".join(written) if changed else text


def _refused(name: str) -> str:
    raise QueryError(
        f"{name}: a file from here is not kept by the server; ask by words, or by clip:video:ID@3-8"
    )
