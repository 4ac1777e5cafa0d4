"""Compare the trained pooler with the mean, on clean clips and on clips with distractors.

    python -m benchmarks.bench_pooling CLIPS [--library DIR] [--poolers FILE ...]

CLIPS holds clips.jsonl. Whole clips, captions as queries, every mixture of the gate; with querybank
normalization, as a search ranks, and by plain inner product. Without --poolers the bundled one.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from vsearch import Library
from vsearch.evaluation import datasets
from vsearch.evaluation.pooler_gate import build_pooling_case, run_gate
from vsearch.pooling.transformer import TransformerPooler
from vsearch.search.hubness import Querybank


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--poolers", nargs="+", default=[""])
    parser.add_argument("--library", type=Path, default=Path("indexes/evaluation/pooling"))
    options = parser.parse_args()
    dataset = datasets.read_dataset(options.clips / "clips.jsonl")
    with Library.open(options.library) as library:
        for index_result in library.index(datasets.list_video_paths(dataset.items)):
            assert index_result.error is None, index_result.error
        case = build_pooling_case(library, dataset)
    plain = replace(case, querybank=Querybank.create_empty(case.query_vectors.shape[1]))
    row = "{:22} {:10} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}"
    column_names = ("mean", "clean", "gain", "mean", "junk", "gain", "MRR+")
    print(row.format("R@1", "scores", *column_names))
    for pooler_file in options.poolers:
        pooler = TransformerPooler(pooler_file)
        for name, pooling_case in (("querybank", case), ("plain", plain)):
            gate_result = run_gate(pooling_case, pooler)
            figures = [
                gate_result.mean_clean_metrics[0].value, gate_result.clean_metrics[0].value,
                -gate_result.recall_loss, gate_result.mean_mixed_metrics[0].value,
                gate_result.mixed_metrics[0].value, gate_result.recall_gain,
                gate_result.mixed_metrics[-1].value - gate_result.mean_mixed_metrics[-1].value,
            ]  # fmt: skip
            print(row.format(pooler.name, name, *(f"{100 * value:.1f}" for value in figures)))


if __name__ == "__main__":
    main()
