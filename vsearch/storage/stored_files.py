"""Files of a store, read by range."""

from __future__ import annotations

import io
import os
import threading
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from vsearch.storage.object_cache import ObjectCache
    from vsearch.storage.object_store import ObjectStore

BLOCK_BYTES = 256 * 1024  # fetched and cached together: four minutes of features, at 1 frame/s
REQUEST_BLOCKS = 64  # at most in one request, which bounds memory


class StoredFile:
    """A file of a store that never changes, with the interface of a Path that readers need."""

    def __init__(self, store: ObjectStore, name: str, cache: ObjectCache | None) -> None:
        """Refer to a file, which need not exist.

        Args:
            store: The store.
            name: Name of the file in it.
            cache: Where blocks of it are kept; None: nowhere.
        """
        self._store, self._name, self._cache = store, name, cache
        self.suffix = PurePosixPath(name).suffix

    def __str__(self) -> str:
        return f"{self._store.url}/{self._name}"

    def __hash__(self) -> int:
        return hash(str(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredFile) and str(self) == str(other)

    def open(self, mode: str = "rb", buffering: int = 0) -> BinaryIO:  # noqa: ARG002 - as of Path
        """Open the file; nothing is fetched yet."""
        return cast("BinaryIO", _BlockReader(self))

    def fetch_blocks(self, first_block: int, end_block: int) -> Iterator[bytes]:
        """Yield blocks of the file, from the cache or else in one request.

        Args:
            first_block: Number of the first block.
            end_block: Number after the last block.
        """
        cached_blocks: dict[int, bytes] = {}
        if self._cache is not None:
            for block in range(first_block, end_block):
                content = self._cache.load(str(self), block)
                if content is not None:
                    cached_blocks[block] = content
        missing = [block for block in range(first_block, end_block) if block not in cached_blocks]
        fetched, fetched_start = b"", 0
        if missing:
            fetched_start = missing[0]
            fetched = self._store.read(
                self._name, fetched_start * BLOCK_BYTES, (missing[-1] + 1) * BLOCK_BYTES
            )
        for block in range(first_block, end_block):
            if block in cached_blocks:
                yield cached_blocks[block]
                continue
            offset = (block - fetched_start) * BLOCK_BYTES
            content = fetched[offset : offset + BLOCK_BYTES]
            if self._cache is not None and content:
                self._cache.store(str(self), block, content)
            yield content

    def forget(self) -> None:
        """Remove what is cached of the file."""
        if self._cache is not None:
            self._cache.forget(str(self))


class _BlockReader(io.RawIOBase):
    """Reads a stored file block by block."""

    def __init__(self, stored_file: StoredFile) -> None:
        super().__init__()
        self._stored_file, self._position = stored_file, 0
        self._lock = threading.Lock()
        self._block: tuple[int, bytes] = (-1, b"")  # the last one

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, origin: int = os.SEEK_SET) -> int:
        if origin == os.SEEK_END:
            raise io.UnsupportedOperation("the size is not known")
        self._position = offset + (self._position if origin == os.SEEK_CUR else 0)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes; fewer at the end of the file."""
        if size < 0:
            raise io.UnsupportedOperation("the size is not known")
        with self._lock:
            first_block = self._position // BLOCK_BYTES
            end_block = -(-(self._position + size) // BLOCK_BYTES)
            blocks = [] if size == 0 else self._read_blocks(first_block, end_block)
            if blocks:
                excess = len(blocks) * BLOCK_BYTES - (self._position % BLOCK_BYTES) - size
                blocks[-1] = blocks[-1][: BLOCK_BYTES - max(excess, 0)]
                blocks[0] = blocks[0][self._position % BLOCK_BYTES :]
            content = b"".join(blocks)
            self._position += len(content)
        return content

    def _read_blocks(self, first_block: int, end_block: int) -> list[bytes]:
        """Return blocks; fewer at the end of the file."""
        number, block = self._block
        blocks = [block] if number == first_block else []
        while first_block + len(blocks) < end_block:
            next_block = first_block + len(blocks)
            if blocks and len(blocks[-1]) < BLOCK_BYTES:  # the last one of the file
                break
            last_block = min(end_block, next_block + REQUEST_BLOCKS)
            blocks += self._stored_file.fetch_blocks(next_block, last_block)
        self._block = (first_block + len(blocks) - 1, blocks[-1])
        return blocks
