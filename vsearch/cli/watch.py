"""`vsearch watch`: index new files in folders and report matches of saved searches."""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.messages import print_note, print_problem
from vsearch.cli.options import (
    audio_track_option,
    decoding_options,
    discovery_options,
    library_options,
    limit_blas_threads,
    lower_priority,
    photos_option,
)
from vsearch.cli.render import escape_unprintable, format_path, format_percent, format_place
from vsearch.errors import LockedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.cli.options import CommonOptions
    from vsearch.library import Library
    from vsearch.media.folder_watch import FolderWatcher
    from vsearch.progress import IndexResult
    from vsearch.query.model import Query
    from vsearch.types import Moment, Video

MAX_MATCHES = 20  # per saved search and scan
DECODED_OUTCOMES = ("indexed", "updated")


class IntervalParam(click.ParamType[float]):
    """A duration from 0.1 seconds to 24 hours."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Convert `value` to seconds."""
        from vsearch.errors import QueryError
        from vsearch.query.times import parse_duration  # deferred: --help needs no numpy

        try:
            seconds = value if isinstance(value, float) else parse_duration(str(value))
        except QueryError as error:
            self.fail(str(error), param, ctx)
        if not 0.1 <= seconds <= 86_400:
            self.fail(f"{value}: must be from 0.1s to 24h", param, ctx)
        return float(seconds)


def _validate_alerts(
    _ctx: click.Context, _param: click.Parameter, alerts: tuple[str, ...]
) -> tuple[str, ...]:
    for alert in alerts:
        if not re.fullmatch(r"@?[\w-]+", alert):
            raise click.BadParameter(
                f"{alert!r} is not the name of a saved search; add one with "
                "`vsearch save NAME QUERY`"
            )
    return alerts


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="DIR...")
@click.option(
    "--alert",
    "alerts",
    multiple=True,
    metavar="@NAME",
    callback=_validate_alerts,
    help="Report matches of this saved search only. Repeatable.  [default: all saved searches]",
)
@click.option(
    "--interval",
    default="10s",
    show_default=True,
    metavar="TIME",
    type=IntervalParam(),
    help="Time between two scans, 0.1s to 24h.",
)
@click.option("--once", is_flag=True, help="Stop when all files are indexed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@discovery_options
@decoding_options
@photos_option
@audio_track_option
@library_options
@click.pass_obj
def watch(
    options: CommonOptions,
    /,
    paths: tuple[str, ...],
    alerts: tuple[str, ...],
    interval: float,
    once: bool,
    as_json: bool,
    keyframes_only: bool | None,
    workers: int | None,
    hwaccel: str | None,
    audio_track: str | None,
    photos: bool | None,
    **discovery_arguments: Any,
) -> None:
    """Index new files and report matches of saved searches.

    Files that are still being written are indexed once they are complete. Stop with Ctrl-C.

    \b
    vsearch save dogs a dog runs
    vsearch watch ~/Camera --alert @dogs
    """
    limit_blas_threads()
    lower_priority()
    from vsearch.media.discovery import DiscoveryOptions  # deferred: --help needs none
    from vsearch.media.folder_watch import STABLE_SECONDS, FolderWatcher

    is_new = not options.library_exists()
    with options.open_library(
        create=True,
        keyframes_only=keyframes_only,
        workers=workers,
        hwaccel=hwaccel,
        audio_track=audio_track,
        photos=photos,
    ) as library:
        if is_new:
            print_note(f"New library: {escape_unprintable(library.location.absolute_name)}")
        alert_watcher = _Watcher(library, alerts, as_json)
        alert_watcher.load_searches()  # reports an unknown name at once
        folder_watcher = FolderWatcher(
            paths,
            max(interval, STABLE_SECONDS),
            discovery_options=DiscoveryOptions(
                **discovery_arguments, photos=library.settings.photos
            ),
        )
        try:
            while alert_watcher.poll_folders(folder_watcher) or not once:
                time.sleep(interval)
        except KeyboardInterrupt:
            print_note("Stopped watching. Indexed videos are kept.")
    if once and alert_watcher.has_failed:
        sys.exit(1)


@dataclass(slots=True)
class _Watcher:
    """Indexes new files, searches them, and prints matches and problems."""

    library: Library
    alerts: tuple[str, ...]
    as_json: bool
    has_failed: bool = False
    reported_problems: dict[str, str] = field(default_factory=dict)  # message by subject

    def poll_folders(self, folder_watcher: FolderWatcher) -> bool:
        """Scan the folders once; return whether files are still incomplete."""
        ready_paths = folder_watcher.poll_folders()
        self._report_problem("folders", "\n".join(folder_watcher.error_messages))
        self.has_failed |= bool(folder_watcher.error_messages)
        new_videos: list[Video] = []
        lock_message = ""
        try:
            if ready_paths:
                self._index_files(ready_paths, folder_watcher, new_videos)
        except LockedError as error:
            lock_message = f"{error}; trying again"
        self._report_problem("lock", lock_message)
        for search_name, query in self.load_searches() if new_videos else ():
            for rank, moment in enumerate(search_new_videos(self.library, query, new_videos), 1):
                self._print_match(search_name, rank, moment)
        return bool(lock_message or folder_watcher.incomplete_paths)

    def load_searches(self) -> list[tuple[str, Query]]:
        """Load the saved searches; raise QueryError for an unknown name."""
        search_names = [alert.removeprefix("@") for alert in self.alerts]
        if not search_names:
            search_names = [search.name for search in self.library.saved_searches.list()]
        return [(name, self.library.query(f"@{name}")) for name in search_names]

    def _index_files(
        self, ready_paths: Sequence[Path], folder_watcher: FolderWatcher, new_videos: list[Video]
    ) -> None:
        """Index files and append new videos; a LockedError leaves all files to the next scan."""
        finished_paths: set[Path] = set()
        with closing(self.library.index(ready_paths)) as index_results:
            for index_result in index_results:
                finished_paths.add(index_result.path)
                self._report_result(index_result)
                if index_result.video is not None and index_result.outcome in DECODED_OUTCOMES:
                    new_videos.append(index_result.video)
        for video_path in finished_paths:
            folder_watcher.acknowledge(video_path)

    def _report_result(self, index_result: IndexResult) -> None:
        if index_result.error is not None:
            self.has_failed = True
            if self._report_problem(str(index_result.path), index_result.error) and self.as_json:
                self._print_json_line(
                    {"video": str(index_result.path), "error": index_result.error}
                )
            return
        self._report_problem(str(index_result.path), "")
        if index_result.outcome == "duplicate" and index_result.video is not None:
            original_path = format_path(index_result.video.path)
            print_note(
                f"duplicate  {format_path(index_result.path)} is the same as {original_path}"
            )
        elif index_result.outcome in (*DECODED_OUTCOMES, "refined"):
            print_note(f"{index_result.outcome}    {format_path(index_result.path)}")

    def _print_match(self, search_name: str, rank: int, moment: Moment) -> None:
        if self.as_json:
            from vsearch.search.serialization import moment_to_dict  # deferred: brings numpy

            self._print_json_line({"alert": search_name, **moment_to_dict(rank, moment)})
            return
        confidence_text = (
            "" if moment.confidence is None else f"  {format_percent(moment.confidence)}"
        )
        location_text = f"{format_place(moment)}  {format_path(moment.video.path)}"
        click.echo(f"@{escape_unprintable(search_name)}{confidence_text}  {location_text}")
        sys.stdout.flush()

    def _print_json_line(self, json_object: dict[str, Any]) -> None:
        click.echo(json.dumps(json_object))
        sys.stdout.flush()

    def _report_problem(self, subject: str, message: str) -> bool:
        """Print a problem unless it was printed before; an empty message means it is solved."""
        previous_message = self.reported_problems.pop(subject, "")
        if message:
            self.reported_problems[subject] = message
        if is_new := bool(message) and message != previous_message:
            print_problem("\n".join(map(escape_unprintable, message.split("\n"))))
        return is_new


def search_new_videos(library: Library, query: Query, videos: Sequence[Video]) -> list[Moment]:
    """Search only the given videos, and drop results with low confidence.

    Args:
        library: The library that contains the videos.
        query: The query; its path filters apply as well.
        videos: The videos to search.

    Returns:
        At most MAX_MATCHES moments, best first.
    """
    video_paths = {str(video.path) for video in videos}
    if query.filters.path_patterns:
        video_paths &= {str(video.path) for video in library.videos(query.filters.path_patterns)}
    if not video_paths:
        return []
    restricted_query = replace(
        query, filters=replace(query.filters, path_patterns=tuple(sorted(video_paths)))
    )
    return [
        moment
        for moment in library.search(restricted_query, k=MAX_MATCHES)
        if not moment.has_low_confidence
    ]
