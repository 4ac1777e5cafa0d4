"""Protocols that plugins implement: encoders, poolers, vector indexes and shot detectors.

A plugin registers its class as an entry point of the group named in each protocol. The tests in
`tests/contract` check an implementation against its protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from vsearch.types import (
        GrayImages,
        Ids,
        Images,
        Matrix,
        Space,
        Spans,
        TextReading,
        Times,
        Vector,
    )


@runtime_checkable
class Encoder(Protocol):
    """Encodes images and text as vectors of one space. Entry point group `vsearch.encoders`.

    Instantiated as `cls(argument, *, device=device)`: `argument` is the part of the setting
    `model` after the colon ("" if there is none), `device` is "auto", "cpu", "cuda" or "mps".
    Methods must be thread-safe. Optional members: `QuerybankEncoder`, `DescribedEncoder`,
    `TextReader`.
    """

    @property
    def space(self) -> Space:
        """Embedding space of the vectors."""

    @property
    def image_size(self) -> int:
        """Preferred short side of the images, in pixels."""

    def encode_images(self, images: Images) -> Matrix:
        """Encode images.

        Args:
            images: uint8 (N, H, W, 3) RGB of any size; N may be 0.

        Returns:
            float32 (N, D), rows of unit length.
        """

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Encode texts into the space of the images.

        Args:
            texts: N texts; N may be 0.

        Returns:
            float32 (N, D), rows of unit length.

        Raises:
            NoTextError: If the model has no text encoder.
        """


@runtime_checkable
class QuerybankEncoder(Encoder, Protocol):
    """Extension of `Encoder` for models that come with vectors of typical text queries.

    A search corrects hubness with them (see `vsearch.search.hubness`) and an approximate index
    tunes itself on them.
    """

    @property
    def querybank(self) -> Matrix:
        """Typical text queries, float32 (B, D), rows of unit length; B may be 0."""


@runtime_checkable
class TextReader(Encoder, Protocol):
    """Extension of `Encoder` for models that report languages and words that they do not know."""

    def read_text(self, text: str) -> TextReading:
        """Describe how the model reads a text.

        Args:
            text: Text as `encode_texts` takes it.

        Returns:
            Language, corrected and unknown words; the defaults if there is nothing to report.
        """


@runtime_checkable
class DescribedEncoder(Encoder, Protocol):
    """Extension of `Encoder` for models that describe themselves in evaluation reports."""

    @property
    def precision(self) -> str:
        """Arithmetic of the computation, such as "float32"."""

    @property
    def prompt(self) -> str:
        """Prompt templates around a query."""

    @property
    def text_digest(self) -> str:
        """Digest of the weights of the text model."""


@runtime_checkable
class Pooler(Protocol):
    """Pools the frame vectors of a segment into one vector of the same space.

    Entry point group `vsearch.poolers`; instantiated as `cls()`. Optional member:
    `AttentionPooler`.
    """

    @property
    def name(self) -> str:
        """Name of the method and, if it is trained, of its weights."""

    def pool(self, frame_vectors: Matrix, frame_times: Times) -> Vector:
        """Pool the frames of one segment.

        Args:
            frame_vectors: float32 (T, D), rows of unit length, T >= 1; must not be modified.
            frame_times: float64 (T,) seconds, ascending.

        Returns:
            float32 (D,) of unit length.
        """


@runtime_checkable
class AttentionPooler(Pooler, Protocol):
    """Extension of `Pooler` for poolers that weight frames; the weights explain search results."""

    def frame_weights(self, frame_vectors: Matrix, frame_times: Times) -> Vector:
        """Compute the weight of each frame in the pooled vector.

        Args:
            frame_vectors: float32 (T, D), rows of unit length, T >= 1; must not be modified.
            frame_times: float64 (T,) seconds, ascending.

        Returns:
            float32 (T,) with sum 1.
        """


@runtime_checkable
class VectorIndex(Protocol):
    """Nearest-neighbor search by inner product. Entry point group `vsearch.indexes`.

    Instantiated as `cls(dim)`; the class method `load(path)` reads what `save` wrote.
    """

    def upsert(self, ids: Ids, vectors: Matrix) -> None:
        """Add vectors, or replace those with the same ids.

        Args:
            ids: int64 (N,); the last of equal ids counts.
            vectors: float32 (N, D), rows of unit length.

        Raises:
            ValueError: If the vectors have the wrong dimension.
        """

    def remove(self, ids: Ids) -> None:
        """Remove vectors; unknown ids are ignored.

        Args:
            ids: int64 (N,).
        """

    def search(
        self, query_vector: Vector, k: int, allowed_ids: Ids | None = None
    ) -> tuple[Ids, Vector]:
        """Return the k vectors with the largest inner product.

        Args:
            query_vector: float32 (D,) of unit length.
            k: Maximum number of results.
            allowed_ids: int64 (A,); restricts the search to these ids.

        Returns:
            Ids int64 (M,) and scores float32 (M,), M <= k, best first; ties by ascending id.
        """

    def save(self, path: Path) -> None:
        """Write the index to a file.

        Args:
            path: Target file; `type(self).load(path)` reads it.
        """

    def __len__(self) -> int:
        """Return the number of vectors."""


@runtime_checkable
class CopyableIndex(VectorIndex, Protocol):
    """Extension of `VectorIndex` for indexes that can be copied in memory.

    An index that is being searched is never changed but copied first; other indexes are copied by
    `save` and `load`.
    """

    def copy(self) -> Self:
        """Return an index that later changes of this one do not affect."""


@dataclass(frozen=True, slots=True)
class VectorSource:
    """The vectors of a library, streamed because they may not fit in memory.

    Attributes:
        approximate_count: Number of vectors, as of the last count.
        draw_sample: Return at most this many evenly spaced vectors, float32 (M, D).
        iter_batches: Yield all (ids, vectors) in batches, int64 (N,) ascending and float32 (N, D).
            May be called again for another pass.
        tuning_queries: Return typical query vectors, float32 (Q, D); Q may be 0.
    """

    approximate_count: int
    draw_sample: Callable[[int], Matrix]
    iter_batches: Callable[[], Iterator[tuple[Ids, Matrix]]]
    tuning_queries: Callable[[], Matrix]


@runtime_checkable
class RebuildableIndex(VectorIndex, Protocol):
    """Extension of `VectorIndex` for indexes that are built from all vectors at once.

    An index plugin implements all of these members or none.
    """

    @property
    def is_approximate(self) -> bool:
        """True if scores are inexact, so that the caller must rescore the best candidates."""

    @property
    def needs_rebuild(self) -> bool:
        """True if so much has changed that the index should be built again."""

    @property
    def companion_files(self) -> Collection[str]:
        """Names of the files that `save` writes next to the index file."""

    @classmethod
    def build(
        cls,
        dim: int,
        source: VectorSource,
        *,
        single_list: bool,
        check_cancelled: Callable[[], None],
    ) -> Self:
        """Build an index of all vectors of a source.

        Args:
            dim: Dimension of the vectors.
            source: Vectors to index.
            single_list: Skip clustering to finish sooner; the index may then need a rebuild.
            check_cancelled: Called regularly; an exception it raises ends the build.

        Returns:
            The index.
        """


@runtime_checkable
class SharedIndex(VectorIndex, Protocol):
    """Extension of `VectorIndex` for an index that a server keeps for all processes of a library.

    The setting `index` then is `name:address`. Scores may be inexact: the caller rescores the best
    candidates. All changes are idempotent, so several processes may make the same ones.
    """

    @classmethod
    def connect(cls, address: str, index_name: str, dim: int) -> Self:
        """Open an index on a server; it is created when something is added.

        Args:
            address: The part of the setting after the colon.
            index_name: Name on the server: letters, digits and underscores.
            dim: Dimension of the vectors.

        Returns:
            The index.

        Raises:
            IndexServerError: The server is unreachable or refuses the request. All members do.
        """

    def read_stamp(self, *, latest: bool = False) -> str | None:
        """Return the stamp that was written last; None if the index has none or is gone.

        Args:
            latest: Wait for what other processes have written a moment ago.
        """

    def write_stamp(self, stamp: str) -> None:
        """Store a text with the index that describes its content, after all changes before it."""

    def ids_between(self, after_id: int, last_id: int) -> Ids:
        """Return the ids above `after_id` up to `last_id`, int64 (N,) ascending."""

    def clear(self) -> None:
        """Delete all vectors and the stamp."""


@runtime_checkable
class ShotDetector(Protocol):
    """Detects shot boundaries while a video is decoded. Entry point group `vsearch.shots`.

    Instantiated as `cls()`, once per video.
    """

    def process(self, luma_thumbnails: GrayImages, frame_times: Times) -> None:
        """Process the next decoded frames, in presentation order.

        Isolated non-reference frames may be missing. The arrays may be reused after the call.

        Args:
            luma_thumbnails: uint8 (N, 36, 64), luma from 0 black to 255 white.
            frame_times: float64 (N,) seconds, ascending.
        """

    def cuts(self) -> Times:
        """Return the start time of each shot except the first, float64 (C,) seconds, ascending."""


@runtime_checkable
class TransitionDetector(ShotDetector, Protocol):
    """Extension of `ShotDetector` for detectors that recognize gradual transitions.

    Segments end before a transition and begin after it.
    """

    def transitions(self) -> Spans:
        """Return the gradual transitions between shots, each ending at one of the cuts.

        Returns:
            float64 (T, 2) seconds, ascending: last frame of the old shot, first of the new one.
        """
