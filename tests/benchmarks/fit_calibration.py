"""Fit the constants of `vsearch.search.calibration`:

    python -m tests.benchmarks.fit_calibration PAIRS [VECTORS.npy]

PAIRS and VECTORS.npy (the cache of picture vectors) as for `vsearch.encoders.build_builtin align`.
Libraries of 1 to 3,000 pictures drawn by chance, each searched twice: with what was asked for in
it, and without. Words are those of the validation pairs, as captions, keywords and questions;
whatever a similar caption says might answer as well, and is in no library. Pictures are asked for
by another frame of the same clip, or by another one of the same name. No video of the benchmarks is
among them. Printed are the constants, and how well those fitted on one half of the queries do on
the other.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.encoders.build_builtin import picture_vectors, read_lines
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.shipped import FOLDER
from vsearch.encoders.towers import SentenceTower, unit
from vsearch.evaluation import variants
from vsearch.evaluation.classes import calibration_error
from vsearch.evaluation.metrics import auroc
from vsearch.search import calibration, generic
from vsearch.search.querybank import Querybank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from vsearch.search.calibration import Null
    from vsearch.types import Ids, Vector

SIZES = (1, 2, 5, 10, 30, 57, 100, 300, 1_000, 3_000)
TRIES = 3_000
SAMPLE = 1_000  # as in search.engine
SHOWN = 10  # results
ALIKE = 0.55  # similarity of captions, as sentences: may well show the same
LONGEST = 40  # words


@dataclass(frozen=True, slots=True)
class Query:
    """A vector, its picture, and the pictures that are right."""

    vector: Vector
    about: int
    right: tuple[int, ...]


@dataclass(slots=True)
class Tried:
    """What searches found, a row each."""

    queries: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    there: list[bool] = field(default_factory=list)
    null: list[float] = field(default_factory=list)  # of the best, in units
    scores: list[list[float]] = field(default_factory=list)  # of SHOWN results, in units
    right: list[list[bool]] = field(default_factory=list)


class Pool:
    """All pictures: what libraries are drawn from."""

    def __init__(self, pairs: Path, cache: Path | None) -> None:
        self.rows = read_lines(pairs)
        raw = picture_vectors(pairs, self.rows, FOLDER, cache)
        self.pictures = unit(raw - np.load(FOLDER / "centre.npy"))
        said = [" ".join(row["text"].casefold().split()) for row in self.rows]
        self.said = _numbers(said)
        self.groups = _numbers([row["group"] for row in self.rows])
        texts, read = [row["text"] for row in self.rows], SentenceTower(FOLDER)
        self.sentences = np.concatenate([read(texts[i : i + 64]) for i in range(0, len(texts), 64)])

    def library(self, query: Query, size: int, random: np.random.Generator) -> Ids:
        """Pictures that do not answer the query, int64 (N,)."""
        answers = self.sentences @ self.sentences[query.about] >= ALIKE
        for place in (query.about, *query.right):
            answers |= (self.groups == self.groups[place]) | (self.said == self.said[place])
        free = np.flatnonzero(~answers)
        return random.choice(free, min(size, len(free)), replace=False)


def word_queries(pool: Pool, encoder: BuiltinEncoder) -> list[Query]:
    """The validation captions of what a video could show, in three forms."""
    chosen = [
        place
        for place, row in enumerate(pool.rows)
        if row["split"] == "val" and row["kind"] != "drawing" and row["origin"] != "alt"
        if len(row["text"].split()) <= LONGEST
    ]
    found = []
    for rewrite in (lambda text, _: text, variants.keywords, variants.question):
        for number, place in enumerate(chosen):
            vector = encoder.encode_texts([rewrite(pool.rows[place]["text"], number)])[0]
            found.append(Query(vector, place, (place,)))
    return found


def picture_queries(pool: Pool) -> list[Query]:
    """Pictures that have another one of their group, and such as have one of their name only."""
    found = []
    for names in (pool.groups, pool.said):
        together = defaultdict(list)
        for place, name in enumerate(names):
            together[name].append(place)
        for places in together.values():
            one = places[0]
            others = places[1:]
            if names is pool.said:  # else it is the same clip
                others = [other for other in others if pool.groups[other] != pool.groups[one]]
            if others:
                found.append(Query(pool.pictures[one], one, tuple(others[:1])))
    return found


def tried(
    queries: Sequence[Query],
    pool: Pool,
    taken: Vector,
    null: Callable[[Ids, Vector, int], Null],
    seed: int = 0,
) -> Tried:
    """Search libraries with and without the right picture."""
    random, found = np.random.default_rng(seed), Tried()
    for _ in range(TRIES):
        number, size = int(random.integers(len(queries))), int(random.choice(SIZES))
        query = queries[number]
        without = pool.library(query, size, random)
        within = without.copy()
        within[random.integers(len(within))] = query.right[0]
        for library in (without, within):
            step = max(1, -(-len(library) // SAMPLE))
            less = taken[library] - taken[library[::step][::5]].mean()
            scores = pool.pictures[library] @ query.vector - less
            held = null(library[::step], less[::step], len(library))
            best = np.argsort(-scores, kind="stable")[:SHOWN]
            found.queries.append(query.about)
            found.sizes.append(size)
            found.there.append(library is within)
            found.null.append(held.share(held.best))
            found.scores.append([held.share(float(score)) for score in scores[best]])
            found.right.append([bool(np.isin(place, query.right)) for place in library[best]])
    return found


def fitted(found: Tried, mine: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """score, null, constant and behind: by the first results, then by those after them."""
    first, right = _first(found)
    link = _logistic(first[mine], right[mine])
    behind, logits, hits = [], [], []
    for row in np.flatnonzero(mine):
        scores = np.array(found.scores[row])
        behind += list(scores[0] - scores[1:])
        logits += list(link[0] * scores[1:] + link[1] * found.null[row] + link[2])
        hits += found.right[row][1:]
    steps = np.linspace(0, 5, 51)
    losses = [_loss(np.array(logits) - step * np.array(behind), np.array(hits)) for step in steps]
    return np.append(link, steps[int(np.argmin(losses))])


def report(found: Tried) -> None:
    """Constants of all, and how those of either half do on the other."""
    half = np.array(found.queries) % 2 == 0
    first, right = _first(found)
    there, sizes = np.array(found.there), np.array(found.sizes)
    chances, rest, hits = np.zeros(len(right)), [], []
    for mine in (half, ~half):
        link = fitted(found, mine)
        chances[~mine] = _sigmoid(first[~mine] @ link[:2] + link[2])
        for row in np.flatnonzero(~mine):
            scores = np.array(found.scores[row][1:])
            logits = link[0] * scores + link[1] * found.null[row] + link[2]
            rest.append(_sigmoid(logits - link[3] * (found.scores[row][0] - scores)))
            hits.append(np.array(found.right[row][1:], np.bool_))
    print("  score {:.2f}  null {:.2f}  constant {:.2f}  behind {:.1f}".format(
        *fitted(found, np.ones(len(right), np.bool_))))  # fmt: skip
    threshold = _balanced(chances, there)
    said, was = np.concatenate(rest).mean(), np.concatenate(hits).mean()
    print(f"  balanced at {threshold:.2f}; the other results: said {said:.3f}, right {was:.3f}")
    print("  pictures   AUROC  false alarm  miss   ECE of the first")
    for size in (*SIZES, None):
        some = sizes == size if size else np.ones(len(sizes), np.bool_)
        alarm = (chances[some & ~there] >= threshold).mean()
        miss = (chances[some & there] < threshold).mean()
        error = calibration_error(chances[some], right[some])
        area = auroc(chances[some], there[some])
        print(f"  {size or 'all':>8}   {area:.3f}  {alarm:11.3f}  {miss:.3f}  {error:.3f}")


def _first(found: Tried) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    best = [scores[0] for scores in found.scores]
    return np.column_stack([best, found.null]), np.array([hits[0] for hits in found.right])


def _balanced(chances: Any, there: Any) -> float:
    """Where as many are missed as are false alarms."""
    steps = np.linspace(0.01, 0.99, 99)
    gaps = [abs((chances[~there] >= t).mean() - (chances[there] < t).mean()) for t in steps]
    return float(steps[int(np.argmin(gaps))])


def _logistic(features: Any, right: Any, steps: int = 50) -> npt.NDArray[np.float64]:
    """Logistic regression by Newton's method."""
    rows = np.column_stack([features, np.ones(len(features))])
    link = np.zeros(rows.shape[1])
    for _ in range(steps):
        chances = _sigmoid(rows @ link)
        slope = rows.T @ (chances - right)
        curve = (rows * (chances * (1 - chances))[:, None]).T @ rows + 1e-3 * np.eye(len(link))
        link -= np.linalg.solve(curve, slope)
    return link


def _sigmoid(logits: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(logits, -30, 30)))


def _loss(logits: Any, right: Any) -> float:
    return float(np.logaddexp(0, np.where(right, -logits, logits)).mean())


def _numbers(names: Sequence[str]) -> Ids:
    known: dict[str, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names])


def kinds(pool: Pool, encoder: BuiltinEncoder) -> Iterator[tuple[str, Tried]]:
    """Words against the querybank, words against the texts for other models, pictures."""
    words, rows = word_queries(pool, encoder), pool.pictures
    bank, usual = encoder.querybank, encoder.encode_texts(generic.TEXTS)
    nothing = np.zeros(len(rows), np.float32)
    for name, texts, taken in (
        ("WORDS", bank, Querybank(bank).excess(rows)),
        ("WORDS_ALONE", usual, nothing),
    ):
        asked = generic.texts(texts)

        def null(sample: Ids, less: Vector, size: int, asked: Any = asked) -> Null:
            return calibration.null_of_words(asked, rows[sample], less, size)

        yield name, tried(words, pool, taken, null)

    def own(sample: Ids, _: Vector, size: int) -> Null:
        asked = generic.pictures(rows[sample], pool.groups[sample])
        videos = len(np.unique(pool.groups[sample]))
        return calibration.null_of_pictures(asked, rows[sample], videos, size)

    yield "PICTURES", tried(picture_queries(pool), pool, nothing, own)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pairs", type=Path)
    parser.add_argument("vectors", type=Path, nargs="?")
    given = parser.parse_args()
    pool = Pool(given.pairs, given.vectors)
    for name, found in kinds(pool, BuiltinEncoder()):
        print(f"{name}: {len(found.there)} searches")
        report(found)


if __name__ == "__main__":
    main()
