"""The matrices of a tower for int8 arithmetic, made from those of `image.onnx` when it is loaded.

Rows were multiplied so that what flows into them can be rounded (see `quantise.py`). To ship them
would double the package; to ship by what they are multiplied takes 1 MB.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

GROWN = "grown"  # where a graph has its matrices, as if it were a file


@dataclass(frozen=True, slots=True)
class Growth:
    """How a matrix (K, N) of int8 becomes another."""

    at: int  # where the matrix begins in image.onnx, bytes
    rows: npt.NDArray[np.float32]  # (K,) what each is multiplied by, not 0
    columns: npt.NDArray[np.float32]  # (N,) what brings the largest value of each to 127

    def __call__(self, image: bytes) -> npt.NDArray[np.int8]:
        """The new matrix, int8 (K, N)."""
        count, width = len(self.rows), len(self.columns)
        old = np.frombuffer(image, np.int8, count * width, self.at).reshape(count, width)
        new = old * self.rows[:, None]
        new *= self.columns
        rounded: npt.NDArray[np.int8] = np.rint(new, out=new).astype(np.int8)
        return rounded

    @staticmethod
    def arrays(growths: Sequence[Growth], graph: bytes) -> dict[str, npt.NDArray[Any]]:
        """What `read` reads, as arrays for a file."""
        return {
            "graph": np.frombuffer(graph, np.uint8),
            "places": np.array([(g.at, len(g.rows), len(g.columns)) for g in growths], np.int64),
            "rows": np.concatenate([g.rows for g in growths]),
            "columns": np.concatenate([g.columns for g in growths]),
        }

    @classmethod
    def each(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Iterator[Self]:
        """The matrices of a graph, in order."""
        row = column = 0
        for at, count, width in arrays["places"].tolist():
            rows = arrays["rows"][row : row + count]
            yield cls(at, rows, arrays["columns"][column : column + width])
            row, column = row + count, column + width


def read(data: bytes, image: bytes) -> tuple[bytes, bytes]:
    """A graph, and the matrices that it borrows under the name GROWN, from a file of `arrays`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = dict(file)
    sizes = arrays["places"][:, 1] * arrays["places"][:, 2]
    matrices, end = np.empty(int(sizes.sum()), np.int8), 0
    for growth in Growth.each(arrays):
        new = growth(image).ravel()
        matrices[end : end + len(new)] = new
        end += len(new)
    return arrays["graph"].tobytes(), matrices.tobytes()
