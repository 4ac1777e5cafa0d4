"""Zero-shot classification: label probabilities of segments from text alone.

A phrase is encoded in several prompt templates whose vectors are averaged (prompt ensembling: CLIP,
Radford et al. 2021). A label is the mixture of its phrases; "none of these" is represented by a
querybank of generic texts. The prior is one half for none of the labels, and uniform over the K
labels, so with similarities s, inverse temperature a and normalization Z

    P(label) = mean over its phrases of exp(a s) / K / Z
    P(none)  = mean over the bank of exp(a s) / Z

No offset between the two is fitted. The inverse temperature is one constant for all models, in
units of the standard deviation of an image's similarities to the bank; see
`benchmarks/bench_classify.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.analysis.labels import NO_LABEL
from vsearch.encoders.generic_prompts import GENERIC_PROMPTS
from vsearch.errors import NoTextError
from vsearch.protocols import QuerybankEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.analysis.labels import Label
    from vsearch.protocols import Encoder
    from vsearch.types import Matrix, Segment, Vector, Video

PROMPT_TEMPLATES = ("a photo of {}", "a video of {}", "a scene with {}", "a close-up of {}")
INVERSE_TEMPERATURE = 1.8  # per standard deviation; fitted on labeled images, not on videos


@dataclass(frozen=True, slots=True, eq=False)
class ZeroShotClassifier:
    """A `SegmentClassifier` that needs only the names or descriptions of labels."""

    source: str
    model: str
    label_names: tuple[str, ...]  # K labels and NO_LABEL
    label_vectors: Sequence[Matrix]  # K of float32 (P, D), one row per phrase
    null_vectors: Matrix  # float32 (B, D)
    inverse_temperature: float

    @classmethod
    def from_labels(
        cls, labels: Sequence[Label], encoder: Encoder, sample_vectors: Matrix, label_source: str
    ) -> ZeroShotClassifier:
        """Encode the labels and fit the inverse temperature.

        Args:
            labels: The K labels.
            encoder: Text encoder.
            sample_vectors: Sample of the library's segment vectors, float32 (M, D).
            label_source: Name of the label set, for the source of its tags.

        Returns:
            The classifier.

        Raises:
            NoTextError: If the encoder does not encode text.
        """
        if not encoder.space.supports_text:
            raise NoTextError(
                f"{encoder.space.name} encodes images only, not text, so it cannot classify by "
                "label names: index with a model that encodes text (--model builtin or --model "
                "openclip:…), or train a classifier with `vsearch train classifier`"
            )
        null_vectors = encode_null_queries(encoder)
        return cls(
            f"zero-shot {label_source}",
            encoder.space.name,
            (*(label.name for label in labels), NO_LABEL),
            encode_labels(labels, encoder),
            null_vectors,
            fit_inverse_temperature(sample_vectors, null_vectors),
        )

    def predict(
        self, _video: Video, _segments: Sequence[Segment], segment_vectors: Matrix, /
    ) -> Matrix:
        """Classify the segments of a video.

        Args:
            segment_vectors: Their vectors, float32 (S, D).

        Returns:
            Probabilities, float32 (S, K + 1), the last column for none of the labels.
        """
        return compute_probabilities(
            segment_vectors, self.label_vectors, self.null_vectors, self.inverse_temperature
        )


def encode_labels(labels: Sequence[Label], encoder: Encoder) -> list[Matrix]:
    """Encode each phrase of each label.

    Args:
        labels: The labels.
        encoder: Text encoder.

    Returns:
        One matrix per label, float32 (P, D), with one row per phrase.
    """
    phrase_groups = [label.phrases or (label.name,) for label in labels]
    phrases = [phrase for phrase_group in phrase_groups for phrase in phrase_group]
    prompt_vectors = encoder.encode_texts(
        [template.format(phrase) for phrase in phrases for template in PROMPT_TEMPLATES]
    )
    means = prompt_vectors.reshape(len(phrases), len(PROMPT_TEMPLATES), -1).mean(axis=1)  # (N, D)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return np.split(means, np.cumsum([len(phrase_group) for phrase_group in phrase_groups])[:-1])


def encode_null_queries(encoder: Encoder) -> Matrix:
    """Return the vectors of the null queries of an encoder.

    Args:
        encoder: Text encoder.

    Returns:
        The encoder's querybank if it has one, else GENERIC_PROMPTS, float32 (B, D).
    """
    if isinstance(encoder, QuerybankEncoder) and len(encoder.querybank):
        return encoder.querybank
    return encoder.encode_texts(GENERIC_PROMPTS)


def fit_inverse_temperature(sample_vectors: Matrix, null_vectors: Matrix) -> float:
    """Scale INVERSE_TEMPERATURE to the spread of similarities in the space.

    Args:
        sample_vectors: Segment vectors, float32 (M, D).
        null_vectors: Vectors of null queries, float32 (B, D).

    Returns:
        The inverse temperature.
    """
    similarity_std = (
        float((sample_vectors @ null_vectors.T).std(axis=1).mean()) if len(sample_vectors) else 0.0
    )
    return INVERSE_TEMPERATURE / max(similarity_std, 1e-6)


def compute_probabilities(
    segment_vectors: Matrix,
    label_vectors: Sequence[Matrix],
    null_vectors: Matrix,
    inverse_temperature: float,
) -> Matrix:
    """Compute the label probabilities of segments.

    Args:
        segment_vectors: Segments, float32 (S, D).
        label_vectors: Phrases of each of the K labels, float32 (P, D).
        null_vectors: Null queries, float32 (B, D).
        inverse_temperature: Factor of the similarities.

    Returns:
        Probabilities, float32 (S, K + 1), the last column for none of the labels.
    """
    log_likelihoods = np.stack(
        [
            _compute_log_likelihood(segment_vectors, text_vectors, inverse_temperature)
            for text_vectors in (*label_vectors, null_vectors)
        ],
        axis=1,
        dtype=np.float64,
    )  # (S, K + 1)
    log_likelihoods[:, :-1] -= np.log(len(label_vectors))  # uniform prior of the labels
    likelihoods = np.exp(log_likelihoods - log_likelihoods.max(axis=1, keepdims=True))
    probabilities: Matrix = likelihoods / likelihoods.sum(axis=1, keepdims=True)
    return probabilities.astype(np.float32)


def _compute_log_likelihood(
    segment_vectors: Matrix, phrase_vectors: Matrix, inverse_temperature: float
) -> Vector:
    """Return the log-likelihood (S,) of segments (S, D) under a mixture of texts (P, D)."""
    scaled_similarities = inverse_temperature * (segment_vectors @ phrase_vectors.T)  # (S, P)
    max_similarities = scaled_similarities.max(axis=1)
    log_likelihoods: Vector = max_similarities + np.log(
        np.exp(scaled_similarities - max_similarities[:, None]).mean(axis=1)
    )
    return log_likelihoods


def compute_video_probabilities(
    segment_probabilities: Matrix, segments: Sequence[Segment]
) -> Vector:
    """Compute the expected label of a random moment of a video.

    This is the mean over time. Labels are mutually exclusive, so the probability that any segment
    shows a label (noisy-or) would assign every label to a long video.

    Args:
        segment_probabilities: Probabilities, float32 (S, K).
        segments: The S segments.

    Returns:
        Probabilities, float32 (K,).
    """
    seconds = np.array([segment.span.duration for segment in segments])
    weights = seconds if seconds.sum() > 0 else np.ones_like(seconds)
    means: Vector = np.average(segment_probabilities, axis=0, weights=weights).astype(np.float32)
    return means
