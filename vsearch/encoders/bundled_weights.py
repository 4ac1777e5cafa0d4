"""Read the weight files in the package, verified by digest."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vsearch.errors import WeightsError

WEIGHTS_FOLDER = Path(__file__).parent / "weights"


def read_checksums(weights_folder: Path = WEIGHTS_FOLDER) -> dict[str, str]:
    """Return the SHA-256 of each weight file as recorded in SHA256SUMS, by file name.

    Raises:
        WeightsError: SHA256SUMS is missing.
    """
    try:
        checksum_lines = (weights_folder / "SHA256SUMS").read_text("ascii").splitlines()
    except OSError as error:
        raise WeightsError(
            f"{weights_folder}: the embedded model is missing; reinstall vsearch"
        ) from error
    return {
        file_name: file_digest
        for file_digest, file_name in (
            checksum_line.split("  ", 1) for checksum_line in checksum_lines if checksum_line
        )
    }


def read_verified_file(file_name: str, weights_folder: Path = WEIGHTS_FOLDER) -> bytes:
    """Read a weight file.

    Raises:
        WeightsError: The file is missing, or its SHA-256 is not the recorded one.
    """
    file_path = weights_folder / file_name
    try:
        file_bytes = file_path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{file_path}: weights of the embedded model cannot be read ({error.strerror}); "
            "reinstall vsearch"
        ) from error
    if hashlib.sha256(file_bytes).hexdigest() != read_checksums(weights_folder).get(file_name):
        raise WeightsError(
            f"{file_path}: its SHA-256 is not the one in SHA256SUMS, so it is damaged or was "
            "replaced; "
            "reinstall vsearch"
        )
    return file_bytes
