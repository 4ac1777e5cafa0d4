from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks import bench_ranking
from benchmarks.bench_ranking import MEAN_KIND, SEARCH, SIMPLE_RANKINGS, StoredVideo
from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch.evaluation.datasets import read_dataset

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.report import Report
    from vsearch.types import Matrix

CAPTIONS = {"red": "a red ball", "green": "a green ball", "blue": "blue water"}


class BankEncoder(FakeEncoder):
    """Encoder with a querybank."""

    @property
    def querybank(self) -> Matrix:
        """Three colors."""
        return self.encode_texts(["red", "green", "white"])


def write_lines(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, records)), "utf-8")
    return path


@pytest.fixture
def clips_path(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    for name, color in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        make_video(tmp_path / "clips" / f"{name}.mp4", [ColorScene(color, 3)])
    return write_lines(
        tmp_path / "clips.jsonl",
        [{"path": f"clips/{name}.mp4", "caption": text} for name, text in CAPTIONS.items()],
    )


def measure(clips_path: Path, *query_paths: Path, encoder: FakeEncoder | None = None) -> Report:
    library_path = clips_path.with_name("library")
    return bench_ranking.measure(
        clips_path, query_paths, library_path, encoder=encoder or BankEncoder()
    )


def test_the_search_and_all_simple_rankings_are_measured(clips_path: Path) -> None:
    report = measure(clips_path)
    rows = {(row["kind"], row["ranking"]): row for row in report.rows}
    rankings = {ranking for _, ranking in rows}
    assert rankings >= {SEARCH, "best frame", "best frame, hubness 0.25", "best frame, hubness 0.5"}
    assert len(rankings) == 1 + 3 * len(SIMPLE_RANKINGS)
    kinds = list(dict.fromkeys(kind for kind, _ in rows))
    assert kinds == ["captions", "1 word", "2 words", "questions", MEAN_KIND]  # others are equal
    assert rows["captions", SEARCH]["R@1"] == rows["captions", "mean frame"]["R@1"] == 1
    assert rows["captions", "mean frame"]["R@1 lead"] == [0, 0, 0]
    assert rows[MEAN_KIND, SEARCH]["queries"] == 4 * len(CAPTIONS)


def test_without_a_querybank_nothing_is_corrected(clips_path: Path) -> None:
    report = measure(clips_path, encoder=FakeEncoder())
    assert {row["ranking"] for row in report.rows} == {SEARCH, *SIMPLE_RANKINGS}


@pytest.mark.slow
def test_files_of_queries_are_kinds_by_language(clips_path: Path) -> None:
    natural = [
        {"query": "green!", "clips": ["green.mp4"]},
        {"query": "red", "clips": ["blue.mp4"]},
        {"query": "tram", "clips": []},  # absent: not ranked
    ]
    translated = [
        {"clip": f"{name}.mp4", "en": text, "de": f"{text} bitte"}
        for name, text in CAPTIONS.items()
    ]
    report = measure(
        clips_path,
        write_lines(clips_path.with_name("natural.jsonl"), natural),
        write_lines(clips_path.with_name("translated.jsonl"), translated),
    )
    rows = {row["kind"]: row for row in report.rows if row["ranking"] == SEARCH}
    assert (rows["natural"]["queries"], rows["natural"]["R@1"]) == (2, 0.5)
    assert rows["translated de"]["queries"] == 3
    assert "translated en" not in rows  # the same texts as the captions


def test_short_forms_are_right_for_all_captions_with_their_words(clips_path: Path) -> None:
    items = read_dataset(clips_path).items
    kinds = {kind.name: kind for kind in bench_ranking.derive_kinds(items)}
    assert kinds["1 word"].texts[0] == "ball"
    assert {path.stem for path in kinds["1 word"].right_paths[0]} == {"red", "green"}
    assert {path.stem for path in kinds["captions"].right_paths[0]} == {"red"}
    assert kinds["captions"].is_literal
    assert not kinds["questions"].is_literal


def test_simple_rankings_combine_frames(tmp_path: Path) -> None:
    frames = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]
    video = StoredVideo(tmp_path, frames, frames[2:3])
    query = np.eye(4, dtype=np.float32)[:1]
    scores = {name: float(score(query, video)[0]) for name, score in SIMPLE_RANKINGS.items()}
    assert scores["best frame"] == 1
    assert scores["top 3 frames"] == pytest.approx(2 / 3)
    assert scores["mean frame"] == pytest.approx(2 / 6**0.5)
    assert scores["best pooled segment"] == 0
    assert 0.5 < scores["log-mean-exp of frames, β 10"] < scores["log-mean-exp of frames, β 20"] < 1
    assert scores["log-mean-exp of frames, β 20"] == pytest.approx(1 - np.log(2) / 20)


def test_the_mean_weighs_kinds_equally() -> None:
    mean = bench_ranking.bootstrap_mean([np.ones(30), np.zeros(3)])
    assert (mean.value, mean.ci_low, mean.ci_high) == pytest.approx((0.5, 0.5, 0.5))


def test_the_best_simple_ranking_of_each_kind_is_printed(
    clips_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench_ranking.print_tables(measure(clips_path))
    all_rankings, comparison = capsys.readouterr().out.split("\n\n")
    assert all_rankings.splitlines()[1].startswith(SEARCH)
    captions_line = next(line for line in comparison.splitlines() if line.startswith("captions"))
    assert "100.0 / 100.0 / 100.0" in captions_line
    assert captions_line.rstrip().endswith("+0.0 (+0.0 to +0.0)")
