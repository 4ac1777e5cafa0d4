"""Which label fits a segment, or none of them, as probabilities: from words alone.

A phrase is read in a few ways whose vectors are averaged (prompt ensembling: CLIP, Radford et al.
2021). A label is any of its phrases; "none of these" is anything that might be asked, for which a
querybank of generic texts stands. Half of what is shown is taken to be none of the labels, and each
of K labels to be equally likely, so with similarities s and sharpness a

    P(label) = mean over its phrases of exp(a s) / K / Z,
    P(none)  = mean over the bank of exp(a s) / Z,            Z being the sum of all of these

No offset between the two had to be fitted. The sharpness is one number for all models, measured in
the spread that the bank's similarities to a picture have; see `tests/benchmarks/bench_classify.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.analysis.labels import NONE
from vsearch.encoders.usual import USUAL
from vsearch.errors import NoTextError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.analysis.labels import Label
    from vsearch.protocols import Encoder
    from vsearch.types import Matrix, Segment, Vector, Video

TEMPLATES = ("a photo of {}", "a video of {}", "a scene with {}", "a close-up of {}")
SHARPNESS = 1.8  # in spreads of the bank; fitted on labelled pictures, none of them from a video


@dataclass(frozen=True, slots=True, eq=False)
class ZeroShot:
    """Gives the segments of a video probabilities. A `tagging.Labeller`."""

    source: str
    model: str
    names: tuple[str, ...]  # K labels and NONE
    texts: Sequence[Matrix]  # K of float32 (P, D), a row a phrase
    bank: Matrix  # float32 (B, D)
    sharpness: float

    @classmethod
    def of(cls, labels: Sequence[Label], encoder: Encoder, sample: Matrix, source: str) -> ZeroShot:
        """`sample`, float32 (M, D), are segments of the library. Raises NoTextError."""
        if not encoder.space.speaks_text:
            raise NoTextError(
                f"{encoder.space.name} understands pictures only, so it cannot tell what a label "
                "means: index with a model that understands text (--model builtin or --model "
                "openclip:…), or train a classifier with `vsearch train classifier`"
            )
        bank = bank_of(encoder)
        return cls(
            f"zero-shot {source}",
            encoder.space.name,
            (*(label.name for label in labels), NONE),
            read(labels, encoder),
            bank,
            sharpness(sample, bank),
        )

    def judge(self, _video: Video, _segments: Sequence[Segment], vectors: Matrix, /) -> Matrix:
        """Segments of a video, float32 (S, D) -> probabilities, float32 (S, K + 1)."""
        return probabilities(vectors, self.texts, self.bank, self.sharpness)


def read(labels: Sequence[Label], encoder: Encoder) -> list[Matrix]:
    """What each label looks like: for each of its phrases a vector, float32 (P, D)."""
    phrases = [label.phrases or (label.name,) for label in labels]
    every = [phrase for each in phrases for phrase in each]
    ways = encoder.encode_texts([way.format(phrase) for phrase in every for way in TEMPLATES])
    means = ways.reshape(len(every), len(TEMPLATES), -1).mean(axis=1)  # (N, D)
    unit: Matrix = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return np.split(unit, np.cumsum([len(each) for each in phrases])[:-1])


def bank_of(encoder: Encoder) -> Matrix:
    """Generic texts in the space of an encoder, its own or `USUAL`: float32 (B, D)."""
    own: Matrix | None = getattr(encoder, "querybank", None)
    return encoder.encode_texts(USUAL) if own is None or not len(own) else own


def sharpness(sample: Matrix, bank: Matrix) -> float:
    """How much a difference of similarities counts, from how far apart they usually are."""
    spread = float((sample @ bank.T).std(axis=1).mean()) if len(sample) else 0.0
    return SHARPNESS / max(spread, 1e-6)


def probabilities(vectors: Matrix, texts: Sequence[Matrix], bank: Matrix, sharp: float) -> Matrix:
    """float32 (S, D), K of (P, D), and (B, D) -> (S, K + 1), the last column for none of them."""
    labels = [_likelihood(vectors, each, sharp) - np.log(len(texts)) for each in texts]
    found = np.stack([*labels, _likelihood(vectors, bank, sharp)], axis=1)
    found = np.exp(found - found.max(axis=1, keepdims=True))
    shares: Matrix = (found / found.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _likelihood(vectors: Matrix, texts: Matrix, sharp: float) -> Vector:
    """How well pictures fit a mixture of texts, as a logarithm: (S, D) and (P, D) -> (S,)."""
    near = sharp * (vectors @ texts.T)  # (S, P)
    most = near.max(axis=1)
    mixed: Vector = most + np.log(np.exp(near - most[:, None]).mean(axis=1))
    return mixed


def of_whole(found: Matrix, segments: Sequence[Segment]) -> Vector:
    """What a moment of the video drawn at random shows: (S, K) -> (K,).

    The mean over time. Labels exclude each other, so the chance that any segment shows one (noisy
    or) would make a long video everything at once.
    """
    seconds = np.array([segment.span.duration for segment in segments])
    weights = seconds if seconds.sum() > 0 else np.ones_like(seconds)
    mean: Vector = np.average(found, axis=0, weights=weights).astype(np.float32)
    return mean
