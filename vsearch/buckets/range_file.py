"""Files in buckets, open for reading by ranges.

Blocks that were read are kept in a cache of bounded size, which all open files of a process share:
indexing opens a file several times, and reads its index first and last. Ranges grow while a file
is read in order, and are small after a jump, so that key frames alone cost little.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from vsearch.buckets.filesystems import read_range

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from vsearch.buckets.filesystems import ObjectAddress, ObjectInfo


BLOCK_BYTES = 128 * 1024
MAX_RANGE_BLOCKS = 32  # of one request
CACHE_BYTES = 128 * 2**20  # of all open files of a process
_MAX_CONTENTS = 64  # files whose digest is under way
_MAX_GAP_BLOCKS = 1  # read rather than skipped, because a request costs more


class _BlockCache:
    """The blocks that were read last. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._byte_count = max_bytes, 0
        self._blocks: OrderedDict[tuple[str, str, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: tuple[str, str, int]) -> bytes | None:
        """Return a block, or None if it is not kept."""
        with self._lock:
            block = self._blocks.get(key)
            if block is not None:
                self._blocks.move_to_end(key)
            return block

    def add(self, key: tuple[str, str, int], block: bytes) -> None:
        """Keep a block, and drop those used least recently."""
        with self._lock:
            self._byte_count += len(block) - len(self._blocks.pop(key, b""))
            self._blocks[key] = block
            while self._byte_count > self._max_bytes and len(self._blocks) > 1:
                self._byte_count -= len(self._blocks.popitem(last=False)[1])


class _ContentDigest:
    """Digest of the part of a file that was read in order from its beginning. Thread-safe."""

    def __init__(self) -> None:
        self._hasher, self._lock = hashlib.sha256(), threading.Lock()
        self.hashed_bytes = 0

    def add(self, offset: int, content: bytes) -> None:
        """Add a part of the file, unless there is a gap before it."""
        with self._lock:
            skipped_bytes = self.hashed_bytes - offset
            if 0 <= skipped_bytes < len(content):
                self._hasher.update(memoryview(content)[skipped_bytes:])
                self.hashed_bytes += len(content) - skipped_bytes

    def hexdigest(self) -> str:
        """Return the digest of the part, as `file_identity.compute_digest` does."""
        with self._lock:
            return self._hasher.hexdigest()[:32]


_CACHE = _BlockCache(CACHE_BYTES)
_DIGESTS: OrderedDict[tuple[str, str], _ContentDigest] = OrderedDict()
_DIGESTS_LOCK = threading.Lock()


def _open_digest(content_key: tuple[str, str]) -> _ContentDigest:
    with _DIGESTS_LOCK:
        digest = _DIGESTS.setdefault(content_key, _ContentDigest())
        _DIGESTS.move_to_end(content_key)
        while len(_DIGESTS) > _MAX_CONTENTS:
            _DIGESTS.popitem(last=False)
        return digest


class RangeFile(io.RawIOBase):
    """A file in a bucket, open for reading. One thread may read it at a time.

    Args:
        address: The file.
        info: Its state, which has to last while it is read.
        last_byte: Nothing after this byte will be read; None: up to the end of the file.
    """

    def __init__(
        self, address: ObjectAddress, info: ObjectInfo, *, last_byte: int | None = None
    ) -> None:
        super().__init__()
        self.address, self.info = address, info
        self._position = 0
        size_bytes = info.size_bytes
        end = size_bytes if last_byte is None else min(size_bytes, last_byte + 1)
        self._end_block = -(-end // BLOCK_BYTES)
        # a file without an ETag is known by its size and time
        self._content_key = (str(address), info.etag or str(info.state_token))
        self._digest = _open_digest(self._content_key)
        self._next_block, self._range_blocks = 0, 1  # that continues the last range; of the next

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, origin: int = io.SEEK_SET) -> int:
        """Move the position."""
        origins = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.info.size_bytes}
        self._position = max(0, origins[origin] + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read up to the end of a block into a buffer; 0 at the end of the file."""
        if self._position >= self.info.size_bytes or not len(buffer):
            return 0
        block_index, offset = divmod(self._position, BLOCK_BYTES)
        content = memoryview(self._read_block(block_index))[offset : offset + len(buffer)]
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def _read_block(self, block_index: int) -> bytes:
        block = _CACHE.find((*self._content_key, block_index))
        if block is None:
            block = self._request_blocks(block_index)
        self._digest.add(block_index * BLOCK_BYTES, block)
        return block

    def _request_blocks(self, block_index: int) -> bytes:
        """Request a range of blocks and return the first one."""
        is_in_order = 0 <= block_index - self._next_block <= _MAX_GAP_BLOCKS
        first_block = self._next_block if is_in_order else block_index
        self._range_blocks = min(2 * self._range_blocks, MAX_RANGE_BLOCKS) if is_in_order else 1
        if first_block != block_index and _CACHE.find((*self._content_key, first_block)):
            first_block = block_index
        end_block = block_index + 1
        while (
            end_block < min(first_block + self._range_blocks, self._end_block)
            and _CACHE.find((*self._content_key, end_block)) is None
        ):
            end_block += 1
        start = first_block * BLOCK_BYTES
        content = read_range(
            self.address, self.info, start, min(end_block * BLOCK_BYTES, self.info.size_bytes)
        )
        self._next_block = end_block
        self._digest.add(start, content)
        for index in range(first_block, end_block):
            offset = (index - first_block) * BLOCK_BYTES
            block = content[offset : offset + BLOCK_BYTES]
            _CACHE.add((*self._content_key, index), block)
        offset = (block_index - first_block) * BLOCK_BYTES
        return content[offset : offset + BLOCK_BYTES]

    def count_unhashed_bytes(self) -> int:
        """Return how many bytes `compute_digest` still has to read, at most."""
        return self.info.size_bytes - self._digest.hashed_bytes

    def compute_digest(self, check_cancelled: Callable[[], None]) -> str:
        """Return the digest of the whole content; what was read in order is not read again.

        Args:
            check_cancelled: Called for each block; an exception it raises ends the reading.

        Raises:
            OSError: The file cannot be read.
        """
        while self._digest.hashed_bytes < self.info.size_bytes:
            check_cancelled()
            self._read_block(self._digest.hashed_bytes // BLOCK_BYTES)
        return self._digest.hexdigest()


class MediaSource:
    """A file in a bucket as FFmpeg reads it: after an error it ends, and the error is kept.

    An exception would be reported for another file, because PyAV keeps it until FFmpeg fails next.
    """

    def __init__(self, range_file: RangeFile) -> None:
        self._file = range_file
        self.address = range_file.address
        self.name = self.address.name  # by which FFmpeg guesses the format
        self.error: OSError | None = None

    def read(self, byte_count: int) -> bytes:
        """Return the next bytes; none at the end and after an error."""
        try:
            return b"" if self.error is not None else self._file.read(byte_count) or b""
        except OSError as error:
            self.error = error
            return b""

    def seek(self, offset: int, origin: int = io.SEEK_SET) -> int:
        """Move the position."""
        return self._file.seek(offset, origin)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()
