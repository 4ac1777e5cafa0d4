"""The catalog of a library: the class through which it is read and changed."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from vsearch.catalog import annotation_rows, sound_rows, transcript_rows
from vsearch.catalog.commit_chain import check_commit_chain
from vsearch.catalog.connection import copy_database, corruption_as_error, translate_errors
from vsearch.catalog.integrity import find_problems
from vsearch.catalog.open import open_pool
from vsearch.catalog.reader import IN_JSON_SQL, ids_to_json
from vsearch.catalog.rows import encode_text, read_counts, read_space, read_space_info
from vsearch.catalog.segments import SegmentQueries
from vsearch.catalog.transcripts import CueIndex
from vsearch.catalog.videos import VideoQueries
from vsearch.errors import DamagedLibraryError, LibraryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from vsearch.catalog.database_url import CatalogLocation
    from vsearch.catalog.transaction import Transaction
    from vsearch.query.model import SavedSearch
    from vsearch.types import (
        Cue,
        CueSource,
        LibraryCounts,
        RelevanceLabel,
        SoundKind,
        SoundSpan,
        Space,
        SpaceInfo,
        Tag,
        Transcript,
    )

_SELECT_COUNTS_SQL = """
    SELECT count(*), (SELECT count(*) FROM segments), coalesce(sum(duration), 0.0),
        coalesce(sum(sampled_frames), 0)
    FROM videos
"""
_SELECT_ACTIVE_SPACE_SQL = """
    SELECT name, dim, supports_text FROM spaces WHERE id = (SELECT space_id FROM library)
"""
_SELECT_SPACES_SQL = """
    SELECT name, dim, supports_text, model, pooler, retired_at_revision,
        EXISTS (SELECT 1 FROM library WHERE space_id = spaces.id)
    FROM spaces ORDER BY id
"""


class Catalog(VideoQueries, SegmentQueries):
    """The catalog of one library, in SQLite or PostgreSQL. Safe to read from several threads.

    Use `Catalog.open`. Every read sees a consistent snapshot. Rows that are not valid raise
    DamagedLibraryError.
    """

    @classmethod
    def open(cls, location: CatalogLocation, *, create: bool | None = False) -> Self:
        """Open a catalog, upgrading an older one; a file after a backup next to it.

        Args:
            location: The SQLite file, or the database.
            create: Create the catalog if it does not exist; None: `create` will create it.

        Raises:
            NoLibraryError: It does not exist, and `create` is False.
            NewerLibraryError: A newer version of vsearch wrote it.
            DamagedLibraryError: It is damaged or not a catalog.
            LibraryError: The database cannot be reached, or does not fit.
        """
        return cls(location, open_pool(location, create=create))

    def create(self) -> None:
        """Create the catalog if it does not exist yet and was not deleted."""
        if not self._pool.was_opened:
            with translate_errors(self._location):
                self._pool.prepare(create=True)
        self.check_file()

    def close(self) -> None:
        """Close all connections to the file."""
        self._pool.close()

    def reopen(self) -> AbstractContextManager[None]:
        """Allow this thread to read even after `close`, for what results compute on demand."""
        return self._pool.reopen()

    def check_file(self) -> None:
        """Raise LibraryError if the file is gone; open another file that has replaced it."""
        with translate_errors(self._location):
            self._pool.check_file()

    def check_readable(self) -> None:
        """Check the file as `check_file` does, and read the first video."""
        self.check_file()
        self.revision()
        with self._read_transaction() as connection:
            connection.execute("SELECT * FROM videos LIMIT 1").fetchall()

    def on_replaced(self, callback: Callable[[], None]) -> None:
        """Call `callback` after another file has replaced the catalog and was opened."""
        self._pool.on_replaced = callback

    @contextmanager
    def pin_file(self) -> Iterator[None]:
        """Raise LibraryError in this block if the file is replaced, instead of following it."""
        with translate_errors(self._location), self._pool.pin_file():
            yield

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """Provide a write transaction: committed at the end, rolled back on any exception.

        Raises:
            LockedError: Another process is writing.
            LibraryError: The file cannot be written.
        """
        from vsearch.catalog.transaction import Transaction  # deferred: brings SQLAlchemy

        with translate_errors(self._location), self._pool.write_transaction() as connection:
            transaction = Transaction(connection, self._location)
            yield transaction
            transaction.update_revision()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the write lock of the database, so that nothing can be written; change nothing.

        Raises:
            LockedError: Another process is writing.
        """
        with translate_errors(self._location), self._pool.hold_write_lock():
            yield

    @contextmanager
    def hold_library(self, purpose: str, *, is_shared: bool) -> Iterator[None]:
        """Hold a library in a database for work of several transactions.

        Args:
            purpose: What the block does, for messages.
            is_shared: Allow other blocks that are shared as well.

        Raises:
            LockedError: Another process is in a block that cannot run at the same time.
        """
        with (
            translate_errors(self._location),
            self._pool.hold_library(purpose, is_shared=is_shared),
        ):
            yield

    def copy_to(self, copy_path: Path) -> str:
        """Copy the catalog as it is at one instant, while others may read and write it.

        Args:
            copy_path: File to write; an existing one is replaced.

        Returns:
            The schema revision.

        Raises:
            OSError: The copy cannot be written.
            LibraryError: The catalog is not in a file.
        """
        if not isinstance(self._location, Path):
            raise LibraryError(
                f"{self._location} cannot be copied into a file; back the database up with "
                "`pg_dump`, or copy the library with `vsearch library copy`"
            )
        for suffix in ("", "-wal", "-shm"):
            copy_path.with_name(copy_path.name + suffix).unlink(missing_ok=True)
        with self._read_transaction() as connection:
            [(schema_revision,)] = connection.execute("SELECT version_num FROM alembic_version")
            assert isinstance(connection, sqlite3.Connection)  # noqa: S101 - of a file
            copy_database(connection, copy_path)
        return str(schema_revision)

    def revision(self) -> int:
        """Return a number that grows with each change of segments, vectors or cues."""
        library_rows = self._fetch_rows("SELECT revision FROM library")
        if not library_rows:
            raise DamagedLibraryError(
                f"{self._location} is damaged: its `library` table is empty. Restore it from a "
                "backup, or move it away and index the videos again."
            )
        with corruption_as_error(self._location):
            return int(library_rows[0][0])

    @property
    def is_in_database(self) -> bool:
        """True if the catalog is in PostgreSQL, and not in a file."""
        return not isinstance(self._location, Path)

    def read_rows(self, sql_query: str, *sql_values: object) -> Sequence[Sequence[Any]]:
        """Return rows as they are stored, for copying whole tables."""
        return self._fetch_rows(sql_query, *sql_values)

    @contextmanager
    def write_rows(self) -> Iterator[Connection]:
        """Provide the connection of a write transaction, for copying whole tables."""
        with translate_errors(self._location), self._pool.write_transaction() as connection:
            yield connection

    def stored_settings(self) -> str | None:
        """Return the record of the library as a whole, in JSON; see `record`."""
        library_rows = self._fetch_rows("SELECT settings FROM library")
        return None if not library_rows or library_rows[0][0] is None else str(library_rows[0][0])

    def library_counts(self) -> LibraryCounts:
        """Return the number of videos, segments, seconds and sampled frames."""
        return self._read_objects(read_counts, _SELECT_COUNTS_SQL)[0]

    def space(self) -> Space | None:
        """Return the active embedding space, or None before the first video is indexed."""
        return next(iter(self._read_objects(read_space, _SELECT_ACTIVE_SPACE_SQL)), None)

    def pooler(self) -> str | None:
        """Return the name of the pooler of the active space, or None if there is none yet."""
        return next(
            (space_info.pooler for space_info in self.spaces() if space_info.is_active), None
        )

    def spaces(self) -> list[SpaceInfo]:
        """Return all spaces, the oldest first; their video counts and sizes are not filled in."""
        return self._read_objects(read_space_info, _SELECT_SPACES_SQL)

    def saved_searches(self) -> list[SavedSearch]:
        """Return the saved searches, sorted by name."""
        return self._read_objects(
            annotation_rows.read_saved_search, annotation_rows.SELECT_SAVED_SEARCHES
        )

    def relevance_labels(self, query_text: str | None = None) -> list[RelevanceLabel]:
        """Return the relevance feedback for a query, or for all (None), the latest first."""
        if query_text is None:
            return self._read_objects(
                annotation_rows.read_relevance_label,
                annotation_rows.SELECT_FEEDBACK + annotation_rows.ORDER_FEEDBACK,
            )
        return self._read_objects(
            annotation_rows.read_relevance_label,
            f"{annotation_rows.SELECT_FEEDBACK} WHERE query = ? {annotation_rows.ORDER_FEEDBACK}",
            encode_text(query_text),
        )

    def tags(self, video_ids: Iterable[int] | None = None) -> list[Tag]:
        """Return the tags of videos (None: of all), those of a whole video before its spans."""
        if video_ids is None:
            return self._read_objects(
                annotation_rows.read_tag, annotation_rows.SELECT_TAGS + annotation_rows.ORDER_TAGS
            )
        return self._read_objects(
            annotation_rows.read_tag,
            f"{annotation_rows.SELECT_TAGS} WHERE video_id {IN_JSON_SQL}"
            f" {annotation_rows.ORDER_TAGS}",
            ids_to_json(video_ids),
        )

    def tag_labels(self) -> list[str]:
        """Return all labels in use, sorted."""
        return [str(row[0]) for row in self._fetch_rows(annotation_rows.SELECT_LABELS)]

    def cues_of_video(self, video_id: int) -> list[Cue]:
        """Return the cues of a video from all sources, in chronological order."""
        return self._read_objects(
            transcript_rows.read_cue, transcript_rows.SELECT_CUES_OF_VIDEO, int(video_id)
        )

    def transcripts(self, video_ids: Iterable[int] | None = None) -> list[Transcript]:
        """Return the transcripts of videos (None: of all), one per video and source.

        A transcript without cues shows that the source was processed and no words were found.
        """
        if video_ids is None:
            return self._read_objects(
                transcript_rows.read_transcript,
                transcript_rows.SELECT_TRANSCRIPTS + transcript_rows.ORDER_TRANSCRIPTS,
            )
        return self._read_objects(
            transcript_rows.read_transcript,
            f"{transcript_rows.SELECT_TRANSCRIPTS} WHERE video_id {IN_JSON_SQL}"
            f" {transcript_rows.ORDER_TRANSCRIPTS}",
            ids_to_json(video_ids),
        )

    def sounds(self, video_id: int) -> list[SoundSpan]:
        """Return the spans of speech, music and singing of a video in chronological order."""
        return self._read_objects(sound_rows.read_sound, sound_rows.SELECT_SPANS, int(video_id))

    def sound_models(self) -> dict[int, str]:
        """Return the model that analyzed the sound of each video, by video id."""
        return {
            int(video_id): str(model)
            for video_id, model in self._fetch_rows(sound_rows.SELECT_ANALYSES)
        }

    def sound_counts(self) -> list[tuple[SoundKind, int]]:
        """Return each kind of sound that occurs, with the number of videos that have it."""
        return [
            (kind, int(video_count))
            for kind, video_count in self._fetch_rows(sound_rows.COUNT_KINDS)
        ]

    def transcript_counts(self) -> list[tuple[CueSource, int]]:
        """Return each source that has cues, with the number of videos that have them."""
        return [
            (source, int(video_count))
            for source, video_count in self._fetch_rows(transcript_rows.COUNT_TRANSCRIPTS)
        ]

    @property
    def cue_index(self) -> CueIndex:
        """The full-text index of the cues."""
        return CueIndex(self._read_objects)

    def find_problems(self) -> list[str]:
        """Check the integrity of the catalog.

        Returns:
            One sentence per problem; empty if the catalog is intact.
        """
        problem_texts: list[str] = []
        try:
            if isinstance(self._location, Path) and (
                hidden_copy_warning := check_commit_chain(self._location)
            ):
                problem_texts.append(hidden_copy_warning)
            with (
                self._read_transaction() as connection,
                corruption_as_error(self._location),
            ):
                problem_texts += find_problems(connection, self._location)
            self._read_everything()
        except DamagedLibraryError as exc:
            problem_texts.append(str(exc))
        return problem_texts

    def _read_everything(self) -> None:
        """Raise DamagedLibraryError if any row is not valid."""
        self.revision()
        for video in self.videos():
            self.sample_fps(video.id)
            self.segments_of_video(video.id)
        self.tags()
        for space_info in self.spaces():
            for _ in self.iter_vectors(space_info.space):
                pass
