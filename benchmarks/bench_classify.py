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
from vsearch.encoders.builtin import BuiltinEncoder, normalize_rows
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER
from vsearch.encoders.generic_prompts import GENERIC_PROMPTS
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
    random, found = np.random.default_rng(seed), []
    for k in LABEL_COUNTS:
        rows = []
        for own in true_labels:
            others = [each for each in range(label_count) if each != own]
            rows.append([own, *random.choice(others, k - 1, replace=False)])
            rows.append(list(random.choice(others, k, replace=False)))
        twice = np.repeat(np.arange(len(true_labels)), 2)
        found.append(LabelTask(twice, np.array(rows), np.arange(len(rows)) % 2 == 0))
    return found


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
    losses, hits, among, none, there, sure = [], [], [], [], [], []
    for chances, task in zip(probabilities, label_tasks, strict=True):
        mine = picture_mask[task.pictures]
        rows, here = chances[mine], task.is_present[mine]
        right = np.where(here, 0, rows.shape[1] - 1)
        losses.append(-np.log(rows[np.arange(len(rows)), right] + 1e-12))
        hits.append(rows.argmax(axis=1) == right)
        among.append(rows[here, :-1].argmax(axis=1) == 0)
        none.append(rows[:, -1])
        there.append(here)
        sure.append(rows.max(axis=1))
    right_, sure_ = np.concatenate(hits), np.concatenate(sure)
    return TaskMetrics(
        float(np.concatenate(losses).mean()),
        float(right_.mean()),
        float(np.concatenate(among).mean()),
        compute_auroc(np.concatenate(none), ~np.concatenate(there)),
        compute_calibration_error(sure_, right_),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pairs", type=Path)
    parser.add_argument("vectors", type=Path, nargs="?")
    given = parser.parse_args()
    encoder = BuiltinEncoder()
    rows = read_pair_rows(given.pairs)
    vectors = compute_image_vectors(given.pairs, rows, WEIGHTS_FOLDER, given.vectors)
    chosen = [i for i, r in enumerate(rows) if r["split"] == "val" and r["origin"] == "label"]
    pictures = normalize_rows(vectors[chosen] - np.load(WEIGHTS_FOLDER / "centre.npy"))
    names = [TEMPLATE_RE.sub("", TEMPLATE_RE.sub("", rows[i]["text"])) for i in chosen]
    known = sorted(set(names))
    right = np.array([known.index(name) for name in names])
    every = build_tasks(right, len(known))
    texts = np.concatenate(zero_shot.encode_labels([Label(name) for name in known], encoder))
    bank, usual = zero_shot.encode_null_queries(encoder), encoder.encode_texts(GENERIC_PROMPTS)
    both = np.random.default_rng(3).permutation(len(pictures)) < len(pictures) // 2
    whole = np.ones(len(pictures), np.bool_)
    print(
        f"{len(pictures)} pictures, {len(known)} labels; {', '.join(map(str, LABEL_COUNTS))} at a "
        "time"
    )
    print(f"{'':44} accuracy   if there  AUROC     ECE    loss")

    def print_metrics(name: str, texts: Matrix, bank: Matrix, spreads: float) -> None:
        sharp = (
            zero_shot.fit_inverse_temperature(pictures, bank)
            * spreads
            / zero_shot.INVERSE_TEMPERATURE
        )
        found = [predict_task(task, pictures, texts, bank, sharp) for task in every]
        print(f"{name:44} {evaluate_answers(found, every, whole)}", flush=True)

    print_metrics(
        f"built in: {zero_shot.INVERSE_TEMPERATURE:g} spreads",
        texts,
        bank,
        zero_shot.INVERSE_TEMPERATURE,
    )
    for number, learnt in enumerate((both, ~both)):
        spreads = np.arange(1.2, 2.7, 0.1)
        sharp = zero_shot.fit_inverse_temperature(pictures, bank) / zero_shot.INVERSE_TEMPERATURE
        tried = [
            [predict_task(task, pictures, texts, bank, sharp * each) for task in every]
            for each in spreads
        ]
        best = int(np.argmin([evaluate_answers(one, every, learnt).loss for one in tried]))
        name = f"half {number + 1}, fitted on the other: {spreads[best]:.1f} spreads"
        print(f"{name:44} {evaluate_answers(tried[best], every, ~learnt)}", flush=True)
    one = encoder.encode_texts(known)
    print_metrics("the label as it is, not in templates", one, bank, zero_shot.INVERSE_TEMPERATURE)
    print_metrics(
        "usual texts in place of the querybank", texts, usual, zero_shot.INVERSE_TEMPERATURE
    )
    for k, task in zip(LABEL_COUNTS, every, strict=True):
        sharp = zero_shot.fit_inverse_temperature(pictures, bank)
        found = [predict_task(task, pictures, texts, bank, sharp)]
        print(f"{f'  of {k} labels':44} {evaluate_answers(found, [task], whole)}", flush=True)


if __name__ == "__main__":
    main()
