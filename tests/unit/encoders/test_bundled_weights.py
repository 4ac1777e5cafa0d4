"""Weight files that are verified row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.encoders.bundled_weights import ChecksummedRows, append_checksums
from vsearch.errors import WeightsError

if TYPE_CHECKING:
    from pathlib import Path

ROWS = np.random.default_rng(0).integers(0, 256, (10, 6), np.uint8)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "rows.npy", append_checksums(ROWS))
    return tmp_path / "rows.npy"


def open_rows(file: Path) -> ChecksummedRows:
    return ChecksummedRows(file.name, (10, 10), file.parent)


def test_rows_are_read_in_the_requested_order(file: Path) -> None:
    assert (open_rows(file).read_rows([-1, 3, 3]) == ROWS[[9, 3, 3]]).all()
    assert open_rows(file).read_rows([]).shape == (0, 6)


def test_a_damaged_row_is_rejected_when_it_is_read(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 1  # the last value of the last row; its checksum follows
    file.write_bytes(content)
    rows = open_rows(file)
    assert (rows.read_rows([8]) == ROWS[8]).all()
    with pytest.raises(WeightsError, match=r"rows\.npy.*CRC-32.*reinstall"):
        rows.read_rows([8, 9])


def test_a_missing_or_truncated_file_is_rejected(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"rows\.npy.*reinstall"):
        open_rows(file)
    file.unlink()
    with pytest.raises(WeightsError, match=r"rows\.npy.*reinstall"):
        open_rows(file)


def test_another_shape_is_rejected(file: Path) -> None:
    with pytest.raises(WeightsError, match=r"rows\.npy.*shape"):
        ChecksummedRows(file.name, (11, 10), file.parent)
