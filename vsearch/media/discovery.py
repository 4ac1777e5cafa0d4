"""Find videos and photos in files, folders and globs, and fingerprint their content."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch.buckets.bucket_path import (
    BucketEntry,
    BucketPath,
    format_transfer_error,
    iter_entries,
    to_absolute,
    to_path,
)
from vsearch.buckets.filesystems import require_backend
from vsearch.buckets.matching import iter_matches
from vsearch.errors import MediaError, TransferError, UnreadableError
from vsearch.media.exclusion import (
    DEFAULT_SOURCE,
    ExclusionPattern,
    ExclusionRules,
    make_default_rules,
    make_patterns,
)
from vsearch.media.urls import describe_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SUFFIX_LIST = (
    ".264 .265 .3g2 .3gp .amv .asf .avi .divx .dv .f4v .flv .gif .h264 .h265 .hevc .ivf .m1v .m2t "
    ".m2ts .m2v .m4v .mjpeg .mjpg .mkv .mov .mp4 .mpe .mpeg .mpg .mpv .mts .mxf .nut .ogm .ogv .qt "
    ".rm .rmvb .ts .vob .webm .webp .wmv .wtv .y4m"
)
VIDEO_SUFFIXES = frozenset(_SUFFIX_LIST.split())
_PHOTO_SUFFIX_LIST = ".avif .bmp .heic .heif .hif .jfif .jpe .jpeg .jpg .png .tif .tiff .webp"
PHOTO_SUFFIXES = frozenset(_PHOTO_SUFFIX_LIST.split())
_MIN_PHOTO_SIDE = 64  # pixels; smaller images are icons
_MAX_ICON_BYTES = 64 * 1024  # the size of larger files is not read to recognize icons
_MOUNT_POINT_TAG = 0xA0000003  # of junctions: IO_REPARSE_TAG_MOUNT_POINT
_CODE_SUFFIXES = frozenset((".ts", ".mts"))
_TEXT_SAMPLE_BYTES = 4096
_CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_DIGEST_BLOCK_BYTES = 64 * 1024
_DIGEST_BLOCK_COUNT = 16
FULLY_FINGERPRINTED_BYTES = _DIGEST_BLOCK_BYTES * _DIGEST_BLOCK_COUNT  # no more is read of a file


@dataclass(frozen=True, slots=True)
class DiscoveredFile:
    """A file to index, or the reason why there is none at that path."""

    path: Path  # absolute
    error: str | None = None  # one line: what is wrong, the path, what to do


@dataclass(frozen=True, slots=True)
class DiscoveryOptions:
    """Options for the search for videos in folders.

    Attributes:
        excludes: Patterns of files and folders to leave out, see `vsearch.media.exclusion`.
        default_excludes: Leave out hidden files and the folders of systems and NAS devices.
        follow_links: Follow symbolic links in folders.
        photos: Find photos, too.
    """

    excludes: tuple[str, ...] = ()
    default_excludes: bool = True
    follow_links: bool = False
    photos: bool = True


DEFAULT_OPTIONS = DiscoveryOptions()


@dataclass(frozen=True, slots=True)
class SkippedEntry:
    """A file or folder that was left out."""

    path: Path  # absolute
    reason: str
    is_default: bool = False  # left out by the defaults


SkipListener = Callable[[SkippedEntry], None]


def find_videos(
    input_paths: Iterable[str | Path],
    options: DiscoveryOptions = DEFAULT_OPTIONS,
    on_skipped: SkipListener = lambda _: None,
) -> Iterator[DiscoveredFile]:
    """Find videos and photos in files, folders and globs, each once, in order.

    A file given by name is returned whatever its suffix. In a folder, and below, files with a
    suffix in `VIDEO_SUFFIXES` or `PHOTO_SUFFIXES` are returned, except excluded files, icons and
    `.ts` files that are source code.

    Args:
        input_paths: Files, folders or glob patterns; `~` is expanded.
        options: What is left out.
        on_skipped: Called with videos, folders and links that are left out.

    Yields:
        Files to index, and errors for paths that are missing or unreadable.
    """
    seen_paths: set[tuple[Path, str | None]] = set()  # each with its error
    for input_path in input_paths:
        for discovered_file in _PathFinder(options, on_skipped).discover_path(to_path(input_path)):
            resolved_path = _resolve_links(discovered_file.path)
            if (resolved_path, discovered_file.error) not in seen_paths:
                seen_paths.add((resolved_path, discovered_file.error))
                yield discovered_file


def compute_fingerprint(video_path: Path) -> str:
    """Compute a digest of a file's size and of blocks spread over its content.

    Copies of a file have the same fingerprint, whatever their path; so have files that differ only
    between the blocks, which `file_identity` distinguishes.

    Returns:
        32 hexadecimal digits.

    Raises:
        UnreadableError: The file cannot be read.
    """
    try:
        if not video_path.is_file() and video_path.exists():  # opening a pipe would block
            raise OSError("not a file")
        with video_path.open("rb") as video_file:
            size_bytes = video_file.seek(0, os.SEEK_END)
            video_file.seek(0)
            digest = hashlib.blake2b(str(size_bytes).encode(), digest_size=16)
            if size_bytes <= FULLY_FINGERPRINTED_BYTES:
                digest.update(video_file.read(FULLY_FINGERPRINTED_BYTES))
            else:
                # Evenly spread, including the first and the last bytes.
                last_offset = size_bytes - _DIGEST_BLOCK_BYTES
                for block_index in range(_DIGEST_BLOCK_COUNT):
                    video_file.seek(block_index * last_offset // (_DIGEST_BLOCK_COUNT - 1))
                    digest.update(video_file.read(_DIGEST_BLOCK_BYTES))
    except OSError as error:
        raise UnreadableError(format_read_error(video_path, error)) from error
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _PathFinder:
    """Finds the videos at one path."""

    options: DiscoveryOptions
    on_skipped: SkipListener

    def discover_path(self, given_path: Path) -> Iterator[DiscoveredFile]:
        """Yield the videos at a path, or an error."""
        if url_message := describe_url(given_path):
            yield DiscoveredFile(given_path, url_message)
            return
        absolute_path = to_absolute(_expand_home(given_path))
        if isinstance(absolute_path, BucketPath):
            require_backend(absolute_path.scheme)
        try:
            if absolute_path.is_dir():
                yield from self._walk_folder(absolute_path)
            elif absolute_path.exists():
                yield from self._check_named(absolute_path)
            elif isinstance(absolute_path, BucketPath) and glob.has_magic(absolute_path.key):
                yield from self._expand_bucket_glob(absolute_path)
            elif glob.has_magic(str(given_path)):
                yield from self._expand_glob(given_path)
            else:
                yield DiscoveredFile(
                    absolute_path,
                    f"{absolute_path}: there is no such file or folder; check the path",
                )
        except TransferError as error:
            yield DiscoveredFile(absolute_path, str(error))
        except (OSError, ValueError) as error:  # ValueError: a null character in the name
            yield DiscoveredFile(absolute_path, format_read_error(absolute_path, error))

    def _check_named(self, file_path: Path) -> Iterator[DiscoveredFile]:
        """Yield a file that was given by name, unless the user excludes it."""
        rules = ExclusionRules((), self._user_patterns(file_path.parent))
        if not self._is_excluded(file_path, rules, is_folder=False):
            yield DiscoveredFile(file_path)

    def _expand_glob(self, glob_pattern: Path) -> Iterator[DiscoveredFile]:
        """Expand a pattern; brackets in the current folder's or home folder's name are literal."""
        first_part, *remaining_parts = glob_pattern.parts
        if first_part.startswith("~"):
            first_part = glob.escape(str(_expand_home(Path(first_part))))
        matched_paths = sorted(glob.glob(str(Path(first_part, *remaining_parts)), recursive=True))  # noqa: PTH207 - relative
        if not matched_paths:
            absolute_path = to_absolute(_expand_home(glob_pattern))
            yield DiscoveredFile(
                absolute_path, f"{absolute_path}: no file matches; check the pattern"
            )
        for matched_path in matched_paths:
            absolute_path = to_absolute(matched_path)
            if os.path.isdir(absolute_path):  # noqa: PTH112 - is_dir() raises without permission
                yield from self._walk_folder(absolute_path)
            elif absolute_path.suffix.lower() in self._suffixes or not glob_pattern.name.startswith(
                "*"
            ):
                yield from self._check_named(absolute_path)

    def _expand_bucket_glob(self, glob_pattern: BucketPath) -> Iterator[DiscoveredFile]:
        """Expand a pattern in a bucket, as `glob` does on disk."""
        has_match = False
        for matched_path in iter_matches(glob_pattern):
            has_match = True
            if matched_path.listed_info is None:
                yield from self._walk_folder(matched_path)
            elif matched_path.suffix.lower() in self._suffixes or not glob_pattern.name.startswith(
                "*"
            ):
                yield from self._check_named(matched_path)
        if not has_match:
            yield DiscoveredFile(
                glob_pattern, f"{glob_pattern}: no file matches; check the pattern"
            )

    def _walk_folder(self, root_folder: Path) -> Iterator[DiscoveredFile]:
        """Yield the videos in a folder and below; each folder is entered once."""
        visited_inodes: set[tuple[int, int]] = set()
        rules = (
            make_default_rules(root_folder) if self.options.default_excludes else ExclusionRules()
        )
        rules = replace(rules, overriding_patterns=self._user_patterns(root_folder))
        pending_folders = [(root_folder, rules)]
        while pending_folders:
            current_folder, rules = pending_folders.pop()
            try:
                if not isinstance(current_folder, BucketPath):  # where there are no links
                    stat_result = current_folder.stat()
                    if (stat_result.st_dev, stat_result.st_ino) in visited_inodes:
                        continue
                    visited_inodes.add((stat_result.st_dev, stat_result.st_ino))
                rules = rules.enter_folder(current_folder)
                folder_entries = _list_entries(current_folder)
            except TransferError as error:
                yield DiscoveredFile(current_folder, str(error))
                continue
            except OSError as error:
                yield DiscoveredFile(current_folder, format_read_error(current_folder, error))
                continue
            subfolders = []
            for folder_entry in folder_entries:
                entry_path = to_path(folder_entry.path)
                try:
                    if isinstance(folder_entry, BucketEntry) and not folder_entry.has_valid_name:
                        yield from self._report_invalid_key(folder_entry)
                    elif folder_entry.is_dir():
                        if not self._is_left_out(entry_path, folder_entry, rules, is_folder=True):
                            subfolders.append((entry_path, rules))
                    elif (
                        folder_entry.is_file()
                        and entry_path.suffix.lower() in self._suffixes
                        and not self._is_left_out(entry_path, folder_entry, rules, is_folder=False)
                        and self._is_media(entry_path)
                    ):
                        yield DiscoveredFile(entry_path)
                except OSError as error:  # continue with the others
                    yield DiscoveredFile(entry_path, format_read_error(entry_path, error))
            pending_folders += reversed(subfolders)

    def _report_invalid_key(self, folder_entry: BucketEntry) -> Iterator[DiscoveredFile]:
        """Yield an error for a folder or video in a bucket that cannot be a path."""
        suffix = os.path.splitext(folder_entry.name)[1].lower()  # noqa: PTH122 - not a path
        if folder_entry.is_dir() or suffix in self._suffixes:
            yield DiscoveredFile(
                folder_entry.path,
                f"{folder_entry.path}/{folder_entry.name}{'/' if folder_entry.is_dir() else ''}: a "
                "key with an empty part, `.` or `..` is not read; rename it in the bucket",
            )

    def _is_left_out(
        self,
        entry_path: Path,
        folder_entry: os.DirEntry[str] | BucketEntry,
        rules: ExclusionRules,
        *,
        is_folder: bool,
    ) -> bool:
        if self._is_excluded(entry_path, rules, is_folder=is_folder):
            return True
        if is_link(folder_entry) and not self.options.follow_links:
            self.on_skipped(SkippedEntry(entry_path, "a link; links are followed with --follow"))
            return True
        return False

    @property
    def _suffixes(self) -> frozenset[str]:
        return VIDEO_SUFFIXES | PHOTO_SUFFIXES if self.options.photos else VIDEO_SUFFIXES

    def _is_media(self, file_path: Path) -> bool:
        """Return whether a file is a video or a photo of more than the size of an icon."""
        if is_video(file_path):
            return True
        if not (self.options.photos and is_photo(file_path)):
            return False
        if is_icon(file_path):
            reason = f"an icon: smaller than {_MIN_PHOTO_SIDE} × {_MIN_PHOTO_SIDE} pixels"
            self.on_skipped(SkippedEntry(file_path, reason, is_default=True))
            return False
        return True

    def _is_excluded(self, path: Path, rules: ExclusionRules, *, is_folder: bool) -> bool:
        pattern = rules.find_exclusion(path, is_folder=is_folder)
        if pattern is None:
            return False
        self.on_skipped(
            SkippedEntry(
                path, f"`{pattern.text}` of {pattern.source}", pattern.source == DEFAULT_SOURCE
            )
        )
        return True

    def _user_patterns(self, folder: Path) -> tuple[ExclusionPattern, ...]:
        """Return the patterns of the user; absolute ones are made relative to the folder."""
        pattern_texts = []
        for pattern_text in self.options.excludes:
            is_inclusion, glob_path = (
                pattern_text.startswith("!"),
                to_path(pattern_text.lstrip("!")),
            )
            if glob_path.is_absolute() and glob_path.is_relative_to(folder):
                relative_text = glob_path.relative_to(folder).as_posix()
                pattern_texts.append(f"{'!' if is_inclusion else ''}/{relative_text}")
            else:
                pattern_texts.append(pattern_text)
        return make_patterns(pattern_texts, folder, "--exclude")


def _list_entries(folder: Path) -> Iterable[os.DirEntry[str]] | Iterable[BucketEntry]:
    """Return the entries sorted by name, links last, so that a video is found by its own path.

    The type of an entry is known even without permission to enter it. Those in a bucket come page
    by page, and are sorted within a page.
    """
    if isinstance(folder, BucketPath):
        return iter_entries(folder)
    with os.scandir(folder) as folder_entries:
        return sorted(
            folder_entries, key=lambda folder_entry: (folder_entry.is_symlink(), folder_entry.name)
        )


def is_link(folder_entry: os.DirEntry[str] | BucketEntry) -> bool:
    """Return whether an entry is a symbolic link, or a junction of Windows."""
    if folder_entry.is_symlink():
        return True
    reparse_tag = getattr(folder_entry.stat(follow_symlinks=False), "st_reparse_tag", 0)
    return bool(reparse_tag == _MOUNT_POINT_TAG)


def is_video(file_path: Path) -> bool:
    """Return whether a file is a video, by its suffix and where that is ambiguous by its content.

    A `.webp` must be animated; a `.ts` or `.mts` file may also be TypeScript.
    """
    suffix = file_path.suffix.lower()
    if suffix == ".webp":
        return _is_animated_webp(file_path)
    return suffix in VIDEO_SUFFIXES and not (suffix in _CODE_SUFFIXES and _is_text(file_path))


def is_photo(file_path: Path) -> bool:
    """Return whether a file is a photo, by its suffix; a `.webp` must not be animated."""
    suffix = file_path.suffix.lower()
    return suffix in PHOTO_SUFFIXES and not (suffix == ".webp" and _is_animated_webp(file_path))


def is_icon(photo_path: Path) -> bool:
    """Return whether a side of an image is shorter than that of a photo.

    Damaged images are not icons, so that indexing reports them; neither are those whose file is
    large, which are not opened.
    """
    from vsearch.media.images import read_image_size  # deferred: a folder may have no photos

    try:
        if photo_path.stat().st_size > _MAX_ICON_BYTES:
            return False
        return min(read_image_size(photo_path)) < _MIN_PHOTO_SIDE
    except (OSError, MediaError):
        return False


def _is_text(file_path: Path) -> bool:
    """Return whether a file starts with text; transport streams contain null bytes early."""
    try:
        with file_path.open("rb") as text_file:
            first_bytes = text_file.read(_TEXT_SAMPLE_BYTES)
    except OSError:
        return False  # indexing then reports why it cannot be read
    return bool(first_bytes) and not _CONTROL_BYTES.search(first_bytes)


def _is_animated_webp(image_path: Path) -> bool:
    """Return whether a WebP is animated, according to its header."""
    try:
        with image_path.open("rb") as image_file:
            header_bytes = image_file.read(21)
    except OSError:
        return True  # indexing then reports why it cannot be read
    return header_bytes[12:16] == b"VP8X" and len(header_bytes) == 21 and bool(header_bytes[20] & 2)


def _expand_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # no such user: an ordinary name
        return path


def _resolve_links(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path


def format_read_error(path: Path, error: Exception) -> str:
    """Return a message for a file or folder that cannot be read."""
    if isinstance(path, BucketPath) and isinstance(error, OSError):
        return format_transfer_error(path, error)
    error_reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{path}: cannot be read ({error_reason}); check the path and its permissions"
