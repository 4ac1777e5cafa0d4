"""A Transformer pretrained on a library's own frames, without labels: `vsearch train pretrain`.

Joins the stored features (`sequences`), what is said (`cues`) and the task (`temporal/masked`).
Nothing is decoded, and nothing in the library is changed.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from vsearch.errors import SettingsError, SpaceMismatchError
from vsearch.plugins import needed_by
from vsearch.temporal.clips import Clips
from vsearch.temporal.weights import PRESETS, Weights
from vsearch.training.cues import Cues
from vsearch.training.sequences import LONGEST, Sequences
from vsearch.types import Span
from vsearch.vectors import visual_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from vsearch.evaluation.datasets import Dataset
    from vsearch.library import Library
    from vsearch.temporal.training import Progress, Recipe
    from vsearch.training.sequences import Clip
    from vsearch.types import Matrix, Space

Form: TypeAlias = Literal["contrastive", "words"]

FORMS: tuple[str, ...] = get_args(Form)
FILE = "pretrained.npz"
JUDGED, JUDGED_LEAST = 256, 64  # held-out clips; few are judged several times, hidden otherwise
VALIDATIONS = 20  # of a run
VOCABULARY = 1 << 30  # bytes of frames that visual words are learnt from, at most
REMEDY = "pretrain anew with `vsearch train pretrain`"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is learnt, and how."""

    form: Form = "contrastive"
    preset: str = "small"
    steps: int = 1_000
    batch: int = 32  # clips
    longest: int = LONGEST  # frames of a clip
    rate: float = 3e-4
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.form not in FORMS or self.preset not in PRESETS:
            raise SettingsError(
                f"there is no {self.form!r} or no preset {self.preset!r}; known: "
                f"{', '.join(FORMS)} and {', '.join(PRESETS)}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Pretraining:
    """What was learnt, and how well it does on the videos held out."""

    weights: Weights
    figures: Mapping[str, float]  # of the best weights; see `temporal.masked.Lesson.validate`
    first: Mapping[str, float]  # before the first step
    step: int  # the best one
    videos: int  # learnt from
    held_videos: int
    talking: int  # videos with texts
    words: int  # visual words, or 0
    left_out: tuple[str, ...]
    seconds: float


def pretrain(
    library: Library,
    plan: Plan | None = None,
    captions: Dataset | None = None,
    out: Path | None = None,
    *,
    report: Callable[[Progress], None] = lambda _: None,
) -> Pretraining:
    """Learn, from the checkpoint in `out` on if there is one, and save `out`/pretrained.npz.

    Without `out` nothing is saved. `report` is told after every step. Raises DatasetError for too
    few videos, DamagedLibraryError for a checkpoint of another run, NoTextError and
    SpaceMismatchError if captions cannot be read by the library's model, and MissingExtraError.
    """
    plan = plan or Plan()
    with needed_by("training"):
        from vsearch.encoders.device import Device  # deferred: bring torch
        from vsearch.temporal import masked
        from vsearch.temporal.training import train
    began = time.monotonic()
    device = Device.choose(plan.device).kind
    material = Material(library, plan, captions)
    vocabulary = material.vocabulary() if plan.form == "words" else None
    config = replace(
        PRESETS[plan.preset],
        features=material.space.dim,
        num_classes=0 if vocabulary is None else len(vocabulary),
    )
    lesson = masked.Lesson(
        masked.MaskedFrames.begun(config, vocabulary, plan.seed),
        material.batch,
        material.held,
        digest=material.digest,
        seed=plan.seed,
    )
    first = lesson.judged(device)
    done = train(lesson, _recipe(plan, device), out, report)
    about = material.about | {"figures": dict(done.figures), "step": done.best_step}
    weights = lesson.network.weights(about)
    if out is not None:
        weights.save(out / FILE)
    return Pretraining(
        weights,
        done.figures,
        first,
        done.best_step,
        len(material.sequences.train),
        len(material.sequences.held),
        len(material.cues),
        config.num_classes,
        material.left_out,
        time.monotonic() - began,
    )


def _recipe(plan: Plan, device: str) -> Recipe:
    from vsearch.temporal.training import Recipe  # deferred: brings torch

    return Recipe(
        steps=plan.steps,
        rate=plan.rate,
        seed=plan.seed,
        every=max(1, math.ceil(plan.steps / VALIDATIONS)),
        device=device,
        half=device == "cuda",
    )


def load(path: Path, space: Space) -> Weights:
    """The weights that `pretrain` saved for a space.

    Raises DamagedLibraryError, and SpaceMismatchError for those of another space.
    """
    weights = Weights.load(path, "pretrained", REMEDY)
    if (found := weights.about.get("space")) != space.name:
        raise SpaceMismatchError(f"{path} was pretrained on {found}, not {space.name}; {REMEDY}")
    return weights


class Material:
    """Batches of a library's clips, with what is said in them."""

    def __init__(self, library: Library, plan: Plan, captions: Dataset | None) -> None:
        self.plan = plan
        self.sequences = Sequences(library, longest=plan.longest, seed=plan.seed)
        self.cues, self._left_out = Cues.of(library, captions)
        self.space = self.sequences.space

    @property
    def digest(self) -> str:
        """Names the data and what is learnt from it."""
        told = asdict(self.plan)
        del told["device"]
        return repr([told, self.sequences.digest, self.cues.digest])

    @property
    def left_out(self) -> tuple[str, ...]:
        """In words."""
        return (*self._left_out, *self.sequences.left_out)

    @property
    def about(self) -> dict[str, Any]:
        """What the weights tell of themselves."""
        told = asdict(self.plan)
        del told["device"]
        videos = {"videos": len(self.sequences.train), "held": len(self.sequences.held)}
        return {"space": self.space.name, **told, **videos, "talking": len(self.cues)}

    def batch(self, step: int) -> Clips:
        """To learn from."""
        return self._clips(self.sequences.draw(step, self.plan.batch))

    def held(self) -> Iterator[Clips]:
        """To judge by."""
        part: list[Clip] = []
        count = sum(1 for _ in self.sequences.judged(JUDGED))
        for _ in range(-(-JUDGED_LEAST // max(1, count))):
            for clip in self.sequences.judged(JUDGED):
                part.append(clip)
                if len(part) == self.plan.batch:
                    yield self._clips(part)
                    part = []
        if part:
            yield self._clips(part)

    def vocabulary(self) -> Matrix:
        """The visual words of the videos to learn from."""
        frames = self.sequences.frames(VOCABULARY // (4 * self.space.dim))
        return visual_words.learn(frames, seed=self.plan.seed)

    def _clips(self, clips: Sequence[Clip]) -> Clips:
        features = [clip.features for clip in clips]
        texts = [
            self.cues.within(
                clip.video.path,
                Span(max(0.0, float(each.times[0])), max(0.0, float(each.times[-1]))),
                self.space.dim,
            )
            for clip, each in zip(clips, features, strict=True)
        ]
        return Clips.of(features, [clip.video.id for clip in clips], texts)
