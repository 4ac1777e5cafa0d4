"""Compare the search with simple rankings of the same stored vectors, by kind of query.

    python -m benchmarks.bench_ranking CLIPS [QUERIES.jsonl…] [--library DIR] [--json FILE]

CLIPS holds clips.jsonl. The clips are indexed once. Kinds of queries are the captions, their short
forms and questions, and those of each file of queries (by language), as `vsearch evaluate` reads
and searches them: one result per video, captions literally, all others as typed. The names in a
file of queries are relative to the folder of the clips.

Simple rankings compare the vector of the query as written with the frames of each video or its
pooled segments. With hubness correction, a share of the score that the queries of the encoder's
querybank give to a video is subtracted, as the search does for segments. The best simple ranking of
a kind is chosen afterwards, with R@1 and then MRR, which favors it. Intervals are 95 %, of paired
differences over resampled queries; the mean weighs all kinds equally.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.report import Report, add_json_option
from vsearch import Library
from vsearch.evaluation.datasets import list_video_paths, read_dataset
from vsearch.evaluation.metrics import (
    NOT_FOUND_RANK,
    bootstrap_statistic,
    compute_query_values,
)
from vsearch.evaluation.query_datasets import read_queries
from vsearch.evaluation.query_perturbation import PERTURBATIONS
from vsearch.evaluation.retrieval_cases import find_relevant_videos, rank_first_hits
from vsearch.evaluation.robustness import add_matching_videos
from vsearch.evaluation.typed_perturbation import extract_noun_phrases, shorten_captions
from vsearch.evaluation.video_search import find_first_rank, list_found_videos
from vsearch.search import hubness
from vsearch.storage.feature_store import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vsearch.evaluation.datasets import CaptionItem
    from vsearch.evaluation.metrics import Metric, QueryValues, RankArray, ScoreMatrix
    from vsearch.types import Ids, Matrix

SEARCH, MEAN_KIND = "vsearch", "mean"
HUBNESS_WEIGHTS = (0.0, 0.25, 0.5)
METRIC_NAMES = ("R@1", "R@5", "MRR")


@dataclass(frozen=True, slots=True)
class QueryKind:
    """Queries of one kind and the videos that answer each."""

    name: str
    texts: tuple[str, ...]
    right_paths: tuple[frozenset[Path], ...]
    is_literal: bool = False  # captions; others are parsed as typed


@dataclass(frozen=True, slots=True, eq=False)
class StoredVideo:
    """Stored vectors of one video."""

    path: Path
    frame_vectors: Matrix  # float32 (T, D) of unit length
    segment_vectors: Matrix  # float32 (S, D) of unit length


def average_top_frames(similarities: Matrix) -> Matrix:
    """Return the mean of the three best frames, float32 (Q,), of similarities (Q, T)."""
    scores: Matrix = np.sort(similarities, axis=1)[:, -3:].mean(axis=1)
    return scores


def log_mean_exp(similarities: Matrix, inverse_temperature: float) -> Matrix:
    """Return the log-mean-exp, float32 (Q,), of similarities (Q, T)."""
    best = similarities.max(axis=1)
    weights = np.exp(inverse_temperature * (similarities - best[:, None]))
    scores: Matrix = best + np.log(weights.mean(axis=1)) / inverse_temperature
    return scores


def score_mean_frame(queries: Matrix, video: StoredVideo) -> Matrix:
    """Return the cosine of queries (Q, D) with the mean of all frames, float32 (Q,)."""
    mean_vector = video.frame_vectors.mean(axis=0)
    scores: Matrix = queries @ (mean_vector / np.linalg.norm(mean_vector))
    return scores


# Each scores one video for queries, float32 (Q, D) of unit length.
SIMPLE_RANKINGS: dict[str, Callable[[Matrix, StoredVideo], Matrix]] = {
    "best frame": lambda queries, video: (queries @ video.frame_vectors.T).max(axis=1),
    "mean frame": score_mean_frame,
    "top 3 frames": lambda queries, video: average_top_frames(queries @ video.frame_vectors.T),
    "log-mean-exp of frames, β 10": lambda queries, video: log_mean_exp(
        queries @ video.frame_vectors.T, 10
    ),
    "log-mean-exp of frames, β 20": lambda queries, video: log_mean_exp(
        queries @ video.frame_vectors.T, 20
    ),
    "best pooled segment": lambda queries, video: (queries @ video.segment_vectors.T).max(axis=1),
}


def derive_kinds(items: Sequence[CaptionItem]) -> Iterator[QueryKind]:
    """Yield the captions, and the kinds of queries that are derived from them."""
    captions, right_paths = [item.caption for item in items], find_relevant_videos(items)

    def create_kind(
        name: str, texts: Sequence[str], paths: Sequence[set[Path]], *, is_literal: bool = False
    ) -> QueryKind:
        return QueryKind(name, tuple(texts), tuple(map(frozenset, paths)), is_literal)

    yield create_kind("captions", captions, right_paths, is_literal=True)
    short_forms = {
        f"{count} word{'s' * (count > 1)}": texts
        for count, texts in enumerate(shorten_captions(captions), 1)
    }
    short_forms["noun phrases"] = extract_noun_phrases(captions)[0]
    for name, texts in short_forms.items():
        yield create_kind(name, texts, add_matching_videos(items, texts, right_paths))
    ask = PERTURBATIONS["question"]
    questions = [ask(caption, index) for index, caption in enumerate(captions)]
    yield create_kind("questions", questions, right_paths)


def read_kinds(queries_path: Path, clips_folder: Path) -> Iterator[QueryKind]:
    """Yield the queries of a file that a clip answers, by language."""
    dataset = read_queries(queries_path, clips_folder)
    items = [item for item in dataset.items if item.clip_paths]
    for language in dict.fromkeys(item.language for item in items):
        chosen_items = [item for item in items if item.language == language]
        yield QueryKind(
            f"{dataset.dataset_name} {language}".strip(),
            tuple(item.query_text for item in chosen_items),
            tuple(item.clip_paths for item in chosen_items),
            chosen_items[0].is_literal,
        )


def collect_kinds(
    items: Sequence[CaptionItem], query_paths: Sequence[Path], clips_folder: Path
) -> list[QueryKind]:
    """Return all kinds of queries, without those that repeat the texts of another."""
    kinds = [*derive_kinds(items)]
    for path in query_paths:
        kinds += read_kinds(path, clips_folder)
    kinds_by_texts: dict[tuple[str, ...], QueryKind] = {}
    for kind in kinds:
        kinds_by_texts.setdefault(kind.texts, kind)
    return list(kinds_by_texts.values())


def load_videos(library: Library) -> list[StoredVideo]:
    """Load the vectors of all videos of a library."""
    store, space = FeatureStore(library.path / "features"), library.encoder.space
    return [
        StoredVideo(
            video.path,
            store.load(video.id, space).frame_vectors.astype(np.float32),
            library.segments_with_vectors(video)[1],
        )
        for video in library.videos()
    ]


def rank_by_search(library: Library, kind: QueryKind) -> RankArray:
    """Return the rank of the first right video by the search, int64 (Q,)."""
    ranks = [
        find_first_rank(
            list_found_videos(library, text, is_literal=kind.is_literal) or (), right_paths
        )
        for text, right_paths in zip(kind.texts, kind.right_paths, strict=True)
    ]
    return np.array([rank or NOT_FOUND_RANK for rank in ranks], np.int64)


def rank_simply(
    library: Library, videos: Sequence[StoredVideo], kinds: Sequence[QueryKind]
) -> dict[str, list[RankArray]]:
    """Return the ranks of the first right videos of each kind by each simple ranking."""
    encoder = library.encoder
    querybank = hubness.Querybank.from_encoder(encoder).query_vectors
    query_vectors = [encoder.encode_texts(kind.texts) for kind in kinds]
    relevance_matrices = [
        np.array([[video.path in paths for video in videos] for paths in kind.right_paths])
        for kind in kinds
    ]
    ranks: dict[str, list[RankArray]] = {}
    for name, score in SIMPLE_RANKINGS.items():
        penalties = np.zeros(len(videos), np.float32)
        if len(querybank):
            bank_scores = [log_mean_exp_of_bank(score(querybank, video)) for video in videos]
            penalties = np.array(bank_scores, np.float32)
        scores: list[ScoreMatrix] = [
            np.stack([score(queries, video) for video in videos], axis=1)
            for queries in query_vectors
        ]
        for weight in HUBNESS_WEIGHTS if len(querybank) else HUBNESS_WEIGHTS[:1]:
            ranks[f"{name}, hubness {weight:g}" if weight else name] = [
                rank_first_hits(each - np.float32(weight) * penalties, relevance_matrix)
                for each, relevance_matrix in zip(scores, relevance_matrices, strict=True)
            ]
    return ranks


def log_mean_exp_of_bank(bank_scores: Matrix) -> float:
    """Return the hubness of a video from its scores for the querybank, float32 (B,)."""
    return float(log_mean_exp(bank_scores[None], hubness.INVERSE_TEMPERATURE)[0])


def compute_values(ranks_by_kind: Sequence[RankArray]) -> list[dict[str, QueryValues]]:
    """Return R@1, R@5 and reciprocal rank of each query, by kind."""
    return [compute_query_values(ranks[None]) for ranks in ranks_by_kind]


def bootstrap_mean(values_by_kind: Sequence[QueryValues]) -> Metric:
    """Return the mean over kinds of the mean over queries, with its interval."""
    kind_count = len(values_by_kind)
    weighted_values = np.concatenate([each / (kind_count * len(each)) for each in values_by_kind])
    ends = np.cumsum([len(each) for each in values_by_kind])
    row_groups = np.split(np.arange(ends[-1]), ends[:-1])

    def sum_rows(rows: Ids) -> float:
        return float(weighted_values[rows].sum())

    return bootstrap_statistic("", sum_rows, row_groups)


def report_rankings(
    kinds: Sequence[QueryKind], ranks_by_ranking: dict[str, list[RankArray]]
) -> Report:
    """Report all rankings by kind, and how far the search is above each."""
    report = Report("ranking")
    values_by_ranking = {name: compute_values(ranks) for name, ranks in ranks_by_ranking.items()}
    kind_rows = {kind.name: [row] for row, kind in enumerate(kinds)}
    for kind_name, rows in {**kind_rows, MEAN_KIND: list(range(len(kinds)))}.items():
        for ranking, values in values_by_ranking.items():
            row: dict[str, Any] = {
                "kind": kind_name,
                "queries": sum(len(kinds[each].texts) for each in rows),
                "ranking": ranking,
            }
            for metric in METRIC_NAMES:
                row[metric] = float(np.mean([values[each][metric].mean() for each in rows]))
            for metric in ("R@1", "MRR"):
                lead = bootstrap_mean(
                    [
                        values_by_ranking[SEARCH][each][metric] - values[each][metric]
                        for each in rows
                    ]
                )
                row[f"{metric} lead"] = [lead.value, lead.ci_low, lead.ci_high]
            report.rows.append(row)
    return report


def print_tables(report: Report) -> None:
    """Print all rankings by kind, and the search next to the best simple ranking of each kind."""
    kind_names = list(dict.fromkeys(row["kind"] for row in report.rows))
    rows_by_ranking: dict[str, dict[str, str]] = {}
    for row in report.rows:
        cells = rows_by_ranking.setdefault(row["ranking"], {"R@1 / R@5 / MRR, %": row["ranking"]})
        cells[f"{row['kind']} ({row['queries']})"] = format_metrics(row)
    Report("all rankings", list(rows_by_ranking.values())).print_table()
    print()
    comparison = Report("comparison")
    for kind_name in kind_names:
        search, *others = [row for row in report.rows if row["kind"] == kind_name]
        best = max(others, key=lambda row: (row["R@1"], row["MRR"]))
        comparison.rows.append(
            {
                "kind": kind_name,
                "queries": search["queries"],
                SEARCH: format_metrics(search),
                "best simple ranking": best["ranking"],
                "its R@1 / R@5 / MRR": format_metrics(best),
                "R@1 lead (95 %)": format_lead(best["R@1 lead"]),
                "MRR lead (95 %)": format_lead(best["MRR lead"]),
            }
        )
    comparison.print_table()


def format_metrics(row: dict[str, Any]) -> str:
    """Format the metrics of a row in percent."""
    return " / ".join(f"{100 * row[metric]:.1f}" for metric in METRIC_NAMES)


def format_lead(lead: Sequence[float]) -> str:
    """Format a difference and its interval in points."""
    value, low, high = (100 * each for each in lead)
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def measure(
    clips_path: Path, query_paths: Sequence[Path], library_path: Path, encoder: Any = None
) -> Report:
    """Index the clips, rank all kinds of queries, and report.

    Args:
        clips_path: The captions.
        query_paths: Files of queries.
        library_path: Library to create or to complete; all of its videos are ranked.
        encoder: Encoder of the library; None: the one of its settings.
    """
    items = read_dataset(clips_path).items
    video_paths = list_video_paths(items)
    clips_folder = Path(os.path.commonpath([path.parent for path in video_paths]))
    kinds = collect_kinds(items, query_paths, clips_folder)
    with Library.open(library_path, encoder=encoder) as library:
        for index_result in library.index(video_paths):
            assert index_result.error is None, index_result.error
        videos = load_videos(library)
        ranks = {SEARCH: [rank_by_search(library, kind) for kind in kinds]}
        ranks |= rank_simply(library, videos, kinds)
    return report_rankings(kinds, ranks)


def main() -> None:
    parser = add_json_option(argparse.ArgumentParser(description=__doc__.partition("\n")[0]))
    parser.add_argument("clips", type=Path, help="folder with clips.jsonl")
    parser.add_argument("queries", type=Path, nargs="*", help="files of queries")
    parser.add_argument("--library", type=Path, help="library of the clips  [default: temporary]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(
            options.clips / "clips.jsonl", options.queries, options.library or Path(folder)
        )
    print_tables(report)
    report.write(options.json)


if __name__ == "__main__":
    main()
