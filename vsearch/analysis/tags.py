"""The tags of a library: list, add and remove labels of videos and their spans."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vsearch.analysis.labels import parse_labels
from vsearch.catalog.annotation_rows import resolve_tags
from vsearch.catalog.path_matching import videos_matching
from vsearch.errors import LibraryError
from vsearch.indexing.known_copies import resolve_copies
from vsearch.query.arguments import check_names, check_path, check_span, check_text
from vsearch.query.parser import parse_clip
from vsearch.types import Span, Tag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from vsearch.catalog.catalog import Catalog
    from vsearch.types import PathInput, Video

    # because the method `list` hides the type in annotations of its class
    TagList: TypeAlias = list[Tag]
    VideoRegions: TypeAlias = list[tuple[Video, Span | None]]  # videos, or parts of them

MANUAL_SOURCE = "by hand"  # source of tags added by users


class Tags:
    """Tags of one library (`Library.tags`), added by users and by `Library.classify`."""

    def __init__(
        self, catalog: Catalog, acquire_writer: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """Use `Library.tags`.

        Args:
            catalog: Catalog of the library.
            acquire_writer: Context manager that takes the write lock.
        """
        self._catalog, self._acquire_writer = catalog, acquire_writer

    def list(self, paths: Sequence[PathInput] = ()) -> TagList:
        """Return the tags of videos and their spans.

        Args:
            paths: Paths of videos or folders, or globs; see `Library.videos`.
                `film.mp4@0:05-0:10` means tags that overlap that span. Empty means all videos.

        Returns:
            The tags.

        Raises:
            LibraryError: If a path matches no video.
        """
        names = check_names(paths, "paths")
        if not names:
            return self._catalog.tags()
        spans_by_video: dict[int, list[Span | None]] = {}
        for video, span in self._resolve_regions(names):
            spans_by_video.setdefault(video.id, []).append(span)
        return [
            tag
            for tag in self._catalog.tags(spans_by_video)
            if any(span is None or tag.overlaps(span) for span in spans_by_video[tag.video_id])
        ]

    def add(self, video: PathInput, label: str, span: Span | None = None) -> Tag:
        """Add a tag to a video or to a span of it, replacing an equal one.

        Args:
            video: Path of the video.
            label: Label.
            span: Span in seconds, clipped to the end of the video; None tags the whole video.

        Returns:
            The tag.

        Raises:
            LockedError: If another process is writing.
            DatasetError: If the label is invalid.
            LibraryError: If there is no such video, or the span starts after its end.
        """
        label, span = check_text(label, "the label"), check_span(span, "the span of a tag")
        with self._acquire_writer():
            matching_videos = videos_matching(
                self._catalog, resolve_copies(self._catalog, [check_path(video, "video")])
            )
            if len(matching_videos) != 1:
                raise LibraryError(
                    f"{video}: matches {len(matching_videos)} videos of the library; choose one"
                )
            [tagged_video], [parsed_label] = matching_videos, parse_labels([label.strip()])
            if span is not None:
                if span.start >= tagged_video.duration:
                    raise LibraryError(
                        f"{video}: ends at {tagged_video.duration:.1f} s, before that span"
                    )
                span = Span(span.start, min(span.end, tagged_video.duration))
            created_at = datetime.now(UTC)
            tag = Tag(
                tagged_video.id, parsed_label.name, 1.0, span, MANUAL_SOURCE, None, created_at
            )
            self._store_manual_tag(tag)
        return tag

    def remove(
        self,
        paths: Sequence[PathInput] = (),
        *,
        label: str | None = None,
        source: str | None = None,
    ) -> int:
        """Remove tags of videos and their spans.

        Args:
            paths: As for `list`.
            label: Remove only tags with this label, in any case.
            source: Remove only tags from this source.

        Returns:
            The number of removed tags.

        Raises:
            LockedError: If another process is writing.
            LibraryError: If a path matches no video, or no tag has the label.
        """
        names = check_names(paths, "paths")
        source = None if source is None else check_text(source, "source")
        with self._acquire_writer():
            video_regions = self._resolve_regions(names)
            label_names = (
                [None] if label is None else resolve_tags(label, self._catalog.tag_labels())
            )
            with self._catalog.begin() as transaction:
                return sum(
                    transaction.remove_tags([video.id], label=label_name, source=source, span=span)
                    for video, span in video_regions
                    for label_name in label_names
                )

    def _store_manual_tag(self, tag: Tag) -> None:
        kept_tags = [
            existing_tag
            for existing_tag in self._catalog.tags([tag.video_id])
            if existing_tag.source == MANUAL_SOURCE
            and (existing_tag.label, existing_tag.span) != (tag.label, tag.span)
        ]
        with self._catalog.begin() as transaction:
            transaction.replace_tags(tag.video_id, MANUAL_SOURCE, [*kept_tags, tag])

    def _resolve_regions(self, paths: Sequence[str]) -> VideoRegions:
        """Return the videos or parts that paths match; all videos without paths."""
        if not paths:
            return [(video, None) for video in self._catalog.videos()]
        return [video_region for path in paths for video_region in self._resolve_region(path)]

    def _resolve_region(self, path_text: str) -> VideoRegions:
        """Resolve a path, with or without an `@START-END` suffix."""
        if whole_videos := videos_matching(
            self._catalog, resolve_copies(self._catalog, [path_text])
        ):
            return [(video, None) for video in whole_videos]
        clip_term = parse_clip(path_text)
        matching_videos = videos_matching(
            self._catalog, resolve_copies(self._catalog, [clip_term.value])
        )
        if not matching_videos:
            raise LibraryError(f"{path_text}: no such video in the library; see `vsearch list`")
        return [(video, clip_term.span) for video in matching_videos]
