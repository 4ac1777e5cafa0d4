"""The catalogue: what a library knows, read and changed through one class."""

from __future__ import annotations

import json
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from vsearch.catalog import marks, searches, words
from vsearch.catalog import tags as tagging
from vsearch.catalog.blobs import unpack
from vsearch.catalog.cue_index import CueIndex
from vsearch.catalog.database import open_pool
from vsearch.catalog.failures import explained, sensible
from vsearch.catalog.globs import matcher
from vsearch.catalog.nearby import Run, runs
from vsearch.catalog.paths import restored, storable, stored
from vsearch.catalog.rows import (
    read_counts,
    read_known_space,
    read_number,
    read_segment,
    read_space,
    read_video,
)
from vsearch.catalog.soundness import problems
from vsearch.errors import DamagedLibraryError, LibraryError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from vsearch.catalog.change import Change
    from vsearch.catalog.pool import Pool
    from vsearch.types import (
        Counts,
        Cue,
        CueSource,
        Ids,
        KnownSpace,
        Mark,
        Matrix,
        SavedSearch,
        Segment,
        Space,
        Span,
        Tag,
        Transcript,
        Video,
    )

Noun = TypeVar("Noun")

_VIDEO = """
    SELECT id, path, fingerprint, size, modified, duration, fps, width, height, codec, frames, note,
        recorded_at, (SELECT model FROM features WHERE video_id = videos.id
            AND space_id = (SELECT space_id FROM library)), keyframes
    FROM videos
"""
_SEGMENTS_OF = """
    SELECT id, video_id, start, "end" FROM segments WHERE video_id = ? ORDER BY start, "end", id
"""
_AMONG = "IN (SELECT value FROM json_each(?))"  # one variable, however many ids
_WHOLE_VIDEOS = f"""
    SELECT segments.id, video_id, start, "end", data FROM segments
    JOIN vectors ON segment_id = segments.id AND space_id = (SELECT id FROM spaces WHERE name = ?)
    WHERE video_id IN (SELECT video_id FROM segments WHERE id {_AMONG})
    ORDER BY video_id, start, "end", segments.id
"""  # noqa: S608
# DISTINCT: else older versions of SQLite read the JSON anew for each segment
_OVERLAPPING = """
    WITH place AS (
        SELECT DISTINCT key, json_extract(value, '$[0]') AS video,
            json_extract(value, '$[1]') AS since, json_extract(value, '$[2]') AS until
        FROM json_each(?))
    SELECT key, segments.id FROM place CROSS JOIN segments ON video_id = video AND start <= until
        AND ("end" > since AND start < until OR start = since)
    ORDER BY key, start, segments.id
"""
_SHOWN_AT = """
    SELECT key, data FROM json_each(?) JOIN vectors ON segment_id = (
        SELECT CASE WHEN "end" > json_extract(value, '$[1]') OR start = json_extract(value, '$[1]')
            THEN id END
        FROM segments
        WHERE video_id = json_extract(value, '$[0]') AND start <= json_extract(value, '$[1]')
        ORDER BY start DESC LIMIT 1)
    AND space_id = (SELECT id FROM spaces WHERE name = ?)
"""
_OF_SPACE = "space_id = (SELECT id FROM spaces WHERE name = ?)"
_IN_SPACE = f"FROM vectors WHERE {_OF_SPACE}"
_COUNTS = """
    SELECT count(*), (SELECT count(*) FROM segments), total(duration), coalesce(sum(frames), 0)
    FROM videos
"""
_SPACE = """
    SELECT name, dim, speaks_text FROM spaces WHERE id = (SELECT space_id FROM library)
"""
_SPACES = """
    SELECT name, dim, speaks_text, model, pooler, answered_until,
        id IS (SELECT space_id FROM library)
    FROM spaces ORDER BY id
"""
_MODELS = """
    SELECT DISTINCT model FROM features
    WHERE model IS NOT NULL AND space_id = (SELECT space_id FROM library) ORDER BY model
"""
_LACKING = f"""
    {_VIDEO} WHERE id IN (
        SELECT video_id FROM segments WHERE NOT EXISTS (
            SELECT 1 FROM vectors WHERE segment_id = segments.id
            AND space_id = (SELECT id FROM spaces WHERE name = ?)))
"""  # noqa: S608


class Catalog:
    """The catalogue of one library. Safe to read from several threads."""

    def __init__(self, path: Path, pool: Pool) -> None:
        """Prefer `Catalog.open`."""
        self._path, self._pool = path, pool

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Self:
        """Open a catalogue file; an older one is upgraded first, after a backup beside it.

        Raises NoLibraryError if there is none and it is not to be made, NewerLibraryError if a
        newer vsearch wrote it and DamagedLibraryError if it is none.
        """
        return cls(path, open_pool(path, create=create))

    def close(self) -> None:
        """Let go of the file."""
        self._pool.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def begin(self) -> Iterator[Change]:
        """One transaction: stored as a whole at the end, or not at all if anything is raised."""
        from vsearch.catalog.change import Change  # brings SQLAlchemy's ORM: slow, for writers only

        with explained(self._path), self._pool.writing() as connection:
            change = Change(connection, self._path)
            yield change
            change.close()

    def revision(self) -> int:
        """Grows with each transaction that changes segments or vectors."""
        with sensible(self._path):
            return int(self._value("SELECT revision FROM library"))

    def space(self) -> Space | None:
        """The space of the library's vectors; None before there is one."""
        return next(iter(self._read(read_space, _SPACE)), None)

    def pooler(self) -> str | None:
        """What the vectors of the library's space were pooled by; None before there are any."""
        return next((known.pooler for known in self.spaces() if known.in_use), None)

    def spaces(self) -> list[KnownSpace]:
        """Every space there are or were to be vectors in, the first one first; nothing counted."""
        return self._read(read_known_space, _SPACES)

    def lacking(self, space: Space) -> list[Video]:
        """The videos that have a segment without a vector in a space, sorted by path."""
        found = self._read(read_video, _LACKING, space.name)
        return sorted(found, key=lambda video: str(video.path))

    def described_in(self, space: Space) -> set[int]:
        """The ids of the videos that have frame features in a space."""
        query = f"SELECT video_id FROM features WHERE {_OF_SPACE}"  # noqa: S608
        return {int(row[0]) for row in self._rows(query, space.name)}

    def vector_bytes(self, space: Space) -> int:
        """How much room the vectors of a space take."""
        query = f"SELECT total(length(data)) FROM vectors WHERE {_OF_SPACE}"  # noqa: S608
        return int(self._rows(query, space.name)[0][0])

    def videos(self, globs: Sequence[str] = ()) -> list[Video]:
        """All videos, or those that fit a glob (see `globs.matcher`), sorted by path."""
        matches = matcher(globs)
        found = self._read(read_video, _VIDEO)
        chosen = [video for video in found if not globs or matches(video.path)]
        return sorted(chosen, key=lambda video: str(video.path))

    def videos_by_id(self, ids: Iterable[int]) -> dict[int, Video]:
        """The videos with these ids; those that are not there are left out."""
        found = self._read(read_video, f"{_VIDEO} WHERE id {_AMONG}", _listed(ids))
        return {video.id: video for video in found}

    def paths(self) -> dict[int, Path]:
        """Where each video is, by id."""
        rows = self._rows("SELECT id, path FROM videos")
        with sensible(self._path):
            return {int(id_): restored(path) for id_, path in rows}

    def models(self) -> list[str]:
        """By which models videos are in the library's space, where that was noted, sorted."""
        return [str(row[0]) for row in self._rows(_MODELS)]

    def chosen(self, query: str, values: Sequence[object]) -> Ids:
        """The ids that a query of `filters.selection` gives, ascending, int64 (N,)."""
        return np.sort(np.array([row[0] for row in self._rows(query, *values)], np.int64))

    def searches(self) -> list[SavedSearch]:
        """The searches that were saved, by name."""
        return self._read(searches.read_search, searches.ALL)

    def marks(self, query: str | None = None) -> list[Mark]:
        """What was marked for a query, or for any, the latest first."""
        if query is None:
            return self._read(marks.read_mark, marks.ALL + marks.IN_ORDER)
        those = f"{marks.ALL} WHERE query = ? {marks.IN_ORDER}"
        return self._read(marks.read_mark, those, storable(query))

    def find(self, path: Path) -> Video | None:
        """The video with exactly that path."""
        found = self._read(read_video, f"{_VIDEO} WHERE path = ?", stored(path))
        return next(iter(found), None)

    def by_fingerprint(self, fingerprint: str) -> list[Video]:
        """The videos with that content, the first one indexed first."""
        return self._read(read_video, f"{_VIDEO} WHERE fingerprint = ? ORDER BY id", fingerprint)

    def sampled_at(self, video_id: int) -> float:
        """Frames a second at which a video was sampled; LibraryError if it is not there."""
        query = "SELECT sampled_at FROM videos WHERE id = ?"
        for rate in self._read(lambda row: read_number(row[0]), query, int(video_id)):
            return rate
        raise LibraryError(f"{self._path} holds no video {video_id} (any more)")

    def segment_ids(self, video_ids: Iterable[int] | None = None, *, after: int = 0) -> Ids:
        """Ids of all segments, or of those of some videos, ascending, int64 (N,).

        Only those `after` an id, which are those that came later.
        """
        of_videos = "" if video_ids is None else f"AND video_id {_AMONG}"
        query = f"SELECT id FROM segments WHERE id > ? {of_videos} ORDER BY id"  # noqa: S608
        values = (after,) if video_ids is None else (after, _listed(video_ids))
        with self._reading() as connection:  # there may be millions
            return np.fromiter((row[0] for row in connection.execute(query, values)), np.int64)

    def segment_count(self) -> int:
        """How many segments there are."""
        return int(self._rows("SELECT count(*) FROM segments")[0][0])

    def segments_of(self, video_id: int) -> list[Segment]:
        """The segments of a video, as they follow each other."""
        return self._read(read_segment, _SEGMENTS_OF, int(video_id))

    def videos_of(self, ids: Ids) -> Ids:
        """The id of the video of each of these segments, int64 (N,); 0 where there is none."""
        query = f"SELECT id, video_id FROM segments WHERE id {_AMONG}"  # noqa: S608
        known = {int(row[0]): int(row[1]) for row in self._rows(query, _listed(ids))}
        return np.array([known.get(int(id_), 0) for id_ in ids], np.int64)

    def overlapping(self, places: Sequence[tuple[int, Span]]) -> list[Ids]:
        """For each place, the id of a video and a span of it: the segments that it overlaps."""
        listed = json.dumps([(int(id_), span.start, span.end) for id_, span in places])
        found: list[list[int]] = [[] for _ in places]
        for place, id_ in self._rows(_OVERLAPPING, listed):
            found[place].append(id_)
        return [np.array(ids, np.int64) for ids in found]

    def shown_at(self, places: Sequence[tuple[int, float]], space: Space) -> Matrix:
        """For each place, the id of a video and a time: the vector of the segment there.

        float32 (N, D) of unit length; 0 where there is none.
        """
        listed = json.dumps([(int(id_), time) for id_, time in places])
        vectors = np.zeros((len(places), space.dim), np.float32)
        if rows := self._rows(_SHOWN_AT, listed, space.name):
            with sensible(self._path):
                vectors[[row[0] for row in rows]] = unpack([row[1] for row in rows], space.dim)
        return vectors

    def whole_videos(self, ids: Ids, space: Space) -> Iterator[tuple[list[Segment], Matrix]]:
        """The videos that hold any of these segments, each with all of its segments.

        For each video: its segments as they follow each other, and their vectors, float32 (N, D).
        What has no vector in `space` is left out. All are of one state of the library.
        """
        with self._reading() as connection:
            rows = connection.execute(_WHOLE_VIDEOS, (space.name, _listed(ids)))
            for _, group in groupby(rows, key=lambda row: row[1]):
                video = list(group)
                with sensible(self._path):
                    segments = [read_segment(row[:4]) for row in video]
                    vectors = unpack([row[4] for row in video], space.dim)
                yield segments, vectors

    def around(self, ids: Ids, reach: int, space: Space) -> list[Run]:
        """Parts of videos: these segments, and `reach` ones before and behind each.

        All are of one state of the library.
        """
        with self._reading() as connection, sensible(self._path):
            return list(runs(connection, ids, reach, space))

    def vectors(self, ids: Ids | None, space: Space) -> tuple[Ids, Matrix]:
        """Vectors of these segments in this order, those that are not there left out, or of all.

        Returns ids int64 (N,) and vectors float32 (N, D), rows of unit length. All come ascending.
        """
        with self._reading() as connection:
            if ids is None:
                found, vectors = self._filled(connection, space)
            else:
                found, vectors = self._those(connection, space, ids)
        if ids is None or np.array_equal(found, ids):
            return found, vectors
        places = np.searchsorted(found, ids)  # found is ascending
        inside = places < len(found)
        inside[inside] = found[places[inside]] == ids[inside]
        return found[places[inside]], vectors[places[inside]]

    def sample(self, space: Space, most: int = 1_000) -> Matrix:
        """Vectors of segments drawn evenly from the library, float32 (M, D)."""
        ids = self.segment_ids()
        return self.vectors(ids[:: max(1, -(-len(ids) // most))], space)[1]

    def iter_vectors(
        self, space: Space, ids: Ids | None = None, batch: int = 10_000
    ) -> Iterator[tuple[Ids, Matrix]]:
        """Like `vectors`, but ascending by id, in batches, all of one state of the library."""
        with self._reading() as connection:
            yield from self._batches(connection, space, ids, batch)

    def tags(self, video_ids: Iterable[int] | None = None) -> list[Tag]:
        """All tags, or those of some videos: by video, those of a whole one before its spans."""
        if video_ids is None:
            return self._read(tagging.read_tag, tagging.ALL + tagging.ORDER)
        query = f"{tagging.ALL} WHERE video_id {_AMONG} {tagging.ORDER}"
        return self._read(tagging.read_tag, query, _listed(video_ids))

    def labels(self) -> list[str]:
        """Every label that any tag has, sorted."""
        return [str(row[0]) for row in self._rows(tagging.LABELS)]

    def tagged(self, labels: Iterable[str], among: Ids | None = None) -> Ids:
        """Ids of the segments (`among` some) that a tag with one of these labels overlaps."""
        rows = self._rows(tagging.SEGMENTS, json.dumps(list(labels)))
        found = np.array([row[0] for row in rows], np.int64)
        return found if among is None else np.intersect1d(found, among)

    def cues(self, video_id: int) -> list[Cue]:
        """The words found in a video, in the order of time."""
        return self._read(words.read_cue, words.OF_VIDEO, int(video_id))

    def transcripts(self, video_ids: Iterable[int] | None = None) -> list[Transcript]:
        """In which videos words were looked for, all or of some, and by what."""
        if video_ids is None:
            return self._read(words.read_transcript, words.TRANSCRIPTS + words.IN_ORDER)
        query = f"{words.TRANSCRIPTS} WHERE video_id {_AMONG} {words.IN_ORDER}"
        return self._read(words.read_transcript, query, _listed(video_ids))

    def worded(self) -> list[tuple[CueSource, int]]:
        """How many videos have words of each source, of those that any has."""
        return [(source, int(count)) for source, count in self._rows(words.COUNTS)]

    @property
    def cue_index(self) -> CueIndex:
        """The full-text index of these words."""
        return CueIndex(self._read)

    def is_empty(self) -> bool:
        """Whether there is no segment."""
        return not self._rows("SELECT EXISTS (SELECT 1 FROM segments)")[0][0]

    def counts(self) -> Counts:
        """How much the library holds."""
        return self._read(read_counts, _COUNTS)[0]

    def check(self) -> list[str]:
        """What is wrong with the catalogue, a sentence each; nothing if it is sound."""
        found: list[str] = []
        try:
            with self._reading() as connection:
                found += problems(connection)
            self._read_all()
        except DamagedLibraryError as error:
            found.append(str(error))
        return found

    def _filled(self, connection: sqlite3.Connection, space: Space) -> tuple[Ids, Matrix]:
        """Ids and vectors, ascending, in arrays that are made once: there may be gigabytes."""
        query, values = _selection("SELECT count(*)", space, None)
        total = connection.execute(query, values).fetchone()[0]
        found = np.empty(total, np.int64)
        vectors = np.empty((total, space.dim), np.float32)
        filled = 0
        for some, rows in self._batches(connection, space, None, 10_000):
            found[filled : filled + len(some)] = some
            vectors[filled : filled + len(some)] = rows
            filled += len(some)
        return found, vectors

    def _those(self, connection: sqlite3.Connection, space: Space, ids: Ids) -> tuple[Ids, Matrix]:
        """Ids and vectors of those segments that are there, ascending."""
        batches = [(np.empty(0, np.int64), np.empty((0, space.dim), np.float32))]
        batches += self._batches(connection, space, ids, 10_000)
        if len(batches) == 2:
            return batches[1]
        found, vectors = zip(*batches, strict=True)
        return np.concatenate(found), np.concatenate(vectors)

    def _batches(
        self, connection: sqlite3.Connection, space: Space, ids: Ids | None, size: int
    ) -> Iterator[tuple[Ids, Matrix]]:
        query, values = _selection("SELECT segment_id, data", space, ids)
        result = connection.execute(f"{query} ORDER BY segment_id", values)
        while rows := result.fetchmany(size):
            with sensible(self._path):
                vectors = unpack([row[1] for row in rows], space.dim)
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

    def _read_all(self) -> None:
        """Raises DamagedLibraryError if anything makes no sense."""
        self.revision()
        for video in self.videos():
            self.sampled_at(video.id)
            self.segments_of(video.id)
        self.tags()
        for known in self.spaces():
            for _ in self.iter_vectors(known.space):
                pass

    def _read(
        self, read: Callable[[Sequence[Any]], Noun], query: str, *values: object
    ) -> list[Noun]:
        """What the rows of a query stand for."""
        rows = self._rows(query, *values)
        with sensible(self._path):
            return [read(row) for row in rows]

    def _rows(self, query: str, *values: object) -> Sequence[Sequence[Any]]:
        with self._reading() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the library."""
        with explained(self._path), self._pool.reading() as connection:
            yield connection


def _selection(what: str, space: Space, ids: Ids | None) -> tuple[str, tuple[str, ...]]:
    """The beginning of a query about vectors, and its values."""
    if ids is None:
        return f"{what} {_IN_SPACE}", (space.name,)
    return f"{what} {_IN_SPACE} AND segment_id {_AMONG}", (space.name, _listed(ids))


def _listed(ids: Iterable[int]) -> str:
    return json.dumps([int(id_) for id_ in ids])
