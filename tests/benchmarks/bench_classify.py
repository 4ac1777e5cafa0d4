"""How well labels are told from words alone, and how far the probabilities are to be believed:

    python -m tests.benchmarks.bench_classify PAIRS [VECTORS.npy]

PAIRS and VECTORS.npy (the cache of picture vectors) as for `vsearch.encoders.build_builtin align`.
Pictures with a label among the validation pairs, none of them from a video. Each is asked for twice
by K labels: its own and others drawn by chance, and others alone, when "none of these" is right.
The sharpness is fitted on one half of the pictures and judged on the other, both ways, beside the
one that is built in; then the ways to average, and what a model without a querybank is left with.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.analysis import classify
from vsearch.analysis.labels import Label
from vsearch.encoders.build_builtin import picture_vectors, read_lines
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.shipped import FOLDER
from vsearch.encoders.towers import unit
from vsearch.encoders.usual import USUAL
from vsearch.evaluation.classes import calibration_error
from vsearch.evaluation.metrics import auroc

if TYPE_CHECKING:
    import numpy.typing as npt

    from vsearch.types import Ids, Matrix

LABELS = (2, 3, 5, 10, 20, 50)
FRAME = re.compile(
    r"^a (?:photo|satellite image|clipart drawing|package) of (?:an? )?|"
    r"^a drone shot from above of (?:an? )?|"
    r", a musical instrument$| on a shelf in a grocery store$| in a store$"
)


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Pictures and the labels that each is asked for by."""

    pictures: Ids  # (N,)
    labels: Ids  # (N, K)
    there: npt.NDArray[np.bool_]  # (N,): the first label is right; else none is


def tasks(right: Ids, count: int, seed: int = 1) -> list[Task]:
    """For each number of labels every picture twice."""
    random, found = np.random.default_rng(seed), []
    for k in LABELS:
        rows = []
        for own in right:
            others = [each for each in range(count) if each != own]
            rows.append([own, *random.choice(others, k - 1, replace=False)])
            rows.append(list(random.choice(others, k, replace=False)))
        twice = np.repeat(np.arange(len(right)), 2)
        found.append(Task(twice, np.array(rows), np.arange(len(rows)) % 2 == 0))
    return found


def answers(task: Task, pictures: Matrix, texts: Matrix, bank: Matrix, sharpness: float) -> Matrix:
    """Probabilities, float32 (N, K + 1)."""
    return np.concatenate(
        [
            classify.probabilities(pictures[[at]], list(texts[labels][:, None]), bank, sharpness)
            for at, labels in zip(task.pictures, task.labels, strict=True)
        ]
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """Of many answers."""

    loss: float
    accuracy: float  # the right label, or none
    among: float  # the right label is the likeliest label, where it is among them
    auroc: float  # of "none of these"
    calibration: float

    def __str__(self) -> str:
        figures = (100 * self.accuracy, 100 * self.among, self.auroc, self.calibration, self.loss)
        return "{:9.1f} {:9.1f} {:7.3f} {:7.3f} {:7.3f}".format(*figures)


def judge(found: list[Matrix], chosen: list[Task], half: npt.NDArray[np.bool_]) -> Judged:
    """Judge answers to tasks by the pictures of one half."""
    losses, hits, among, none, there, sure = [], [], [], [], [], []
    for chances, task in zip(found, chosen, strict=True):
        mine = half[task.pictures]
        rows, here = chances[mine], task.there[mine]
        right = np.where(here, 0, rows.shape[1] - 1)
        losses.append(-np.log(rows[np.arange(len(rows)), right] + 1e-12))
        hits.append(rows.argmax(axis=1) == right)
        among.append(rows[here, :-1].argmax(axis=1) == 0)
        none.append(rows[:, -1])
        there.append(here)
        sure.append(rows.max(axis=1))
    right_, sure_ = np.concatenate(hits), np.concatenate(sure)
    return Judged(
        float(np.concatenate(losses).mean()),
        float(right_.mean()),
        float(np.concatenate(among).mean()),
        auroc(np.concatenate(none), ~np.concatenate(there)),
        calibration_error(sure_, right_),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pairs", type=Path)
    parser.add_argument("vectors", type=Path, nargs="?")
    given = parser.parse_args()
    encoder = BuiltinEncoder()
    rows = read_lines(given.pairs)
    vectors = picture_vectors(given.pairs, rows, FOLDER, given.vectors)
    chosen = [i for i, r in enumerate(rows) if r["split"] == "val" and r["origin"] == "label"]
    pictures = unit(vectors[chosen] - np.load(FOLDER / "centre.npy"))
    names = [FRAME.sub("", FRAME.sub("", rows[i]["text"])) for i in chosen]
    known = sorted(set(names))
    right = np.array([known.index(name) for name in names])
    every = tasks(right, len(known))
    texts = np.concatenate(classify.read([Label(name) for name in known], encoder))
    bank, usual = classify.bank_of(encoder), encoder.encode_texts(USUAL)
    both = np.random.default_rng(3).permutation(len(pictures)) < len(pictures) // 2
    whole = np.ones(len(pictures), np.bool_)
    print(f"{len(pictures)} pictures, {len(known)} labels; {', '.join(map(str, LABELS))} at a time")
    print(f"{'':44} accuracy   if there  AUROC     ECE    loss")

    def show(name: str, texts: Matrix, bank: Matrix, spreads: float) -> None:
        sharp = classify.sharpness(pictures, bank) * spreads / classify.SHARPNESS
        found = [answers(task, pictures, texts, bank, sharp) for task in every]
        print(f"{name:44} {judge(found, every, whole)}", flush=True)

    show(f"built in: {classify.SHARPNESS:g} spreads", texts, bank, classify.SHARPNESS)
    for number, learnt in enumerate((both, ~both)):
        spreads = np.arange(1.2, 2.7, 0.1)
        sharp = classify.sharpness(pictures, bank) / classify.SHARPNESS
        tried = [
            [answers(task, pictures, texts, bank, sharp * each) for task in every]
            for each in spreads
        ]
        best = int(np.argmin([judge(one, every, learnt).loss for one in tried]))
        name = f"half {number + 1}, fitted on the other: {spreads[best]:.1f} spreads"
        print(f"{name:44} {judge(tried[best], every, ~learnt)}", flush=True)
    one = encoder.encode_texts(known)
    show("the label as it is, not in templates", one, bank, classify.SHARPNESS)
    show("usual texts in place of the querybank", texts, usual, classify.SHARPNESS)
    for k, task in zip(LABELS, every, strict=True):
        sharp = classify.sharpness(pictures, bank)
        found = [answers(task, pictures, texts, bank, sharp)]
        print(f"{f'  of {k} labels':44} {judge(found, [task], whole)}", flush=True)


if __name__ == "__main__":
    main()
