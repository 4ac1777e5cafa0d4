"""Text vectors of captions or subtitles, with their times, for the videos of a library.

Texts are encoded when a clip with them is sampled, so that training starts without encoding all.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from vsearch.errors import MediaError, NoTextError
from vsearch.evaluation.auto_dataset import merge_short_cues
from vsearch.evaluation.comparison import check_text_support
from vsearch.training.clip_batches import ClipCaptions
from vsearch.transcripts import subtitles
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from vsearch.evaluation.datasets import CaptionDataset
    from vsearch.library import Library
    from vsearch.types import Matrix, Vector

CaptionsByVideo: TypeAlias = dict["Path", list[tuple[Span, str]]]
MAX_TEXTS = 16  # per clip
MAX_CACHED_VECTORS = 50_000
WHOLE_VIDEO = Span(0, 1e9)  # span of a caption without times


class CaptionFeatures:
    """Timed texts of each video."""

    def __init__(
        self, encode_texts: Callable[[Sequence[str]], Matrix], captions: CaptionsByVideo
    ) -> None:
        """Use texts with an encoder.

        Args:
            encode_texts: Returns the vectors of texts, float32 (N, D).
            captions: Spans and texts by video.
        """
        self._encode_texts, self._captions = encode_texts, captions
        self._vector_cache: OrderedDict[str, Vector] = OrderedDict()

    @classmethod
    def from_library(
        cls, library: Library, dataset: CaptionDataset | None = None
    ) -> tuple[CaptionFeatures, list[str]]:
        """Use the captions of a dataset, or the subtitle files next to the videos.

        Args:
            library: Library whose model encodes the texts. If it cannot, subtitles are skipped.
            dataset: Captions; subtitles if None.

        Returns:
            The captions, and what was skipped and why.

        Raises:
            NoTextError: If there is a dataset and the library's model does not encode text.
            SpaceMismatchError: If there is a dataset and another model indexed the library.
        """
        video_paths = [video.path for video in library.videos()]
        skipped_reasons: list[str] = []
        if dataset is None:
            captions = _read_subtitles(video_paths, skipped_reasons)
        else:
            known_paths, captions = set(video_paths), {}
            for item in dataset.items:
                if item.video_path in known_paths:
                    captions.setdefault(item.video_path, []).append(
                        (item.span or WHOLE_VIDEO, item.caption)
                    )
            absent_paths = {item.video_path for item in dataset.items} - known_paths
            if absent_paths or dataset.missing_paths:
                absent_count = len(absent_paths | set(dataset.missing_paths))
                skipped_reasons.append(f"videos not in the library: {absent_count}")
        if not captions:
            return cls(_raise_no_encoder, {}), skipped_reasons
        try:
            check_text_support(library)
        except NoTextError:
            if dataset is not None:
                raise
            return cls(_raise_no_encoder, {}), [
                *skipped_reasons,
                "subtitles: the library's model does not encode text",
            ]
        return cls(library.encoder.encode_texts, captions), skipped_reasons

    def __len__(self) -> int:
        """Return the number of videos with texts."""
        return len(self._captions)

    @property
    def digest(self) -> str:
        """String that identifies the texts, independent of the location of the videos."""
        caption_rows = sorted(
            (video_path.name, repr(captions)) for video_path, captions in self._captions.items()
        )
        return hashlib.sha256(repr(caption_rows).encode()).hexdigest()

    def encode_within(self, video_path: Path, clip_span: Span, vector_dim: int) -> ClipCaptions:
        """Encode the texts that overlap a part of a video.

        Args:
            video_path: The video.
            clip_span: The part, in seconds.
            vector_dim: Dimension of the vectors if there are none.

        Returns:
            At most MAX_TEXTS texts, evenly sampled.
        """
        captions = [
            caption
            for caption in self._captions.get(video_path, ())
            if _is_overlapping(caption[0], clip_span)
        ]
        if not captions:
            return ClipCaptions(np.empty((0, vector_dim), np.float32), np.empty(0))
        caption_indices = np.unique(
            np.linspace(0, len(captions) - 1, min(len(captions), MAX_TEXTS)).round()
        )
        captions = [captions[int(caption_index)] for caption_index in caption_indices]
        positions = [_locate_in_clip(caption_span, clip_span) for caption_span, _ in captions]
        return ClipCaptions(
            self._encode_cached([caption_text for _, caption_text in captions]), np.array(positions)
        )

    def _encode_cached(self, caption_texts: Sequence[str]) -> Matrix:
        new_texts = [
            caption_text
            for caption_text in dict.fromkeys(caption_texts)
            if caption_text not in self._vector_cache
        ]
        if new_texts:
            for caption_text, text_vector in zip(
                new_texts, self._encode_texts(new_texts), strict=True
            ):
                self._vector_cache[caption_text] = text_vector
        text_vectors: Matrix = np.stack(
            [self._vector_cache[caption_text] for caption_text in caption_texts]
        )
        while len(self._vector_cache) > MAX_CACHED_VECTORS:
            self._vector_cache.popitem(last=False)
        return text_vectors


def _raise_no_encoder(caption_texts: Sequence[str]) -> Matrix:
    raise ValueError(f"no model to encode {len(caption_texts)} texts")


def _read_subtitles(video_paths: Iterable[Path], skipped_reasons: list[str]) -> CaptionsByVideo:
    """Read one subtitle file per video, in English or without a language in its name."""
    captions: CaptionsByVideo = {}
    for sidecar in subtitles.find_sidecars(video_paths):
        if sidecar.video_path in captions or not (sidecar.language or "en").startswith("en"):
            continue
        try:
            cues = list(merge_short_cues(subtitles.read_subtitles(sidecar.subtitle_path)))
        except MediaError as error:
            skipped_reasons.append(str(error))
            continue
        if cues:
            captions[sidecar.video_path] = [(cue.span, cue.text) for cue in cues]
    return captions


def _is_overlapping(first_span: Span, second_span: Span) -> bool:
    return first_span.start <= second_span.end and second_span.start < first_span.end


def _locate_in_clip(caption_span: Span, clip_span: Span) -> float:
    """Return the position of the middle of a cue in the clip, in [0, 1]."""
    overlap_start, overlap_end = (
        max(caption_span.start, clip_span.start),
        min(caption_span.end, clip_span.end),
    )
    position = (
        ((overlap_start + overlap_end) / 2 - clip_span.start) / clip_span.duration
        if clip_span.duration
        else 0.5
    )
    return min(1.0, max(0.0, position)) if math.isfinite(position) else 0.5
