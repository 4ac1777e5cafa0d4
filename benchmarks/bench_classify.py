"""Measure accuracy and calibration of zero-shot classification on labeled images.

    python -m benchmarks.bench_classify PAIRS [VECTORS.npy]

PAIRS and VECTORS.npy (the cache of image vectors) as for `tools.build_encoder.build align`. The
labeled images are from the validation pairs, none of them from a video. Each is classified twice
among K labels: its own and random others, and random others only, where "none of these" is right.
The inverse temperature is fitted on one half of the images and evaluated on the other, both ways,
and compared with the built-in constant; then ways to average, and a model without a querybank.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tools.build_encoder.build import compute_image_vectors, read_pair_rows
from vsearch.analysis import zero_shot
from vsearch.analysis.labels import Label
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER
from vsearch.encoders.generic_prompts import GENERIC_PROMPTS
from vsearch.encoders.network_layers import normalize_rows
from vsearch.evaluation.classification import compute_calibration_error
from vsearch.evaluation.metrics import compute_auroc

if TYPE_CHECKING:
    import numpy.typing as npt

    from vsearch.types import Ids, Matrix

LABEL_COUNTS = (2, 3, 5, 10, 20, 50)
TEMPLATE_RE = re.compile(
    r"^a (?:photo|satellite image|clipart drawing|package) of (?:an? )?|"
    r"^a drone shot from above of (?:an? )?|"
    r", a musical instrument$| on a shelf in a grocery store$| in a store$"
)


@dataclass(frozen=True, slots=True, eq=False)
class LabelTask:
    """Images and their candidate labels."""

    pictures: Ids  # (N,)
    labels: Ids  # (N, K)
    is_present: npt.NDArray[np.bool_]  # (N,): the first label is right; else none is


def build_tasks(true_labels: Ids, label_count: int, seed: int = 1) -> list[LabelTask]:
    """Build tasks with every image twice for each number of labels."""
    random, tasks = np.random.default_rng(seed), []
    for k in LABEL_COUNTS:
        rows = []
        for own in true_labels:
            others = [each for each in range(label_count) if each != own]
            rows.append([own, *random.choice(others, k - 1, replace=False)])
            rows.append(list(random.choice(others, k, replace=False)))
        twice = np.repeat(np.arange(len(true_labels)), 2)
        tasks.append(LabelTask(twice, np.array(rows), np.arange(len(rows)) % 2 == 0))
    return tasks


def predict_task(
    task: LabelTask, image_vectors: Matrix, text_vectors: Matrix, bank: Matrix, sharpness: float
) -> Matrix:
    """Return probabilities, float32 (N, K + 1)."""
    return np.concatenate(
        [
            zero_shot.compute_probabilities(
                image_vectors[[at]], list(text_vectors[labels][:, None]), bank, sharpness
            )
            for at, labels in zip(task.pictures, task.labels, strict=True)
        ]
    )


@dataclass(frozen=True, slots=True)
class TaskMetrics:
    """Metrics of predictions."""

    loss: float
    accuracy: float  # the right label, or none
    label_accuracy: float  # the right label is the likeliest label, where it is among them
    auroc: float  # of "none of these"
    calibration: float

    def __str__(self) -> str:
        figures = (
            100 * self.accuracy,
            100 * self.label_accuracy,
            self.auroc,
            self.calibration,
            self.loss,
        )
        return "{:9.1f} {:9.1f} {:7.3f} {:7.3f} {:7.3f}".format(*figures)


def evaluate_answers(
    probabilities: list[Matrix], label_tasks: list[LabelTask], picture_mask: npt.NDArray[np.bool_]
) -> TaskMetrics:
    """Evaluate predictions on the images of one half."""
    losses, hits, label_hits, none_probabilities, presence, top_probabilities = (
        [],
        [],
        [],
        [],
        [],
        [],
    )
    for task_probabilities, task in zip(probabilities, label_tasks, strict=True):
        row_mask = picture_mask[task.pictures]
        rows, is_present = task_probabilities[row_mask], task.is_present[row_mask]
        true_columns = np.where(is_present, 0, rows.shape[1] - 1)
        losses.append(-np.log(rows[np.arange(len(rows)), true_columns] + 1e-12))
        hits.append(rows.argmax(axis=1) == true_columns)
        label_hits.append(rows[is_present, :-1].argmax(axis=1) == 0)
        none_probabilities.append(rows[:, -1])
        presence.append(is_present)
        top_probabilities.append(rows.max(axis=1))
    is_correct, confidences = np.concatenate(hits), np.concatenate(top_probabilities)
    return TaskMetrics(
        float(np.concatenate(losses).mean()),
        float(is_correct.mean()),
        float(np.concatenate(label_hits).mean()),
        compute_auroc(np.concatenate(none_probabilities), ~np.concatenate(presence)),
        compute_calibration_error(confidences, is_correct),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pairs", type=Path)
    parser.add_argument("vectors", type=Path, nargs="?")
    options = parser.parse_args()
    encoder = BuiltinEncoder()
    rows = read_pair_rows(options.pairs)
    vectors = compute_image_vectors(options.pairs, rows, WEIGHTS_FOLDER, options.vectors)
    chosen = [i for i, r in enumerate(rows) if r["split"] == "val" and r["origin"] == "label"]
    pictures = normalize_rows(vectors[chosen] - np.load(WEIGHTS_FOLDER / "centre.npy"))
    names = [TEMPLATE_RE.sub("", TEMPLATE_RE.sub("", rows[i]["text"])) for i in chosen]
    label_names = sorted(set(names))
    true_labels = np.array([label_names.index(name) for name in names])
    tasks = build_tasks(true_labels, len(label_names))
    texts = np.concatenate(zero_shot.encode_labels([Label(name) for name in label_names], encoder))
    bank, generic_vectors = (
        zero_shot.encode_null_queries(encoder),
        encoder.encode_texts(GENERIC_PROMPTS),
    )
    first_half = np.random.default_rng(3).permutation(len(pictures)) < len(pictures) // 2
    all_pictures = np.ones(len(pictures), np.bool_)
    print(
        f"{len(pictures)} pictures, {len(label_names)} labels; "
        f"{', '.join(map(str, LABEL_COUNTS))} at a time"
    )
    print(f"{'':44} accuracy if present  AUROC     ECE    loss")

    def print_metrics(name: str, texts: Matrix, bank: Matrix, spreads: float) -> None:
        sharp = (
            zero_shot.fit_inverse_temperature(pictures, bank)
            * spreads
            / zero_shot.INVERSE_TEMPERATURE
        )
        predictions = [predict_task(task, pictures, texts, bank, sharp) for task in tasks]
        print(f"{name:44} {evaluate_answers(predictions, tasks, all_pictures)}", flush=True)

    print_metrics(
        f"built in: {zero_shot.INVERSE_TEMPERATURE:g} spreads",
        texts,
        bank,
        zero_shot.INVERSE_TEMPERATURE,
    )
    for number, fit_half in enumerate((first_half, ~first_half)):
        spreads = np.arange(1.2, 2.7, 0.1)
        sharp = zero_shot.fit_inverse_temperature(pictures, bank) / zero_shot.INVERSE_TEMPERATURE
        tried = [
            [predict_task(task, pictures, texts, bank, sharp * spread) for task in tasks]
            for spread in spreads
        ]
        best = int(
            np.argmin(
                [
                    evaluate_answers(predictions_of_spread, tasks, fit_half).loss
                    for predictions_of_spread in tried
                ]
            )
        )
        name = f"half {number + 1}, fitted on the other: {spreads[best]:.1f} spreads"
        print(f"{name:44} {evaluate_answers(tried[best], tasks, ~fit_half)}", flush=True)
    predictions_of_spread = encoder.encode_texts(label_names)
    print_metrics(
        "labels without prompt templates",
        predictions_of_spread,
        bank,
        zero_shot.INVERSE_TEMPERATURE,
    )
    print_metrics(
        "null queries instead of the querybank",
        texts,
        generic_vectors,
        zero_shot.INVERSE_TEMPERATURE,
    )
    for k, task in zip(LABEL_COUNTS, tasks, strict=True):
        sharp = zero_shot.fit_inverse_temperature(pictures, bank)
        predictions = [predict_task(task, pictures, texts, bank, sharp)]
        print(
            f"{f'  of {k} labels':44} {evaluate_answers(predictions, [task], all_pictures)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
