"""Queries for videos and for the models that indexed them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.catalog.connection import corruption_as_error
from vsearch.catalog.dialect import CHANGE_NUMBER_SQL, HEX_PATHS_SQL
from vsearch.catalog.outlines import (
    SELECT_OUTLINES_SQL,
    SELECT_TRANSCRIBED_SQL,
    LibraryOutline,
    read_outlines,
)
from vsearch.catalog.path_matching import compile_matcher
from vsearch.catalog.reader import IN_JSON_SQL, CatalogReader, ids_to_json
from vsearch.catalog.rows import (
    decode_path,
    encode_path,
    read_file_identity,
    read_nonnegative,
    read_video,
)
from vsearch.errors import LibraryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from vsearch.types import FileIdentity, Space, Video

_SELECT_VIDEO_SQL = f"""
    SELECT id, path, fingerprint, size_bytes, mtime_ns, duration, fps, width, height, codec,
        sampled_frames, warning, recorded_at,
        (SELECT model FROM frame_features
            WHERE video_id = videos.id AND space_id = (SELECT space_id FROM library)),
        keyframes_only, max_keyframe_gap, is_photo, utc_offset_minutes, latitude, longitude, camera,
        source_url,
        (SELECT {HEX_PATHS_SQL} FROM duplicate_files WHERE video_id = videos.id)
    FROM videos
"""  # noqa: S608
_SELECT_IDENTITY_SQL = """
    SELECT size_bytes, mtime_ns, ctime_ns, inode, content_digest FROM videos WHERE id = ?
"""
_SELECT_DUPLICATE_SQL = """
    SELECT size_bytes, mtime_ns, ctime_ns, inode, content_digest FROM duplicate_files WHERE path = ?
"""
_SELECT_PLACES_SQL = """
    SELECT id, path FROM videos
    UNION ALL SELECT video_id, path FROM duplicate_files WHERE video_id IS NOT NULL
"""
_SELECT_VIDEO_AT_SQL = f"""
    {_SELECT_VIDEO_SQL} WHERE path = ?
        OR id = (SELECT video_id FROM duplicate_files WHERE path = ?)
    ORDER BY path <> ?
"""  # noqa: S608
_SELECT_FINGERPRINT_SQL = "SELECT fingerprint FROM videos WHERE id = ?"
_SELECT_FEATURE_CONTENTS_SQL = """
    SELECT videos.fingerprint, frame_features.crc32
    FROM frame_features JOIN videos ON videos.id = frame_features.video_id
    WHERE space_id = (SELECT id FROM spaces WHERE name = ?) AND crc32 IS NOT NULL
"""
_SELECT_DIGESTS_SQL = """
    SELECT content_digest FROM videos WHERE content_digest IS NOT NULL
"""
_SELECT_CRC32_SQL = """
    SELECT crc32 FROM frame_features
    WHERE video_id = ? AND space_id = (SELECT id FROM spaces WHERE name = ?)
"""
_SELECT_MODEL_NAMES_SQL = """
    SELECT DISTINCT model FROM frame_features
    WHERE model IS NOT NULL AND space_id = (SELECT space_id FROM library) ORDER BY model
"""
_SELECT_CAMERAS_SQL = "SELECT DISTINCT camera FROM videos WHERE camera IS NOT NULL ORDER BY camera"
_SELECT_CODECS_SQL = "SELECT DISTINCT lower(codec) FROM videos ORDER BY lower(codec)"
_SELECT_LANGUAGES_SQL = """
    SELECT DISTINCT language FROM transcripts WHERE language IS NOT NULL ORDER BY language
"""
_SELECT_LOCATIONS_SQL = """
    SELECT id, latitude, longitude FROM videos WHERE latitude BETWEEN ? AND ?
        AND longitude IS NOT NULL
"""
_SELECT_VIDEOS_WITH_FEATURES_SQL = """
    SELECT video_id FROM frame_features WHERE space_id = (SELECT id FROM spaces WHERE name = ?)
"""
_SELECT_VIDEOS_WITHOUT_VECTORS_SQL = f"""
    {_SELECT_VIDEO_SQL} WHERE id IN (
        SELECT video_id FROM segments WHERE NOT EXISTS (
            SELECT 1 FROM vectors WHERE segment_id = segments.id
            AND space_id = (SELECT id FROM spaces WHERE name = ?)))
"""  # noqa: S608


class VideoQueries(CatalogReader):
    """The part of `Catalog` that returns videos."""

    def videos(self, globs: Sequence[str] = ()) -> list[Video]:
        """Return the videos of the library, sorted by path.

        Args:
            globs: Patterns as for `path_matching.compile_matcher`; a video matches if any of them
                does. Empty: all videos.
        """
        matches_glob = compile_matcher(globs)
        all_videos = self._read_objects(read_video, _SELECT_VIDEO_SQL)
        matching_videos = [video for video in all_videos if not globs or matches_glob(video.path)]
        return sorted(matching_videos, key=lambda video: str(video.path))

    def change_number(self) -> int:
        """Return a number that differs after every commit, also of names, tags and transcripts."""
        return int(self._fetch_rows(CHANGE_NUMBER_SQL)[0][0])

    def outline(self) -> LibraryOutline:
        """Return the paths, times and transcripts of all videos, without their other columns."""
        with self.snapshot():
            change_number = self.change_number()
            video_rows = self._fetch_rows(SELECT_OUTLINES_SQL)
            transcript_rows = self._fetch_rows(SELECT_TRANSCRIBED_SQL)
        with corruption_as_error(self._location):
            return LibraryOutline(change_number, read_outlines(video_rows, transcript_rows))

    def videos_by_id(self, video_ids: Iterable[int]) -> dict[int, Video]:
        """Return the videos with these ids, by id; unknown ids are left out."""
        matching_videos = self._read_objects(
            read_video, f"{_SELECT_VIDEO_SQL} WHERE id {IN_JSON_SQL}", ids_to_json(video_ids)
        )
        return {video.id: video for video in matching_videos}

    def count_videos(self) -> int:
        """Return the number of videos."""
        return int(self._fetch_rows("SELECT count(*) FROM videos")[0][0])

    def video_places(self) -> list[tuple[int, Path]]:
        """Return the id of a video and a path, for the paths of all files of all videos.

        The first path of each video comes before those of duplicate files.
        """
        place_rows = self._fetch_rows(_SELECT_PLACES_SQL)
        with corruption_as_error(self._location):
            return [(int(video_id), decode_path(path)) for video_id, path in place_rows]

    def video_paths(self) -> dict[int, Path]:
        """Return the path of each video, by id."""
        path_rows = self._fetch_rows("SELECT id, path FROM videos")
        with corruption_as_error(self._location):
            return {int(video_id): decode_path(stored_path) for video_id, stored_path in path_rows}

    def video_path(self, video_id: int) -> Path | None:
        """Return the path of a video; None if there is no video with this id."""
        path_rows = self._fetch_rows("SELECT path FROM videos WHERE id = ?", int(video_id))
        with corruption_as_error(self._location):
            return decode_path(path_rows[0][0]) if path_rows else None

    def video_by_path(self, video_path: Path) -> Video | None:
        """Return the video with exactly this path, or None."""
        matching_videos = self._read_objects(
            read_video, f"{_SELECT_VIDEO_SQL} WHERE path = ?", encode_path(video_path)
        )
        return next(iter(matching_videos), None)

    def video_at(self, file_path: Path) -> Video | None:
        """Return the video whose file, or a duplicate of it, has exactly this path, or None."""
        stored_path = encode_path(file_path)
        matching_videos = self._read_objects(
            read_video, _SELECT_VIDEO_AT_SQL, stored_path, stored_path, stored_path
        )
        return next(iter(matching_videos), None)

    def videos_by_fingerprint(self, fingerprint: str) -> list[Video]:
        """Return the videos with this content, in the order in which they were indexed."""
        return self._read_objects(
            read_video, f"{_SELECT_VIDEO_SQL} WHERE fingerprint = ? ORDER BY id", fingerprint
        )

    def file_identity(self, video_id: int) -> FileIdentity:
        """Return the recorded identity of a video's file.

        Raises:
            LibraryError: The library has no video with this id.
        """
        identities = self._read_objects(read_file_identity, _SELECT_IDENTITY_SQL, int(video_id))
        if not identities:
            raise LibraryError(f"{self._location} has no video {video_id} (any more)")
        return identities[0]

    def duplicate_file(self, file_path: Path) -> FileIdentity | None:
        """Return the recorded identity of a file that duplicates a video; None if not known."""
        identities = self._read_objects(
            read_file_identity, _SELECT_DUPLICATE_SQL, encode_path(file_path)
        )
        return next(iter(identities), None)

    def content_fingerprint(self, video_id: int) -> str | None:
        """Return the fingerprint of a video; None if there is no video with this id."""
        fingerprint_rows = self._fetch_rows(_SELECT_FINGERPRINT_SQL, int(video_id))
        return str(fingerprint_rows[0][0]) if fingerprint_rows else None

    def content_digests(self) -> set[str]:
        """Return the digests of the whole files of all videos, where they are known."""
        return {str(row[0]) for row in self._fetch_rows(_SELECT_DIGESTS_SQL)}

    def feature_contents(self, space: Space) -> set[tuple[str, int]]:
        """Return the fingerprint and the recorded checksum of all features in a space."""
        content_rows = self._fetch_rows(_SELECT_FEATURE_CONTENTS_SQL, space.name)
        return {(str(fingerprint), int(crc32)) for fingerprint, crc32 in content_rows}

    def features_crc32(self, video_id: int, space: Space) -> int | None:
        """Return the checksum of a video's features in a space; None if it was not recorded."""
        crc32_rows = self._fetch_rows(_SELECT_CRC32_SQL, int(video_id), space.name)
        return int(crc32_rows[0][0]) if crc32_rows and crc32_rows[0][0] is not None else None

    def videos_without_vectors(self, space: Space) -> list[Video]:
        """Return the videos with at least one segment without a vector in `space`, by path."""
        matching_videos = self._read_objects(
            read_video, _SELECT_VIDEOS_WITHOUT_VECTORS_SQL, space.name
        )
        return sorted(matching_videos, key=lambda video: str(video.path))

    def videos_with_features(self, space: Space) -> set[int]:
        """Return the ids of the videos that have frame features in `space`."""
        id_rows = self._fetch_rows(_SELECT_VIDEOS_WITH_FEATURES_SQL, space.name)
        return {int(row[0]) for row in id_rows}

    def sample_fps(self, video_id: int) -> float:
        """Return the frames per second at which a video was sampled.

        Raises:
            LibraryError: The library has no video with this id.
        """
        frame_rates = self._read_objects(
            lambda row: read_nonnegative(row[0]),
            "SELECT sample_fps FROM videos WHERE id = ?",
            int(video_id),
        )
        if not frame_rates:
            raise LibraryError(f"{self._location} has no video {video_id} (any more)")
        return frame_rates[0]

    def model_names(self) -> list[str]:
        """Return the sorted names of the models whose features are in the active space."""
        return [str(row[0]) for row in self._fetch_rows(_SELECT_MODEL_NAMES_SQL)]

    def select_video_ids(self, where_sql: str, sql_values: Sequence[object]) -> list[int]:
        """Return the ids selected by a condition and an order of `browsing.iter_newest`."""
        sql_query = f"SELECT id FROM videos WHERE {where_sql}"  # noqa: S608
        return [int(row[0]) for row in self._fetch_rows(sql_query, *sql_values)]

    def cameras(self) -> list[str]:
        """Return the sorted names of the cameras that recorded the videos."""
        return [str(row[0]) for row in self._fetch_rows(_SELECT_CAMERAS_SQL)]

    def codecs(self) -> list[str]:
        """Return the sorted names of the codecs of the videos, in lower case."""
        return [str(row[0]) for row in self._fetch_rows(_SELECT_CODECS_SQL)]

    def languages(self) -> list[str]:
        """Return the languages of transcripts as stored: `de`, or several as `de,en`."""
        return [str(row[0]) for row in self._fetch_rows(_SELECT_LANGUAGES_SQL)]

    def locations(
        self, south: float = -90.0, north: float = 90.0
    ) -> list[tuple[int, float, float]]:
        """Return id, latitude and longitude of the videos that have a location.

        Args:
            south: Lowest latitude in degrees.
            north: Highest latitude in degrees.
        """
        return self._read_objects(
            lambda row: (int(row[0]), float(row[1]), float(row[2])),
            _SELECT_LOCATIONS_SQL,
            south,
            north,
        )
