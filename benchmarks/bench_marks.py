"""Measure relevance feedback (Rocchio) with simulated users.

    python -m benchmarks.bench_marks PAIRS VECTORS.npy

PAIRS and VECTORS.npy (the cache of image vectors) as for `tools.build_encoder.build align`. A query
is a word; images whose captions contain it are relevant. The user marks the first relevant one of
the top ten images, the first three, or all ten; then all images beyond those ten are reranked and
evaluated. Constants are chosen on every second word and reported for the others.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tools.build_encoder.build import compute_image_vectors, read_pair_rows
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER
from vsearch.search import feedback
from vsearch.search.hubness import Querybank
from vsearch.types import Matrix, Vector

MARK_COUNTS = (1, 3, 10)
MAX_CONCEPTS = 200
WORD_COUNT_RANGE = 30, 400  # images whose captions contain the word
_STOP_WORD_TEXT = (
    "a an and are as at be by for from has have he her him his in into is it its of off on or our "
    "out over she some that the their them then there these they this to under up was were what "
    "with while one two three four next very other"
)
STOP_WORDS = frozenset(_STOP_WORD_TEXT.split())
FeedbackMethod = Callable[[Vector, Matrix, Matrix], Vector]


def make_rocchio(beta: float, gamma: float) -> FeedbackMethod:
    """Return the Rocchio update that vsearch uses."""

    def apply_feedback(query: Vector, positives: Matrix, negatives: Matrix) -> Vector:
        moved = query.copy()
        for rows, share in ((positives, beta), (negatives, -gamma)):
            if len(rows):
                moved += np.float32(share) * rows.mean(axis=0)
        return moved

    return apply_feedback


def _labeled_rows(positives: Matrix, negatives: Matrix) -> tuple[Matrix, Vector, Vector]:
    """Return the marked rows, their labels 1 or -1, and weights that balance both kinds."""
    rows = np.concatenate([positives, negatives])
    signs = np.r_[np.ones(len(positives)), -np.ones(len(negatives))].astype(np.float32)
    counts = np.where(signs > 0, len(positives), len(negatives))
    return rows, signs, (1 / counts).astype(np.float32)


def make_ridge(penalty: float, prior_scale: float) -> FeedbackMethod:
    """Return ridge regression on the marks with the query as prior."""

    def apply_feedback(query: Vector, positives: Matrix, negatives: Matrix) -> Vector:
        rows, signs, weights = _labeled_rows(positives, negatives)
        residuals = signs - prior_scale * (rows @ query)
        kernel = rows @ rows.T + penalty * np.diag(1 / weights)
        adjusted_query: Vector = prior_scale * query + rows.T @ np.linalg.solve(
            kernel, residuals
        ).astype(np.float32)
        return adjusted_query

    return apply_feedback


def make_logistic(penalty: float, prior_scale: float) -> FeedbackMethod:
    """Return logistic regression on the marks with the query as prior."""

    def apply_feedback(query: Vector, positives: Matrix, negatives: Matrix) -> Vector:
        rows, signs, weights = _labeled_rows(positives, negatives)
        prior = prior_scale * query
        adjusted_query, step = prior.copy(), np.float32(1 / (1 + penalty))
        for _ in range(50):
            wrong = weights * signs / (1 + np.exp(signs * (rows @ adjusted_query)))
            adjusted_query += step * (wrong @ rows - penalty * (adjusted_query - prior))
        return adjusted_query

    return apply_feedback


METHOD_FAMILIES: dict[str, dict[str, FeedbackMethod]] = {
    "without feedback": {"": make_rocchio(0, 0)},
    "rocchio": {
        f"{a:g} {b:g}": make_rocchio(a, b)
        for a in (0.25, 0.5, 0.75, 1, 1.5)
        for b in (0, 0.1, 0.25, 0.5)
    },
    "ridge": {f"{p:g} {s:g}": make_ridge(p, s) for p in (0.3, 1, 3, 10) for s in (0.5, 1, 2)},
    "logistic": {
        f"{p:g} {s:g}": make_logistic(p, s) for p in (0.03, 0.1, 0.3, 1) for s in (0.5, 1, 2)
    },
}


def collect_concepts(caption_rows: list[dict[str, Any]]) -> dict[str, npt.NDArray[np.bool_]]:
    """Collect words and the images whose captions contain them, bool (N,)."""
    rows_of_word = defaultdict(set)
    for number, row in enumerate(caption_rows):
        for text in [row["text"], *row.get("alt_texts", ())]:
            for word in set(re.findall(r"[a-z]{3,}", text.lower())) - STOP_WORDS:
                rows_of_word[word].add(number)
    min_count, max_count = WORD_COUNT_RANGE
    words = sorted(
        word for word, rows in rows_of_word.items() if min_count <= len(rows) <= max_count
    )
    np.random.default_rng(0).shuffle(words)
    return {
        word: np.isin(np.arange(len(caption_rows)), list(rows_of_word[word]))
        for word in words[:MAX_CONCEPTS]
    }


def average_precision(
    ranking: npt.NDArray[np.intp], is_relevant: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """Return average precision and precision at ten."""
    hits = is_relevant[ranking]
    above = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(above[hits].mean()), float(hits[:10].mean())


def evaluate_feedback(
    image_vectors: Matrix,
    hubness_penalty: Vector,
    query: Vector,
    is_relevant: npt.NDArray[np.bool_],
    mark_count: int,
) -> dict[tuple[str, str], tuple[float, float]]:
    """Evaluate each method on the unseen images; skip words without marks."""
    top_indexes = np.argsort(hubness_penalty - image_vectors @ query)[:10]
    marked_indexes = (
        top_indexes[is_relevant[top_indexes]][:1] if mark_count == 1 else top_indexes[:mark_count]
    )
    remaining_indexes = np.setdiff1d(np.arange(len(image_vectors)), top_indexes)
    if not is_relevant[marked_indexes].any() or not is_relevant[remaining_indexes].any():
        return {}
    positives, negatives = (
        image_vectors[marked_indexes[is_relevant[marked_indexes]]],
        image_vectors[marked_indexes[~is_relevant[marked_indexes]]],
    )
    names = [(family, name) for family, methods in METHOD_FAMILIES.items() for name in methods]
    taught_queries = np.stack(
        [METHOD_FAMILIES[family][name](query, positives, negatives) for family, name in names]
    )
    taught_queries /= np.linalg.norm(taught_queries, axis=1, keepdims=True)
    orders = np.argsort(
        hubness_penalty[remaining_indexes] - taught_queries @ image_vectors[remaining_indexes].T,
        axis=1,
    )
    return {
        name: average_precision(order, is_relevant[remaining_indexes])
        for name, order in zip(names, orders, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--every", type=int, default=2, help="use every n-th image, to save time")
    options = parser.parse_args()
    encoder = BuiltinEncoder()
    lines = read_pair_rows(options.pairs)
    image_vectors = compute_image_vectors(options.pairs, lines, WEIGHTS_FOLDER, options.vectors)
    pictures = encoder.center_features(image_vectors)[:: options.every].astype(np.float32)
    concepts = collect_concepts(lines[:: options.every])
    queries = encoder.encode_texts(list(concepts))
    hubness_penalty = Querybank.from_encoder(encoder).hubness_penalty(pictures)
    print(f"{len(pictures)} images, {len(concepts)} words")
    scores: dict[tuple[int, int], list[dict[tuple[str, str], tuple[float, float]]]] = {}
    for number, (query, is_relevant) in enumerate(zip(queries, concepts.values(), strict=True)):
        for count in MARK_COUNTS:
            if metrics := evaluate_feedback(pictures, hubness_penalty, query, is_relevant, count):
                scores.setdefault((number % 2, count), []).append(metrics)
    best = {
        family: max(
            methods,
            key=lambda name: sum(
                np.mean([word_metrics[family, name][0] for word_metrics in scores[0, count]])
                for count in MARK_COUNTS
            ),
        )
        for family, methods in METHOD_FAMILIES.items()
    }
    print("\n| method, tuned on the other half | marks | words | AP | P@10 | improved |")
    print("| --- | --- | --- | --- | --- | --- |")
    for count in MARK_COUNTS:
        held_out = scores[1, count]
        baseline = np.array([word_metrics["without feedback", ""] for word_metrics in held_out])
        for family, name in best.items():
            improved = np.array([word_metrics[family, name] for word_metrics in held_out])
            better = float((improved[:, 0] > baseline[:, 0]).mean())
            means = f"{improved[:, 0].mean():.3f} | {improved[:, 1].mean():.3f} | {better:.0%}"
            print(f"| {family} {name} | {count} | {len(held_out)} | {means} |")
    relevance_feedback = feedback.RelevanceFeedback(pictures[:5], pictures[5:10])
    start_time = time.perf_counter()
    relevance_feedback.adjust_query(queries[0], pictures[:1_000])
    print(f"\nfeedback from 10 marks: {1000 * (time.perf_counter() - start_time):.1f} ms")


if __name__ == "__main__":
    main()
