"""Acceptance test of a trained pooler: clip retrieval with and without distractors.

To replace the mean, a pooler must not be worse on clean clips, and clearly better if 30 to 50 % of
the frames are distractors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.evaluation.benchmark import prepare_case
from vsearch.evaluation.metrics import bootstrap_ranks
from vsearch.evaluation.retrieval_cases import rank_first_hits
from vsearch.media.distractors import draw_distractors
from vsearch.pooling.augmentation import AugmentedClip, mix_with_distractors
from vsearch.pooling.mean import MeanPooler
from vsearch.pooling.selection import AUTO_POOLER, select_pooler
from vsearch.search.hubness import Querybank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.evaluation.datasets import CaptionDataset
    from vsearch.evaluation.metrics import Metric, RelevanceMatrix
    from vsearch.library import Library
    from vsearch.protocols import Encoder, Pooler
    from vsearch.types import Matrix

MIXTURE_SEEDS = (0, 1, 2)
DISTRACTOR_SHARES = (0.3, 0.5)  # of the frames of a clip
MAX_RECALL_LOSS, MIN_RECALL_GAIN = 0.005, 0.06  # R@1 on clean clips; on mixtures
DISTRACTOR_COUNT = 140
DISTRACTOR_SEED = 77_003  # differs from the training seeds
BATCH_IMAGES = 8
MAX_CLIP_FRAMES = 64


@dataclass(frozen=True, slots=True, eq=False)
class PoolingCase:
    """Clips, queries and their relevance."""

    clips: tuple[AugmentedClip, ...]
    query_vectors: Matrix  # float32 (Q, D)
    relevance_matrix: RelevanceMatrix  # bool (Q, clips)
    distractor_vectors: Matrix  # float32 (M, D)
    querybank: Querybank  # for text queries


@dataclass(frozen=True, slots=True)
class GateResult:
    """R@1 and MRR of the mean and of a pooler, averaged over several mixtures."""

    pooler_name: str
    clip_count: int
    query_count: int
    seed_count: int
    mean_clean_metrics: tuple[Metric, ...]
    clean_metrics: tuple[Metric, ...]
    mean_mixed_metrics: tuple[Metric, ...]
    mixed_metrics: tuple[Metric, ...]
    current_pooler_name: str | None = None  # trained pooler in use
    current_mixed_metrics: tuple[Metric, ...] = ()

    @property
    def recall_loss(self) -> float:
        """R@1 lost on clean clips; negative if the pooler is better."""
        return self.mean_clean_metrics[0].value - self.clean_metrics[0].value

    @property
    def recall_gain(self) -> float:
        """R@1 gained on clips with distractors."""
        return self.mixed_metrics[0].value - self.mean_mixed_metrics[0].value

    @property
    def is_beaten(self) -> bool:
        """True if the trained pooler in use is better on clips with distractors."""
        return (
            bool(self.current_mixed_metrics)
            and self.current_mixed_metrics[0].value > self.mixed_metrics[0].value
        )

    @property
    def has_passed(self) -> bool:
        """True if the pooler may replace the mean and the pooler in use."""
        return (
            self.recall_loss <= MAX_RECALL_LOSS + 1e-9
            and self.recall_gain >= MIN_RECALL_GAIN - 1e-9
            and not self.is_beaten
        )


def get_saturated_recall(pooling_case: PoolingCase) -> float | None:
    """Return R@1 of the mean with distractors if it leaves no room to pass, else None.

    Args:
        pooling_case: Clips and queries.
    """
    mixtures = [_mix_clips(pooling_case, seed) for seed in MIXTURE_SEEDS]
    mean_recall = _measure_pooler(pooling_case, MeanPooler(), mixtures)[0].value
    return mean_recall if mean_recall > 1 - MIN_RECALL_GAIN else None


def run_gate(
    pooling_case: PoolingCase, pooler: Pooler, current_pooler: Pooler | None = None
) -> GateResult:
    """Evaluate a pooler on clean clips and on mixtures with distractors, one per seed.

    Args:
        pooling_case: Clips and queries.
        pooler: Pooler to evaluate.
        current_pooler: Trained pooler in use, if any.

    Returns:
        The result.
    """
    mean_pooler = MeanPooler()
    mixtures = [_mix_clips(pooling_case, seed) for seed in MIXTURE_SEEDS]
    return GateResult(
        pooler.name,
        len(pooling_case.clips),
        len(pooling_case.query_vectors),
        len(MIXTURE_SEEDS),
        _measure_pooler(pooling_case, mean_pooler, [pooling_case.clips]),
        _measure_pooler(pooling_case, pooler, [pooling_case.clips]),
        _measure_pooler(pooling_case, mean_pooler, mixtures),
        _measure_pooler(pooling_case, pooler, mixtures),
        None if current_pooler is None else current_pooler.name,
        () if current_pooler is None else _measure_pooler(pooling_case, current_pooler, mixtures),
    )


def run_library_gate(library: Library, dataset: CaptionDataset) -> GateResult | None:
    """Evaluate the trained pooler of a library on a dataset.

    Args:
        library: Library with the videos.
        dataset: Captions.

    Returns:
        The result, or None if the library only has the mean.

    Raises:
        DatasetError: If none of the videos is in the library.
        NoTextError: If the library's model does not encode text.
        DamagedLibraryError: If frame features are missing.
        ModelError: If the pooler cannot be loaded.
    """
    pooler = select_pooler(AUTO_POOLER, library.path, library.encoder.space)
    return (
        None
        if isinstance(pooler, MeanPooler)
        else run_gate(build_pooling_case(library, dataset), pooler)
    )


def build_pooling_case(library: Library, dataset: CaptionDataset) -> PoolingCase:
    """Use every video of a dataset as one clip and its captions as queries.

    Args:
        library: Library with the videos.
        dataset: Captions.

    Returns:
        The case.

    Raises:
        DatasetError: If none of the videos is in the library.
        NoTextError: If the library's model does not encode text.
        DamagedLibraryError: If frame features are missing.
    """
    _, retrieval_case = prepare_case(library, dataset)
    encoder, feature_store = library.encoder, library.feature_store
    features = [feature_store.load(video.id, encoder.space) for video in retrieval_case.videos]
    return PoolingCase(
        tuple(
            subsample_clip(AugmentedClip.from_frames(each.frame_vectors, each.frame_times))
            for each in features
        ),
        encoder.encode_texts(retrieval_case.captions),
        retrieval_case.relevance_matrix,
        encode_gate_distractors(encoder),
        Querybank.from_encoder(encoder),
    )


def encode_gate_distractors(encoder: Encoder) -> Matrix:
    """Encode the distractor images of the gate, on which no pooler was trained.

    Args:
        encoder: Image encoder.

    Returns:
        Vectors, float32 (DISTRACTOR_COUNT, D).
    """
    return encode_distractors(encoder, DISTRACTOR_COUNT, DISTRACTOR_SEED)


def encode_distractors(encoder: Encoder, image_count: int, seed: int) -> Matrix:
    """Draw and encode distractor images.

    Args:
        encoder: Image encoder.
        image_count: Number of images.
        seed: Seed of the images.

    Returns:
        Vectors, float32 (image_count, D).
    """
    images = draw_distractors(image_count, seed)
    batches = (
        images[start : start + BATCH_IMAGES] for start in range(0, image_count, BATCH_IMAGES)
    )
    return np.concatenate([encoder.encode_images(batch) for batch in batches])


def subsample_clip(clip: AugmentedClip) -> AugmentedClip:
    """Return a clip with at most MAX_CLIP_FRAMES of its frames, evenly sampled.

    Args:
        clip: The clip.
    """
    if len(clip.frame_times) <= MAX_CLIP_FRAMES:
        return clip
    frame_indices = np.linspace(0, len(clip.frame_times) - 1, MAX_CLIP_FRAMES).round().astype(int)
    return AugmentedClip(
        clip.frame_vectors[frame_indices],
        clip.frame_times[frame_indices],
        clip.clean_mask[frame_indices],
    )


def _mix_clips(pooling_case: PoolingCase, seed: int) -> list[AugmentedClip]:
    rng, clips = np.random.default_rng(seed), pooling_case.clips
    return [
        mix_with_distractors(
            clip,
            clips[clip_index - 1].frame_vectors,
            pooling_case.distractor_vectors,
            float(rng.uniform(*DISTRACTOR_SHARES)),
            rng,
        )
        for clip_index, clip in enumerate(clips)
    ]


def _measure_pooler(
    pooling_case: PoolingCase, pooler: Pooler, mixtures: Sequence[Sequence[AugmentedClip]]
) -> tuple[Metric, ...]:
    """Return R@1, R@5 and MRR over all mixtures."""
    hit_ranks = []
    for clips in mixtures:
        vectors = np.stack([pooler.pool(clip.frame_vectors, clip.frame_times) for clip in clips])
        penalties = pooling_case.querybank.hubness_penalty(vectors)
        scores = pooling_case.query_vectors @ vectors.T - penalties
        hit_ranks.append(rank_first_hits(scores, pooling_case.relevance_matrix))
    return bootstrap_ranks(np.concatenate(hit_ranks)[None])
