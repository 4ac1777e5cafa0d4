"""Transcripts of a library on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from vsearch.client.queries import list_videos
from vsearch.client.responses import cue_from_dict, cue_source_from_json
from vsearch.errors import LibraryError
from vsearch.query.arguments import check_path
from vsearch.types import CueSource, TranscriptText, Video

if TYPE_CHECKING:
    from vsearch.client.connection import ServerConnection
    from vsearch.types import PathInput


class RemoteTranscripts:
    """Transcripts of a library on a server (`Remote.transcripts`), read only."""

    def __init__(self, connection: ServerConnection) -> None:
        """Use `Remote.transcripts`."""
        self._connection = connection

    def get(self, video: PathInput | Video, source: CueSource | None = None) -> TranscriptText:
        """Return a transcript of a video.

        Args:
            video: A video or its path on the server.
            source: "subtitles", "speech" or "ocr"; by default the first that exists.

        Returns:
            The transcript.

        Raises:
            LibraryError: If there is no such video or transcript.
        """
        found_video = self._require_video(video)
        if source is not None and source not in get_args(CueSource):
            raise LibraryError(f"source must be subtitles, speech or ocr, not {source!r:.60}")
        params = {} if source is None else {"source": source}
        payload = self._connection.request_json(
            "GET", f"/videos/{found_video.id}/transcript", params=params
        )
        with self._connection.validate_response():
            cue_source = cue_source_from_json(payload["source"])
            return TranscriptText(
                found_video,
                cue_source,
                tuple(cue_from_dict(cue_payload, cue_source) for cue_payload in payload["cues"]),
            )

    def _require_video(self, video: PathInput | Video) -> Video:
        """Return the only video that matches; raise LibraryError otherwise."""
        if isinstance(video, Video):
            return video
        matching_videos = list_videos(self._connection, [check_path(video, "video")])
        if len(matching_videos) != 1:
            reason = f"{len(matching_videos)} videos match" if matching_videos else "no such video"
            raise LibraryError(
                f"{video}: {reason} at {self._connection.url}; give the path of one video there"
            )
        return matching_videos[0]
