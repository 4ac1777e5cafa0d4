"""Sampled frames kept as small pictures: another model can see them without the video.

A file is `vsframe1` and how many there are (u64), then for each its time in seconds (f64), the
length of its packet and the CRC-32 of both (u32 each), all little-endian, and that packet.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vsearch.errors import LibraryError
from vsearch.files import keep_names, replaced, sweep, usable
from vsearch.media.batches import batched

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from vsearch.media.codec import Coder
    from vsearch.types import FrameBatch, Images

SHORT_SIDE = 256  # pixels; a smaller video is kept as it is
BATCH = 16
_MAGIC = b"vsframe1"
_HEAD = struct.Struct("<8sQ")
_RECORD = struct.Struct("<dII")
_LARGEST = 2**20  # bytes of one packet: many times what one needs
_UNCLAIMED = "next"  # a whole file whose video has no id yet
_REMEDY = "it is not used: the video is decoded again where that is needed"


class FrameStore:
    """`<folder>/<video id>.frames`; a cache: losing one means decoding that video again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def keeping(self, name: str = "") -> Iterator[Keeper]:
        """What takes the frames of one video; `claim` them for its id after the block.

        A `name` keeps apart what is decoded at the same time. Raises LibraryError where they
        cannot be written.
        """
        path = self._path(_UNCLAIMED + name)
        with _written(self.folder), replaced(path) as file:
            keeper = Keeper(file)
            yield keeper
            keeper.finish()

    def claim(self, video_id: int, name: str = "") -> None:
        """Give the frames that were kept last by that name to a video. Raises LibraryError."""
        with _written(self.folder):
            self._path(_UNCLAIMED + name).replace(self._path(video_id))
            keep_names(self.folder)

    def batches(self, video_id: int) -> Iterator[FrameBatch]:
        """The frames of a video in batches of one shape, read one batch at a time.

        Raises DamagedLibraryError, at any batch, where the file is missing or not as it was.
        """
        from vsearch.media.codec import decoded  # deferred: brings av

        path, times = self._path(video_id), deque[float]()
        with usable(path, _REMEDY), path.open("rb") as file:
            images = decoded(_taken(_records(file, path), times))
            yield from batched(((image, times.popleft()) for image in images), BATCH)
            if times:
                raise ValueError(f"{path}: {len(times)} packets without a picture")

    def has(self, video_id: int) -> bool:
        """Whether frames of a video were kept, whatever they are worth."""
        return self._path(video_id).exists()

    def remove(self, video_id: int) -> None:
        """Delete the frames of a video, if there are any."""
        self._path(video_id).unlink(missing_ok=True)

    def ids(self) -> set[int]:
        """The videos that have frames."""
        names = (path.stem for path in self.folder.glob("*.frames"))
        return {int(name) for name in names if name.isascii() and name.isdigit()}

    def damaged(self) -> list[int]:
        """The videos whose frames are there but not as they were written; ascending."""
        return [video_id for video_id in sorted(self.ids()) if not self._whole(video_id)]

    def sweep(self, known: set[int]) -> int:
        """Delete what an interrupted run left: unfinished files and frames of no video."""
        stale = [self._path(video_id) for video_id in self.ids() - known]
        stale += self.folder.glob(f"{_UNCLAIMED}*.frames")
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale) + sweep(self.folder)

    def _whole(self, video_id: int) -> bool:
        path = self._path(video_id)
        try:
            with usable(path, _REMEDY), path.open("rb") as file:
                for _ in _records(file, path):
                    pass
        except LibraryError:
            return False
        return True

    def _path(self, name: int | str) -> Path:
        return self.folder / f"{name}.frames"


class Keeper:
    """Writes the frames of one video, one after the other."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._count = file, 0
        self._coder: Coder | None = None
        self._shape: tuple[int, ...] = ()
        self._times: deque[float] = deque()  # of the pictures whose packets are to come
        file.write(_HEAD.pack(_MAGIC, 0))

    def add(self, image: Images, time: float) -> None:
        """Take the next frame, uint8 (H, W, 3) RGB, shown at `time` seconds."""
        from vsearch.media.codec import Coder  # deferred: brings av

        if self._coder is None or image.shape != self._shape:
            self._flush()
            self._coder, self._shape = Coder(image.shape), image.shape
        self._times.append(time)
        self._write(self._coder.encode(image))

    def finish(self) -> None:
        """Say how many there were: a file without that is not whole."""
        self._flush()
        self._file.seek(0)
        self._file.write(_HEAD.pack(_MAGIC, self._count))

    def _flush(self) -> None:
        if self._coder is not None:
            self._write(self._coder.flush())

    def _write(self, packets: Iterable[bytes]) -> None:
        for data in packets:
            time = self._times.popleft()
            self._file.write(_RECORD.pack(time, len(data), _checksum(time, data)))
            self._file.write(data)
            self._count += 1


def _records(file: BinaryIO, path: Path) -> Iterator[tuple[float, bytes]]:
    """Time and packet of each frame; ValueError or struct.error for what `Keeper` did not write."""
    magic, count = _HEAD.unpack(file.read(_HEAD.size))
    if magic != _MAGIC or not 0 < count <= path.stat().st_size // _RECORD.size:
        raise ValueError(f"{path}: {count} frames")
    last = -1.0
    for _ in range(count):
        time, length, checksum = _RECORD.unpack(file.read(_RECORD.size))
        data = file.read(min(length, _LARGEST))
        if len(data) != length or _checksum(time, data) != checksum or not last < time < math.inf:
            raise ValueError(f"{path}: a frame of {length} bytes at {time}")
        last = time
        yield time, data
    if file.read(1):
        raise ValueError(f"{path}: goes on after its end")


def _checksum(time: float, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(struct.pack("<d", time)))


def _taken(records: Iterable[tuple[float, bytes]], times: deque[float]) -> Iterator[bytes]:
    """The packets, whose times are put aside until their pictures come."""
    for time, data in records:
        times.append(time)
        yield data


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    """A disk that is full stops the run: the next video's frames could not be written either."""
    try:
        yield
    except OSError as error:
        raise LibraryError(
            f"{folder}: frames cannot be kept ({error.strerror or error}). Free some space, or "
            "index without --keep-frames; what is indexed already is safe."
        ) from error
