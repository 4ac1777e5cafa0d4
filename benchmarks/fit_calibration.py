"""Fit the constants of `vsearch.search.calibration`.

    python -m benchmarks.fit_calibration PAIRS [VECTORS.npy]

PAIRS and VECTORS.npy (the cache of image vectors) as for `tools.build_encoder.build align`. Random
libraries of 1 to 3,000 images are searched twice: with and without the target. Text queries are the
validation captions, as captions, keywords and questions; images with a similar caption, which might
also be relevant, are in no library. Image queries are another frame of the same clip, or another
image with the same label. No benchmark video is among them. Printed are the constants, and the
results of constants fitted on one half of the queries on the other half.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tools.build_encoder.build import compute_image_vectors, read_pair_rows
from vsearch.encoders.builtin import BuiltinEncoder, SentenceTower, normalize_rows
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER
from vsearch.evaluation import query_perturbation
from vsearch.evaluation.classification import compute_calibration_error
from vsearch.evaluation.metrics import compute_auroc
from vsearch.search import calibration, null_queries
from vsearch.search.hubness import Querybank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from vsearch.search.calibration import NullDistribution
    from vsearch.types import Ids, Vector

LIBRARY_SIZES = (1, 2, 5, 10, 30, 57, 100, 300, 1_000, 3_000)
SEARCH_COUNT = 3_000
BACKGROUND_SAMPLE = 1_000  # as in a search
RESULT_COUNT = 10
SAME_CAPTION_SIMILARITY = 0.55  # sentence similarity at which images may show the same
MAX_CAPTION_WORDS = 40


@dataclass(frozen=True, slots=True)
class CalibrationQuery:
    """A query vector, its image and all relevant images."""

    vector: Vector
    picture_index: int
    relevant_pictures: tuple[int, ...]


@dataclass(slots=True)
class SearchOutcomes:
    """Results of searches, one row each."""

    query_pictures: list[int] = field(default_factory=list)
    library_sizes: list[int] = field(default_factory=list)
    is_present: list[bool] = field(default_factory=list)
    null_scores: list[float] = field(default_factory=list)  # of the best result, standardized
    scores: list[list[float]] = field(default_factory=list)  # of RESULT_COUNT results, standardized
    is_relevant: list[list[bool]] = field(default_factory=list)


class PicturePool:
    """All images from which libraries are drawn."""

    def __init__(self, pairs: Path, cache: Path | None) -> None:
        self.rows = read_pair_rows(pairs)
        raw_vectors = compute_image_vectors(pairs, self.rows, WEIGHTS_FOLDER, cache)
        self.pictures = normalize_rows(raw_vectors - np.load(WEIGHTS_FOLDER / "centre.npy"))
        normalized_captions = [" ".join(row["text"].casefold().split()) for row in self.rows]
        self.caption_ids = _number_names(normalized_captions)
        self.group_ids = _number_names([row["group"] for row in self.rows])
        texts, sentence_tower = [row["text"] for row in self.rows], SentenceTower(WEIGHTS_FOLDER)
        self.caption_vectors = np.concatenate(
            [sentence_tower(texts[i : i + 64]) for i in range(0, len(texts), 64)]
        )

    def draw_library(self, query: CalibrationQuery, size: int, random: np.random.Generator) -> Ids:
        """Draw images that are not relevant to the query, int64 (N,)."""
        is_possibly_relevant = (
            self.caption_vectors @ self.caption_vectors[query.picture_index]
            >= SAME_CAPTION_SIMILARITY
        )
        for picture_index in (query.picture_index, *query.relevant_pictures):
            is_possibly_relevant |= (self.group_ids == self.group_ids[picture_index]) | (
                self.caption_ids == self.caption_ids[picture_index]
            )
        free = np.flatnonzero(~is_possibly_relevant)
        return random.choice(free, min(size, len(free)), replace=False)


def make_word_queries(pool: PicturePool, encoder: BuiltinEncoder) -> list[CalibrationQuery]:
    """Build text queries from the validation captions, in three forms."""
    chosen = [
        picture_index
        for picture_index, row in enumerate(pool.rows)
        if row["split"] == "val" and row["kind"] != "drawing" and row["origin"] != "alt"
        if len(row["text"].split()) <= MAX_CAPTION_WORDS
    ]
    queries = []
    for rewrite in (
        lambda text, _: text,
        query_perturbation.extract_keywords,
        query_perturbation.phrase_as_question,
    ):
        for number, picture_index in enumerate(chosen):
            vector = encoder.encode_texts([rewrite(pool.rows[picture_index]["text"], number)])[0]
            queries.append(CalibrationQuery(vector, picture_index, (picture_index,)))
    return queries


def make_picture_queries(pool: PicturePool) -> list[CalibrationQuery]:
    """Build image queries with another image of the same group or of the same label."""
    queries = []
    for names in (pool.group_ids, pool.caption_ids):
        pictures_by_name = defaultdict(list)
        for picture_index, name in enumerate(names):
            pictures_by_name[name].append(picture_index)
        for picture_indexes in pictures_by_name.values():
            first_picture = picture_indexes[0]
            others = picture_indexes[1:]
            if names is pool.caption_ids:  # else it is the same clip
                others = [
                    other
                    for other in others
                    if pool.group_ids[other] != pool.group_ids[first_picture]
                ]
            if others:
                queries.append(
                    CalibrationQuery(pool.pictures[first_picture], first_picture, tuple(others[:1]))
                )
    return queries


def run_searches(
    queries: Sequence[CalibrationQuery],
    pool: PicturePool,
    hubness_penalty: Vector,
    null_distribution: Callable[[Ids, Vector, int], NullDistribution],
    seed: int = 0,
) -> SearchOutcomes:
    """Search libraries with and without the target image."""
    random, outcomes = np.random.default_rng(seed), SearchOutcomes()
    for _ in range(SEARCH_COUNT):
        number, size = int(random.integers(len(queries))), int(random.choice(LIBRARY_SIZES))
        query = queries[number]
        absent_library = pool.draw_library(query, size, random)
        present_library = absent_library.copy()
        present_library[random.integers(len(present_library))] = query.relevant_pictures[0]
        for library in (absent_library, present_library):
            step = max(1, -(-len(library) // BACKGROUND_SAMPLE))
            penalty = hubness_penalty[library] - hubness_penalty[library[::step][::5]].mean()
            scores = pool.pictures[library] @ query.vector - penalty
            distribution = null_distribution(library[::step], penalty[::step], len(library))
            best = np.argsort(-scores, kind="stable")[:RESULT_COUNT]
            outcomes.query_pictures.append(query.picture_index)
            outcomes.library_sizes.append(size)
            outcomes.is_present.append(library is present_library)
            outcomes.null_scores.append(distribution.standardize(distribution.best_score))
            outcomes.scores.append(
                [distribution.standardize(float(score)) for score in scores[best]]
            )
            outcomes.is_relevant.append(
                [bool(np.isin(place, query.relevant_pictures)) for place in library[best]]
            )
    return outcomes


def fit_parameters(
    outcomes: SearchOutcomes, query_mask: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Fit score, null and constant on first results, then behind on later ones."""
    first_features, first_relevant = _first_results(outcomes)
    link = _fit_logistic(first_features[query_mask], first_relevant[query_mask])
    score_gaps, logits, is_relevant = [], [], []
    for row in np.flatnonzero(query_mask):
        scores = np.array(outcomes.scores[row])
        score_gaps += list(scores[0] - scores[1:])
        logits += list(link[0] * scores[1:] + link[1] * outcomes.null_scores[row] + link[2])
        is_relevant += outcomes.is_relevant[row][1:]
    steps = np.linspace(0, 5, 51)
    losses = [
        _log_loss(np.array(logits) - step * np.array(score_gaps), np.array(is_relevant))
        for step in steps
    ]
    return np.append(link, steps[int(np.argmin(losses))])


def print_report(outcomes: SearchOutcomes) -> None:
    """Print the constants of all queries, and the cross-validated results."""
    is_even = np.array(outcomes.query_pictures) % 2 == 0
    first_features, first_relevant = _first_results(outcomes)
    is_present, sizes = np.array(outcomes.is_present), np.array(outcomes.library_sizes)
    probabilities, later_probabilities, later_relevant = np.zeros(len(first_relevant)), [], []
    for fit_mask in (is_even, ~is_even):
        link = fit_parameters(outcomes, fit_mask)
        probabilities[~fit_mask] = _sigmoid(first_features[~fit_mask] @ link[:2] + link[2])
        for row in np.flatnonzero(~fit_mask):
            scores = np.array(outcomes.scores[row][1:])
            logits = link[0] * scores + link[1] * outcomes.null_scores[row] + link[2]
            later_probabilities.append(
                _sigmoid(logits - link[3] * (outcomes.scores[row][0] - scores))
            )
            later_relevant.append(np.array(outcomes.is_relevant[row][1:], np.bool_))
    parameters = fit_parameters(outcomes, np.ones(len(first_relevant), np.bool_))
    print("  score {:.2f}  null {:.2f}  constant {:.2f}  behind {:.1f}".format(*parameters))
    threshold = _balanced_threshold(probabilities, is_present)
    mean_confidence, accuracy = (
        np.concatenate(later_probabilities).mean(),
        np.concatenate(later_relevant).mean(),
    )
    print(
        f"  balanced at {threshold:.2f}; other results: mean confidence "
        f"{mean_confidence:.3f}, accuracy {accuracy:.3f}"
    )
    print("  images     AUROC  false alarm  miss   ECE of the first")
    for size in (*LIBRARY_SIZES, None):
        size_mask = sizes == size if size else np.ones(len(sizes), np.bool_)
        alarm = (probabilities[size_mask & ~is_present] >= threshold).mean()
        miss = (probabilities[size_mask & is_present] < threshold).mean()
        error = compute_calibration_error(probabilities[size_mask], first_relevant[size_mask])
        area = compute_auroc(probabilities[size_mask], is_present[size_mask])
        print(f"  {size or 'all':>8}   {area:.3f}  {alarm:11.3f}  {miss:.3f}  {error:.3f}")


def _first_results(
    outcomes: SearchOutcomes,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    best = [scores[0] for scores in outcomes.scores]
    return np.column_stack([best, outcomes.null_scores]), np.array(
        [hits[0] for hits in outcomes.is_relevant]
    )


def _balanced_threshold(probabilities: Any, is_present: Any) -> float:
    """Return the threshold with equal miss and false alarm counts."""
    steps = np.linspace(0.01, 0.99, 99)
    gaps = [
        abs((probabilities[~is_present] >= t).mean() - (probabilities[is_present] < t).mean())
        for t in steps
    ]
    return float(steps[int(np.argmin(gaps))])


def _fit_logistic(features: Any, is_relevant: Any, steps: int = 50) -> npt.NDArray[np.float64]:
    """Fit logistic regression by Newton's method."""
    rows = np.column_stack([features, np.ones(len(features))])
    coefficients = np.zeros(rows.shape[1])
    for _ in range(steps):
        probabilities = _sigmoid(rows @ coefficients)
        gradient = rows.T @ (probabilities - is_relevant)
        hessian = (rows * (probabilities * (1 - probabilities))[:, None]).T @ rows + 1e-3 * np.eye(
            len(coefficients)
        )
        coefficients -= np.linalg.solve(hessian, gradient)
    return coefficients


def _sigmoid(logits: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(logits, -30, 30)))


def _log_loss(logits: Any, is_relevant: Any) -> float:
    return float(np.logaddexp(0, np.where(is_relevant, -logits, logits)).mean())


def _number_names(group_names: Sequence[str]) -> Ids:
    number_of_name: dict[str, int] = {}
    return np.array([number_of_name.setdefault(name, len(number_of_name)) for name in group_names])


def measure_kinds(
    pool: PicturePool, encoder: BuiltinEncoder
) -> Iterator[tuple[str, SearchOutcomes]]:
    """Measure text with a querybank, text with generic prompts, and images."""
    text_queries, rows = make_word_queries(pool, encoder), pool.pictures
    bank, generic_vectors = encoder.querybank, encoder.encode_texts(null_queries.FALLBACK_PROMPTS)
    no_penalty = np.zeros(len(rows), np.float32)
    for name, texts, penalty in (
        ("WORDS", bank, Querybank(bank).hubness_penalty(rows)),
        ("WORDS_ALONE", generic_vectors, no_penalty),
    ):
        null_query_vectors = null_queries.text_null_queries(texts)

        def word_null_distribution(
            sample: Ids,
            hubness_penalty: Vector,
            library_size: int,
            query_vectors: Any = null_query_vectors,
        ) -> NullDistribution:
            return calibration.text_null_distribution(
                query_vectors, rows[sample], hubness_penalty, library_size
            )

        yield name, run_searches(text_queries, pool, penalty, word_null_distribution)

    def picture_null_distribution(sample: Ids, _: Vector, library_size: int) -> NullDistribution:
        null_query_vectors = null_queries.image_null_queries(rows[sample], pool.group_ids[sample])
        videos = len(np.unique(pool.group_ids[sample]))
        return calibration.image_null_distribution(
            null_query_vectors, rows[sample], videos, library_size
        )

    yield (
        "PICTURES",
        run_searches(make_picture_queries(pool), pool, no_penalty, picture_null_distribution),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pairs", type=Path)
    parser.add_argument("vectors", type=Path, nargs="?")
    options = parser.parse_args()
    pool = PicturePool(options.pairs, options.vectors)
    for name, outcomes in measure_kinds(pool, BuiltinEncoder()):
        print(f"{name}: {len(outcomes.is_present)} searches")
        print_report(outcomes)


if __name__ == "__main__":
    main()
