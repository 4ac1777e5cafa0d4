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
WORD_COUNT_RANGE = 30, 400  # pictures that a word is said of
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
        left = signs - prior_scale * (rows @ query)
        kernel = rows @ rows.T + penalty * np.diag(1 / weights)
        found: Vector = prior_scale * query + rows.T @ np.linalg.solve(kernel, left).astype(
            np.float32
        )
        return found

    return apply_feedback


def make_logistic(penalty: float, prior_scale: float) -> FeedbackMethod:
    """Return logistic regression on the marks with the query as prior."""

    def apply_feedback(query: Vector, positives: Matrix, negatives: Matrix) -> Vector:
        rows, signs, weights = _labeled_rows(positives, negatives)
        prior = prior_scale * query
        found, step = prior.copy(), np.float32(1 / (1 + penalty))
        for _ in range(50):
            wrong = weights * signs / (1 + np.exp(signs * (rows @ found)))
            found += step * (wrong @ rows - penalty * (found - prior))
        return found

    return apply_feedback


METHOD_FAMILIES: dict[str, dict[str, FeedbackMethod]] = {
    "as asked": {"": make_rocchio(0, 0)},
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
    said = defaultdict(set)
    for number, row in enumerate(caption_rows):
        for text in [row["text"], *row.get("alt_texts", ())]:
            for word in set(re.findall(r"[a-z]{3,}", text.lower())) - STOP_WORDS:
                said[word].add(number)
    least, most = WORD_COUNT_RANGE
    found = sorted(word for word, where in said.items() if least <= len(where) <= most)
    np.random.default_rng(0).shuffle(found)
    return {
        word: np.isin(np.arange(len(caption_rows)), list(said[word]))
        for word in found[:MAX_CONCEPTS]
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
    first = np.argsort(hubness_penalty - image_vectors @ query)[:10]
    marked = first[is_relevant[first]][:1] if mark_count == 1 else first[:mark_count]
    left = np.setdiff1d(np.arange(len(image_vectors)), first)
    if not is_relevant[marked].any() or not is_relevant[left].any():
        return {}
    positives, negatives = (
        image_vectors[marked[is_relevant[marked]]],
        image_vectors[marked[~is_relevant[marked]]],
    )
    names = [(family, name) for family, ways in METHOD_FAMILIES.items() for name in ways]
    taught_queries = np.stack(
        [METHOD_FAMILIES[family][name](query, positives, negatives) for family, name in names]
    )
    taught_queries /= np.linalg.norm(taught_queries, axis=1, keepdims=True)
    orders = np.argsort(hubness_penalty[left] - taught_queries @ image_vectors[left].T, axis=1)
    return {
        name: average_precision(order, is_relevant[left])
        for name, order in zip(names, orders, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--every", type=int, default=2, help="use every n-th image, to save time")
    asked = parser.parse_args()
    encoder = BuiltinEncoder()
    lines = read_pair_rows(asked.pairs)
    seen = compute_image_vectors(asked.pairs, lines, WEIGHTS_FOLDER, asked.vectors)
    pictures = encoder.center_features(seen)[:: asked.every].astype(np.float32)
    known = collect_concepts(lines[:: asked.every])
    queries = encoder.encode_texts(list(known))
    excess = Querybank.from_encoder(encoder).hubness_penalty(pictures)
    print(f"{len(pictures)} images, {len(known)} words")
    scores: dict[tuple[int, int], list[dict[tuple[str, str], tuple[float, float]]]] = {}
    for number, (query, right) in enumerate(zip(queries, known.values(), strict=True)):
        for count in MARK_COUNTS:
            if found := evaluate_feedback(pictures, excess, query, right, count):
                scores.setdefault((number % 2, count), []).append(found)
    best = {
        family: max(
            ways,
            key=lambda name: sum(
                np.mean([one[family, name][0] for one in scores[0, count]]) for count in MARK_COUNTS
            ),
        )
        for family, ways in METHOD_FAMILIES.items()
    }
    print("\n| method, tuned on the other half | marks | words | AP | P@10 | improved |")
    print("| --- | --- | --- | --- | --- | --- |")
    for count in MARK_COUNTS:
        held_out = scores[1, count]
        before = np.array([one["as asked", ""] for one in held_out])
        for family, name in best.items():
            now = np.array([one[family, name] for one in held_out])
            better = float((now[:, 0] > before[:, 0]).mean())
            means = f"{now[:, 0].mean():.3f} | {now[:, 1].mean():.3f} | {better:.0%}"
            print(f"| {family} {name} | {count} | {len(held_out)} | {means} |")
    lesson = feedback.RelevanceFeedback(pictures[:5], pictures[5:10])
    began = time.perf_counter()
    lesson.adjust_query(queries[0], pictures[:1_000])
    print(f"\nfeedback from 10 marks: {1000 * (time.perf_counter() - began):.1f} ms")


if __name__ == "__main__":
    main()
