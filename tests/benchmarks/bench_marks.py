"""What a query learns from marked results, by a simulated person:

    python -m tests.benchmarks.bench_marks PAIRS VECTORS.npy

PAIRS and VECTORS.npy (the cache of picture vectors) as for `vsearch.encoders.build_builtin align`.
A query is a word; the pictures whose captions have it are what it asks for. The person marks of the
first ten pictures the first one that is right, the first three, or all ten; then everything beyond
those ten is ranked anew, and judged. Constants are chosen on every second word and reported for the
others.
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

from vsearch.encoders.build_builtin import picture_vectors, read_lines
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.shipped import FOLDER
from vsearch.search import teaching
from vsearch.search.querybank import Querybank
from vsearch.types import Matrix, Vector

MARKS = (1, 3, 10)
WORDS = 200
OFTEN = 30, 400  # pictures that a word is said of
_LITTLE = (
    "a an and are as at be by for from has have he her him his in into is it its of off on or our "
    "out over she some that the their them then there these they this to under up was were what "
    "with while one two three four next very other"
)
LITTLE = frozenset(_LITTLE.split())


Teach = Callable[[Vector, Matrix, Matrix], Vector]


def rocchio(towards: float, away: float) -> Teach:
    """The query moved by means; what vsearch does."""

    def teach(query: Vector, up: Matrix, down: Matrix) -> Vector:
        moved = query.copy()
        for rows, share in ((up, towards), (down, -away)):
            if len(rows):
                moved += np.float32(share) * rows.mean(axis=0)
        return moved

    return teach


def _fitted(up: Matrix, down: Matrix) -> tuple[Matrix, Vector, Vector]:
    """Marked rows, 1 or -1 for each, and weights by which both kinds count the same."""
    rows = np.concatenate([up, down])
    signs = np.r_[np.ones(len(up)), -np.ones(len(down))].astype(np.float32)
    counts = np.where(signs > 0, len(up), len(down))
    return rows, signs, (1 / counts).astype(np.float32)


def ridge(pull: float, scale: float) -> Teach:
    """Least squares on the marks, with the query as prior."""

    def teach(query: Vector, up: Matrix, down: Matrix) -> Vector:
        rows, signs, weights = _fitted(up, down)
        left = signs - scale * (rows @ query)
        kernel = rows @ rows.T + pull * np.diag(1 / weights)
        found: Vector = scale * query + rows.T @ np.linalg.solve(kernel, left).astype(np.float32)
        return found

    return teach


def logistic(pull: float, scale: float) -> Teach:
    """Logistic regression on the marks, with the query as prior, by gradient descent."""

    def teach(query: Vector, up: Matrix, down: Matrix) -> Vector:
        rows, signs, weights = _fitted(up, down)
        prior = scale * query
        found, step = prior.copy(), np.float32(1 / (1 + pull))
        for _ in range(50):
            wrong = weights * signs / (1 + np.exp(signs * (rows @ found)))
            found += step * (wrong @ rows - pull * (found - prior))
        return found

    return teach


FAMILIES: dict[str, dict[str, Teach]] = {
    "as asked": {"": rocchio(0, 0)},
    "rocchio": {
        f"{a:g} {b:g}": rocchio(a, b)
        for a in (0.25, 0.5, 0.75, 1, 1.5)
        for b in (0, 0.1, 0.25, 0.5)
    },
    "ridge": {f"{p:g} {s:g}": ridge(p, s) for p in (0.3, 1, 3, 10) for s in (0.5, 1, 2)},
    "logistic": {f"{p:g} {s:g}": logistic(p, s) for p in (0.03, 0.1, 0.3, 1) for s in (0.5, 1, 2)},
}


def concepts(rows: list[dict[str, Any]]) -> dict[str, npt.NDArray[np.bool_]]:
    """Words, and of which pictures each is said: bool (N,)."""
    said = defaultdict(set)
    for number, row in enumerate(rows):
        for text in [row["text"], *row.get("alt_texts", ())]:
            for word in set(re.findall(r"[a-z]{3,}", text.lower())) - LITTLE:
                said[word].add(number)
    least, most = OFTEN
    found = sorted(word for word, where in said.items() if least <= len(where) <= most)
    np.random.default_rng(0).shuffle(found)
    return {word: np.isin(np.arange(len(rows)), list(said[word])) for word in found[:WORDS]}


def precision(order: npt.NDArray[np.intp], right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Average precision, and the share of the first ten that are right."""
    hits = right[order]
    above = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(above[hits].mean()), float(hits[:10].mean())


def judged(
    pictures: Matrix, excess: Vector, query: Vector, right: npt.NDArray[np.bool_], count: int
) -> dict[tuple[str, str], tuple[float, float]]:
    """How well each way ranks what was not looked at; nothing where nothing can be marked."""
    first = np.argsort(excess - pictures @ query)[:10]
    marked = first[right[first]][:1] if count == 1 else first[:count]
    left = np.setdiff1d(np.arange(len(pictures)), first)
    if not right[marked].any() or not right[left].any():
        return {}
    up, down = pictures[marked[right[marked]]], pictures[marked[~right[marked]]]
    names = [(family, name) for family, ways in FAMILIES.items() for name in ways]
    taught = np.stack([FAMILIES[family][name](query, up, down) for family, name in names])
    taught /= np.linalg.norm(taught, axis=1, keepdims=True)
    orders = np.argsort(excess[left] - taught @ pictures[left].T, axis=1)
    return {name: precision(order, right[left]) for name, order in zip(names, orders, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--every", type=int, default=2, help="of the pictures, to save time")
    asked = parser.parse_args()
    encoder = BuiltinEncoder()
    lines = read_lines(asked.pairs)
    seen = picture_vectors(asked.pairs, lines, FOLDER, asked.vectors)
    pictures = encoder.centred(seen)[:: asked.every].astype(np.float32)
    known = concepts(lines[:: asked.every])
    queries = encoder.encode_texts(list(known))
    excess = Querybank.of(encoder).excess(pictures)
    print(f"{len(pictures)} pictures, {len(known)} words")
    scores: dict[tuple[int, int], list[dict[tuple[str, str], tuple[float, float]]]] = {}
    for number, (query, right) in enumerate(zip(queries, known.values(), strict=True)):
        for count in MARKS:
            if found := judged(pictures, excess, query, right, count):
                scores.setdefault((number % 2, count), []).append(found)
    best = {
        family: max(
            ways,
            key=lambda name: sum(
                np.mean([one[family, name][0] for one in scores[0, count]]) for count in MARKS
            ),
        )
        for family, ways in FAMILIES.items()
    }
    print("\n| way, chosen on the other half | marks | words | AP | first ten | better |")
    print("| --- | --- | --- | --- | --- | --- |")
    for count in MARKS:
        held_out = scores[1, count]
        before = np.array([one["as asked", ""] for one in held_out])
        for family, name in best.items():
            now = np.array([one[family, name] for one in held_out])
            better = float((now[:, 0] > before[:, 0]).mean())
            means = f"{now[:, 0].mean():.3f} | {now[:, 1].mean():.3f} | {better:.0%}"
            print(f"| {family} {name} | {count} | {len(held_out)} | {means} |")
    lesson = teaching.Lesson(pictures[:5], pictures[5:10])
    began = time.perf_counter()
    lesson.taught(queries[0], pictures[:1_000])
    print(f"\nlearning from 10 marks: {1000 * (time.perf_counter() - began):.1f} ms")


if __name__ == "__main__":
    main()
