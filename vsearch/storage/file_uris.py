"""Links to files."""

from __future__ import annotations

from pathlib import PurePath, PureWindowsPath


def to_file_uri(file_path: PurePath) -> str:
    """Return the `file:` URI of an absolute path, also of one from a library made on Windows."""
    if not file_path.is_absolute():
        file_path = PureWindowsPath(file_path)
    return file_path.as_uri()
