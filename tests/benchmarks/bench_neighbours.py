"""The index in groups against HNSW graphs, hnswlib's and usearch's, at equal recall.

    python -m tests.benchmarks.bench_neighbours [--segments 50000] [--json FILE]

Near-duplicate segments of videos that wander about. Each graph is built with usual settings
(M 16, 200 looked at while building), on all cores, and asked with as much effort as it takes to
find what ours finds, or the most that is tried. Times are those of one core, all cores added up.
Needs the extra `bench`. Ours fetches the few vectors that it rescores from a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hnswlib
import numpy as np
from usearch.index import Index

from tests.benchmarks.bench_vectors import source, spent
from tests.benchmarks.report import Claim, Report, command, run
from tests.benchmarks.walks import DIM, Walks
from vsearch.vectors.layered import IvfIndex
from vsearch.vectors.rescored import Rescored
from vsearch.vectors.truth import FAR, NEAR, NEAREST, Truth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsearch.types import Vector

LINKS, BUILDING = 16, 200
EFFORTS = 16, 32, 64, 128, 256, 512, 1_024
SEGMENTS = 50_000
ASKED = 50  # questions of each kind
REMOVED = 3_600
REMOVING = f"remove {REMOVED:,} ms"


def size(index: Any) -> float:
    """The memory that an index takes, MB, as it says or writes it."""
    if isinstance(index, Rescored):
        shelf = index.index._state.shelf  # type: ignore[attr-defined]
        parts = (shelf.codes, shelf.ids, shelf.rows, shelf.places, shelf.centres)
        return float(sum(part.nbytes for part in parts)) / 2**20
    taken = index.memory_usage if isinstance(index, Index) else index.index_file_size()
    return float(taken) / 2**20


def grouped(walks: Walks) -> Any:
    """Ours."""
    built = IvfIndex.built(DIM, source(walks), quick=False, stop=lambda: None)
    return Rescored(built, walks.rows)


def hnsw(walks: Walks) -> Any:
    """hnswlib's."""
    index: Any = hnswlib.Index("ip", DIM)
    index.init_index(len(walks.ids), M=LINKS, ef_construction=BUILDING)
    for ids, vectors in walks.batches():
        index.add_items(vectors, ids)
    return index


def usearch(walks: Walks) -> Any:
    """usearch's, with vectors in float16."""
    index: Any = Index(
        ndim=DIM, metric="ip", dtype="f16", connectivity=LINKS, expansion_add=BUILDING
    )
    for ids, vectors in walks.batches():
        index.add(ids, vectors)
    return index


def answers(index: Any) -> Callable[[Vector], list[int]]:
    """How it is asked."""
    if isinstance(index, Rescored):
        return lambda one: index.search(one, NEAREST)[0].tolist()
    if isinstance(index, Index):
        return lambda one: [int(key) for key in index.search(one, NEAREST).keys]
    return lambda one: index.knn_query(one[None], NEAREST, num_threads=1)[0][0].tolist()


def tried(index: Any, effort: int, truth: Truth) -> tuple[float, float]:
    """Recall and median milliseconds."""
    if isinstance(index, Index):
        index.expansion_search = effort
    elif not isinstance(index, Rescored):
        index.set_ef(max(effort, NEAREST))
    ask = answers(index)
    found, took = [], []
    for question in truth.questions:
        seconds, ids = spent(lambda question=question: ask(question))
        found.append(ids)
        took.append(1000 * seconds)
    return truth.recall(found), float(np.median(took))


def remove(index: Any, walks: Walks) -> None:
    """Forget some of it."""
    gone = np.random.default_rng(0).choice(walks.ids, REMOVED, replace=False)
    if isinstance(index, (Rescored, Index)):
        index.remove(gone)
    else:
        for one in gone.tolist():
            index.mark_deleted(one)


def measured(segments: int, folder: Path) -> Report:
    """A row for each index."""
    walks = Walks(folder / "walks", segments)
    truth = Truth(np.concatenate([walks.questions(ASKED, cosine) for cosine in (NEAR, FAR)]))
    for ids, vectors in walks.batches():
        truth.see(ids, vectors)
    report, wanted = Report("neighbours"), 0.0
    for name, make in (("vsearch ivf", grouped), ("hnswlib", hnsw), ("usearch f16", usearch)):
        build, index = spent(lambda make=make: make(walks))
        for effort in (0,) if make is grouped else EFFORTS:
            recall, took = tried(index, effort, truth)
            if recall >= wanted:
                break
        wanted = wanted or recall
        removing, _ = spent(lambda index=index: remove(index, walks))
        report.rows.append(
            {
                "index": name, "effort": effort or "–", "build s": build, "MB": size(index),
                "recall": recall, "ms": took, REMOVING: 1000 * removing,
            }
        )  # fmt: skip
        print(report.rows[-1], flush=True)
    report.claims = claims(report, segments)
    return report


def claims(report: Report, segments: int) -> list[Claim]:
    """What is said in the README."""
    ours = report.rows[0]
    found = "; ".join(
        f"{row['index']} (recall {row['recall']:.3f}): builds "
        f"{row['build s'] / ours['build s']:.1f}x "
        f"as long, {row['MB'] / max(ours['MB'], 1):.1f}x the memory, {row['ms'] / ours['ms']:.1f}x "
        f"the time of a question, {row[REMOVING] / ours[REMOVING]:.1f}x that of removing "
        f"{REMOVED:,}"
        for row in report.rows[1:]
    )
    what = f"graphs against vsearch's ivf (recall {ours['recall']:.3f}), {segments:,} segments"
    return [Claim(what, found, command("neighbours", segments, SEGMENTS))]


if __name__ == "__main__":
    run(__doc__, SEGMENTS, measured)
