"""Fit the constants of `vsearch.search.calibration`.

    python -m benchmarks.fit_calibration PAIRS [VECTORS.npy] [--queries FILE.jsonl… --clips LIBRARY]

PAIRS and VECTORS.npy (the cache of image vectors) as for `tools.build_encoder.build align`. Random
libraries of 1 to 3,000 images are searched twice: with and without the target, by the texts of the
validation images (captions, alternative texts, labels), their short forms, and, for other
languages, by the vector that the multilingual tower gives to an English text. Images with a similar
text, which might also be relevant, are in no library. Image queries are another frame of the same
clip, or another image with the same label.

With --queries and --clips, the queries that `vsearch evaluate` reads, and the keywords of English
captions, are mixed in: each is searched among the clips of a library, and among those that do not
answer it. Present queries and clips have a fixed share of the weight.

Logistic regression fits the first results, and a search over steps the gap of later ones. Printed
are the constants of all searches, and the confidence by kind of query in a five-fold
cross-validation, in which the queries of one image or clip are in one fold.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tools.build_encoder.build import (
    compute_image_vectors,
    read_captions,
    read_further_images,
    read_pair_rows,
)
from tools.build_encoder.short_forms import derive_short_forms
from vsearch import Library
from vsearch.cli.query_tables import print_confidence
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER
from vsearch.encoders.network_layers import normalize_rows
from vsearch.encoders.sentence_tower import SentenceTower
from vsearch.evaluation.datasets import normalize_caption
from vsearch.evaluation.query_datasets import read_queries
from vsearch.evaluation.query_evaluation import QueryOutcome, report_group
from vsearch.evaluation.query_perturbation import extract_keywords
from vsearch.search import calibration
from vsearch.search.calibration import Calibration, LogisticParams
from vsearch.search.hubness import HUBNESS_STRIDE, Querybank
from vsearch.search.late_interaction import score_segment
from vsearch.search.null_queries import FALLBACK_PROMPTS, image_null_queries, text_null_queries
from vsearch.storage.feature_store import FeatureStore
from vsearch.types import WEAK_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vsearch.search.calibration import NullDistribution
    from vsearch.types import Features, Ids, Matrix, Span, Vector

LIBRARY_SIZES = (1, 2, 5, 10, 30, 57, 100, 300, 1_000, 3_000)
SEARCH_COUNT = 5_000  # of images, each with and without the target
POOL_SIZE = 5_000  # images from which libraries are drawn
TEXTS_PER_IMAGE = 2
RESULT_COUNT = 10
SAME_TEXT_SIMILARITY = 0.55  # sentence similarity at which images may show the same
MAX_TEXT_WORDS = 40
PRESENT_SHARE = 0.6  # of the weight; people mostly search for what is there
CLIPS_WEIGHT = 1.0  # of all searches of clips, compared with those of images
FOLD_COUNT = 5
GAP_WEIGHTS = np.arange(0, 5.5, 0.5)
MULTILINGUAL, CLIPS_PREFIX = "other language", "clips, "


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """A query vector, the image that it is derived from, and the relevant one."""

    kind: str
    vector: Vector
    image_index: int
    target_index: int
    sentence_vector: Vector | None = None  # of the query's text


@dataclass(frozen=True, slots=True)
class SearchedLibrary:
    """A simulated library, one row per segment."""

    segment_vectors: Matrix  # float32 (N, D)
    hubness: Vector  # float32 (N,)
    video_ids: Ids  # int64 (N,)


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """Results of one search."""

    kind: str
    fold: int
    is_present: bool
    null_distribution: NullDistribution
    scores: tuple[float, ...]  # of the best RESULT_COUNT videos
    are_right: tuple[bool, ...]

    @property
    def features(self) -> list[float]:
        """Features of the first result: its score and the best null score."""
        null_scores = self.null_distribution
        return [
            null_scores.standardize(self.scores[0]),
            null_scores.standardize(null_scores.best_score),
        ]

    def rate(self, params: LogisticParams) -> list[float]:
        """Return the confidence of each result."""
        rated = Calibration(self.null_distribution, params)
        return rated.score_confidences(self.scores, self.scores[0])

    def to_query_outcome(self, params: LogisticParams) -> QueryOutcome:
        """Return the outcome for a report."""
        confidences = self.rate(params)
        rank = self.are_right.index(True) + 1 if any(self.are_right) else None
        return QueryOutcome(
            self.kind,
            "",
            self.is_present,
            rank,
            None,
            tuple(confidences),
            self.are_right,
            confidences[0] < WEAK_CONFIDENCE,
        )


class ImagePool:
    """The validation images, and others from which libraries are drawn."""

    def __init__(self, pairs_folder: Path, cache_path: Path | None) -> None:
        pair_rows = read_pair_rows(pairs_folder)
        raw_vectors = compute_image_vectors(pairs_folder, pair_rows, WEIGHTS_FOLDER, cache_path)
        pair_vectors = normalize_rows(raw_vectors - np.load(WEIGHTS_FOLDER / "centre.npy"))
        all_images = [
            *zip(pair_rows, pair_vectors, strict=True),
            *read_further_images(pairs_folder),
        ]
        is_validation = np.array([row["split"] == "val" for row, _ in all_images])
        other_images = np.random.default_rng(0).permutation(np.flatnonzero(~is_validation))
        pool_indices = [*np.flatnonzero(is_validation), *other_images][:POOL_SIZE]
        self.rows = [all_images[index][0] for index in pool_indices]
        self.image_vectors = np.stack([all_images[index][1] for index in pool_indices])
        self.group_ids = _number_names([row["group"] for row in self.rows])
        self.texts = [read_captions(row)[0] for row in self.rows]
        self._sentence_tower = SentenceTower(WEIGHTS_FOLDER)
        self.sentence_vectors = self.encode_sentences(self.texts)

    def encode_sentences(self, texts: Sequence[str]) -> Matrix:
        """Encode texts by the sentence tower, similar lengths together, which is faster."""
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        sentence_vectors = np.empty((len(texts), SentenceTower.dim), np.float32)
        sentence_vectors[order] = self._sentence_tower([texts[index] for index in order])
        return sentence_vectors

    def draw_library(self, query: ImageQuery, size: int, random: np.random.Generator) -> Ids:
        """Draw images that are not relevant to the query, int64 (N,)."""
        references = [self.sentence_vectors[query.image_index]]
        if query.sentence_vector is not None:
            references.append(query.sentence_vector)
        similarities = (self.sentence_vectors @ np.stack(references).T).max(axis=1)
        relevant_groups = self.group_ids[[query.image_index, query.target_index]]
        is_free = (similarities < SAME_TEXT_SIMILARITY) & ~np.isin(self.group_ids, relevant_groups)
        free_indices = np.flatnonzero(is_free)
        return random.choice(free_indices, min(size, len(free_indices)), replace=False)


def make_text_queries(pool: ImagePool, encoder: BuiltinEncoder) -> list[ImageQuery]:
    """Build text queries from the validation images."""
    kinds: list[tuple[str, str, int]] = []  # kind, text, image
    for image_index, row in enumerate(pool.rows):
        texts = read_captions(row)[:TEXTS_PER_IMAGE]
        if row["split"] != "val" or len(texts[0].split()) > MAX_TEXT_WORDS:
            continue
        kind = {"alt": "alternative text", "label": "label"}.get(row["origin"], "caption")
        kinds += [(kind, text, image_index) for text in texts]
        kinds += [("short form", text, image_index) for text in derive_short_forms(texts[0])[1:2]]
        kinds.append((MULTILINGUAL, texts[0], image_index))
    sentence_vectors = pool.encode_sentences([text for _, text, _ in kinds])
    return [
        ImageQuery(
            kind,
            encoder._encode_multilingual([text])[0]
            if kind == MULTILINGUAL
            else encoder.encode_texts([text])[0],
            image_index,
            image_index,
            sentence_vector,
        )
        for (kind, text, image_index), sentence_vector in zip(kinds, sentence_vectors, strict=True)
    ]


def make_image_queries(pool: ImagePool) -> list[ImageQuery]:
    """Build image queries with another image of the same group or of the same label."""
    queries = []
    caption_ids = _number_names([normalize_caption(text) for text in pool.texts])
    for kind, names in (("same clip", pool.group_ids), ("same label", caption_ids)):
        images_by_name: defaultdict[int, list[int]] = defaultdict(list)
        for image_index, name in enumerate(names.tolist()):
            images_by_name[name].append(image_index)
        for first_image, *other_images in images_by_name.values():
            if kind == "same label":  # else it is the same clip
                other_images = [
                    other
                    for other in other_images
                    if pool.group_ids[other] != pool.group_ids[first_image]
                ]
            if other_images:
                vector = pool.image_vectors[first_image]
                queries.append(ImageQuery(kind, vector, first_image, other_images[0]))
    return queries


def search_images(
    queries: Sequence[ImageQuery],
    pool: ImagePool,
    hubness: Vector,
    measure: Callable[[Matrix, Vector, Ids, int], NullDistribution],
) -> list[SearchOutcome]:
    """Search libraries with and without the target image, as often for each kind of query."""
    random, outcomes = np.random.default_rng(0), list[SearchOutcome]()
    queries_by_kind: defaultdict[str, list[ImageQuery]] = defaultdict(list)
    for query in queries:
        queries_by_kind[query.kind].append(query)
    for search_index in range(SEARCH_COUNT):
        kind = list(queries_by_kind)[search_index % len(queries_by_kind)]
        query = queries_by_kind[kind][random.integers(len(queries_by_kind[kind]))]
        absent_images = pool.draw_library(query, int(random.choice(LIBRARY_SIZES)), random)
        present_images = absent_images.copy()
        present_images[random.integers(len(present_images))] = query.target_index
        for images in (absent_images, present_images):
            library = SearchedLibrary(
                pool.image_vectors[images], hubness[images], pool.group_ids[images]
            )
            target_group = int(pool.group_ids[query.target_index])
            right_ids = {target_group} if images is present_images else set[int]()
            outcome = search_library(
                library, library.segment_vectors @ query.vector, right_ids, measure
            )
            outcomes.append(replace(outcome, kind=kind, fold=query.image_index % FOLD_COUNT))
    return outcomes


def search_library(
    library: SearchedLibrary,
    similarities: Vector,
    right_ids: set[int],
    measure: Callable[[Matrix, Vector, Ids, int], NullDistribution],
) -> SearchOutcome:
    """Rank the videos of a library by their best segment, and measure the null distribution."""
    segment_count = len(library.video_ids)
    sample = slice(None, None, max(1, -(-segment_count // calibration.MAX_SAMPLE_SEGMENTS)))
    penalties = library.hubness - library.hubness[sample][::HUBNESS_STRIDE].mean()
    scores = similarities - penalties
    best_by_video: dict[int, float] = {}
    for row in np.argsort(-scores, kind="stable").tolist():
        best_by_video.setdefault(int(library.video_ids[row]), float(scores[row]))
        if len(best_by_video) == RESULT_COUNT:
            break
    return SearchOutcome(
        "",
        0,
        bool(right_ids),
        measure(
            library.segment_vectors[sample],
            penalties[sample],
            library.video_ids[sample],
            segment_count,
        ),
        tuple(best_by_video.values()),
        tuple(video_id in right_ids for video_id in best_by_video),
    )


def search_clips(
    library_folder: Path,
    query_paths: Sequence[Path],
    encoder: BuiltinEncoder,
    querybank: Querybank,
    measure: Callable[[Matrix, Vector, Ids, int], NullDistribution],
) -> Iterator[SearchOutcome]:
    """Search the clips of a library, and those that do not answer the query."""
    with Library.open(library_folder, encoder=encoder) as library:
        videos = library.videos()
        feature_store = FeatureStore(library.path / "features")
        segments_with_frames: list[tuple[Features, Span]] = []
        segment_vectors: list[Matrix] = []
        video_ids: list[int] = []
        for video in videos:
            frame_features = feature_store.load(video.id, encoder.space)
            segments, vectors = library.segments_with_vectors(video)
            segments_with_frames += [(frame_features, segment.span) for segment in segments]
            segment_vectors.append(vectors)
            video_ids += [video.id] * len(segments)
    stacked_vectors = np.concatenate(segment_vectors)
    clips = SearchedLibrary(
        stacked_vectors, querybank.hubness_penalty(stacked_vectors), np.array(video_ids)
    )
    id_by_path = {video.path: video.id for video in videos}
    for query_index, (kind, text, right_paths) in enumerate(
        read_clip_queries(query_paths, videos[0].path.parent)
    ):
        query_vector = encoder.encode_texts([text])[0]
        similarities = np.array(
            [score_segment(frames, span, query_vector) for frames, span in segments_with_frames],
            np.float32,
        )
        right_ids = {id_by_path[path] for path in right_paths if path in id_by_path}
        fold = (min(right_ids) if right_ids else query_index) % FOLD_COUNT
        if right_ids:
            outcome = search_library(clips, similarities, right_ids, measure)
            yield replace(outcome, kind=kind, fold=fold)
        is_other = ~np.isin(clips.video_ids, list(right_ids))
        others = SearchedLibrary(
            clips.segment_vectors[is_other], clips.hubness[is_other], clips.video_ids[is_other]
        )
        outcome = search_library(others, similarities[is_other], set(), measure)
        yield replace(outcome, kind=kind, fold=fold)


def read_clip_queries(
    query_paths: Sequence[Path], clips_folder: Path
) -> Iterator[tuple[str, str, frozenset[Path]]]:
    """Yield kind, text and clips of each query, and the keywords of English captions."""
    for query_path in query_paths:
        for item in read_queries(query_path, clips_folder).items:
            language = item.language or "as typed"
            yield CLIPS_PREFIX + language, item.query_text, item.clip_paths
            if item.is_literal and item.language == "en":
                keywords = extract_keywords(item.query_text, 0)
                yield CLIPS_PREFIX + "keywords", keywords, item.clip_paths


def fit_params(outcomes: Sequence[SearchOutcome]) -> LogisticParams:
    """Fit the weights of first results, then the gap weight on later ones."""
    features = np.array([outcome.features for outcome in outcomes])
    are_right = np.array([outcome.are_right[0] for outcome in outcomes])
    score, null, intercept = _fit_logistic(features, are_right, _weigh(outcomes))
    params = LogisticParams(score, null, intercept, 0.0)
    later_right = np.concatenate([outcome.are_right[1:] for outcome in outcomes])
    candidates = [replace(params, gap_weight=float(gap)) for gap in GAP_WEIGHTS]
    losses = [
        _log_loss([outcome.rate(candidate)[1:] for outcome in outcomes], later_right)
        for candidate in candidates
    ]
    return candidates[int(np.argmin(losses))]


def print_report(outcomes: Sequence[SearchOutcome]) -> None:
    """Print the constants, and the confidence of each kind in the cross-validation."""
    fitted = asdict(fit_params(outcomes))
    print("  ".join(f"{name} {value:.2f}" for name, value in fitted.items()))
    query_outcomes: defaultdict[str, list[QueryOutcome]] = defaultdict(list)
    for fold in range(FOLD_COUNT):
        params = fit_params([each for each in outcomes if each.fold != fold])
        for outcome in (each for each in outcomes if each.fold == fold):
            query_outcome = outcome.to_query_outcome(params)
            is_clip = outcome.kind.startswith(CLIPS_PREFIX)
            for kind in (outcome.kind, "all clips" if is_clip else "all images"):
                query_outcomes[kind].append(query_outcome)
    print_confidence([report_group(kind, each) for kind, each in sorted(query_outcomes.items())])


def _weigh(outcomes: Sequence[SearchOutcome]) -> Vector:
    """Return the weight of each search, float32 (S,), with a mean of 1 for images."""
    is_clip = np.array([outcome.kind.startswith(CLIPS_PREFIX) for outcome in outcomes])
    is_present = np.array([outcome.is_present for outcome in outcomes])
    weights = np.zeros(len(outcomes), np.float32)
    for source, source_weight in ((~is_clip, 1.0), (is_clip, CLIPS_WEIGHT)):
        for rows, share in (
            (source & is_present, PRESENT_SHARE),
            (source & ~is_present, 1 - PRESENT_SHARE),
        ):
            weights[rows] = source_weight * share * (~is_clip).sum() / max(1, rows.sum())
    return weights


def _fit_logistic(features: Any, are_right: Any, weights: Vector, steps: int = 40) -> Any:
    """Fit weighted logistic regression by Newton's method; the intercept comes last."""
    rows = np.column_stack([features, np.ones(len(features))])
    coefficients = np.zeros(rows.shape[1])
    for _ in range(steps):
        probabilities = 1 / (1 + np.exp(-np.clip(rows @ coefficients, -30, 30)))
        gradient = rows.T @ (weights * (probabilities - are_right))
        curvature = weights * probabilities * (1 - probabilities)
        hessian = (rows * curvature[:, None]).T @ rows + 1e-3 * np.eye(len(coefficients))
        coefficients -= np.linalg.solve(hessian, gradient)
    return coefficients.tolist()


def _log_loss(probabilities: Sequence[Sequence[float]], are_right: Any) -> float:
    flat = np.concatenate(probabilities).clip(1e-9, 1 - 1e-9)
    return float(-np.log(np.where(are_right, flat, 1 - flat)).mean())


def _number_names(names: Sequence[str]) -> Ids:
    number_of_name: dict[str, int] = {}
    return np.array([number_of_name.setdefault(name, len(number_of_name)) for name in names])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pairs", type=Path)
    parser.add_argument("vectors", type=Path, nargs="?")
    parser.add_argument("--queries", type=Path, nargs="+", default=[])
    parser.add_argument("--clips", type=Path, help="library of the clips of the queries")
    options = parser.parse_args()
    pool, encoder = ImagePool(options.pairs, options.vectors), BuiltinEncoder()
    text_queries = make_text_queries(pool, encoder)
    for name, querybank, text_vectors in (
        (
            "TEXT_PARAMS",
            Querybank.from_encoder(encoder),
            encoder.querybank,
        ),
        (
            "TEXT_PARAMS_NO_BANK",
            Querybank.create_empty(encoder.space.dim),
            encoder.encode_texts(FALLBACK_PROMPTS),
        ),
    ):
        null_queries = text_null_queries(text_vectors)

        def measure_text(
            sample_vectors: Matrix,
            penalties: Vector,
            _: Ids,
            segment_count: int,
            null_queries: Any = null_queries,
        ) -> NullDistribution:
            return calibration.text_null_distribution(
                null_queries, sample_vectors, penalties, segment_count
            )

        hubness = querybank.hubness_penalty(pool.image_vectors)
        outcomes = search_images(text_queries, pool, hubness, measure_text)
        if options.clips is not None:
            outcomes += search_clips(
                options.clips, options.queries, encoder, querybank, measure_text
            )
        print(f"\n{name}: {len(outcomes)} searches")
        print_report(outcomes)

    def measure_images(
        sample_vectors: Matrix, _: Vector, video_ids: Ids, segment_count: int
    ) -> NullDistribution:
        return calibration.image_null_distribution(
            image_null_queries(sample_vectors, video_ids),
            sample_vectors,
            len(np.unique(video_ids)),
            segment_count,
        )

    no_hubness = np.zeros(len(pool.image_vectors), np.float32)
    outcomes = search_images(make_image_queries(pool), pool, no_hubness, measure_images)
    print(f"\nIMAGE_PARAMS: {len(outcomes)} searches")
    print_report(outcomes)


if __name__ == "__main__":
    main()
