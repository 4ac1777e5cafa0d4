"""Training of a query adapter: evaluation, installation, split and rows."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.misreading_encoder import (
    MISREADING_MAP,
    PICTURE_VECTORS,
    VIDEO_COUNT,
    MisreadingEncoder,
    make_captions,
    make_library,
    video_path,
)
from vsearch import Library
from vsearch.encoders.query_adapter import ResidualLinearMap
from vsearch.errors import DatasetError, SpaceMismatchError
from vsearch.evaluation.datasets import CaptionDataset, CaptionItem
from vsearch.evaluation.metrics import Metric
from vsearch.training.adapter_dataset import build_adapter_dataset
from vsearch.training.query_adapter import (
    AdapterEvaluation,
    bootstrap_gain,
    evaluate_adapter,
    install_adapter,
    train_query_adapter,
)
from vsearch.types import Features, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.training.adapter_dataset import AdapterDataset

FILE = "adapter.npz"


@pytest.fixture
def misread_library(tmp_path: Path) -> Iterator[Library]:
    with make_library(tmp_path) as library:
        yield library


def build_dataset(library: Library, dataset: CaptionDataset, seed: int = 0) -> AdapterDataset:
    return build_adapter_dataset(library, MisreadingEncoder(), dataset, seed)


def count_first_hits(library: Library) -> int:
    """Return the number of scenes whose own video is ranked first."""
    return sum(
        library.search(f"scene {n}", k=1)[0].video.path.stem == str(n) for n in range(VIDEO_COUNT)
    )


@pytest.mark.slow
def test_a_useful_adapter_is_installed_and_improves_search(
    tmp_path: Path, misread_library: Library
) -> None:
    before, space, image = (
        count_first_hits(misread_library),
        misread_library.space,
        PICTURE_VECTORS[3],
    )
    alignment = train_query_adapter(misread_library, make_captions(tmp_path))
    assert alignment.evaluation.is_better
    assert alignment.evaluation.mrr_gain.value > 0.1
    assert alignment.evaluation.candidate_count == VIDEO_COUNT
    assert not (misread_library.path / FILE).exists()
    assert install_adapter(misread_library, alignment)
    after = count_first_hits(misread_library)
    assert after > before + 20
    assert misread_library.space == space
    np.testing.assert_allclose(
        misread_library.segments_with_vectors(misread_library.videos()[0])[1].shape, (1, len(image))
    )
    with Library.open(misread_library.path, encoder=MisreadingEncoder()) as again:
        assert count_first_hits(again) == after
        assert again.models.query_adapter is not None
        assert again.models.query_adapter.digest == alignment.adapter.digest


def test_the_evaluation_uses_hubness_correction(tmp_path: Path, misread_library: Library) -> None:
    rows, identity = (
        build_dataset(misread_library, make_captions(tmp_path)),
        ResidualLinearMap.identity(PICTURE_VECTORS.shape[1]),
    )
    querybank = MisreadingEncoder().encode_texts([f"scene {n}" for n in range(0, VIDEO_COUNT, 10)])
    corrected = evaluate_adapter(rows, identity, null_vectors=querybank)
    assert corrected.baseline_metrics == corrected.adapted_metrics
    assert corrected.baseline_metrics != evaluate_adapter(rows, identity).baseline_metrics


def test_noise_is_rejected_and_nothing_is_written(tmp_path: Path, misread_library: Library) -> None:
    alignment = train_query_adapter(misread_library, make_captions(tmp_path, "noise"))
    assert not alignment.evaluation.is_better
    assert not install_adapter(misread_library, alignment)
    assert not (misread_library.path / FILE).exists()
    assert misread_library.models.query_adapter is None


def test_force_installs_an_adapter_that_is_not_better(
    tmp_path: Path, misread_library: Library
) -> None:
    assert install_adapter(
        misread_library,
        train_query_adapter(misread_library, make_captions(tmp_path, "noise")),
        force=True,
    )
    assert misread_library.models.query_adapter is not None
    assert misread_library.models.query_adapter.training_info.forced


@pytest.mark.slow
def test_the_same_rows_and_seed_give_the_same_adapter(
    tmp_path: Path, misread_library: Library
) -> None:
    first, second = (
        train_query_adapter(misread_library, make_captions(tmp_path), seed=3) for _ in range(2)
    )
    assert first.adapter.digest == second.adapter.digest
    assert first.evaluation == second.evaluation
    assert (
        train_query_adapter(misread_library, make_captions(tmp_path), seed=4).adapter.digest
        != first.adapter.digest
    )


def test_progress_reaches_the_end(tmp_path: Path, misread_library: Library) -> None:
    progress: list[tuple[int, int]] = []
    train_query_adapter(
        misread_library,
        make_captions(tmp_path),
        on_progress=lambda *counts: progress.append(counts),
    )
    assert [finished for finished, _ in progress] == sorted(finished for finished, _ in progress)
    assert progress[-1][0] == progress[-1][1] > 0


@pytest.mark.slow
def test_an_adapter_is_compared_with_the_unadapted_model(
    tmp_path: Path, misread_library: Library
) -> None:
    first = train_query_adapter(misread_library, make_captions(tmp_path))
    install_adapter(misread_library, first)
    again = train_query_adapter(misread_library, make_captions(tmp_path))
    assert again.evaluation.baseline_metrics == first.evaluation.baseline_metrics
    assert again.evaluation.current_metrics == first.evaluation.adapted_metrics
    assert again.adapter.digest == first.adapter.digest
    assert install_adapter(misread_library, again)


def test_an_adapter_worse_than_the_current_one_is_rejected() -> None:
    high, low = Metric("MRR", 0.9, 0.8, 1.0), Metric("MRR", 0.7, 0.6, 0.8)
    evaluation = AdapterEvaluation(9, (low,), (low,), None, Metric("MRR gained", 0.1, 0.05, 0.2))
    assert evaluation.is_better
    assert not replace(evaluation, current_metrics=(high,)).is_better
    assert replace(evaluation, current_metrics=(low,)).is_better


@pytest.mark.parametrize(("value", "low"), [(0.0, 0.0), (0.1, 0.0), (0.1, -0.01), (-0.1, -0.2)])
def test_ties_and_chance_gains_are_rejected(value: float, low: float) -> None:
    metric = Metric("MRR", 0.7, 0.6, 0.8)
    evaluation = AdapterEvaluation(
        9, (metric,), (metric,), None, Metric("MRR gained", value, low, 0.3)
    )
    assert not evaluation.is_better


def test_the_interval_resamples_rows_of_one_video_together() -> None:
    gains = np.repeat([0.5, -0.1, -0.1, 0.1], 50)
    by_query, by_fold = (
        bootstrap_gain(gains, np.arange(200)),
        bootstrap_gain(gains, np.repeat(np.arange(4), 50)),
    )
    assert by_query.value == by_fold.value == pytest.approx(0.1)
    assert by_query.ci_low > 0 > by_fold.ci_low


def test_whole_videos_and_groups_are_held_out(tmp_path: Path, misread_library: Library) -> None:
    rows = [
        CaptionItem(video_path(tmp_path, n), f"scene {n} {k}", Span(k, k + 1), f"group {n // 2}")
        for n in range(VIDEO_COUNT)
        for k in range(2)
    ]
    dataset = build_dataset(misread_library, CaptionDataset("rows", tuple(rows), ()))
    held_out = dataset.text_image_pairs[dataset.held_out_mask]
    training = dataset.text_image_pairs[~dataset.held_out_mask]
    assert not set(held_out.video_ids.tolist()) & set(training.video_ids.tolist())
    assert not set(held_out.group_ids.tolist()) & set(training.group_ids.tolist())
    assert 0.2 <= dataset.held_out_mask.mean() <= 0.25
    assert (
        build_dataset(misread_library, CaptionDataset("rows", tuple(rows), ()), 1).held_out_mask
        != dataset.held_out_mask
    ).any()


def test_transitively_grouped_videos_stay_together(
    tmp_path: Path, misread_library: Library
) -> None:
    chained_items = [
        CaptionItem(video_path(tmp_path, n), "a", None, f"{n + k}")
        for n in range(9)
        for k in (0, 1)
    ]
    other_items = make_captions(tmp_path).items[9:]
    dataset = build_dataset(
        misread_library, CaptionDataset("rows", (*chained_items, *other_items), ())
    ).text_image_pairs
    assert len(set(dataset.fold_ids[:18].tolist())) == 1
    assert len(set(dataset.fold_ids.tolist())) == 1 + len(other_items)


def test_the_split_is_mostly_stable_when_rows_are_added(
    tmp_path: Path, misread_library: Library
) -> None:
    small, large = (
        build_dataset(misread_library, make_captions(tmp_path, video_count=count))
        for count in (100, VIDEO_COUNT)
    )
    assert (small.held_out_mask != large.held_out_mask[:100]).mean() < 0.1


def test_the_image_of_a_row_is_the_mean_of_the_frames_in_its_span(
    tmp_path: Path, misread_library: Library
) -> None:
    first = misread_library.videos([str(video_path(tmp_path, 0))])[0]
    frames = np.stack([PICTURE_VECTORS[1], PICTURE_VECTORS[2]])
    misread_library._feature_store.save(
        first.id, Features(MisreadingEncoder().space, frames, np.array([2.0, 7.0]))
    )
    spans = (Span(0, 5), Span(6, 9), None)
    rows = [CaptionItem(video_path(tmp_path, 0), "a", span) for span in spans]
    dataset = build_dataset(
        misread_library, CaptionDataset("rows", (*rows, *make_captions(tmp_path).items[1:]), ())
    ).text_image_pairs
    mean = PICTURE_VECTORS[1] + PICTURE_VECTORS[2]
    expected = np.stack([PICTURE_VECTORS[1], PICTURE_VECTORS[2], mean / np.linalg.norm(mean)])
    np.testing.assert_allclose(dataset.image_vectors[:3], expected, atol=1e-3)


def test_equally_correct_images_are_not_negatives(tmp_path: Path, misread_library: Library) -> None:
    rows = [
        CaptionItem(video_path(tmp_path, 0), "a dog", Span(0, 4), "g"),
        CaptionItem(video_path(tmp_path, 0), "a cat", Span(3, 6)),
        CaptionItem(video_path(tmp_path, 0), "a cow", Span(6, 9)),
        CaptionItem(video_path(tmp_path, 1), "A  Dog"),
        CaptionItem(video_path(tmp_path, 2), "a fox", None, "g"),
    ]
    dataset = build_dataset(
        misread_library, CaptionDataset("rows", (*rows, *make_captions(tmp_path).items[3:]), ())
    ).text_image_pairs
    false_negatives = dataset.find_false_negatives(dataset)[:5, :5]
    assert false_negatives[0].tolist() == [True, True, False, True, True]
    assert false_negatives[1].tolist() == [True, True, False, False, False]
    assert (false_negatives == false_negatives.T).all()


def test_too_few_rows_or_videos_are_rejected(tmp_path: Path, misread_library: Library) -> None:
    with pytest.raises(DatasetError, match="49 rows of 49 videos"):
        train_query_adapter(misread_library, make_captions(tmp_path, video_count=49))
    items = [CaptionItem(video_path(tmp_path, n % 9), f"scene {n}") for n in range(90)]
    with pytest.raises(DatasetError, match="90 rows of 9 videos"):
        train_query_adapter(misread_library, CaptionDataset("rows", tuple(items), ()))


def test_unusable_rows_are_counted(tmp_path: Path, misread_library: Library) -> None:
    absent = (CaptionItem(tmp_path / "x.mp4", "a"), CaptionItem(tmp_path / "x.mp4", "b"))
    late = (CaptionItem(video_path(tmp_path, 3), "later", Span(11, 12)),)
    captions = CaptionDataset(
        "rows", (*make_captions(tmp_path).items, *absent, *late), (tmp_path / "y.mp4",)
    )
    video_without_features = misread_library.videos([str(video_path(tmp_path, 5))])[0]
    misread_library._feature_store.remove_video(video_without_features.id)
    dataset = build_dataset(misread_library, captions)
    assert len(dataset.text_image_pairs) == VIDEO_COUNT - 1
    assert dataset.skipped_reasons[0] == "videos not in the library: 2"
    assert f"/{video_without_features.id}.safetensors cannot be read" in dataset.skipped_reasons[1]
    assert dataset.skipped_reasons[2] == "rows that start after the end of their video: 1"


def test_subtitles_of_the_videos_are_trained_on(tmp_path: Path, misread_library: Library) -> None:
    for number in range(VIDEO_COUNT):
        cue = f"1\n00:00:01,000 --> 00:00:03,000\nthis is what happens {number}\n"
        video_path(tmp_path, number).with_suffix(".srt").write_text(cue)
    dataset = build_adapter_dataset(misread_library, MisreadingEncoder(), None, 0)
    assert len(dataset.text_image_pairs) == VIDEO_COUNT
    assert dataset.text_image_pairs.video_spans[0].tolist() == [1, 3]


def test_an_adapter_of_another_space_is_not_installed(
    tmp_path: Path, misread_library: Library
) -> None:
    adapter = train_query_adapter(misread_library, make_captions(tmp_path)).adapter
    foreign_adapter = replace(
        adapter, training_info=replace(adapter.training_info, space="elsewhere")
    )
    with pytest.raises(SpaceMismatchError, match="train one with"):
        misread_library.models.set_query_adapter(foreign_adapter)
    assert not (misread_library.path / FILE).exists()


@pytest.mark.slow
def test_the_old_adapter_survives_a_crash_during_installation(
    tmp_path: Path, misread_library: Library
) -> None:
    old = train_query_adapter(misread_library, make_captions(tmp_path))
    install_adapter(misread_library, old)
    code = (
        "import os, sys; os.fsync = lambda _: os._exit(9)\n"
        "from dataclasses import replace; from pathlib import Path; from "
        "tests.support.misreading_encoder import *\n"
        f"library = Library.open({str(misread_library.path)!r}, encoder=MisreadingEncoder())\n"
        "old = library.models.query_adapter; info = replace(old.training_info, rows=1)\n"
        "library.models.set_query_adapter(replace(old, training_info=info))\n"
    )
    root = str(Path(__file__).resolve().parents[3])
    process = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
    assert process.returncode == 9
    assert list(misread_library.path.glob("*.part"))
    with Library.open(misread_library.path, encoder=MisreadingEncoder()) as again:
        assert again.models.query_adapter is not None
        assert again.models.query_adapter.digest == old.adapter.digest
        install_adapter(again, old)
    assert not list(misread_library.path.glob("*.part"))


def test_the_error_of_the_misreading_encoder_is_learnable() -> None:
    texts = MisreadingEncoder().encode_texts([f"scene {n}" for n in range(VIDEO_COUNT)])
    inverse_map = np.linalg.inv(MISREADING_MAP) - np.eye(len(MISREADING_MAP))
    corrected_texts = ResidualLinearMap(
        inverse_map.astype(np.float32), np.zeros(len(inverse_map), np.float32)
    )(texts)
    assert (
        (corrected_texts @ PICTURE_VECTORS.T).argmax(axis=1) == np.arange(VIDEO_COUNT)
    ).mean() > 0.9
