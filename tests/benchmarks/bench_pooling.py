"""The trained pooler against the mean of the same frames, on clean clips and on clips with junk.

    python -m tests.benchmarks.bench_pooling CLIPS [--library DIR] [--poolers FILE ...]

CLIPS holds clips.jsonl. Whole clips, captions as queries, every mixture of the gate; with the
querybank, as a search ranks, and by the plain inner product. Without --poolers the one that ships.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from vsearch import Library
from vsearch.evaluation import datasets
from vsearch.evaluation.gate import case_of, gate
from vsearch.search.querybank import Querybank
from vsearch.temporal.learned import TransformerPooler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--poolers", nargs="+", default=[""])
    parser.add_argument("--library", type=Path, default=Path("indexes/evaluation/pooling"))
    asked = parser.parse_args()
    dataset = datasets.read(asked.clips / "clips.jsonl")
    with Library.open(asked.library) as library:
        for one in library.index(datasets.paths(dataset.items)):
            assert one.error is None, one.error
        case = case_of(library, dataset)
    plain = replace(case, bank=Querybank.empty(case.queries.shape[1]))
    row = "{:22} {:10} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}"
    head = ("mean", "clean", "gain", "mean", "junk", "gain", "MRR+")
    print(row.format("R@1", "scores", *head))
    for file in asked.poolers:
        pooler = TransformerPooler(file)
        for name, each in (("querybank", case), ("plain", plain)):
            found = gate(each, pooler)
            figures = [
                found.mean_clean[0].value, found.clean[0].value, -found.lost,
                found.mean_mixed[0].value, found.mixed[0].value, found.gained,
                found.mixed[-1].value - found.mean_mixed[-1].value,
            ]  # fmt: skip
            print(row.format(pooler.name, name, *(f"{100 * value:.1f}" for value in figures)))


if __name__ == "__main__":
    main()
