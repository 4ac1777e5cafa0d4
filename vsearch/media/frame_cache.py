"""Cache sampled frames as small H.264 images, so that another model can encode them later.

A file consists of `vsframe1` and the number of frames (u64), then for each frame its time in
seconds (f64), the length of its packet and the CRC-32 of both (u32 each), all little-endian, and
the packet. A packet mostly encodes what changed since the frame before.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vsearch.errors import LibraryError
from vsearch.media.frame_batches import batch_frames
from vsearch.storage.atomic_files import (
    atomic_write,
    damage_as_error,
    fsync_directory,
    remove_partial_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from vsearch.media.frame_codec import FrameEncoder
    from vsearch.types import FrameBatch, Images

KEPT_SHORT_SIDE = 256  # pixels; smaller videos are not enlarged
FRAMES_PER_BATCH = 16
_FILE_MAGIC = b"vsframe1"
_HEADER_STRUCT = struct.Struct("<8sQ")
_RECORD_STRUCT = struct.Struct("<dII")
_MAX_PACKET_BYTES = 2**20  # many times what a packet needs
_PENDING_NAME = "next"  # prefix of complete files whose video has no id yet
DAMAGE_REMEDY = "it is not used; the video is decoded again where needed"


class FrameStore:
    """Frame cache of a library: `<folder>/<video id>.frames`.

    Losing a file only means decoding that video again.

    Args:
        folder: Folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def open_writer(self, pending_name: str = "") -> Iterator[FrameWriter]:
        """Open a writer for the frames of one video; assign them to its id after the block.

        Args:
            pending_name: Distinguishes videos that are decoded at the same time.

        Yields:
            The writer.

        Raises:
            LibraryError: The file cannot be written.
        """
        frames_path = self._frames_path(_PENDING_NAME + pending_name)
        with (
            _translate_disk_errors(self.folder),
            atomic_write(frames_path, sweep=False) as frames_file,
        ):
            frame_writer = FrameWriter(frames_file)
            yield frame_writer
            frame_writer.finish_file()

    def pending_path(self, pending_name: str = "") -> Path:
        """Return the path of the frames written last under `pending_name`."""
        return self._frames_path(_PENDING_NAME + pending_name)

    def save_content(self, pending_name: str, object_name: str | None) -> None:
        """Store the frames written last under `pending_name`, where files need no id of a video.

        Args:
            pending_name: As of `open_writer`.
            object_name: Name in the store; None if the content is not known.

        Raises:
            StoreError: They cannot be stored.
        """

    def assign_frames(self, video_id: int, pending_name: str = "") -> None:
        """Assign the frames written last under `pending_name` to a video.

        Raises:
            LibraryError: The file cannot be renamed.
        """
        with _translate_disk_errors(self.folder):
            self.pending_path(pending_name).replace(self._frames_path(video_id))
            fsync_directory(self.folder)

    def iter_batches(self, video_id: int) -> Iterator[FrameBatch]:
        """Return the frames of a video in batches of one shape, reading one batch at a time.

        Raises:
            DamagedLibraryError: The file is missing or damaged; may be raised at any batch.
        """
        return read_batches(self._frames_path(video_id))

    def has_frames(self, video_id: int) -> bool:
        """Return whether frames of a video are cached, intact or not."""
        return self._frames_path(video_id).exists()

    def remove_frames(self, video_id: int) -> None:
        """Delete the frames of a video, if there are any."""
        self._frames_path(video_id).unlink(missing_ok=True)

    def list_video_ids(self) -> set[int]:
        """Return the ids of the videos that have frames."""
        file_stems = (path.stem for path in self.folder.glob("*.frames"))
        return {
            int(file_stem)
            for file_stem in file_stems
            if file_stem.isascii() and file_stem.isdigit()
        }

    def find_damaged(self) -> list[int]:
        """Return the ids of videos whose cached frames are damaged, ascending."""
        return [
            video_id
            for video_id in sorted(self.list_video_ids())
            if not frames_are_intact(self._frames_path(video_id))
        ]

    def remove_stale_files(self, known_video_ids: set[int]) -> int:
        """Delete unfinished files and frames of unknown videos; return how many."""
        stale_paths = [
            self._frames_path(video_id) for video_id in self.list_video_ids() - known_video_ids
        ]
        stale_paths += self.folder.glob(f"{_PENDING_NAME}*.frames")
        for stale_path in stale_paths:
            stale_path.unlink(missing_ok=True)
        return len(stale_paths) + remove_partial_files(self.folder)

    def _frames_path(self, file_name: int | str) -> Path:
        return self.folder / f"{file_name}.frames"


def read_batches(frames_path: Path) -> Iterator[FrameBatch]:
    """Yield the frames of a file; see `FrameStore.iter_batches`."""
    from vsearch.media.frame_codec import decode_packets  # deferred: imports a decoder

    frame_times = deque[float]()
    with damage_as_error(frames_path, DAMAGE_REMEDY), frames_path.open("rb") as frames_file:
        images = decode_packets(_split_times(_iter_records(frames_file, frames_path), frame_times))
        yield from batch_frames(
            ((image, frame_times.popleft()) for image in images), FRAMES_PER_BATCH
        )
        if frame_times:
            raise ValueError(f"{frames_path}: {len(frame_times)} packets did not decode to a frame")


def frames_are_intact(frames_path: Path) -> bool:
    """Return whether a file of frames is complete and matches its checksums."""
    try:
        with damage_as_error(frames_path, DAMAGE_REMEDY), frames_path.open("rb") as frames_file:
            for _ in _iter_records(frames_file, frames_path):
                pass
    except LibraryError:
        return False
    return True


class FrameWriter:
    """Writer of the frames of one video, in order."""

    def __init__(self, frames_file: BinaryIO) -> None:
        self._frames_file, self._frame_count = frames_file, 0
        self._frame_encoder: FrameEncoder | None = None
        self._image_shape: tuple[int, ...] = ()
        self._pending_times: deque[float] = deque()  # of frames whose packets are not encoded yet
        frames_file.write(_HEADER_STRUCT.pack(_FILE_MAGIC, 0))

    def add_frame(self, image: Images, frame_time: float) -> None:
        """Add the next frame.

        Args:
            image: uint8 (H, W, 3) RGB.
            frame_time: Seconds.
        """
        from vsearch.media.frame_codec import FrameEncoder  # deferred: imports an encoder

        if self._frame_encoder is None or image.shape != self._image_shape:
            self._flush_encoder()
            self._frame_encoder, self._image_shape = FrameEncoder(image.shape), image.shape
        self._pending_times.append(frame_time)
        self._write_packets(self._frame_encoder.encode_image(image))

    def finish_file(self) -> None:
        """Write the frame count, without which the file is incomplete."""
        self._flush_encoder()
        self._frames_file.seek(0)
        self._frames_file.write(_HEADER_STRUCT.pack(_FILE_MAGIC, self._frame_count))

    def _flush_encoder(self) -> None:
        if self._frame_encoder is not None:
            self._write_packets(self._frame_encoder.flush_packets())

    def _write_packets(self, packets: Iterable[bytes]) -> None:
        for packet_bytes in packets:
            frame_time = self._pending_times.popleft()
            self._frames_file.write(
                _RECORD_STRUCT.pack(
                    frame_time, len(packet_bytes), _compute_checksum(frame_time, packet_bytes)
                )
            )
            self._frames_file.write(packet_bytes)
            self._frame_count += 1


def _iter_records(frames_file: BinaryIO, frames_path: Path) -> Iterator[tuple[float, bytes]]:
    """Yield time and packet of each frame; raise ValueError or struct.error on damage."""
    magic, frame_count = _HEADER_STRUCT.unpack(frames_file.read(_HEADER_STRUCT.size))
    if (
        magic != _FILE_MAGIC
        or not 0 < frame_count <= frames_path.stat().st_size // _RECORD_STRUCT.size
    ):
        raise ValueError(f"{frames_path}: {frame_count} frames")
    last_time = -1.0
    for _ in range(frame_count):
        frame_time, packet_length, checksum = _RECORD_STRUCT.unpack(
            frames_file.read(_RECORD_STRUCT.size)
        )
        packet_bytes = frames_file.read(min(packet_length, _MAX_PACKET_BYTES))
        if (
            len(packet_bytes) != packet_length
            or _compute_checksum(frame_time, packet_bytes) != checksum
            or not last_time < frame_time < math.inf
        ):
            raise ValueError(f"{frames_path}: a frame of {packet_length} bytes at {frame_time}")
        last_time = frame_time
        yield frame_time, packet_bytes
    if frames_file.read(1):
        raise ValueError(f"{frames_path}: data after the last frame")


def _compute_checksum(frame_time: float, packet_bytes: bytes) -> int:
    return zlib.crc32(packet_bytes, zlib.crc32(struct.pack("<d", frame_time)))


def _split_times(
    records: Iterable[tuple[float, bytes]], pending_times: deque[float]
) -> Iterator[bytes]:
    """Yield the packets, and queue their times until their images are decoded."""
    for frame_time, packet_bytes in records:
        pending_times.append(frame_time)
        yield packet_bytes


@contextmanager
def _translate_disk_errors(folder: Path) -> Iterator[None]:
    """Raise OSError as LibraryError: with a full disk the next video would fail too."""
    try:
        yield
    except OSError as error:
        raise LibraryError(
            f"{folder}: frames cannot be cached ({error.strerror or error}). Free some space, or "
            "index without --keep-frames; videos already indexed are safe."
        ) from error
