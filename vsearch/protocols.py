"""The seams of vsearch. A plugin implements one of these; a contract test holds it to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.types import Grays, Ids, Images, Matrix, Space, Times, Vector


@runtime_checkable
class Encoder(Protocol):
    """Pixels and words to vectors of one space. Made as `cls(argument, *, device)`.

    `argument` is what follows the colon in `--model name:argument` ("" without one); `device` is
    "auto", "cpu", "cuda" or "mps". Methods are safe to call from several threads. One that knows
    what is usually asked may say so as `querybank`, float32 (B, D); see `search.querybank`.
    """

    @property
    def space(self) -> Space:
        """The identity of the vectors that come out."""

    @property
    def image_size(self) -> int:
        """The short side in pixels at which frames are best handed in."""

    def encode_images(self, images: Images) -> Matrix:
        """uint8 (N, H, W, 3) RGB of any size -> float32 (N, D), rows of unit length."""

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """N texts -> float32 (N, D), rows of unit length. Raises NoTextError if it can't."""


@runtime_checkable
class Pooler(Protocol):
    """The frames of one segment to one vector in the encoder's own space. Made as `cls()`."""

    @property
    def name(self) -> str:
        """Names the method and, where it was trained, its weights."""

    def pool(self, frames: Matrix, times: Times) -> Vector:
        """float32 (T, D) and float64 (T,) seconds, T >= 1 -> float32 (D,) of unit length."""


@runtime_checkable
class VectorIndex(Protocol):
    """Nearest neighbours by inner product. Made as `cls(dim)`; `load` is a class method."""

    def upsert(self, ids: Ids, vectors: Matrix) -> None:
        """Add vectors, float32 (N, D), or replace those of ids that are there."""

    def remove(self, ids: Ids) -> None:
        """Forget ids; those that are not there are passed over."""

    def search(self, query: Vector, k: int, among: Ids | None = None) -> tuple[Ids, Vector]:
        """The k best (fewer if there are fewer), best first: ids int64 (k,), scores float32 (k,).

        `among` restricts the search to these ids. Ties are broken by the lower id.
        """

    def save(self, path: Path) -> None:
        """Write to `path`; `type(self).load(path)` reads it back."""

    def __len__(self) -> int:
        """How many vectors there are."""


@runtime_checkable
class ShotDetector(Protocol):
    """Finds cuts while a video is decoded. Made as `cls()`, one for each video."""

    def see(self, pictures: Grays, times: Times) -> None:
        """Take tiny luma pictures, uint8 (N, 36, 64), of frames, and their times, float64 (N,).

        They are those that were decoded, in the order in which they are shown: single frames may
        have been left out between them, to which no other refers.
        """

    def cuts(self) -> Times:
        """float64 (C,) ascending: when each new shot begins, the first one (0) left out."""
