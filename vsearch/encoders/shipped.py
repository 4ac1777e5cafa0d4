"""The weight files that ship inside the package, checked by digest before they are used."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vsearch.errors import WeightsError

FOLDER = Path(__file__).parent / "weights"


def digests(folder: Path = FOLDER) -> dict[str, str]:
    """File name -> SHA-256 as recorded in SHA256SUMS."""
    try:
        lines = (folder / "SHA256SUMS").read_text("ascii").splitlines()
    except OSError as error:
        raise WeightsError(f"{folder}: the embedded model is missing; reinstall vsearch") from error
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines if line)}


def read_verified(name: str, folder: Path = FOLDER) -> bytes:
    """The bytes of a weight file. Raises WeightsError if it is missing or not the recorded one."""
    path = folder / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{path}: part of the embedded model cannot be read ({error.strerror}); "
            "reinstall vsearch"
        ) from error
    if hashlib.sha256(data).hexdigest() != digests(folder).get(name):
        raise WeightsError(
            f"{path}: its SHA-256 is not the one in SHA256SUMS, so it is damaged or was replaced; "
            "reinstall vsearch"
        )
    return data
