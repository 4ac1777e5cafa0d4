"""Hubness correction and similarity baselines of a library, measured once per index snapshot.

Some vectors, "hubs", are close to every query. Querybank normalization measures this closeness with
a bank of generic queries and subtracts a share of it from the score, so that hubs do not crowd out
better matches.

Source: Bogolin et al., "Cross Modal Retrieval with Querybank Normalisation" (QB-Norm), 2022.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DamagedLibraryError
from vsearch.protocols import QuerybankEncoder
from vsearch.search.moments import Baseline
from vsearch.storage.array_files import load_arrays, save_arrays
from vsearch.storage.atomic_files import damage_as_error, remove_partial_files, safe_file_name

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from vsearch.catalog.catalog import Catalog
    from vsearch.protocols import Encoder
    from vsearch.search.live_index import IndexSnapshot
    from vsearch.types import Ids, Matrix, Space, Vector

log = logging.getLogger(__name__)
BACKGROUND_SAMPLE_SIZE = 1_000  # segments sampled to represent the library
HUBNESS_STRIDE = 5  # mean hubness is measured on every fifth of them
MAX_MEAN_SIMILARITY = 0.6  # upper limit: even a homogeneous library has distinct scenes
INVERSE_TEMPERATURE = 50.0  # of the log-mean-exp, which is thus dominated by the nearest queries
HUBNESS_WEIGHT = 0.3  # chosen on queries of all kinds, see MODEL_CARD.md
_OLD_SUFFIX = ".npy"  # of files without a checksum
BLOCK_ROWS = 1_000  # vectors compared at once, which bounds memory
RECENT_PENALTIES = 65_536  # kept per snapshot of an index that does not list all segments
PENALTY_TOLERANCE = 1e-4  # cached penalties are valid if a new measurement differs by no more


class HubnessModel:
    """Hubness and baseline statistics of one index snapshot. Thread-safe."""

    def __init__(
        self,
        catalog: Catalog,
        index_snapshot: IndexSnapshot,
        querybank: Querybank,
        hubness_cache: HubnessCache | None = None,
    ) -> None:
        """Use `querybank` for all penalties.

        Args:
            catalog: The catalog of the library.
            index_snapshot: The snapshot to describe.
            querybank: The encoder's bank for text queries; an empty one for image queries, whose
                scores are not corrected.
            hubness_cache: Penalties measured before; None: measure all.
        """
        self._catalog, self.index_snapshot = catalog, index_snapshot
        self.querybank, self._hubness_cache = querybank, hubness_cache

    @property
    def sample_vectors(self) -> Matrix:
        """Vectors of about `BACKGROUND_SAMPLE_SIZE` evenly spaced segments, float32 (M, D)."""
        return self.sampled_segments[1]

    @cached_property
    def mean_hubness(self) -> float:
        """Mean hubness, added back so that corrected scores keep the range of cosines."""
        return float(self._sample_hubness.mean()) if len(self._sample_hubness) else 0.0

    @cached_property
    def max_score_gain(self) -> float:
        """Largest amount by which the correction can raise a score, estimated on the sample."""
        return self.mean_hubness - float(self._sample_hubness.min(initial=self.mean_hubness))

    def hubness_penalty(self, segment_vectors: Matrix) -> Vector:
        """Return the hubness penalty of vectors, relative to the library's mean.

        Args:
            segment_vectors: float32 (N, D) of unit length.

        Returns:
            The amount to subtract from each score, float32 (N,).
        """
        penalties: Vector = self.querybank.hubness_penalty(segment_vectors) - np.float32(
            self.mean_hubness
        )
        return penalties

    def hubness_penalty_of(self, segment_ids: Ids, segment_vectors: Matrix) -> Vector:
        """Return the hubness penalty of segments, measuring each segment only once.

        Args:
            segment_ids: int64 (N,).
            segment_vectors: Their vectors, float32 (N, D).

        Returns:
            The amount to subtract from each score, float32 (N,).
        """
        if not len(self.querybank):
            return self.hubness_penalty(segment_vectors)
        if not self.index_snapshot.keeps_all_ids:
            return self._recent_penalties.measure(
                segment_ids, segment_vectors, self.querybank
            ) - np.float32(self.mean_hubness)
        snapshot_rows = np.searchsorted(self.index_snapshot.segment_ids, segment_ids).clip(
            max=len(self.index_snapshot.segment_ids) - 1
        )
        # segments may have been added since the snapshot
        is_known = self.index_snapshot.segment_ids[snapshot_rows] == segment_ids
        penalties = np.where(is_known, self._hubness_by_segment[snapshot_rows], np.float32(np.nan))
        if len(unmeasured_rows := np.flatnonzero(np.isnan(penalties))):
            penalties[unmeasured_rows] = self.querybank.hubness_penalty(
                segment_vectors[unmeasured_rows]
            )
            self._hubness_by_segment[snapshot_rows[is_known]] = penalties[is_known]
        return penalties - np.float32(self.mean_hubness)

    def save_hubness(self) -> None:
        """Measure the hubness of all segments and store it. Requires the writer lock."""
        if self._hubness_cache is None or not len(self.querybank):
            return
        if not self.index_snapshot.keeps_all_ids:
            return  # of candidates only, when they are found
        segment_ids, space = self.index_snapshot.segment_ids, self.index_snapshot.space
        segment_hubness = self._hubness_by_segment
        unmeasured_ids = segment_ids[np.isnan(segment_hubness)]
        for batch_ids, batch_vectors in self._catalog.iter_vectors(space, unmeasured_ids):
            segment_hubness[np.searchsorted(segment_ids, batch_ids)] = (
                self.querybank.hubness_penalty(batch_vectors)
            )
        if len(unmeasured_ids):
            is_measured = np.isfinite(segment_hubness)  # not if deleted since the snapshot
            self._hubness_cache.save_penalties(
                space, segment_ids[is_measured], segment_hubness[is_measured]
            )

    def query_baseline(self, query_vector: Vector) -> Baseline:
        """Return the baseline similarities of a query, float32 (D,), in this library."""
        if not len(self.sample_vectors):
            return Baseline(0.0, 0.0)
        return Baseline(float(self._mean_vector @ query_vector), self._mean_similarity)

    @cached_property
    def sampled_segments(self) -> tuple[Ids, Matrix]:
        """About `BACKGROUND_SAMPLE_SIZE` evenly spaced segments: ids (M,), vectors (M, D)."""
        sampled_ids = self.index_snapshot.segments.sample(BACKGROUND_SAMPLE_SIZE)
        return self._catalog.vectors(sampled_ids, self.index_snapshot.space)

    @cached_property
    def _recent_penalties(self) -> RecentPenalties:
        return RecentPenalties()

    @cached_property
    def _sample_hubness(self) -> Vector:
        return self.querybank.hubness_penalty(self.sample_vectors[::HUBNESS_STRIDE])

    @cached_property
    def _hubness_by_segment(self) -> Vector:
        """Return the absolute hubness of each segment, float32 (N,); NaN: not measured yet."""
        segment_ids = self.index_snapshot.segment_ids
        if self._hubness_cache is None:
            return np.full(len(segment_ids), np.nan, np.float32)
        return self._hubness_cache.load_penalties(
            self.index_snapshot.space,
            segment_ids,
            self.sampled_segments[0][::HUBNESS_STRIDE],
            self._sample_hubness,
        )

    @cached_property
    def _mean_vector(self) -> Vector:
        mean_vector: Vector = self.sample_vectors.mean(axis=0)
        return mean_vector

    @cached_property
    def _mean_similarity(self) -> float:
        return min(float(self._mean_vector @ self._mean_vector), MAX_MEAN_SIMILARITY)


class Querybank:
    """Generic queries that measure hubness; an empty bank gives zero penalties."""

    def __init__(self, query_vectors: Matrix) -> None:
        """Use query vectors, float32 (B, D) of unit length."""
        self.query_vectors = query_vectors

    @classmethod
    def from_encoder(cls, encoder: Encoder) -> Self:
        """Return the bank of a `QuerybankEncoder`, or an empty one for another encoder."""
        if isinstance(encoder, QuerybankEncoder):
            return cls(encoder.querybank)
        return cls.create_empty(encoder.space.dim)

    @classmethod
    def create_empty(cls, dim: int) -> Self:
        """Return an empty bank for vectors of `dim` numbers."""
        return cls(np.empty((0, dim), np.float32))

    def __len__(self) -> int:
        return len(self.query_vectors)

    def hubness_penalty(self, segment_vectors: Matrix) -> Vector:
        """Measure the hubness of vectors: a weighted log-mean-exp of similarities to the bank.

        Args:
            segment_vectors: float32 (N, D) of unit length.

        Returns:
            float32 (N,).
        """
        penalties = np.zeros(len(segment_vectors), np.float32)
        if not len(self.query_vectors):
            return penalties
        for start_row in range(0, len(segment_vectors), BLOCK_ROWS):
            similarities = (
                segment_vectors[start_row : start_row + BLOCK_ROWS] @ self.query_vectors.T
            )  # (n, B)
            max_similarity = similarities.max(axis=1)
            similarities -= max_similarity[:, None]
            similarities *= np.float32(INVERSE_TEMPERATURE)
            mean_weight = np.exp(similarities, out=similarities).mean(axis=1)
            penalties[start_row : start_row + BLOCK_ROWS] = max_similarity + np.log(
                mean_weight
            ) / np.float32(INVERSE_TEMPERATURE)
        return HUBNESS_WEIGHT * penalties


class RecentPenalties:
    """Hubness of segments that were found lately, in a table of fixed size. Thread-safe.

    A segment is kept in the row of its id modulo the size, until another one replaces it there.
    """

    def __init__(self) -> None:
        self._ids = np.full(RECENT_PENALTIES, -1, np.int64)
        self._penalties = np.empty(RECENT_PENALTIES, np.float32)
        self._lock = threading.Lock()

    def measure(self, segment_ids: Ids, segment_vectors: Matrix, querybank: Querybank) -> Vector:
        """Return the hubness of segments, float32 (N,), measuring those that are not kept.

        Args:
            segment_ids: int64 (N,).
            segment_vectors: Their vectors, float32 (N, D).
            querybank: Always the same one.
        """
        rows = segment_ids % RECENT_PENALTIES
        with self._lock:
            is_kept, penalties = self._ids[rows] == segment_ids, self._penalties[rows]
        if not is_kept.all():
            penalties[~is_kept] = querybank.hubness_penalty(segment_vectors[~is_kept])
            with self._lock:  # of equal rows, both assignments keep the last
                self._ids[rows], self._penalties[rows] = segment_ids, penalties
        return penalties


class HubnessCache:
    """On-disk cache of per-segment hubness penalties, `<library>/hubness`.

    Measuring penalties takes longer than the search itself. The folder may be deleted at any time;
    a file made with other vectors or another querybank is ignored, a damaged one is deleted. The
    archive format contains checksums.
    """

    def __init__(self, cache_folder: Path) -> None:
        """Create `cache_folder` on the first write."""
        self._cache_folder = cache_folder

    def load_penalties(
        self, space: Space, segment_ids: Ids, measured_ids: Ids, measured_penalties: Vector
    ) -> Vector:
        """Load cached penalties.

        Args:
            space: The space of the vectors.
            segment_ids: Segments to look up, int64 (N,), ascending.
            measured_ids: Some of these, whose penalties were just measured, int64 (n,).
            measured_penalties: Their penalties, float32 (n,); a mismatch invalidates the cache.

        Returns:
            float32 (N,); NaN where nothing is cached.
        """
        penalties = np.full(len(segment_ids), np.nan, np.float32)
        cache_path = self._cache_path(space)
        if not cache_path.exists():  # or of an older version, which had another suffix
            return penalties
        try:
            cached_ids, cached_penalties = _read_penalties(cache_path)
        except DamagedLibraryError as error:
            log.warning("%s", error)
            with suppress(OSError):  # reported once; a read-only library stays as it is
                cache_path.unlink()
            return penalties
        known_ids = (
            segment_ids
            if np.array_equal(cached_ids, segment_ids)
            else np.intersect1d(cached_ids, segment_ids)
        )
        penalties[np.searchsorted(segment_ids, known_ids)] = cached_penalties[
            np.searchsorted(cached_ids, known_ids)
        ]
        differences = np.abs(
            penalties[np.searchsorted(segment_ids, measured_ids)] - measured_penalties
        )
        if (differences > PENALTY_TOLERANCE).any():
            penalties[:] = np.nan
        return penalties

    def save_penalties(self, space: Space, segment_ids: Ids, penalties: Vector) -> None:
        """Store penalties, float32 (N,), of segments, ids ascending. Requires the writer lock."""
        try:
            remove_partial_files(self._cache_folder)
            cache_path = self._cache_path(space)
            save_arrays(cache_path, {"ids": segment_ids, "penalties": penalties})
            cache_path.with_suffix(_OLD_SUFFIX).unlink(missing_ok=True)
        except OSError as error:
            log.info("could not write hubness cache %s: %s", self._cache_path(space), error)

    def _cache_path(self, space: Space) -> Path:
        return self._cache_folder / f"{safe_file_name(space.name)}.npz"


def _read_penalties(cache_path: Path) -> tuple[Ids, Vector]:
    """Read a file of penalties.

    Args:
        cache_path: The file.

    Returns:
        Segment ids, int64 (N,) ascending, and their penalties, float32 (N,).

    Raises:
        DamagedLibraryError: The file is damaged.
    """
    with damage_as_error(cache_path, "the hubness of the segments is measured again"):
        arrays = load_arrays(cache_path, "ids", "penalties")
        cached_ids, cached_penalties = arrays["ids"], arrays["penalties"]
        is_consistent = (
            cached_ids.dtype == np.int64
            and cached_penalties.dtype == np.float32
            and cached_ids.ndim == 1
            and cached_ids.shape == cached_penalties.shape
            and bool((np.diff(cached_ids) > 0).all())
            and bool(np.isfinite(cached_penalties).all())
        )
        if not is_consistent:
            raise ValueError("ids and penalties do not match")
    return cached_ids, cached_penalties
