"""The vector indexes against FAISS's IndexFlatIP, on segments of videos that wander about.

    python -m tests.benchmarks.bench_vectors [--segments 1000000] [--json FILE]

All are asked the same in turn, in one process; times are those of one processor core. Recall is
of the ten nearest, by every vector in float32, for questions near to a segment (cosine 0.9, as
pictures are) and far from all (0.3, as words are); sq8 and ivf rescore by vectors in float16, as
the catalogue keeps them. Other than these, nothing but the index is in memory.
"""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from tests.benchmarks.report import Claim, Report, command, run
from tests.benchmarks.walks import DIM, Walks
from vsearch.types import Space
from vsearch.vectors.cache import Cached, IndexCache
from vsearch.vectors.exact import ExactIndex
from vsearch.vectors.layered import IvfIndex, Sq8Index
from vsearch.vectors.rescored import Rescored
from vsearch.vectors.source import Source
from vsearch.vectors.truth import FAR, NEAR, NEAREST, Truth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsearch.types import Vector

    Ask = Callable[[Vector], list[int]]

SPACE = Space("bench", DIM, speaks_text=False)
SEGMENTS = 1_000_000
ASKED = 100  # questions of each kind
ADDED, REMOVED = 1_000, 3_600
REFERENCE = "IndexFlatIP"
LIMITS = 0.99, 0.35  # recall, and how much of the reference's time


def spent(do: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of one core, and what came of it."""
    began = time.process_time()
    result = do()
    return time.process_time() - began, result


def peak() -> float:
    """The most memory that this process had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def source(walks: Walks) -> Source:
    """Where an index is built from."""
    none = np.empty((0, DIM), np.float32)
    return Source(len(walks.ids), walks.sample, walks.batches, lambda: none)


def reference(walks: Walks) -> Any:
    """FAISS's exact index."""
    index: Any = faiss.IndexFlatIP(DIM)
    for _, vectors in walks.batches():
        index.add(vectors)
    return index


def exact(walks: Walks, path: Path) -> ExactIndex:
    """The index of a small library, written as it writes itself."""
    ids, vectors = walks.ids, np.memmap(path, np.float32, "w+", shape=(len(walks.ids), DIM))
    for some, rows in walks.batches():
        vectors[some] = rows
    return ExactIndex.of(ids, vectors)


def kept(name: str, cls: Any, walks: Walks, folder: Path) -> tuple[dict[str, Any], Any]:
    """A row for an index that is built, saved and opened, and the opened one."""
    if cls is ExactIndex:
        build, index = spent(lambda: exact(walks, folder / "vectors"))
    else:
        made = source(walks)
        build, index = spent(lambda: cls.built(DIM, made, quick=False, stop=lambda: None))
    cache = IndexCache(folder / name, name, cls)
    cache.store(SPACE, Cached(index, 1, walks.ids))
    del index
    opening, cached = spent(lambda: cache.load(SPACE))
    size = sum(path.stat().st_size for path in (folder / name).iterdir())
    row = {"index": name, "build s": build, "MB": size / 2**20, "open ms": 1000 * opening}
    return row, cached.index


def asked(asks: dict[str, Ask], truth: Truth) -> dict[str, tuple[float, float]]:
    """Recall and median milliseconds of each index, asked in turn."""
    found: dict[str, list[list[int]]] = {name: [] for name in asks}
    took: dict[str, list[float]] = {name: [] for name in asks}
    for question in truth.questions:
        for name, ask in asks.items():
            seconds, ids = spent(lambda ask=ask, question=question: ask(question))  # type: ignore[misc]
            found[name].append(ids)
            took[name].append(1000 * seconds)
    return {name: (truth.recall(found[name]), float(np.median(took[name]))) for name in asks}


def changed(index: Any, walks: Walks) -> tuple[float, float]:
    """Milliseconds that adding some and removing some takes."""
    fresh = walks.ids[-1] + 1 + np.arange(ADDED)
    vectors = walks.rows(walks.ids[:ADDED])[1]
    gone = np.random.default_rng(0).choice(walks.ids, min(REMOVED, len(walks.ids) // 2), False)
    added, _ = spent(lambda: index.upsert(fresh, vectors))
    removed, _ = spent(lambda: index.remove(gone))
    return 1000 * added, 1000 * removed


def measured(segments: int, folder: Path) -> Report:
    """A row for each index."""
    faiss.omp_set_num_threads(1)
    walks = Walks(folder / "walks", segments)
    truths = {one: Truth(walks.questions(ASKED, one)) for one in (NEAR, FAR)}
    for ids, vectors in walks.batches():
        for truth in truths.values():
            truth.see(ids, vectors)
    rows, indexes = [], dict[str, Any]()
    for name, cls in (("ivf", IvfIndex), ("sq8", Sq8Index), ("exact", ExactIndex)):
        before = peak()
        row, indexes[name] = kept(name, cls, walks, folder)
        rows.append(row)
        print(f"{name} built, peak {before:.0f} -> {peak():.0f} MB", flush=True)
    build, flat = spent(lambda: reference(walks))
    rows.append({"index": REFERENCE, "build s": build, "MB": 4 * DIM * segments / 2**20})
    asks: dict[str, Ask] = {
        name: lambda one, index=index: index.search(one, NEAREST)[0].tolist()  # type: ignore[misc]
        for name, index in indexes.items()
    }
    for name in ("ivf", "sq8"):
        rescored = Rescored(indexes[name], walks.rows)
        asks[name] = lambda one, index=rescored: index.search(one, NEAREST)[0].tolist()  # type: ignore[misc]
    asks[REFERENCE] = lambda one: flat.search(one[None], NEAREST)[1][0].tolist()
    found = {cosine: asked(asks, truth) for cosine, truth in truths.items()}
    report = Report("vectors")
    for row in reversed(rows):
        name = row["index"]
        opened = {"open ms": row.pop("open ms", None)}
        row |= {f"recall {cosine:g}": found[cosine][name][0] for cosine in found}
        row |= {f"ms {cosine:g}": found[cosine][name][1] for cosine in found}
        row["of flat"] = float(
            np.mean([found[one][name][1] / found[one][REFERENCE][1] for one in found])
        )
        added, removed = changed(indexes[name], walks) if name in indexes else (None, None)
        row |= opened | {"add ms": added, "remove ms": removed}
        report.rows.append(row)
    report.claims = claims(report, segments)
    return report


def claims(report: Report, segments: int) -> list[Claim]:
    """What is said in the README."""
    how = command("vectors", segments, SEGMENTS)
    limits = f" (limits {LIMITS[0]} and {LIMITS[1]}x)" if segments == SEGMENTS else ""
    said = []
    for row in report.rows:
        if row["index"] in ("ivf", "sq8"):
            said.append(
                Claim(
                    f"{row['index']}, {segments:,} segments, one core",
                    f"recall@10 {row['recall 0.9']:.3f} (pictures), {row['recall 0.3']:.3f} "
                    f"(words); {row['ms 0.9']:.1f} and {row['ms 0.3']:.1f} ms, "
                    f"{row['of flat']:.2f}x of faiss IndexFlatIP{limits}; {row['MB']:.0f} MB, "
                    f"opens in {row['open ms']:.0f} ms; {ADDED:,} added in "
                    f"{row['add ms']:.0f} ms, {REMOVED:,} removed in {row['remove ms']:.0f} ms",
                    how,
                )
            )
    return said


if __name__ == "__main__":
    run(__doc__, SEGMENTS, measured)
