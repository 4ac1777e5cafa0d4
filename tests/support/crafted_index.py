"""Malformed .npz files, by name."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


class _Bomb:
    """Sets a flag when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("import numpy; numpy.unpickled = True",)


def _member(shape: str, descr: str = "'<f8'", data: bytes = b"") -> bytes:
    """Return an .npy file with an arbitrary header and payload."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def _archive(member: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name in ("matrix", "times", "space", "ids", "revision"):
            archive.writestr(f"{name}.npy", member)
    return file.getvalue()


def _with_entry_field(offset: int, value: bytes) -> bytes:
    """Return an archive with `value` at `offset` of its first directory entry."""
    data = bytearray(_archive(_member("(2,)", data=bytes(16))))
    entry = data.index(b"PK\x01\x02")
    data[entry + offset : entry + offset + len(value)] = value
    return bytes(data)


def _pickled() -> bytes:
    return _member("(1,)", "'|O'", pickle.dumps([_Bomb()]))


CRAFTED = {
    "nothing": b"",
    "junk": b"junk" * 100,
    "cut off": _archive(_member("(2,)", data=bytes(16)))[:60],
    "a bare pickle": pickle.dumps(_Bomb()),
    "pickles": _archive(_pickled()),
    "one .npy": _member("(2,)", data=bytes(16)),
    "a bare object": _pickled(),
    "a gigantic shape": _archive(_member("(1000000000000000,)")),
    "a negative shape": _archive(_member("(-1,)")),
    "a header that is code": _archive(_member("__import__('os')")),
    "a header that does not end": _archive(_member("((((((")),
    "compressed zeros": _archive(
        _member("(1000000,)", data=bytes(8_000_000)), zipfile.ZIP_DEFLATED
    ),
    "an unknown compression": _with_entry_field(10, struct.pack("<H", 99)),
    "encrypted": _with_entry_field(8, struct.pack("<H", 1)),
    "a promise of 4 GB": _with_entry_field(24, struct.pack("<I", 2**32 - 2)),
}


def write(path: Path, name: str) -> None:
    """Write the malformed content `name` to `path`."""
    path.write_bytes(CRAFTED[name])


def nothing_was_unpickled() -> bool:
    """Return whether no pickle was executed."""
    return not hasattr(np, "unpickled")
