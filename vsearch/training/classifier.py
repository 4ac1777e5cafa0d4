"""A classifier trained on labelled parts of a library's videos: `vsearch train classifier`.

Joins the labels (`labelled`), the stored features and the network (`temporal/classifying`). Nothing
is decoded, and nothing in the library is changed.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.analysis.trained import LONGEST, softened, thinned
from vsearch.errors import DamagedLibraryError, DatasetError, SettingsError
from vsearch.evaluation.classes import judge
from vsearch.plugins import needed_by
from vsearch.temporal.clips import Clips
from vsearch.temporal.weights import PRESETS
from vsearch.training.labelled import join, seen
from vsearch.types import Features
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from vsearch.evaluation.classes import Judgement
    from vsearch.evaluation.metrics import Measure
    from vsearch.library import Library
    from vsearch.temporal.classifying import Lesson
    from vsearch.temporal.training import Progress, Recipe
    from vsearch.temporal.weights import Weights
    from vsearch.training.labelled import Given, Labelled, Part, Row
    from vsearch.types import Ids, Matrix, Vector, Video

FILE = "classifier.npz"
MEMORY = 256 << 20  # bytes of features kept
SELDOM = 10  # steps between validations, at least: each writes a checkpoint
SHORTEST = 2  # frames of what is drawn from a row, where it has as many
TEMPERATURES = np.geomspace(0.25, 8, 81)


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train."""

    preset: str = "small"
    epochs: int = 60
    batch: int = 8  # rows
    rate: float = 1e-4
    smoothing: float = 0.0  # of labels
    weighted: bool = True  # rare labels count as much as common ones
    patience: int = 10  # epochs without a better one, then stop; 0: never
    longest: int = LONGEST  # frames of a clip
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise SettingsError(f"no preset {self.preset!r}; known: {', '.join(PRESETS)}")
        if min(self.epochs, self.batch, self.longest) < 1 or not 0 <= self.smoothing < 1:
            raise SettingsError(f"epochs, batch or smoothing make no sense: {self}")
        if not 0 < self.rate < math.inf:
            raise SettingsError(f"the rate must be a number above 0, not {self.rate}")


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What was learnt, and how well it does."""

    weights: Weights
    labels: tuple[str, ...]
    rows: dict[Part, int]
    videos: dict[Part, int]
    validation: Judgement  # training stopped by it
    test: Judgement | None  # neither learnt from nor stopped by; None where there is no such row
    epoch: int  # the best one
    left_out: tuple[str, ...]
    seconds: float


def train_classifier(
    library: Library,
    name: str,
    given: Sequence[Given],
    plan: Plan | None = None,
    out: Path | None = None,
    *,
    pretrained: Weights | None = None,
    report: Callable[[Progress, int], None] = lambda _, __: None,
) -> Training:
    """Learn, from the checkpoint in `out` on if there is one, and save `out`/classifier.npz.

    Without `out` nothing is saved. `report` is told after every step, and how many there are.
    A checkpoint of another run is kept as `.old`. Raises DatasetError for too few rows,
    DamagedLibraryError for a damaged checkpoint, SpaceMismatchError for weights that do not fit,
    and MissingExtraError.
    """
    plan = plan or Plan()
    with needed_by("training"):
        from vsearch.encoders.device import Device  # deferred: bring torch
        from vsearch.temporal import classifying
        from vsearch.temporal.training import train
    began = time.monotonic()
    material = Material(library, name, given, plan)
    recipe = _recipe(plan, material.per_epoch, Device.choose(plan.device).kind)
    lesson = _lesson(material, plan, pretrained)
    done = train(lesson, recipe, out, lambda now: report(now, recipe.steps))
    weights = classifying.told(lesson.network, {})  # what is judged is what is saved
    logits, right = classifying.judged(lesson.network, material.batches("val"))
    temperature, labels = fitted(logits, right), material.labelled.labels
    validation, test = judge(softened(logits, temperature), right, labels), None
    if material.labelled.of("test"):
        logits, right = classifying.judged(lesson.network, material.batches("test"))
        test = judge(softened(logits, temperature), right, labels)
    top1 = (test or validation).top1
    weights = replace(weights, about=material.told(name, temperature, top1))
    if out is not None:
        weights.save(out / FILE)
    return Training(
        weights,
        labels,
        material.counts,
        {part: seen(material.labelled.of(part)) for part in material.counts},
        validation,
        test,
        done.best_step // material.per_epoch,
        material.labelled.left_out,
        time.monotonic() - began,
    )


def _recipe(plan: Plan, per_epoch: int, device: str) -> Recipe:
    """The plan in steps, of which an epoch has so many."""
    from vsearch.temporal.training import Recipe  # deferred: brings torch

    epochs = -(-SELDOM // per_epoch)  # from one validation to the next
    return Recipe(
        steps=plan.epochs * per_epoch,
        rate=plan.rate,
        seed=plan.seed,
        every=epochs * per_epoch,
        patience=-(-plan.patience // epochs),
        device=device,
        half=device == "cuda",
    )


def _lesson(material: Material, plan: Plan, pretrained: Weights | None) -> Lesson:
    """What is learnt, by a network as it begins."""
    from vsearch.temporal.classifying import Lesson, begun  # deferred: brings torch

    classes = len(material.labelled.labels)
    config = replace(PRESETS[plan.preset], features=material.dim, num_classes=classes)
    return Lesson(
        begun(config, plan.seed, pretrained),
        material.batch,
        lambda: material.batches("val"),
        weights=material.weights,
        smoothing=plan.smoothing,
        digest=repr([material.digest, pretrained and pretrained.digest]),
    )


def fitted(logits: Matrix, right: Ids) -> float:
    """The temperature at which probabilities fit best (Guo et al. 2017)."""
    rows = np.arange(len(right))
    losses = [-np.log(softened(logits, each)[rows, right] + 1e-12).mean() for each in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


class Material:
    """Batches of a library's labelled clips."""

    def __init__(self, library: Library, name: str, given: Sequence[Given], plan: Plan) -> None:
        """Raises DatasetError for too few rows."""
        if (space := library.space) is None:
            raise DatasetError(f"{library.path}: is empty; index the videos first")
        self.space, self.dim, self._plan = space.name, space.dim, plan
        self._store, self._full_space = FeatureStore(library.path / "features"), space
        self._cache, self._kept = OrderedDict[int, Features](), 0
        self.labelled = _usable(join(name, given, library, plan.seed), self._load)
        self._rows = self.labelled.of("train")
        self.per_epoch = -(-len(self._rows) // plan.batch)

    @property
    def digest(self) -> str:
        """Names the data and what is learnt from it."""
        told = {key: value for key, value in asdict(self._plan).items() if key != "device"}
        return repr([told, self.space, self.labelled.digest])

    def told(self, name: str, temperature: float, top1: Measure) -> dict[str, Any]:
        """What a file says of the weights that were learnt from it, as JSON."""
        return {
            "space": self.space,
            "name": name,
            "labels": list(self.labelled.labels),
            "temperature": temperature,
            **{key: value for key, value in asdict(self._plan).items() if key != "device"},
            "rows": self.counts,
            "top1": [top1.value, top1.low, top1.high],
        }

    @property
    def counts(self) -> dict[Part, int]:
        """Rows of each part."""
        parts: tuple[Part, ...] = ("train", "val", "test")
        return {part: len(self.labelled.of(part)) for part in parts}

    @property
    def weights(self) -> Vector:
        """Of classes in the loss, float32 (K,), mean 1 over the rows."""
        count = np.bincount([row.label for row in self._rows], minlength=len(self.labelled.labels))
        if not self._plan.weighted:
            return np.ones(len(count), np.float32)
        return (len(self._rows) / len(count) / np.maximum(count, 1)).astype(np.float32)

    def batch(self, step: int) -> tuple[Clips, Ids]:
        """To learn from: each row once an epoch, a window of it, so that parts are known, too."""
        epoch, at = divmod(step, self.per_epoch)
        order = np.random.default_rng([self._plan.seed, epoch]).permutation(len(self._rows))
        random = np.random.default_rng([self._plan.seed, epoch, at])
        rows = [self._rows[i] for i in order[at * self._plan.batch :][: self._plan.batch]]
        return self._clips(rows, [_window(self._features(row), random) for row in rows])

    def batches(self, part: Part) -> Iterator[tuple[Clips, Ids]]:
        """To judge by."""
        rows = self.labelled.of(part)
        for start in range(0, len(rows), self._plan.batch):
            some = rows[start : start + self._plan.batch]
            yield self._clips(some, [self._features(row) for row in some])

    def _clips(self, rows: Sequence[Row], features: Sequence[Features]) -> tuple[Clips, Ids]:
        clips = Clips.of(
            [thinned(each, self._plan.longest) for each in features],
            [row.video.id for row in rows],
        )
        return clips, np.array([row.label for row in rows], np.int64)

    def _features(self, row: Row) -> Features:
        return self._load(row.video).within(row.span)

    def _load(self, video: Video) -> Features:
        """The features of a video; those used last are kept. Raises DamagedLibraryError."""
        if video.id not in self._cache:
            self._cache[video.id] = self._store.load(video.id, self._full_space)
            self._kept += self._cache[video.id].matrix.nbytes
        self._cache.move_to_end(video.id)
        while self._kept > MEMORY and len(self._cache) > 1:
            self._kept -= self._cache.popitem(last=False)[1].matrix.nbytes
        return self._cache[video.id]


def _usable(labelled: Labelled, load: Callable[[Video], Features]) -> Labelled:
    """Without the videos whose features are lost, which are told. Raises DatasetError."""
    lost: dict[int, str] = {}
    for video in {row.video.id: row.video for row in labelled.rows}.values():
        try:
            load(video)
        except DamagedLibraryError as error:
            lost[video.id] = str(error)
    rows = tuple(row for row in labelled.rows if row.video.id not in lost)
    if not {"train", "val"} <= {row.part for row in rows}:
        raise DatasetError(f"no rows are left to learn from: {next(iter(lost.values()), '')}")
    return replace(labelled, rows=rows, left_out=(*labelled.left_out, *lost.values()))


def _window(features: Features, random: np.random.Generator) -> Features:
    """A run of frames of any length."""
    count = len(features.times)
    length = int(random.integers(min(SHORTEST, count), count + 1))
    start = int(random.integers(0, count - length + 1))
    chosen = slice(start, start + length)
    return Features(features.space, features.matrix[chosen], features.times[chosen])
