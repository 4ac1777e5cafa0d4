"""One change of the catalogue: everything in it is stored, or nothing."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import delete, exists, func, insert, select, text, update

from vsearch.catalog import marks, searches, words
from vsearch.catalog import tags as tagging
from vsearch.catalog.blobs import pack
from vsearch.catalog.failures import explained
from vsearch.catalog.models import (
    CueRow,
    CueVectorRow,
    FeaturesRow,
    LibraryRow,
    MarkRow,
    SearchRow,
    SegmentRow,
    SpaceRow,
    TagRow,
    TranscriptRow,
    VectorRow,
    VideoRow,
)
from vsearch.catalog.paths import storable, stored
from vsearch.errors import LibraryError, SpaceMismatchError
from vsearch.types import Video

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sqlalchemy import ColumnElement, Connection, CursorResult, Executable, Update

    from vsearch.types import Cue, CueSource, Ids, Matrix, Space, Span, Tag

_LAST_SEGMENT = text("SELECT seq FROM sqlite_sequence WHERE name = 'segments'")
_INSERT_SEGMENT = 'INSERT INTO segments (id, video_id, start, "end") VALUES (?, ?, ?, ?)'
_INSERT_VECTOR = "INSERT OR REPLACE INTO vectors (segment_id, space_id, data) VALUES (?, ?, ?)"


class Change:
    """Made by `Catalog.begin`; of use until that ends."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._new_revision = False

    def add_video(
        self,
        *,
        path: Path,
        fingerprint: str,
        size: int,
        modified: int,
        duration: float,
        fps: float,
        width: int,
        height: int,
        codec: str,
        frames: int,
        note: str | None = None,
        sampled_at: float,
        recorded: datetime | None = None,
        keyframes: bool = False,
    ) -> Video:
        """Add a video, `recorded` in any zone; LibraryError if there is one with that path."""
        values: dict[str, Any] = {
            "fingerprint": storable(fingerprint),
            "size": int(size),
            "modified": int(modified),
            "duration": float(duration),
            "fps": float(fps),
            "width": int(width),
            "height": int(height),
            "codec": storable(codec),
            "frames": int(frames),
            "note": None if note is None else storable(note),
            "keyframes": bool(keyframes),
        }
        row = insert(VideoRow).values(
            path=stored(path),
            sampled_at=float(sampled_at),
            indexed_at=datetime.now(UTC).replace(tzinfo=None),
            recorded_at=recorded and recorded.astimezone(UTC).replace(tzinfo=None),
            **values,
        )
        return Video(id=int(self._run(row).lastrowid), path=path, recorded=recorded, **values)

    def add_segments(
        self, video_id: int, spans: Sequence[Span], vectors: Matrix, space: Space
    ) -> Ids:
        """Add segments with their vectors, float32 (N, D), and return their ids, int64 (N,).

        The first ones make `space` the library's; SpaceMismatchError if it has another one.
        """
        if vectors.shape != (len(spans), space.dim):
            raise ValueError(f"{len(spans)} spans but vectors of shape {vectors.shape} in {space}")
        space_id = self._adopt(space)
        first = max(self._last_segment() + 1, clock())
        ids = range(first, first + len(spans))
        rows = [
            (id_, int(video_id), float(span.start), float(span.end))
            for id_, span in zip(ids, spans, strict=True)
        ]
        blobs = [(id_, space_id, blob) for id_, blob in zip(ids, pack(vectors), strict=True)]
        if rows:
            self._run_many(_INSERT_SEGMENT, rows)
            self._run_many(_INSERT_VECTOR, blobs)
            self._new_revision = True
        return np.array(ids, np.int64)

    def add_vectors(self, ids: Ids, vectors: Matrix, space: Space) -> None:
        """Give segments their vectors, float32 (N, D), in a space beside the library's or in it."""
        if vectors.shape != (len(ids), space.dim):
            raise ValueError(f"{len(ids)} ids but vectors of shape {vectors.shape} in {space}")
        space_id = self._space_id(space)
        rows = [(int(id_), space_id, blob) for id_, blob in zip(ids, pack(vectors), strict=True)]
        if rows:
            self._run_many(_INSERT_VECTOR, rows)
            self._new_revision |= self._current_space() == space.name

    def add_features(self, video_id: int, space: Space, model: str) -> None:
        """Note that a video has frame features in a space, and which model made them."""
        space_id, model = self._space_id(space), storable(model)
        those = (FeaturesRow.video_id == int(video_id)) & (FeaturesRow.space_id == space_id)
        self._run(delete(FeaturesRow).where(those))
        values = {"video_id": int(video_id), "space_id": space_id, "model": model}
        self._run(insert(FeaturesRow).values(values))

    def move_video(self, video_id: int, path: Path, size: int, modified: int) -> None:
        """The file is now elsewhere; LibraryError if another video has that path."""
        self._update(video_id, path=stored(path), size=int(size), modified=int(modified))

    def touch_video(self, video_id: int, size: int, modified: int) -> None:
        """The file looks different, but its content is the same."""
        self._update(video_id, size=int(size), modified=int(modified))

    def remove_videos(self, ids: Iterable[int]) -> Ids:
        """Remove videos with all they have; return the ids of their segments, int64 (N,)."""
        chosen = list(map(int, ids))
        removed = [self.remove_segments(id_) for id_ in chosen]
        for id_ in chosen:
            self._run(delete(VideoRow).where(VideoRow.id == id_))
        return np.sort(np.concatenate([*removed, np.empty(0, np.int64)]))

    def remove_segments(self, video_id: int) -> Ids:
        """Remove the segments of a video and their vectors; return their ids, int64 (N,)."""
        those = SegmentRow.video_id == int(video_id)
        query = select(SegmentRow.id).where(those).order_by(SegmentRow.id)
        removed = np.array(self._run(query).scalars().all(), np.int64)
        self._run(delete(SegmentRow).where(those))
        self._new_revision |= bool(len(removed))
        return removed

    def add_tags(self, tags: Iterable[Tag]) -> None:
        """Add what videos were said to show."""
        self._run_many(tagging.INSERT, tagging.rows(tags))

    def replace_tags(self, video_id: int, source: str, tags: Iterable[Tag]) -> None:
        """What a source says of a video from now on, in place of what it said before."""
        self.remove_tags([video_id], source=source)
        self.add_tags(tags)

    def remove_tags(
        self,
        video_ids: Iterable[int],
        *,
        label: str | None = None,
        source: str | None = None,
        span: Span | None = None,
    ) -> int:
        """Remove tags of videos, all or those of a label, a source or a span; return how many."""
        removed = 0
        for id_ in video_ids:
            query = delete(TagRow).where(TagRow.video_id == int(id_))
            query = query if label is None else query.where(TagRow.label == storable(label))
            query = query if source is None else query.where(TagRow.source == storable(source))
            query = query if span is None else query.where(_touching(span))
            removed += self._run(query).rowcount
        return removed

    def replace_cues(
        self,
        video_id: int,
        source: CueSource,
        cues: Iterable[Cue],
        *,
        origin: str,
        language: str | None = None,
    ) -> None:
        """The words of a source in a video from now on; that there are none is noted, too.

        Cues come in the order of time, one track after the other: neighbours are searched together.
        `origin` is the model, or the subtitle file or stream.
        """
        those = (CueRow.video_id == int(video_id)) & (CueRow.source == source)
        self._run(delete(CueRow).where(those))
        noted = (TranscriptRow.video_id == int(video_id)) & (TranscriptRow.source == source)
        self._run(delete(TranscriptRow).where(noted))
        self._run_many(words.INSERT, words.rows(video_id, cues))
        self._new_revision = True
        values = {
            "video_id": int(video_id),
            "source": source,
            "origin": storable(origin),
            "language": None if language is None else storable(language),
            "made_at": datetime.now(UTC).replace(tzinfo=None),
        }
        self._run(insert(TranscriptRow).values(values))

    def save_search(self, name: str, query: str) -> None:
        """Save a query under a name, in place of what was saved so before."""
        self._run_many(searches.INSERT, [searches.row(name, query)])

    def remove_search(self, name: str) -> bool:
        """Forget a saved search; whether there was one."""
        those = SearchRow.name == storable(name)
        return bool(self._run(delete(SearchRow).where(those)).rowcount)

    def add_cue_vectors(self, ids: Sequence[int], vectors: Matrix, space: Space) -> None:
        """Note what cues mean in a space, float32 (N, D)."""
        space_id = self._space_id(space)
        rows = [(int(id_), space_id, blob) for id_, blob in zip(ids, pack(vectors), strict=True)]
        self._run_many(words.INSERT_VECTOR, rows)
        self._new_revision = True

    def remove_cue_vectors(self, space: Space) -> None:
        """Forget what cues mean in a space."""
        those = CueVectorRow.space_id == self._space_id(space)
        self._run(delete(CueVectorRow).where(those))
        self._new_revision = True

    def rebuild_words(self) -> None:
        """Make the full-text index anew from the cues."""
        self._run(text(words.REBUILD))

    def add_mark(self, query: str, video_id: int, span: Span, up: bool) -> None:
        """Say that a moment is what a query asks for, or is not."""
        self._run_many(marks.INSERT, [marks.row(query, video_id, span, up)])

    def remove_marks(
        self, query: str, video_id: int | None = None, span: Span | None = None
    ) -> int:
        """Remove what was marked for a query, all of it or what overlaps a span; how many."""
        those = delete(MarkRow).where(MarkRow.query == storable(query))
        if video_id is not None:
            those = those.where(MarkRow.video_id == int(video_id))
        if span is not None:
            those = those.where(MarkRow.start < span.end, MarkRow.end > span.start)
        return int(self._run(those).rowcount)

    def set_aside(self, video_id: int) -> None:
        """Free the path of a video that is about to be replaced by another row."""
        self._update(video_id, path=f"replaced {int(video_id)}")

    def inherit(self, video_id: int, old: int) -> None:
        """What people and models said of a video is true of one with the same content, too.

        Its subtitles are not meant: they are read anew.
        """
        values = {"old": int(old), "new": int(video_id)}
        for statement in words.INHERIT:
            self._run(text(statement).bindparams(**values))

    def set_space(self, space: Space, pooler: str | None, model: str | None = None) -> None:
        """Say what vectors are made with; SpaceMismatchError if there are some of another space.

        `model` is noted unless one is; `name_model` replaces it.
        """
        known = self._current_space()
        if known not in (None, space.name) and self._run(select(exists(SegmentRow))).scalar():
            raise self._mismatch(known, space)
        space_id = self._space_id(space)
        self._run(update(LibraryRow).values(space_id=space_id))
        if known not in (None, space.name):  # of those before there is nothing left
            described = select(FeaturesRow.space_id)
            left = SpaceRow.id.not_in(described) & (SpaceRow.id != space_id)
            self._run(delete(SpaceRow).where(left))
        noted = func.coalesce(SpaceRow.model, model and storable(model))
        self._run(_space(space_id).values(pooler=pooler, model=noted))

    def name_model(self, space: Space, model: str) -> None:
        """Say which model is meant where this space is."""
        self._run(_space(self._space_id(space)).values(model=storable(model)))

    def prepare_space(self, space: Space, model: str, pooler: str) -> None:
        """Make ready to put vectors into a space; those pooled by another pooler are dropped."""
        space_id = self._space_id(space)
        row = self._run(select(SpaceRow.pooler).where(SpaceRow.id == space_id))
        if row.scalar() != pooler:
            self.remove_vectors(space)
        self._run(_space(space_id).values(pooler=storable(pooler), model=storable(model)))

    def switch_space(self, space: Space) -> None:
        """From now on this space answers queries; the one before stays as it is."""
        new, now = self._space_id(space), select(LibraryRow.revision).scalar_subquery()
        old = select(LibraryRow.space_id).scalar_subquery()
        left = update(SpaceRow).where(SpaceRow.id == old, SpaceRow.id != new)
        self._run(left.values(answered_until=now))
        self._run(update(LibraryRow).values(space_id=new))
        self._new_revision = True

    def remove_vectors(self, space: Space) -> None:
        """Remove the vectors of a space that is not the library's."""
        if self._current_space() == space.name:
            raise LibraryError(f"{self._path}: {space.name} is in use; use another model first")
        self._run(delete(VectorRow).where(VectorRow.space_id == self._space_id(space)))

    def remove_features(self, space: Space) -> None:
        """Forget that videos have frame features in a space."""
        self._run(delete(FeaturesRow).where(FeaturesRow.space_id == self._space_id(space)))

    def remove_space(self, space: Space) -> None:
        """Forget a space, which is not the library's, and all that is in it."""
        self.remove_vectors(space)
        self.remove_features(space)
        self.remove_cue_vectors(space)
        self._run(delete(SpaceRow).where(SpaceRow.name == space.name))

    def close(self) -> None:
        """Give a new revision if segments or vectors changed; called before the commit."""
        if self._new_revision:
            new = func.max(LibraryRow.revision + 1, clock())
            self._run(update(LibraryRow).values(revision=new))

    def _adopt(self, space: Space) -> int:
        """The id of the library's space, which is `space` or becomes it."""
        known = self._current_space()
        if known is None:
            self._run(update(LibraryRow).values(space_id=self._space_id(space)))
        elif known != space.name:
            raise self._mismatch(known, space)
        return self._space_id(space)

    def _current_space(self) -> str | None:
        row = select(SpaceRow.name).join(LibraryRow, LibraryRow.space_id == SpaceRow.id)
        name: str | None = self._run(row).scalar()
        return name

    def _space_id(self, space: Space) -> int:
        """The id of a space, which is added if it is new."""
        found = self._run(select(SpaceRow).where(SpaceRow.name == space.name)).first()
        values = {"name": space.name, "dim": space.dim, "speaks_text": space.speaks_text}
        if found is None:
            return int(self._run(insert(SpaceRow).values(values)).lastrowid)
        if found.dim != space.dim:
            raise self._mismatch(f"{found.name} with {found.dim} dimensions", space)
        if found.speaks_text != space.speaks_text:
            self._run(update(SpaceRow).where(SpaceRow.id == found.id).values(values))
        return int(found.id)

    def _mismatch(self, known: object, space: Space) -> SpaceMismatchError:
        return SpaceMismatchError(
            f"{self._path} holds vectors of {known}; those of {space.name} with {space.dim} "
            "dimensions cannot be compared with them. Use the model the library was made with, or "
            "start another library with --library."
        )

    def _last_segment(self) -> int:
        """The highest segment id ever given; nobody else writes until the change is done."""
        return int(self._run(_LAST_SEGMENT).scalar() or 0)

    def _update(self, video_id: int, **values: object) -> None:
        row = update(VideoRow).where(VideoRow.id == int(video_id)).values(**values)
        if not self._run(row).rowcount:
            raise LibraryError(f"{self._path} holds no video {video_id}")

    def _run(self, statement: Executable) -> CursorResult[Any]:
        with explained(self._path):
            return self._connection.execute(statement)

    def _run_many(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            with explained(self._path):
                self._connection.exec_driver_sql(statement, rows)


def _space(space_id: int) -> Update:
    return update(SpaceRow).where(SpaceRow.id == space_id)


def _touching(span: Span) -> ColumnElement[bool]:
    """The same as `Tag.touches`."""
    overlaps = (TagRow.start < span.end) & (TagRow.end > span.start)
    return TagRow.start.is_(None) | overlaps | (TagRow.start == span.start)


def clock() -> int:
    """Microseconds since the epoch.

    Ids of segments and revisions begin here, so that none is given a second time even after the
    catalogue was restored from a backup, while an index still knows what it gave since.
    """
    return time.time_ns() // 1000
