"""Training and validation clips of stored frame features, sampled from a library's videos.

No video is decoded, and only the features of recently sampled videos are cached, a few hundred
megabytes at most. The clips of a step depend only on the seed and the step number. Whole videos are
held out; the split depends on the seed and on the content of the videos.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DamagedLibraryError, DatasetError
from vsearch.training.adapter_dataset import HELD_OUT_SHARE, MIN_HELD_OUT
from vsearch.types import Features

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.library import Library
    from vsearch.pooling.augmentation import AugmentedClip
    from vsearch.types import Matrix, Space, Vector, Video

MIN_VIDEOS = 10
MAX_CLIP_FRAMES = 64
MIN_CLIP_FRAMES = 2  # one visible and one masked
CACHE_BYTES = 256 << 20
FRAME_STRIDES = (1, 2, 4)
MIN_KEPT_FRAMES = 8  # after subsampling and gaps
GAP_SHARE = 0.2  # of the frames of a clip with gaps


@dataclass(frozen=True, slots=True, eq=False)
class FeatureClip:
    """Some frames of a video, in order."""

    video: Video
    frame_features: Features


@dataclass(frozen=True, slots=True, eq=False)
class PoolerExample:
    """A clean clip and its caption, if it has one."""

    clean_clip: AugmentedClip
    caption_vector: Vector | None  # float32 (D,)
    content_id: int  # clips with equal ids are not negatives of each other


class ClipDataset:
    """The videos of a library that have frame features, split into training and held-out ones."""

    def __init__(
        self,
        library: Library,
        *,
        max_frames: int = MAX_CLIP_FRAMES,
        min_frames: int = MIN_CLIP_FRAMES,
        seed: int = 0,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        """Split the videos of a library.

        Args:
            library: Library whose stored frame features are used.
            max_frames: Longest clip.
            min_frames: Shortest clip; shorter videos are skipped.
            seed: Seed of the split and of the samples.
            cache_bytes: Size of the feature cache.

        Raises:
            DatasetError: If there are too few videos.
        """
        self.max_frames, self.min_frames, self.seed = max_frames, min_frames, seed
        self._cache_bytes, self._features_cache = cache_bytes, OrderedDict[int, Features]()
        self._unusable_reasons: dict[int, str] = {}
        self._feature_store = library.feature_store
        space = library.space
        usable_videos = [] if space is None else self._select_usable(library.videos(), space)
        if space is None or len(usable_videos) < MIN_VIDEOS:
            raise DatasetError(
                f"{library.location}: {len(usable_videos)} videos of {min_frames} or more frames "
                f"are too few to train on; at least {MIN_VIDEOS} are needed: `vsearch index` more"
            )
        self.space = space
        held_out_fingerprints = select_held_out(
            [video.fingerprint for video in usable_videos], seed
        )
        self.train_videos = [
            video for video in usable_videos if video.fingerprint not in held_out_fingerprints
        ]
        self.held_out_videos = [
            video for video in usable_videos if video.fingerprint in held_out_fingerprints
        ]
        window_counts = [-(-video.sampled_frames // max_frames) for video in self.train_videos]
        # float64 (V,): videos are sampled in proportion to length
        self._cumulative_shares = np.cumsum(window_counts) / sum(window_counts)

    @property
    def digest(self) -> str:
        """String that identifies the videos, the split and the sampling."""
        split_keys = [
            [f"{video.fingerprint} {video.sampled_frames}" for video in split_videos]
            for split_videos in self._splits
        ]
        identity_parts = [self.space.name, self.max_frames, self.min_frames, self.seed, *split_keys]
        return hashlib.sha256(repr(identity_parts).encode()).hexdigest()

    @property
    def skipped_reasons(self) -> tuple[str, ...]:
        """Videos that were skipped, and why."""
        return tuple(self._unusable_reasons.values())

    def sample_clips(
        self, step: int, clip_count: int, *, augment: bool = True
    ) -> list[FeatureClip]:
        """Sample training clips.

        Args:
            step: Training step.
            clip_count: Number of clips.
            augment: Sample some clips at a lower frame rate or with gaps.

        Returns:
            The clips.
        """
        rng = np.random.default_rng([self.seed, step])
        return [self._sample_clip(rng, augment) for _ in range(clip_count)]

    def iter_validation_clips(self, max_clips: int) -> Iterator[FeatureClip]:
        """Yield clips of the held-out videos, evenly sampled and always the same ones."""
        clip_windows = [
            (video, first_frame)
            for video in self.held_out_videos
            for first_frame in range(
                0, max(1, video.sampled_frames - self.min_frames + 1), self.max_frames
            )
        ]
        window_indices = np.unique(
            np.linspace(0, len(clip_windows) - 1, min(max_clips, len(clip_windows))).round()
        )
        for video, first_frame in (
            clip_windows[int(window_index)] for window_index in window_indices
        ):
            frame_features = self.load_features(video)
            if (
                frame_features is not None
                and len(frame_features.frame_times) - first_frame >= self.min_frames
            ):
                yield FeatureClip(
                    video,
                    _select_rows(
                        frame_features, np.arange(first_frame, first_frame + self.max_frames)
                    ),
                )

    def sample_frames(self, max_frames: int) -> Matrix:
        """Sample frames of the training videos in proportion to length, float32 (N, D)."""
        rng = np.random.default_rng([self.seed, -1 & 0xFFFF])
        total_frames = sum(video.sampled_frames for video in self.train_videos)
        frame_matrices = []
        for video in self.train_videos:
            frame_features = self.load_features(video)
            if frame_features is not None:
                frame_count = min(
                    len(frame_features.frame_times),
                    max(1, round(max_frames * video.sampled_frames / total_frames)),
                )
                frame_indices = rng.choice(
                    len(frame_features.frame_times), frame_count, replace=False
                )
                frame_matrices.append(frame_features.frame_vectors[np.sort(frame_indices)])
        return np.concatenate(frame_matrices)[:max_frames]

    @property
    def _splits(self) -> tuple[Sequence[Video], Sequence[Video]]:
        return self.train_videos, self.held_out_videos

    def _select_usable(self, videos: Sequence[Video], space: Space) -> list[Video]:
        """Select videos with enough frames, one per content, so that the split has no leak."""
        self.space = space
        video_by_fingerprint = {video.fingerprint: video for video in videos}
        stored_ids = self._feature_store.video_ids(space)
        videos_without_features = [
            video for video in video_by_fingerprint.values() if video.id not in stored_ids
        ]
        for video in videos_without_features:
            self._unusable_reasons[video.id] = f"{video.path}: no frame features in {space.name}"
        return [
            video
            for video in video_by_fingerprint.values()
            if video.sampled_frames >= self.min_frames and video.id in stored_ids
        ]

    def _sample_clip(self, rng: np.random.Generator, augment: bool) -> FeatureClip:
        while True:
            # cumulative sums may end just below 1
            video_index = min(
                int(np.searchsorted(self._cumulative_shares, rng.random())),
                len(self.train_videos) - 1,
            )
            video = self.train_videos[video_index]
            frame_features = self.load_features(video)
            if frame_features is not None:
                frame_rows = _sample_window(
                    len(frame_features.frame_times), self.max_frames, rng, augment
                )
                return FeatureClip(video, _select_rows(frame_features, frame_rows))
            if all(train_video.id in self._unusable_reasons for train_video in self.train_videos):
                raise DatasetError(f"no frame features could be read: {self.skipped_reasons[0]}")

    def load_features(self, video: Video) -> Features | None:
        """Return the features of a video; None, and record the reason, if they are unusable."""
        if video.id in self._unusable_reasons:
            return None
        if video.id in self._features_cache:
            self._features_cache.move_to_end(video.id)
            return self._features_cache[video.id]
        try:
            frame_features = self._feature_store.load(video.id, self.space)
        except DamagedLibraryError as error:
            self._unusable_reasons[video.id] = str(error)
            return None
        if len(frame_features.frame_times) < self.min_frames:
            self._unusable_reasons[video.id] = (
                f"{video.path}: only {len(frame_features.frame_times)} frames"
            )
            return None
        self._features_cache[video.id] = frame_features
        while (
            len(self._features_cache) > 1
            and sum(map(_count_bytes, self._features_cache.values())) > self._cache_bytes
        ):
            self._features_cache.popitem(last=False)
        return frame_features


def select_held_out(fingerprints: Sequence[str], seed: int) -> set[str]:
    """Select about every fifth fingerprint: the first ones in a seeded order."""

    def compute_digest(fingerprint: str) -> str:
        return hashlib.sha256(f"{seed} {fingerprint}".encode()).hexdigest()

    ordered_fingerprints = sorted(set(fingerprints), key=compute_digest)
    return set(
        ordered_fingerprints[: max(MIN_HELD_OUT, round(HELD_OUT_SHARE * len(ordered_fingerprints)))]
    )


def _sample_window(
    video_frames: int, max_frames: int, rng: np.random.Generator, augment: bool
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the rows of the frames of a clip, ascending."""
    allowed_strides = [
        candidate_stride
        for candidate_stride in FRAME_STRIDES
        if video_frames // candidate_stride >= MIN_KEPT_FRAMES or candidate_stride == 1
    ]
    frame_stride = int(rng.choice(allowed_strides)) if augment else 1
    window_reach = min(video_frames, max_frames * frame_stride)
    first_frame = int(rng.integers(0, video_frames - window_reach + 1))
    frame_rows = np.arange(first_frame, first_frame + window_reach, frame_stride)
    if augment and len(frame_rows) > MIN_KEPT_FRAMES and rng.random() < 0.5:
        kept_count = max(MIN_KEPT_FRAMES, round((1 - GAP_SHARE) * len(frame_rows)))
        frame_rows = np.sort(rng.choice(frame_rows, kept_count, replace=False))
    return frame_rows


def _select_rows(
    frame_features: Features, frame_rows: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Features:
    frame_rows = frame_rows[frame_rows < len(frame_features.frame_times)]
    return Features(
        frame_features.space,
        frame_features.frame_vectors[frame_rows],
        frame_features.frame_times[frame_rows],
    )


def _count_bytes(frame_features: Features) -> int:
    return frame_features.frame_vectors.nbytes + frame_features.frame_times.nbytes
