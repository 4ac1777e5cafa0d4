"""The catalogue: what a library knows, read and changed through one class."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from vsearch.catalog.blobs import unpack
from vsearch.catalog.database import open_engine
from vsearch.catalog.failures import explained
from vsearch.catalog.globs import matcher
from vsearch.catalog.paths import restored, stored
from vsearch.catalog.soundness import problems
from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.types import Counts, Segment, Space, Span, Video

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from vsearch.catalog.change import Change
    from vsearch.types import Ids, Matrix

_VIDEO = """
    SELECT id, path, fingerprint, size, modified, duration, fps, width, height, codec, frames, note
    FROM videos
"""
_SEGMENT = 'SELECT id, video_id, start, "end" FROM segments'
_AMONG = "IN (SELECT value FROM json_each(?))"  # one variable, however many ids
_IN_SPACE = "FROM vectors WHERE space_id = (SELECT id FROM spaces WHERE name = ?)"
_COUNTS = """
    SELECT count(*), (SELECT count(*) FROM segments), total(duration), coalesce(sum(frames), 0)
    FROM videos
"""
_SPACE = """
    SELECT name, dim, speaks_text FROM spaces WHERE id = (SELECT space_id FROM library)
"""


class Catalog:
    """The catalogue of one library. Safe to read from several threads."""

    def __init__(self, path: Path, engine: Engine) -> None:
        """Prefer `Catalog.open`."""
        self._path, self._engine = path, engine
        self._writer = engine.execution_options(writes=True)

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Self:
        """Open a catalogue file; an older one is upgraded first, after a backup beside it.

        Raises NoLibraryError if there is none and it is not to be made, NewerLibraryError if a
        newer vsearch wrote it and DamagedLibraryError if it is none.
        """
        return cls(path, open_engine(path, create=create))

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def begin(self) -> Iterator[Change]:
        """One transaction: stored as a whole at the end, or not at all if anything is raised."""
        from vsearch.catalog.change import Change  # brings SQLAlchemy's ORM: slow, for writers only

        with explained(self._path), self._writer.begin() as connection:
            change = Change(connection, self._path)
            yield change
            change.close()

    def revision(self) -> int:
        """Grows by one with each transaction that changes segments or vectors."""
        return int(self._value("SELECT revision FROM library"))

    def space(self) -> Space | None:
        """The space of the library's vectors; None before there is one."""
        for name, dim, speaks_text in self._rows(_SPACE):
            return Space(name, dim, bool(speaks_text))
        return None

    def pooler(self) -> str | None:
        """What segment vectors were made with."""
        name: str | None = self._value("SELECT pooler FROM library")
        return name

    def videos(self, globs: Sequence[str] = ()) -> list[Video]:
        """All videos, or those that fit a glob (see `globs.matcher`), sorted by path."""
        matches = matcher(globs)
        found = map(_video, self._rows(_VIDEO))
        chosen = [video for video in found if not globs or matches(video.path)]
        return sorted(chosen, key=lambda video: str(video.path))

    def video(self, video_id: int) -> Video:
        """The video with that id; LibraryError if there is none (any more)."""
        for row in self._rows(f"{_VIDEO} WHERE id = ?", int(video_id)):
            return _video(row)
        raise self._missing(video_id)

    def videos_by_id(self, ids: Iterable[int]) -> dict[int, Video]:
        """The videos with these ids; those that are not there are left out."""
        rows = self._rows(f"{_VIDEO} WHERE id {_AMONG}", _listed(ids))
        return {video.id: video for video in map(_video, rows)}

    def find(self, path: Path) -> Video | None:
        """The video with exactly that path."""
        for row in self._rows(f"{_VIDEO} WHERE path = ?", stored(path)):
            return _video(row)
        return None

    def by_fingerprint(self, fingerprint: str) -> list[Video]:
        """The videos with that content, the first one indexed first."""
        return [
            _video(row)
            for row in self._rows(f"{_VIDEO} WHERE fingerprint = ? ORDER BY id", fingerprint)
        ]

    def sampled_at(self, video_id: int) -> float:
        """Frames a second at which a video was sampled; LibraryError if it is not there."""
        for (rate,) in self._rows("SELECT sampled_at FROM videos WHERE id = ?", int(video_id)):
            return float(rate)
        raise self._missing(video_id)

    def segment_ids(self, video_ids: Iterable[int] | None = None) -> Ids:
        """Ids of all segments, or of those of some videos, ascending, int64 (N,)."""
        if video_ids is None:
            rows = self._rows("SELECT id FROM segments ORDER BY id")
        else:
            query = f"SELECT id FROM segments WHERE video_id {_AMONG} ORDER BY id"  # noqa: S608
            rows = self._rows(query, _listed(video_ids))
        return np.array([row[0] for row in rows], np.int64)

    def segments(self, ids: Ids) -> list[Segment]:
        """The segments with these ids, in this order; those that are not there are left out."""
        rows = self._rows(f"{_SEGMENT} WHERE id {_AMONG}", _listed(ids))
        found = {segment.id: segment for segment in map(_segment, rows)}
        return [found[id_] for id_ in map(int, ids) if id_ in found]

    def segments_of(self, video_id: int) -> list[Segment]:
        """The segments of a video, as they follow each other."""
        query = f'{_SEGMENT} WHERE video_id = ? ORDER BY start, "end", id'
        return [_segment(row) for row in self._rows(query, int(video_id))]

    def vectors(self, ids: Ids | None, space: Space) -> tuple[Ids, Matrix]:
        """Vectors of these segments in this order, those that are not there left out, or of all.

        Returns ids int64 (N,) and vectors float32 (N, D), rows of unit length. All come ascending.
        """
        with self._reading() as connection:
            found, vectors = self._filled(connection, space, ids)
        if ids is None or np.array_equal(found, ids):
            return found, vectors
        places = np.searchsorted(found, ids)  # found is ascending
        inside = places < len(found)
        inside[inside] = found[places[inside]] == ids[inside]
        return found[places[inside]], vectors[places[inside]]

    def iter_vectors(
        self, space: Space, ids: Ids | None = None, batch: int = 10_000
    ) -> Iterator[tuple[Ids, Matrix]]:
        """Like `vectors`, but ascending by id, in batches, all of one state of the library."""
        with self._reading() as connection:
            yield from self._batches(connection, space, ids, batch)

    def counts(self) -> Counts:
        """How much the library holds."""
        return Counts(*self._rows(_COUNTS)[0])

    def check(self) -> list[str]:
        """What is wrong with the catalogue, a sentence each; nothing if it is sound."""
        try:
            with self._reading() as connection:
                return list(problems(connection))
        except DamagedLibraryError as error:
            return [str(error)]

    def _filled(self, connection: Connection, space: Space, ids: Ids | None) -> tuple[Ids, Matrix]:
        """Ids and vectors, ascending, in arrays that are made once: there may be gigabytes."""
        query, values = _selection("SELECT count(*)", space, ids)
        total = connection.exec_driver_sql(query, values).scalar_one()
        found = np.empty(total, np.int64)
        vectors = np.empty((total, space.dim), np.float32)
        filled = 0
        for some, rows in self._batches(connection, space, ids, 10_000):
            found[filled : filled + len(some)] = some
            vectors[filled : filled + len(some)] = rows
            filled += len(some)
        return found, vectors

    def _batches(
        self, connection: Connection, space: Space, ids: Ids | None, size: int
    ) -> Iterator[tuple[Ids, Matrix]]:
        query, values = _selection("SELECT segment_id, data", space, ids)
        result = connection.exec_driver_sql(f"{query} ORDER BY segment_id", values)
        while rows := result.fetchmany(size):
            try:
                vectors = unpack([row[1] for row in rows], space.dim)
            except (ValueError, TypeError) as error:
                raise DamagedLibraryError(
                    f"{self._path} is damaged: in {space.name} {error}. Index the videos again."
                ) from error
            yield np.array([row[0] for row in rows], np.int64), vectors

    def _value(self, query: str) -> Any:
        """The one value of a query about the library's own row."""
        rows = self._rows(query)
        if not rows:
            raise DamagedLibraryError(
                f"{self._path} is damaged: it says nothing about itself. Restore it from a "
                "backup, or move it away and index the videos again."
            )
        return rows[0][0]

    def _rows(self, query: str, *values: object) -> Sequence[Sequence[Any]]:
        with self._reading() as connection:
            return connection.exec_driver_sql(query, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the library."""
        with explained(self._path), self._engine.connect() as connection:
            yield connection

    def _missing(self, video_id: int) -> LibraryError:
        return LibraryError(f"{self._path} holds no video {video_id} (any more)")


def _selection(what: str, space: Space, ids: Ids | None) -> tuple[str, tuple[str, ...]]:
    """The beginning of a query about vectors, and its values."""
    if ids is None:
        return f"{what} {_IN_SPACE}", (space.name,)
    return f"{what} {_IN_SPACE} AND segment_id {_AMONG}", (space.name, _listed(ids))


def _listed(ids: Iterable[int]) -> str:
    return json.dumps([int(id_) for id_ in ids])


def _video(row: Sequence[Any]) -> Video:
    return Video(row[0], restored(row[1]), *row[2:])


def _segment(row: Sequence[Any]) -> Segment:
    return Segment(row[0], row[1], Span(row[2], row[3]))
