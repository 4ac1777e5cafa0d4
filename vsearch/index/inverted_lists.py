"""Immutable IVF base segment: 8-bit codes grouped into inverted lists, in memory or mapped."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsearch.index.ground_truth import GroundTruth, perturb_queries
from vsearch.index.kmeans import assign_clusters, kmeans
from vsearch.index.scalar_quantizer import ScalarQuantizer
from vsearch.storage.array_files import map_npy_sequence, save_npy_sequence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

    from vsearch.index.scalar_quantizer import Codes
    from vsearch.protocols import VectorSource
    from vsearch.types import Ids, Matrix, Vector

LISTS_FORMAT_VERSION = 1  # of the file
TUNING_QUERIES = 200  # queries of each kind that determine how many lists are probed
FULL_SCAN_SHARE = 0.6  # when more of the lists would be probed, scanning all rows is faster
TARGET_RECALL = 0.999  # share of the tuning queries' neighbors that the probed lists contain


@dataclass(frozen=True, eq=False)
class InvertedLists:
    """Quantized vectors, grouped by nearest centroid. The arrays are never modified."""

    quantizer: ScalarQuantizer
    centroids: Matrix  # float32 (L, D)
    list_starts: Ids  # (L + 1,) first row of each list, then N
    probe_margin: float  # probe lists whose centroid scores at most this much below the best one
    ids: Ids  # (N,) ascending
    row_of_id: npt.NDArray[np.int32]  # (N,) row of each of `ids` in `codes`
    id_of_row: npt.NDArray[np.int32]  # (N,) the inverse: position in `ids` of each row
    codes: Codes  # (N, D)

    @classmethod
    def build(
        cls,
        source: VectorSource,
        sample: Matrix,
        list_count: int,
        check_cancelled: Callable[[], None],
    ) -> Self:
        """Quantize and group all vectors of a source.

        Args:
            source: Where the vectors come from; read once.
            sample: float32 (M, D), M >= list_count; trains quantizer and centroids.
            list_count: Number of inverted lists.
            check_cancelled: Called regularly; an exception it raises ends the build.

        Returns:
            The inverted lists, with a probe margin tuned to `TARGET_RECALL`.
        """
        quantizer = ScalarQuantizer.fit(sample)
        centroids = kmeans(sample, list_count, check_cancelled)
        ground_truths = []
        if list_count > 1:
            ground_truths = [
                GroundTruth(perturb_queries(sample, TUNING_QUERIES)),
                GroundTruth(source.tuning_queries()[:TUNING_QUERIES]),
            ]
        id_batches, code_batches, list_batches = [], [], []
        for batch_ids, vectors in source.iter_batches():
            check_cancelled()
            id_batches.append(batch_ids)
            code_batches.append(quantizer.encode(vectors))
            list_batches.append(assign_clusters(centroids, vectors, check_cancelled))
            for ground_truth in ground_truths:
                ground_truth.add(batch_ids, vectors)
        list_ids = np.concatenate([np.empty(0, np.int64), *list_batches])
        id_of_row = np.argsort(list_ids, kind="stable").astype(np.int32)
        list_sizes = np.bincount(list_ids, minlength=list_count)
        row_of_id = np.empty_like(id_of_row)
        row_of_id[id_of_row] = np.arange(len(id_of_row), dtype=np.int32)
        inverted_lists = cls(
            quantizer=quantizer,
            centroids=centroids,
            list_starts=np.concatenate([[0], np.cumsum(list_sizes)]).astype(np.int64),
            probe_margin=0.0,
            ids=np.concatenate(id_batches),
            row_of_id=row_of_id,
            id_of_row=id_of_row,
            codes=_sort_codes(code_batches, row_of_id, len(quantizer.range_min)),
        )
        probe_margin = max(map(inverted_lists._required_margin, ground_truths), default=0.0)
        return replace(inverted_lists, probe_margin=probe_margin)

    def _required_margin(self, ground_truth: GroundTruth) -> float:
        """Return the probe margin that reaches `TARGET_RECALL` of the true neighbors."""
        score_margins: list[float] = []
        for query_vector, neighbor_ids in zip(
            ground_truth.queries, ground_truth.neighbor_ids(), strict=True
        ):
            centroid_scores = self.centroids @ query_vector
            neighbor_rows = self.row_of_id[np.searchsorted(self.ids, neighbor_ids)]
            list_ids = np.searchsorted(self.list_starts, neighbor_rows, side="right") - 1
            score_margins += (centroid_scores.max() - centroid_scores[list_ids]).tolist()
        if not score_margins:
            return 0.0
        return float(np.quantile(score_margins, TARGET_RECALL, method="higher"))

    @cached_property
    def row_labels(self) -> Ids:
        """Row numbers, int64 (N,)."""
        return np.arange(len(self.ids))

    def probed_ranges(self, query_vector: Vector, probe_factor: float = 1.0) -> list[slice]:
        """Return the row ranges to scan for a query; adjacent lists are joined.

        Args:
            query_vector: float32 (D,).
            probe_factor: Multiplies the number of lists that lie within the probe margin.

        Returns:
            Slices of rows, ascending; one slice of all rows if most lists would be probed.
        """
        scores = self.centroids @ query_vector  # (L,)
        lists_in_margin = np.count_nonzero(scores >= scores.max() - self.probe_margin)
        wanted_probes = probe_factor * lists_in_margin if lists_in_margin else math.inf
        if wanted_probes >= FULL_SCAN_SHARE * len(scores):
            return [slice(0, len(self.ids))]
        probe_count = math.ceil(wanted_probes)
        probed_lists = np.argpartition(-scores, probe_count - 1)[:probe_count]
        probed_lists.sort()
        gap_positions = np.flatnonzero(np.diff(probed_lists) > 1)
        first_lists = probed_lists[np.concatenate([[0], gap_positions + 1])]
        last_lists = probed_lists[np.concatenate([gap_positions, [probe_count - 1]])]
        range_starts, range_ends = self.list_starts[first_lists], self.list_starts[last_lists + 1]
        return list(map(slice, range_starts.tolist(), range_ends.tolist()))

    def rows_for(self, ids: Ids) -> Ids:
        """Return the rows of ids, int64 (n,) ascending, that exist; unknown ids are skipped."""
        id_positions = np.searchsorted(self.ids, ids)
        id_positions = id_positions[id_positions < len(self.ids)]
        is_present = self.ids[id_positions] == ids[: len(id_positions)]
        return np.asarray(self.row_of_id[id_positions[is_present]], np.int64)

    def save(self, lists_path: Path) -> None:
        """Write to a file that `load` can map."""
        save_npy_sequence(
            lists_path,
            np.array([LISTS_FORMAT_VERSION], np.int64),
            np.array([self.probe_margin], np.float32),
            np.stack([self.quantizer.range_min, self.quantizer.step_size]),
            self.centroids,
            self.list_starts,
            self.ids,
            self.row_of_id,
            self.id_of_row,
            self.codes,
        )

    @classmethod
    def load(cls, lists_path: Path) -> Self:
        """Map a saved file. Any exception means that it is not valid."""
        (
            format_version, probe_margin, quantizer_arrays, centroids,
            list_starts, ids, row_of_id, id_of_row, codes,
        ) = map_npy_sequence(
            lists_path, np.int64, np.float32, np.float32, np.float32,
            np.int64, np.int64, np.int32, np.int32, np.uint8,
        )  # fmt: skip
        range_min, step_size = np.array(quantizer_arrays)
        row_count, dim = codes.shape
        is_consistent = (
            format_version.tolist() == [LISTS_FORMAT_VERSION]
            and range_min.shape == (dim,)
            and centroids.shape == (len(list_starts) - 1, dim)
            and ids.shape == row_of_id.shape == id_of_row.shape == (row_count,)
            and probe_margin.shape == (1,)
            and len(centroids) > 0
            and bool(np.isfinite(centroids).all() and np.isfinite(probe_margin).all())
            and (list_starts[0], list_starts[-1]) == (0, row_count)
            and bool((np.diff(list_starts) >= 0).all() and (np.diff(ids) > 0).all())
            and all(
                not len(row_array) or 0 <= row_array.min() <= row_array.max() < row_count
                for row_array in (row_of_id, id_of_row)
            )
        )
        if not is_consistent:
            raise ValueError(f"the arrays of {lists_path} are inconsistent")
        return cls(
            quantizer=ScalarQuantizer(range_min, step_size),
            centroids=np.array(centroids),
            list_starts=np.array(list_starts),
            probe_margin=float(probe_margin[0]),
            ids=ids,
            row_of_id=row_of_id,
            id_of_row=id_of_row,
            codes=codes,
        )


def _sort_codes(code_batches: list[Codes], row_of_id: npt.NDArray[np.int32], dim: int) -> Codes:
    """Return all codes in row order, freeing each batch once copied: there may be gigabytes."""
    sorted_codes = np.empty((len(row_of_id), dim), np.uint8)
    done_count = 0
    code_batches.reverse()
    while code_batches:
        code_batch = code_batches.pop()
        sorted_codes[row_of_id[done_count : done_count + len(code_batch)]] = code_batch
        done_count += len(code_batch)
    return sorted_codes
