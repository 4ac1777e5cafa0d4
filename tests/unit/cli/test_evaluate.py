"""`vsearch evaluate`: benchmark, robustness, pooler check and automatic dataset."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import YELLOW, ColorScene, make_video
from vsearch import Library
from vsearch.encoders import model_zoo
from vsearch.pooling.weights import NetworkWeights, TransformerConfig, compute_array_shapes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")
CUE = "{n}\n00:00:0{n},000 --> 00:00:0{n},900\n{text}\n\n"


@pytest.fixture(autouse=True)
def _short_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_zoo, "MEASURE_SECONDS", 0.01)


@pytest.fixture
def captions(tmp_path: Path, videos_folder: Path) -> Path:
    file = tmp_path / "set.jsonl"
    file.write_text(json.dumps({"path": str(videos_folder / "green.mp4"), "caption": "green"}))
    return file


@pytest.fixture
def subtitled(videos_folder: Path) -> Path:
    """A folder of three videos, two with five cues that name their colors."""
    make_video(videos_folder / "yellow.mp4", [ColorScene(YELLOW, 3)])
    for name, words in (("red then blue.en.srt", "red and blue"), ("green.srt", "so very green")):
        cues = (CUE.format(n=n, text=f"{words}, {n * '!'}") for n in range(5))
        (videos_folder / name).write_text("".join(cues))
    return videos_folder


def test_protocol_is_printed(run_vsearch: CommandRunner, captions: Path) -> None:
    output = run_vsearch("evaluate", captions).stdout.split("\n\n")[0].splitlines()
    assert output == [
        "captions  1 of 1 video (set), split all",
        "model     fake (fake), float32",
        "prompt    as written",
        "frames    3 at 1 fps, pooler mean",
        "score     text → video: complete search, one result per video, up to rank 100; "
        "video → text and clip → clip: cosine of the best segment; 95 % bootstrap",
        "version   vsearch 0.1.0",
    ]
    report = json.loads(run_vsearch("evaluate", captions, "--json").stdout)
    assert report["protocol"]["frame_count"] == 3
    assert report["robustness"] == []


def test_check_pooler_compares_with_mean_pooling(
    run_vsearch: CommandRunner, captions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsearch.evaluation.pooler_gate.DISTRACTOR_COUNT", 14)
    library_option = ("--library", tmp_path / "own")
    result = run_vsearch("evaluate", captions, "--check-pooler", *library_option)
    assert "no trained pooler" in result.stderr  # the fake model has none
    output = json.loads(
        run_vsearch("evaluate", captions, "--check-pooler", "--json", *library_option).stdout
    )
    assert output["pooler_check"] is None
    config = TransformerConfig(features=16, hidden=16, layers=1, heads=2, mlp=32)
    arrays = {
        name: np.zeros(shape, np.float32)
        for name, shape in compute_array_shapes(config, "pooler").items()
    }
    weights = NetworkWeights("pooler", config, arrays, {"space": "fake"})
    with Library.open(tmp_path / "own", encoder=FakeEncoder()) as library:
        library.models.install_pooler(weights)
    output = run_vsearch("evaluate", captions, "--check-pooler", *library_option).stdout
    assert f"transformer-{weights.digest[:8]}, with distractors" in output
    assert "R@1 0 points on clean clips" in output  # its gate is closed, so it pools like the mean
    assert "not passed" in output
    output = json.loads(
        run_vsearch("evaluate", captions, "--check-pooler", "--json", *library_option).stdout
    )
    assert output["pooler_check"]["passed"] is False
    assert output["pooler_check"]["recall_loss"] == 0


def test_robustness_prints_losses_per_perturbation(
    run_vsearch: CommandRunner, captions: Path
) -> None:
    output = run_vsearch("evaluate", captions, "--robustness").stdout
    lines = {line.split()[0]: line.split() for line in output.splitlines() if " of 1 " in line}
    assert lines["question"][1:7] == ["1", "of", "1", "100.0", "100.0", "100.0"]
    assert output.count("where is green?") == 1
    assert lines["spelling"][1:5] == ["0", "of", "1", "–"]
    report = json.loads(run_vsearch("evaluate", captions, "--robustness", "--json").stdout)
    assert [each["perturbation"] for each in report["robustness"]][:2] == ["keywords", "question"]
    no_loss = {"name": "R@1", "value": 0, "ci_low": 0, "ci_high": 0}
    assert report["robustness"][1]["metric_losses"][0] == no_loss


def test_robustness_as_typed_is_a_table_of_its_own(
    run_vsearch: CommandRunner, captions: Path
) -> None:
    output = run_vsearch("evaluate", captions, "--robustness").stdout
    wording_section, typed_section = output.split("robustness as typed")
    assert "complete search, literal" in wording_section
    assert "complete search, read by the query parser" in typed_section
    rows = [line.split("  ")[0] for line in typed_section.splitlines()[2:]]
    assert rows == ["noun phrase", "1–3 words", "punctuation", "polite", "negation"]
    assert "show me green" in typed_section


@pytest.fixture
def queries(tmp_path: Path, videos_folder: Path) -> Path:
    """Three queries, of which one is absent and one is invalid."""
    records = [
        {"query": "green", "clips": ["green.mp4"]},
        {"query": "then: red", "clips": ["red then blue.mp4"], "lang": "en"},
        {"query": "tram", "clips": []},
    ]
    (videos_folder / "queries.jsonl").write_text("\n".join(map(json.dumps, records)))
    return videos_folder / "queries.jsonl"


def test_queries_are_evaluated(run_vsearch: CommandRunner, queries: Path, tmp_path: Path) -> None:
    output = run_vsearch("evaluate", queries).stdout
    assert output.splitlines()[0] == "queries   3 in 2 videos (queries): 2 present, 1 absent"
    assert "complete search as typed" in output
    rows = {line.split()[0]: line.split() for line in output.splitlines() if line}
    assert rows["90–100"][0] == "90–100"
    ranking = output.split("text → video")[1].splitlines()
    assert [line.split()[:3] for line in ranking[2:5]] == [
        ["all", "2", "50.0"],
        ["unknown", "1", "100.0"],
        ["en", "1", "0.0"],
    ]
    assert "could not be searched: then: red (then:" in output
    assert (tmp_path / "indexes" / "evaluation" / "queries").is_dir()


def test_queries_are_printed_as_json(run_vsearch: CommandRunner, queries: Path) -> None:
    output = json.loads(run_vsearch("evaluate", queries, "--json").stdout)
    assert list(output) == ["queries"]
    [report] = output["queries"]
    assert [group["group_name"] for group in report["groups"]] == ["all", "unknown", "en"]
    group = report["groups"][0]
    assert [metric["name"] for metric in group["metrics"]] == ["R@1", "R@5", "R@10", "MRR"]
    assert (group["present_count"], group["absent_count"], group["failed_count"]) == (2, 1, 1)
    assert group["confidence"]["false_alarms"]["total"] == 1
    assert len(group["confidence"]["reliability"]) == 10
    first, failed, absent = report["outcomes"]
    assert first["first_path"] == str(queries.with_name("green.mp4"))
    assert (failed["rank"], failed["first_path"], absent["is_present"]) == (None, None, False)
    assert "then:" in failed["error_text"]


def test_captions_and_queries_are_evaluated_together(
    run_vsearch: CommandRunner, captions: Path, queries: Path, tmp_path: Path
) -> None:
    translated = tmp_path / "translated.jsonl"
    translated.write_text('{"clip": "green.mp4", "en": "green", "de": "Wald"}')
    arguments = ("evaluate", captions, "--queries", queries, "--queries", translated)
    output = run_vsearch(*arguments, "--clips", queries.parent).stdout
    assert output.startswith("captions  1 of 1 video (set)")
    assert "queries   3 in 2 videos (queries)" in output
    assert "queries   2 in 2 videos (translated)" in output
    report = json.loads(run_vsearch(*arguments, "--clips", queries.parent, "--json").stdout)
    assert (report["dataset_name"], len(report["queries"])) == ("set", 2)


def test_without_a_clips_folder_only_the_named_clips_are_searched(
    run_vsearch: CommandRunner, videos_folder: Path
) -> None:
    queries = videos_folder / "green.jsonl"
    queries.write_text('{"query": "green", "clips": ["green.mp4"]}')
    assert "1 in 1 video (green)" in run_vsearch("evaluate", queries).stdout
    output = run_vsearch("evaluate", queries, "--clips", videos_folder).stdout
    assert "1 in 2 videos (green)" in output


def test_options_of_captions_require_captions(
    run_vsearch: CommandRunner, captions: Path, queries: Path
) -> None:
    for option in (("--robustness",), ("--check-pooler",), ("--contact-sheet", "x.html")):
        assert (
            "require a FILE of captions"
            in run_vsearch("evaluate", queries, *option, exit_code=2).stderr
        )
    assert (
        "--clips requires"
        in run_vsearch("evaluate", captions, "--clips", queries.parent, exit_code=2).stderr
    )
    assert (
        "can only be combined"
        in run_vsearch("evaluate", "--auto-dataset", "--queries", queries, exit_code=2).stderr
    )


def test_auto_dataset_uses_subtitles_and_file_names(
    run_vsearch: CommandRunner, subtitled: Path
) -> None:
    run_vsearch("index", subtitled)
    output = run_vsearch("evaluate", "--auto-dataset").stdout
    assert "queries   11 among 3 videos: 10 from subtitles, 1 from file names" in output
    assert "Speech rarely describes the picture" in output
    rates = [line.split()[-9:-7] for line in output.splitlines() if line.endswith((" kB", " B"))]
    assert rates == [["1", "mean"], ["0.5", "mean"], ["0.25", "mean"]]
    report = json.loads(run_vsearch("evaluate", "--auto-dataset", "--json").stdout)
    assert report["sources"] == [
        {"source_name": "subtitles", "query_count": 10, "video_count": 2},
        {"source_name": "file names", "query_count": 1, "video_count": 1},
    ]
    assert [each["frame_count"] for each in report["configurations"]] == [14, 8, 4]
    assert report["configurations"][0]["metrics"][0]["value"] == 1


def test_auto_dataset_compares_other_models_and_rates(
    run_vsearch: CommandRunner, subtitled: Path, tmp_path: Path
) -> None:
    run_vsearch("index", subtitled)
    arguments = ("evaluate", "--auto-dataset", "--models", "fake:other", "--fps", "2", "--json")
    report = json.loads(run_vsearch(*arguments).stdout)["configurations"]
    assert [(each["model"], each["fps"]) for each in report[::3]] == [
        ("fake", 1),
        ("fake:other", 1),
        ("fake", 2),
    ]
    assert report[6]["frame_count"] == 2 * report[0]["frame_count"]
    libraries = sorted((tmp_path / "indexes" / "evaluation").iterdir())
    inodes = [(path / "catalog.sqlite3").stat().st_ino for path in libraries]
    assert len(inodes) == 2
    run_vsearch(*arguments)
    assert [(path / "catalog.sqlite3").stat().st_ino for path in libraries] == inodes
    assert json.loads(run_vsearch("info", "--json").stdout)["videos"] == 3


def test_auto_dataset_needs_enough_queries(run_vsearch: CommandRunner, videos_folder: Path) -> None:
    run_vsearch("index", videos_folder)
    output = run_vsearch("evaluate", "--auto-dataset", exit_code=1).stderr
    assert "subtitles and file names give 0 and 1 queries, but at least 10 are needed" in output
    assert (
        "there is no library"
        in run_vsearch("--library", "none", "evaluate", "--auto-dataset", exit_code=1).stderr
    )


def test_auto_dataset_and_file_are_exclusive(run_vsearch: CommandRunner, captions: Path) -> None:
    assert (
        "--auto-dataset can only be combined with"
        in run_vsearch("evaluate", captions, "--auto-dataset", exit_code=2).stderr
    )
    assert (
        "--auto-dataset can only be combined with"
        in run_vsearch("evaluate", "--auto-dataset", "--robustness", exit_code=2).stderr
    )
    assert "name a FILE" in run_vsearch("evaluate", exit_code=2).stderr
    assert (
        "name a FILE" in run_vsearch("evaluate", captions, "--models", "fake", exit_code=2).stderr
    )
