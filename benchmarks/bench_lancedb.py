"""Compare the IVF index with the vector indexes of LanceDB at equal recall.

    python -m benchmarks.bench_lancedb [--segments 1000000] [--types IVF_SQ IVF_RQ] [--json FILE]

Both store the same float16 vectors of near-duplicate video segments and run in processes of their
own: vsearch with the vectors in SQLite and the IVF-SQ8 index, LanceDB with a table and one of its
indexes. Queries are half near a segment (cosine 0.9, like images), half far from all (0.3, like
texts). LanceDB uses the cheapest tried nprobes, refine_factor and ef that reach recall 0.99,
chosen for each k and filter; vsearch chooses its effort. CPU times are summed over threads.
Filters keep whole videos; "by id" passes the ids of their segments. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.report import Claim, Report, add_json_option
from benchmarks.vector_stores import LanceStore, SearchSettings, VsearchStore, count_partitions
from benchmarks.walks import SEGMENTS_PER_VIDEO, WalkVectors
from vsearch.index.ground_truth import IMAGE_COSINE, TEXT_COSINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.types import Ids, Matrix

    Store = VsearchStore | LanceStore
    Measures = dict[str, Any]

DEFAULT_SEGMENTS = 1_000_000
DEFAULT_TYPES = ["IVF_SQ", "IVF_RQ"]
ALL_TYPES = [*DEFAULT_TYPES, "IVF_PQ", "IVF_HNSW_SQ"]
QUERIES_PER_KIND = 20
CHANGED_COUNT = 1_000  # vectors added, and removed
TARGET_RECALL = 0.99
REFINE_FACTORS = {"IVF_SQ": (2,), "IVF_RQ": (5, 20), "IVF_PQ": (10, 40), "IVF_HNSW_SQ": (2,)}
PROBE_SHARES = 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1  # of the partitions
GRAPH_CANDIDATES = 50, 100, 200, 400, 800, 1_600


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of search, with its queries and their true neighbors.

    Attributes:
        name: Its name in the report.
        k: Number of results.
        queries: float32 (Q, D).
        neighbor_ids: int64 (Q, k).
        videos: Videos to which a filter restricts the search; None: no filter.
    """

    name: str
    k: int
    queries: Matrix
    neighbor_ids: Ids
    videos: list[int] | None = None

    def allowed_ids(self) -> Ids:
        """Return the ids of the segments of `videos`."""
        first_ids = SEGMENTS_PER_VIDEO * np.array(self.videos)[:, None]
        ids: Ids = (first_ids + np.arange(SEGMENTS_PER_VIDEO)).ravel()
        return ids


def find_neighbors(walks: WalkVectors, queries: Matrix, k: int, videos: Any = None) -> Ids:
    """Return the true k nearest of each query, int64 (Q, k), by exhaustive search."""
    top_scores, top_ids = np.full((len(queries), k), -np.inf), np.full((len(queries), k), -1)
    for ids, vectors in walks.iter_batches():
        scores = queries @ vectors.T
        if videos is not None:
            scores[:, ~np.isin(ids // SEGMENTS_PER_VIDEO, videos)] = -np.inf
        scores = np.hstack([top_scores, scores])
        candidate_ids = np.hstack([top_ids, np.broadcast_to(ids, (len(queries), len(ids)))])
        columns = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        top_scores = np.take_along_axis(scores, columns, axis=1)
        top_ids = np.take_along_axis(candidate_ids, columns, axis=1)
    return top_ids


def make_scenarios(walks: WalkVectors) -> list[Scenario]:
    """Return the searches to measure."""
    queries = np.concatenate(
        [walks.draw_queries(QUERIES_PER_KIND, cosine) for cosine in (IMAGE_COSINE, TEXT_COSINE)]
    )
    video_count = len(walks.ids) // SEGMENTS_PER_VIDEO
    scenarios = [
        Scenario(f"k={k}", k, queries, find_neighbors(walks, queries, k)) for k in (10, 100)
    ]
    for percent in (1, 10):
        videos = np.random.default_rng(percent).choice(
            video_count, max(1, video_count * percent // 100), replace=False
        )
        neighbor_ids = find_neighbors(walks, queries, 10, videos)
        scenarios.append(
            Scenario(f"filter {percent} %", 10, queries, neighbor_ids, sorted(videos.tolist()))
        )
    return scenarios


def measure_time(function: Callable[[], Any]) -> tuple[float, float]:
    """Return the CPU and wall-clock seconds of a call."""
    cpu_start, wall_start = time.process_time(), time.perf_counter()
    function()
    return time.process_time() - cpu_start, time.perf_counter() - wall_start


def read_memory_mb(field: str) -> float:
    """Return a field of this process's /proc status, such as VmRSS, in MB."""
    status = Path("/proc/self/status").read_text("ascii")
    return float(status.partition(f"{field}:")[2].split()[0]) / 1024


def make_store(folder: Path, index_type: str | None) -> Store:
    """Return the store of vsearch, or one of LanceDB."""
    return VsearchStore(folder) if index_type is None else LanceStore(folder, index_type)


def run_isolated(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a new process and return its result."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        return pool.submit(function, *arguments).result()


def write_vectors(folder: Path, index_type: str | None, walks: WalkVectors) -> None:
    """Write the vectors of a store."""
    make_store(folder, index_type).write_vectors(walks)


def measure_build(folder: Path, index_type: str | None) -> Measures:
    """Build the index and measure the build."""
    store = make_store(folder, index_type)
    memory_before = read_memory_mb("VmRSS")
    cpu, wall = measure_time(store.build)
    files = [path for path in folder.rglob("*") if path.is_file()]
    index_files = [path for path in files if path.is_relative_to(store.index_folder)]
    return {
        "build, CPU s": cpu,
        "build, wall s": wall,
        "build, peak MB": read_memory_mb("VmHWM") - memory_before,
        "index, MB on disk": sum(path.stat().st_size for path in index_files) / 2**20,
        "index and vectors, MB on disk": sum(path.stat().st_size for path in files) / 2**20,
    }


def search_all(
    store: Store, scenario: Scenario, settings: SearchSettings, by_id: bool = False
) -> tuple[float, float, float]:
    """Return recall, and mean CPU and wall-clock milliseconds of the queries of a scenario."""
    filters: dict[str, Any] = {"videos": scenario.videos}
    if by_id:
        filters = {"allowed_ids": scenario.allowed_ids()}
    found: list[list[int]] = []
    seconds = [
        measure_time(lambda: found.append(store.search(query, scenario.k, settings, **filters)))  # noqa: B023
        for query in scenario.queries
    ]
    hits = [
        len(set(ids) & set(true_ids))
        for ids, true_ids in zip(found, scenario.neighbor_ids.tolist(), strict=True)
    ]
    cpu, wall = 1000 * np.mean(seconds, axis=0)
    return float(np.mean(hits)) / scenario.k, float(cpu), float(wall)


def tune(
    folder: Path, index_type: str, scenarios: list[Scenario], vector_count: int
) -> list[SearchSettings]:
    """Return the cheapest settings that reach the target recall, or the best, per scenario."""
    store = make_store(folder, index_type)
    store.open()
    partitions = count_partitions(vector_count)
    efforts = [(max(1, round(share * partitions)), 0) for share in PROBE_SHARES]
    if index_type == "IVF_HNSW_SQ":
        efforts = [(1, candidates) for candidates in GRAPH_CANDIDATES]
    chosen = []
    for scenario in scenarios:
        tried = []
        for refine_factor in REFINE_FACTORS[index_type]:
            for probes, candidates in efforts:
                candidates = candidates and max(candidates, scenario.k * refine_factor)
                settings = SearchSettings(probes, refine_factor, candidates)
                recall, cpu, _ = search_all(store, scenario, settings)
                tried.append((min(recall, TARGET_RECALL), -cpu, settings))
                if recall >= TARGET_RECALL:
                    break
        chosen.append(max(tried, key=lambda one: one[:2])[2])
        print(f"{store.name}, {scenario.name}: {chosen[-1]}", flush=True)
    return chosen


def measure_searches(
    folder: Path,
    index_type: str | None,
    scenarios: list[Scenario],
    chosen: list[SearchSettings],
) -> Measures:
    """Measure opening, searches and memory."""
    store = make_store(folder, index_type)
    memory_before, anonymous_before = read_memory_mb("VmRSS"), read_memory_mb("RssAnon")
    opening = measure_time(store.open)
    measures: Measures = {"open, CPU ms": 1000 * opening[0], "open, wall ms": 1000 * opening[1]}
    measures["open, MB"] = read_memory_mb("VmRSS") - memory_before
    first = scenarios[0]
    _, wall = measure_time(lambda: store.search(first.queries[0], first.k, chosen[0]))
    measures["first query, wall ms"] = 1000 * wall
    for scenario, settings in zip(scenarios, chosen, strict=True):
        recall, cpu, wall = search_all(store, scenario, settings)
        name = scenario.name
        if index_type is not None:
            measures[f"{name}, settings"] = str(settings)
        measures |= {f"{name}, recall": recall, f"{name}, CPU ms": cpu, f"{name}, wall ms": wall}
        if scenario.videos is not None:
            _, cpu, wall = search_all(store, scenario, settings, by_id=True)
            measures |= {f"{name} by id, CPU ms": cpu, f"{name} by id, wall ms": wall}
    measures["search, peak MB"] = read_memory_mb("VmHWM") - memory_before
    measures["not mapped from files, MB"] = read_memory_mb("RssAnon") - anonymous_before
    return measures


def measure_changes(
    folder: Path,
    index_type: str | None,
    scenario: Scenario,
    settings: SearchSettings,
    walks: WalkVectors,
) -> Measures:
    """Measure adding and removing vectors, and the first query after each."""
    store = make_store(folder, index_type)
    store.open()
    query = scenario.queries[0]
    rows = np.random.default_rng(0).choice(walks.ids, CHANGED_COUNT, replace=False)
    new_ids = walks.ids[-1] + 1 + np.arange(CHANGED_COUNT)
    vectors = walks.fetch_vectors(np.sort(rows))[1]
    measures: Measures = {}
    store.search(query, scenario.k, settings)
    changes: dict[str, Callable[[], None]] = {
        "add 1,000": lambda: store.add(new_ids, vectors),
        "remove 1,000": lambda: store.remove(np.sort(rows)),
    }
    if isinstance(store, LanceStore):
        changes["optimize"] = store.optimize
    for name, change in changes.items():
        cpu, wall = measure_time(change)
        measures |= {f"{name}, CPU ms": 1000 * cpu, f"{name}, wall ms": 1000 * wall}
        _, wall = measure_time(lambda: store.search(query, scenario.k, settings))
        measures[f"first query after {name}, wall ms"] = 1000 * wall
    return measures


def measure_store(
    folder: Path, index_type: str | None, walks: WalkVectors, scenarios: list[Scenario]
) -> Measures:
    """Return all measures of a store, each step in its own process."""
    folder.mkdir()
    run_isolated(write_vectors, folder, index_type, walks)
    measures: Measures = run_isolated(measure_build, folder, index_type)
    print(measures, flush=True)
    chosen = [SearchSettings()] * len(scenarios)
    if index_type is not None:
        chosen = run_isolated(tune, folder, index_type, scenarios, len(walks.ids))
    measures |= run_isolated(measure_searches, folder, index_type, scenarios, chosen)
    measures |= run_isolated(measure_changes, folder, index_type, scenarios[0], chosen[0], walks)
    shutil.rmtree(folder)
    return measures


def measure_all(segment_count: int, index_types: list[str], work_folder: Path) -> Report:
    """Measure a row per quantity: vsearch, each index of LanceDB, and the ratios between them."""
    walks = WalkVectors(work_folder / "walks", segment_count)
    scenarios = make_scenarios(walks)
    stores: list[str | None] = [None, *index_types]
    measures = {
        index_type or "vsearch ivf": measure_store(
            work_folder / str(index_type), index_type, walks, scenarios
        )
        for index_type in stores
    }
    report = Report("lancedb")
    ours = measures["vsearch ivf"]
    for name in measures[index_types[0]]:
        row: dict[str, Any] = {"measure": name}
        row |= {store: store_measures.get(name, "–") for store, store_measures in measures.items()}
        for index_type in index_types:
            both = ours.get(name), measures[index_type][name]
            is_ratio = isinstance(both[0], float) and "recall" not in name
            row[f"ratio to {index_type}"] = both[0] / both[1] if is_ratio else "–"
        report.rows.append(row)
    report.claims = build_claims(measures, segment_count)
    return report


def build_claims(measures: dict[str, Measures], segment_count: int) -> list[Claim]:
    """Build a row of the speed table for each index of LanceDB."""
    ours = measures["vsearch ivf"]
    option = "" if segment_count == DEFAULT_SEGMENTS else f" --segments {segment_count}"
    claims = []
    for index_type, theirs in measures.items():
        if theirs is ours:
            continue

        def compare(name: str, title: str, theirs: Measures = theirs) -> str:
            return f"{title} {ours[name]:.3g} and {theirs[name]:.3g}"

        searches = "; ".join(
            f"{compare(f'{name}, CPU ms', name)} (recall {ours[f'{name}, recall']:.3f} and "
            f"{theirs[f'{name}, recall']:.3f}, {theirs[f'{name}, settings']})"
            for name in ("k=10", "k=100", "filter 1 %", "filter 10 %")
        )
        costs = "; ".join(
            (
                compare("build, CPU s", "build CPU s"),
                compare("index, MB on disk", "index MB"),
                compare("search, peak MB", "peak MB of searching"),
                compare("add 1,000, CPU ms", "adding 1,000 CPU ms"),
                compare("remove 1,000, CPU ms", "removing 1,000 CPU ms"),
                compare("open, wall ms", "opening ms"),
                compare("first query, wall ms", "first query ms"),
            )
        )
        by_id = ", ".join(
            compare(f"filter {share} % by id, CPU ms", f"{share} %") for share in (1, 10)
        )
        claims.append(
            Claim(
                f"IVF index of vsearch, then LanceDB {index_type}, {segment_count:,} segments",
                f"CPU ms per query: {searches}; filters as lists of ids: {by_id}; {costs}",
                f"python -m benchmarks.bench_lancedb{option} --types {index_type}",
            )
        )
    return claims


def main() -> None:
    parser = add_json_option(argparse.ArgumentParser(description=__doc__.partition("\n")[0]))
    parser.add_argument("--segments", type=int, default=DEFAULT_SEGMENTS)
    parser.add_argument("--types", nargs="+", choices=ALL_TYPES, default=DEFAULT_TYPES)
    options = parser.parse_args()
    os.environ.setdefault("LANCE_LOG", "error")  # its warnings about defaults are not about us
    with tempfile.TemporaryDirectory() as folder:
        report = measure_all(options.segments, options.types, Path(folder))
        report.print_and_write(options.json)


if __name__ == "__main__":
    main()
