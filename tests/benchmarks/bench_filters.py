"""What filters do to recall and time: the index in groups against comparing all that is left.

    python -m tests.benchmarks.bench_filters [--segments 200000] [--json FILE]

Filters leave whole videos, as those of the command line do, or segments here and there. Questions
are half near to a segment, half far from all; times are those of one processor core.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from tests.benchmarks.bench_vectors import source
from tests.benchmarks.report import Claim, Report, command, run
from tests.benchmarks.walks import DIM, LENGTH, Walks
from vsearch.vectors.layered import IvfIndex, Sq8Index
from vsearch.vectors.rescored import Rescored
from vsearch.vectors.truth import FAR, NEAR, NEAREST, Truth

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Ids

SEGMENTS = 200_000
SHARES = 0.0002, 0.01, 0.2, 1.0
ASKED = 50  # questions of each kind


def chosen(walks: Walks, share: float, *, videos: bool) -> Ids:
    """What a filter leaves, ascending."""
    random = np.random.default_rng(1)
    if not videos:
        return np.asarray(walks.ids[random.random(len(walks.ids)) < share])
    count = -(-len(walks.ids) // LENGTH)
    some = random.choice(count, max(1, round(share * count)), replace=False)
    return np.asarray(walks.ids[np.isin(walks.ids // LENGTH, some)])


def measured(segments: int, folder: Path) -> Report:
    """A row for each index, filter and share."""
    walks = Walks(folder / "walks", segments)
    questions = np.concatenate([walks.questions(ASKED, cosine) for cosine in (NEAR, FAR)])
    made = source(walks)
    indexes = {
        name: Rescored(cls.built(DIM, made, quick=False, stop=lambda: None), walks.rows)
        for name, cls in (("sq8", Sq8Index), ("ivf", IvfIndex))
    }
    report = Report("filters")
    for share in SHARES:
        for videos in (True, False):
            among = chosen(walks, share, videos=videos)
            truth = Truth(questions)
            for start in range(0, len(among), 10_000):
                truth.see(*walks.rows(among[start : start + 10_000]))
            for name, index in indexes.items():
                report.rows.append(row(name, index, truth, among, share, videos=videos))
    report.claims = claims(report, segments)
    return report


def row(
    name: str, index: Rescored, truth: Truth, among: Ids, share: float, *, videos: bool
) -> dict[str, object]:
    """Recall and the median milliseconds."""
    found, took = [], []
    for question in truth.questions:
        began = time.process_time()
        ids, _ = index.search(question, NEAREST, among)
        took.append(1000 * (time.process_time() - began))
        found.append(ids.tolist())
    return {
        "index": name,
        "left": f"{100 * share:g} %",
        "of": "videos" if videos else "segments",
        "segments": len(among),
        "recall": truth.recall(found),
        "ms": float(np.median(took)),
    }


def claims(report: Report, segments: int) -> list[Claim]:
    """What is said in the README."""
    least = {
        share: min(
            float(str(row["recall"])) for row in report.rows if row["left"] == f"{100 * share:g} %"
        )
        for share in SHARES[:-1]
    }
    found = ", ".join(f"{100 * share:g} %: {recall:.3f}" for share, recall in least.items())
    what = f"least recall@10 where a filter leaves a share of {segments:,} segments"
    return [Claim(what, found, command("filters", segments, SEGMENTS))]


if __name__ == "__main__":
    run(__doc__, SEGMENTS, measured)
