"""Which videos there are, and whether one is known already."""

from __future__ import annotations

import glob
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WORDS = (
    ".3g2 .3gp .amv .asf .avi .divx .dv .f4v .flv .gif .ivf .m1v .m2t .m2ts .m2v .m4v .mjpeg "
    ".mjpg .mkv .mov .mp4 .mpe .mpeg .mpg .mpv .mts .mxf .nut .ogm .ogv .qt .rm .rmvb .ts "
    ".vob .webm .webp .wmv .wtv .y4m"
)
SUFFIXES = frozenset(_WORDS.split())
_BLOCK = 64 * 1024  # bytes
_BLOCKS = 16  # so that at most 1 MiB of a file is read


@dataclass(frozen=True, slots=True)
class Found:
    """A file to index, or why there is none at that path."""

    path: Path  # absolute
    error: str | None = None  # one line: what, which path, what to do


def find_videos(paths: Iterable[str | Path]) -> Iterator[Found]:
    """Videos in files, folders and globs, in order, each once; what is missing is told, not raised.

    A file that is named is taken whatever its suffix; in a folder, and below, those with a suffix
    in `SUFFIXES` are, except hidden ones and still WebP pictures.
    """
    seen: set[Path] = set()
    for path in paths:
        for found in _find(Path(path)):
            key = _resolved(found.path)
            if key not in seen:
                seen.add(key)
                yield found


def fingerprint(path: Path) -> str:
    """A digest of the size and of blocks spread over the content: 32 hexadecimal digits.

    The same content has the same fingerprint wherever it lies. Raises UnreadableError.
    """
    try:
        if not path.is_file() and path.exists():  # opening a pipe would wait for ever
            raise OSError("not a file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.blake2b(str(size).encode(), digest_size=16)
            if size <= _BLOCK * _BLOCKS:
                digest.update(file.read(_BLOCK * _BLOCKS))
            else:
                for index in range(_BLOCKS):  # the first and the last bytes included
                    file.seek(index * (size - _BLOCK) // (_BLOCKS - 1))
                    digest.update(file.read(_BLOCK))
    except OSError as error:
        raise UnreadableError(_unreadable(path, error)) from error
    return digest.hexdigest()


def _find(named: Path) -> Iterator[Found]:
    path = _absolute(_at_home(named))
    try:
        if path.is_dir():
            yield from _below(path)
        elif path.exists():
            yield Found(path)
        elif glob.has_magic(str(named)):
            yield from _matching(named)
        else:
            yield Found(path, f"{path}: there is no such file or folder; check the path")
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        yield Found(path, _unreadable(path, error))


def _matching(pattern: Path) -> Iterator[Found]:
    """What a pattern stands for; brackets in the current folder or the home are no part of it."""
    first, *rest = pattern.parts
    if first.startswith("~"):
        first = glob.escape(str(_at_home(Path(first))))
    matches = sorted(glob.glob(str(Path(first, *rest)), recursive=True))  # noqa: PTH207 - relative
    if not matches:
        path = _absolute(_at_home(pattern))
        yield Found(path, f"{path}: nothing matches; check the pattern")
    for match in matches:
        path = _absolute(Path(match))
        if os.path.isdir(path):  # noqa: PTH112 - is_dir() raises where it may not look
            yield from _below(path)
        elif path.suffix.lower() in SUFFIXES or not pattern.name.startswith("*"):
            yield Found(path)


def _below(folder: Path) -> Iterator[Found]:
    """The videos in a folder and its subfolders; links to folders are followed, but once."""
    entered: set[tuple[int, int]] = set()
    pending = [folder]
    while pending:
        here = pending.pop()
        try:
            status = here.stat()
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            entries = _visible(here)
        except OSError as error:
            yield Found(here, _unreadable(here, error))
            continue
        folders = []
        for entry in entries:
            path = Path(entry.path)
            try:
                if entry.is_dir():
                    folders.append(path)
                elif entry.is_file() and is_video(path):
                    yield Found(path)
            except OSError as error:  # of a link, say; the other entries may be well
                yield Found(path, _unreadable(path, error))
        pending += reversed(folders)


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    """Sorted by name, links last: of two ways to a video the plain one is kept.

    What kind an entry is can be told even where it may not be entered.
    """
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted(visible, key=lambda entry: (entry.is_symlink(), entry.name))


def is_video(path: Path) -> bool:
    """Whether a file is called like a video, or is an animated WebP."""
    suffix = path.suffix.lower()
    return suffix in SUFFIXES and (suffix != ".webp" or _moves(path))


def _moves(path: Path) -> bool:
    """Whether a WebP is an animation, by its header."""
    try:
        with path.open("rb") as file:
            head = file.read(21)
    except OSError:
        return True  # so that indexing it tells why it can't be read
    return head[12:16] == b"VP8X" and len(head) == 21 and bool(head[20] & 2)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


def _at_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # no such user: then it is a name like any other
        return path


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path


def _unreadable(path: Path, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{path}: cannot be read ({reason}); check the path and its permissions"
