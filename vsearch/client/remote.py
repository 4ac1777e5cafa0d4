"""A library that another process serves, asked as if it were here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vsearch.client.answers import (
    Served,
    read_cue,
    read_found,
    read_mark,
    read_saved,
    read_segment,
    read_served,
    read_source,
    read_tag,
)
from vsearch.client.asking import Uploads, kept, refers, text_of
from vsearch.client.connection import Connection
from vsearch.client.following import exported, indexed
from vsearch.client.naming import meant, pages, path_of
from vsearch.errors import LibraryError, QueryError
from vsearch.search.query import Names, parse, parse_clip
from vsearch.transcripts import Words
from vsearch.types import Query, Span, Video
from vsearch.wire import read_video

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from vsearch.client.answers import Found, Job
    from vsearch.types import CueSource, Mark, Moment, SavedSearch, Segment, Tag

    Name = str | os.PathLike[str]


def connect(url: str, *, token: str | None = None, timeout: float = 60.0) -> Remote:
    """The library that `vsearch serve` serves at an address, say http://127.0.0.1:8765.

    `token` is the server's, if it has one; `timeout` the seconds for which it may say nothing.
    Raises ServerError where there is no such server, or it refuses.
    """
    remote = Remote(Connection(url, token, timeout))
    try:
        remote.saved()  # little is asked for, and a token is
    except BaseException:
        remote.close()
        raise
    return remote


class Remote:
    """A library elsewhere, with the methods of `Library`. Safe to use from several threads.

    Errors are those of `Library`, and ServerError. Times are in seconds; a video is named by its
    path on the server, or as a Video.
    """

    def __init__(self, connection: Connection) -> None:
        """Use `vsearch.connect`."""
        self._connection = connection
        self._previous: str | None = None  # the last search, whose results `like:#3` names

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._connection.url

    def close(self) -> None:
        """Let go of the network."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- asking

    def search(
        self,
        query: str | Query = "",
        *,
        image: Name | None = None,
        clip: Name | None = None,
        span: Span | tuple[float, float] | None = None,
        k: int = 10,
        videos: Sequence[str] = (),
        tags: Sequence[str] = (),
        per_video: int | None = None,
        varied: bool = False,
        alike: bool = False,
    ) -> list[Moment]:
        """The k moments that fit best, best first; see `Library.search`.

        Pictures and clips, in the query too, are files from here, which are uploaded, or
        `video:ID`, one of the server's. Paths of `videos` and `path:` are those of the server.
        """
        text = text_of(query, image, clip, span, videos, tags)
        return list(self.ask(text, k=k, per_video=per_video, varied=varied, alike=alike).moments)

    def ask(
        self,
        text: str,
        *,
        k: int = 10,
        per_video: int | None = None,
        varied: bool = False,
        alike: bool = False,
    ) -> Found:
        """What a query finds, as `search`, and what the server has to say of it."""
        wish: dict[str, Any] = {"k": k, "per_video": per_video, "varied": varied, "alike": alike}
        if refers(text):
            wish["previous"] = self._previous
        with Uploads(self._connection).named(text) as named:
            told = self._connection.json("POST", "/search", json={"q": named, **wish})
        with self._connection.understood():
            found = read_found(told)
        self._previous = found.id
        return found

    def query(
        self,
        text: str = "",
        *,
        images: Sequence[str] = (),
        clips: Sequence[str] = (),
        videos: Sequence[str] = (),
        tags: Sequence[str] = (),
    ) -> Query:
        """What text asks for, see `Library.query`; of searches that the server saved, too.

        Raises QueryError.
        """
        return parse(
            text,
            images=images,
            clips=map(parse_clip, clips),
            videos=videos,
            tags=tags,
            names=Names(saved=self._saved),
        )

    def _saved(self, name: str) -> str:
        known = {one.name: one.query for one in self.saved()}
        if name not in known:
            raise QueryError(f"@{name}: no search is saved as that at {self.url}")
        return known[name]

    def saved(self) -> list[SavedSearch]:
        """The searches that are saved, by name."""
        told = self._connection.json("GET", "/saved")
        with self._connection.understood():
            return list(map(read_saved, told["items"]))

    def save(self, name: str, query: str | Query) -> SavedSearch:
        """Save a query, so that `@name` asks it again, in place of what was saved so before."""
        asked = {"q": kept(str(query))}
        told = self._connection.json("PUT", f"/saved/{path_of(name)}", json=asked)
        with self._connection.understood():
            return read_saved(told)

    def unsave(self, name: str) -> SavedSearch:
        """Forget a saved search. Raises QueryError where there is none."""
        name = name.removeprefix("@")
        found = next((one for one in self.saved() if one.name == name), None)
        if found is None:
            raise QueryError(f"@{name}: no search is saved as that at {self.url}")
        self._connection.json("DELETE", f"/saved/{path_of(name)}")
        return found

    def mark(
        self, query: str | Query, found: Iterable[Moment], *, up: bool | None = True
    ) -> list[Mark]:
        """Say that results of a query are what it asks for, or are not; None: take that back.

        All marks of the query are given.
        """
        text = kept(str(query))
        for one in found:
            wish = {"q": text, "video_id": one.video.id, "up": up}
            span = {"start": one.span.start, "end": one.span.end}
            self._connection.json("POST", "/marks", json={**wish, **span})
        return self.marks(text)

    def marks(self, query: str | Query | None = None) -> list[Mark]:
        """What was marked for a query, or for any, the latest first."""
        params = {} if query is None else {"q": kept(str(query))}
        told = self._connection.json("GET", "/marks", params=params)
        with self._connection.understood():
            return list(map(read_mark, told["items"]))

    def forget_marks(self, query: str | Query) -> int:
        """Take away what was marked for a query; how much that was."""
        told = self._connection.json("DELETE", "/marks", params={"q": kept(str(query))})
        with self._connection.understood():
            return int(told["forgotten"])

    # --- the videos

    def info(self) -> Served:
        """What the library holds, and what the server may do."""
        told = self._connection.json("GET", "/library")
        with self._connection.understood():
            return read_served(told)

    def videos(self, paths: Sequence[Name] = ()) -> list[Video]:
        """The videos in the library, sorted by path; if paths are given, those that they mean.

        A path, of the server, means that video or all below that folder; else it is a glob over
        the whole library.
        """
        with self._connection.understood():
            found = list(map(read_video, pages(self._connection, "/videos")))
        found.sort(key=lambda video: str(video.path))
        return meant(found, list(map(str, paths))) if paths else found

    def video(self, number: int) -> Video | None:
        """The video with that id; None where there is none."""
        try:
            told = self._connection.json("GET", f"/videos/{int(number)}")
        except LibraryError:
            return None
        with self._connection.understood():
            return read_video(told)

    def segments(self, video: Video) -> list[Segment]:
        """The segments of a video as they follow each other; their vectors are not sent."""
        with self._connection.understood():
            told = pages(self._connection, f"/videos/{video.id}/segments")
            return [read_segment(video.id, each) for each in told]

    def transcript(self, video: Name | Video, source: CueSource | None = None) -> Words:
        """The words of a video: its subtitles, else speech, else what it shows.

        Raises LibraryError where there are none.
        """
        one = self._one(video)
        params = {} if source is None else {"source": source}
        told = self._connection.json("GET", f"/videos/{one.id}/transcript", params=params)
        with self._connection.understood():
            whence = read_source(told["source"])
            return Words(one, whence, tuple(read_cue(each, whence) for each in told["cues"]))

    def tags(self, paths: Sequence[Name] = ()) -> list[Tag]:
        """What the videos (see `videos`), or spans of them, were said to show."""
        found: list[Tag] = []
        for video in self.videos(paths):
            told = self._connection.json("GET", f"/videos/{video.id}")
            with self._connection.understood():
                found += [read_tag(video.id, each) for each in told["tags"]]
        return found

    def still(self, video: Video, time: float, *, width: int = 320) -> bytes:
        """A JPEG of the frame shown at `time` seconds."""
        return self._connection.picture(f"/videos/{video.id}/still", {"t": time, "w": width})

    def preview(self, video: Video, span: Span, *, width: int = 320) -> bytes:
        """An animated WebP of a span."""
        params = {"start": span.start, "end": span.end, "w": width}
        return self._connection.picture(f"/videos/{video.id}/preview", params)

    def remove(self, paths: Iterable[Name]) -> list[Video]:
        """Take videos out of the library (see `videos`); the files themselves stay."""
        asked = list(paths)
        found = self.videos(asked) if asked else []
        for video in found:
            self._connection.json("DELETE", f"/videos/{video.id}")
        return found

    def _one(self, video: Name | Video) -> Video:
        """The only video that a name means. Raises LibraryError."""
        if isinstance(video, Video):
            return video
        found = self.videos([video])
        if len(found) != 1:
            many = f"{len(found)} videos are called that" if found else "no such video"
            raise LibraryError(f"{video}: {many} at {self.url}; name one by its path there")
        return found[0]

    # --- what takes a while

    def index(
        self,
        folders: Iterable[Name] = (),
        *,
        fast: bool | None = None,
        progressive: bool = False,
        transcribe: bool | None = None,
        read_text: bool | None = None,
    ) -> Iterator[Job]:
        """Index folders that the server offers, or all of them; the job as it goes on.

        A folder goes by its path there, its name or its id. The last Job has ended; it goes on,
        too, where nobody looks: see `stop`. Raises LibraryError for a folder that is not offered.
        """
        wish = {"fast": fast, "progressive": progressive, "transcribe": transcribe}
        return indexed(self._connection, list(map(str, folders)), {**wish, "read": read_text})

    def export(
        self,
        moments: Iterable[Moment],
        kind: str,
        folder: Path,
        *,
        pad: float = 0.0,
        title: str = "",
    ) -> list[Path]:
        """Write moments into a folder here, with `pad` seconds more around each; the files.

        `kind` is clips, supercut, otio, edl, fcpxml, csv or m3u. No file is overwritten. Raises
        ExportError.
        """
        found = [
            {"video_id": one.video.id, "start": one.span.start, "end": one.span.end}
            for one in moments
        ]
        wish = {"kind": kind, "moments": found, "pad": pad, "title": title}
        return exported(self._connection, wish, folder)

    def stop(self, job: Job) -> None:
        """End a job of the server; what was indexed is kept."""
        self._connection.json("DELETE", f"/jobs/{path_of(job.id)}")
