"""The tools: what a model may do with a library. Each is a plain function, run in a thread."""

from __future__ import annotations

import logging
import re
import threading
from contextlib import contextmanager
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from mcp.server.mcpserver import Image
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from vsearch.errors import QueryError, VSearchError
from vsearch.export.excerpts import one_line
from vsearch.mcp_server.answers import (
    Described,
    Exported,
    Label,
    Listed,
    Listing,
    Match,
    Matches,
    Place,
    Said,
)
from vsearch.remote_query import by_ids
from vsearch.types import Span
from vsearch.wire import in_library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.library import Library
    from vsearch.types import Cue, Video

log = logging.getLogger(__name__)

MOST_WORDS = 80  # lines that are told of a moment
MOST_TAGS = 50
ALIKE = 3  # moments that are told to look like another one
LONGEST = 600.0  # seconds of a film that is written
AT_ONCE = 4  # calls that work at the same time

_FOLDERS = re.compile(r"(?<![\w.~])(?:[A-Za-z]:[\\/]|/)(?:[^\\/:\n]+[\\/])+")

Id = Annotated[int, Field(ge=0, lt=2**63, description="of a video, as search and list_videos tell")]
Seconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False, description="seconds")]
Asked = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2_000,
        description=(
            'what happens or is seen, in plain words. Also: said:"thank you" (spoken), '
            "shown:EXIT (text on the screen), -word (not wanted), a then:<30s b (one after the "
            "other), path:holiday/*, tag:dog, after:2024-05, longer:10s, clip:video:12@3-8 (like "
            "that moment of video 12)"
        ),
    ),
]


class Tools:
    """What is offered for one library. Safe to use from several threads."""

    def __init__(self, library: Library, exports: Path | None = None) -> None:
        """`exports` is the folder that films may be written into, if any may."""
        self._library, self._exports = library, exports
        self._turn, self._writing = threading.Semaphore(AT_ONCE), threading.Lock()

    def search(
        self,
        query: Asked,
        k: Annotated[int, Field(ge=1, le=50, description="how many results")] = 10,
    ) -> Matches:
        """Find moments in the user's videos. Best first, with times in seconds."""
        with self._work():
            asked = by_ids(self._library, query)
            found = self._library.search(asked, k=k)
            note = None if self._library.space else "The library is empty: no video is indexed."
            return Matches(
                query=one_line(query),
                in_library=in_library(found),
                results=[Match.of(rank, moment) for rank, moment in enumerate(found, 1)],
                note=note,
            )

    def describe_moment(self, video_id: Id, start: Seconds, end: Seconds) -> Described:
        """Tell what is known of a part of a video: words said and shown, tags, what is like it."""
        with self._work():
            video = self._video(video_id)
            span = _span(video, start, end)
            words, left = self._words(video, span)
            tags = [tag for tag in self._library.tags([str(video.path)]) if tag.touches(span)]
            return Described(
                video_id=video.id,
                name=one_line(video.path.name),
                start=round(span.start, 3),
                end=round(span.end, 3),
                duration=round(video.duration, 3),
                recorded=None if video.recorded is None else video.recorded.isoformat(),
                words=words,
                words_left_out=left,
                tags=[Label.of(tag) for tag in tags[:MOST_TAGS]],
                alike=self._alike(video, span),
            )

    def still(
        self,
        video_id: Id,
        time: Seconds,
        width: Annotated[int, Field(ge=16, le=1280, description="pixels, at most")] = 640,
    ) -> Image:
        """Show the picture of a video at a time, as a JPEG."""
        with self._work():
            video = self._video(video_id)
            at = min(time, max(0.0, video.duration - 0.001))
            return Image(data=self._library.still(video, at, width=width), format="jpeg")

    def list_videos(
        self,
        name: Annotated[
            str, Field(max_length=500, description="a part of the name, or a glob: *.mp4")
        ] = "",
        offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0,
        limit: Annotated[int, Field(ge=1, le=200)] = 50,
    ) -> Listing:
        """List the videos of the library, by name."""
        with self._work():
            wanted = name.casefold().strip()
            found = [v for v in self._library.videos() if _fits(v.path.name.casefold(), wanted)]
            found.sort(key=lambda video: (video.path.name.casefold(), str(video.path)))
            items = [Listed.of(video) for video in islice(found, offset, offset + limit)]
            return Listing(items=items, total=len(found), offset=offset, limit=limit)

    def export_clip(self, video_id: Id, start: Seconds, end: Seconds) -> Exported:
        """Write a part of a video as a film of its own, into the folder that the user allowed."""
        from vsearch.media.export import Part, export  # deferred: brings a decoder

        with self._work():
            if self._exports is None:
                raise ToolError("the user allowed no folder to write into")
            video = self._video(video_id)
            span = _span(video, start, end)
            if span.duration > LONGEST:
                raise ToolError(f"a film may last {LONGEST:.0f} seconds; export a shorter part")
            if not self._writing.acquire(blocking=False):
                raise ToolError("another film is being written; try again soon")
            try:
                target = _free(self._exports, video, span)
                made = export([Part(video.path, span)], target)
            finally:
                self._writing.release()
            return Exported(
                file=one_line(str(target)),
                start=round(span.start, 3),
                end=round(span.end, 3),
                duration=round(made.duration, 3),
                size=target.stat().st_size,
            )

    # --- what they have in common

    @contextmanager
    def _work(self) -> Iterator[None]:
        """A turn to work in; what goes wrong is told to the model."""
        with self._turn:
            try:
                yield
            except VSearchError as error:
                raise ToolError(_told(error)) from error
            except OSError as error:
                raise ToolError(f"the disk says: {error.strerror}") from error

    def _video(self, number: int) -> Video:
        video = self._library.video(number)
        if video is None:
            raise ToolError(f"there is no video {number}; list_videos tells which there are")
        return video

    def _alike(self, video: Video, span: Span) -> list[Place]:
        """What looks most like a moment; nothing where that cannot be told."""
        try:
            found = self._library.similar(str(video.path), span, k=ALIKE)
        except VSearchError as error:
            log.warning("%s", error)
            return []
        return [Place.at(moment) for moment in found]

    def _words(self, video: Video, span: Span) -> tuple[list[Said], int]:
        """What is said and shown in a part of a video, and how much more there is."""
        found: list[Cue] = []
        for one in self._library.transcripts(video):
            if one.cues:
                cues = self._library.transcript(str(video.path), one.source).cues
                found += [cue for cue in cues if cue.span.end > span.start]
        inside = sorted(
            (cue for cue in found if cue.span.start < span.end), key=lambda cue: cue.span
        )
        return [Said.of(cue) for cue in inside[:MOST_WORDS]], max(0, len(inside) - MOST_WORDS)


def _span(video: Video, start: float, end: float) -> Span:
    """That part of a video. Raises QueryError where it is none."""
    if end <= start:
        raise QueryError("a moment ends after its start")
    if start >= video.duration > 0:
        raise QueryError(f"the video ends after {video.duration:.1f} seconds, before that moment")
    return Span(start, min(end, video.duration) if video.duration > 0 else end)


def _told(error: VSearchError) -> str:
    """What is wrong, without telling in which folders of the machine."""
    text = one_line(str(error))
    return text if isinstance(error, QueryError) else _FOLDERS.sub("", text)


def _fits(name: str, wanted: str) -> bool:
    return fnmatchcase(name, wanted) if any(one in wanted for one in "*?[") else wanted in name


def _free(folder: Path, video: Video, span: Span) -> Path:
    """A file that is not there yet, named by what is in it."""
    from vsearch.export.excerpts import Excerpt, Source
    from vsearch.export.names import clip_names

    [name] = clip_names([Excerpt(Source(video.path, video.duration), span, 1)])
    stem, number = name.removeprefix("01_").removesuffix(".mp4"), 1
    target = folder / f"{stem}.mp4"
    while target.exists() or target.is_symlink():
        number += 1
        target = folder / f"{stem}_{number}.mp4"
    return target
