"""Files of a store, read by range."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING

import pytest

from vsearch.storage import stored_files
from vsearch.storage.object_cache import ObjectCache
from vsearch.storage.object_store import FolderObjects
from vsearch.storage.stored_files import StoredFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("is_cached", [False, True])
@pytest.mark.parametrize("size_bytes", [0, 1, 9, 10, 11, 20, 137])
def test_reading_and_seeking_equals_a_file(
    tmp_path: Path, size_bytes: int, is_cached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_files, "BLOCK_BYTES", 10)
    monkeypatch.setattr(stored_files, "REQUEST_BLOCKS", 3)
    content = random.Random(size_bytes).randbytes(size_bytes)
    objects = FolderObjects(tmp_path / "store")
    objects.write("a.bin", content)
    cache = ObjectCache(tmp_path / "cache", 10_000) if is_cached else None
    for seed in range(40):
        draw = random.Random(seed)
        expected = io.BytesIO(content)
        with StoredFile(objects, "a.bin", cache).open("rb") as opened:
            for _ in range(8):
                offset, length = draw.randrange(160), draw.randrange(160)
                if draw.random() < 0.5:
                    assert opened.seek(offset) == expected.seek(offset)
                assert opened.read(length) == expected.read(length)
                assert opened.tell() == expected.tell()


def test_the_end_is_not_known(tmp_path: Path) -> None:
    opened = StoredFile(FolderObjects(tmp_path), "a.bin", None).open()
    with pytest.raises(io.UnsupportedOperation):
        opened.seek(0, io.SEEK_END)
    with pytest.raises(io.UnsupportedOperation):
        opened.read()
    with pytest.raises(FileNotFoundError):
        opened.read(1)
