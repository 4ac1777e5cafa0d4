"""Text-image pairs from a library's videos: the training and test data of a query adapter.

No video is decoded: the image vector of a row is the mean of the frame features stored for its
span. About every fifth video is held out. The split depends only on the seed and on the content of
the videos, so it mostly stays the same when rows are added.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from vsearch.errors import DamagedLibraryError, DatasetError
from vsearch.evaluation.auto_dataset import build_auto_dataset
from vsearch.evaluation.datasets import normalize_caption

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence
    from pathlib import Path

    from vsearch.evaluation.datasets import CaptionDataset, CaptionItem
    from vsearch.library import Library
    from vsearch.protocols import Encoder
    from vsearch.types import Ids, Matrix, Vector, Video

    T = TypeVar("T", bound=Hashable)

RowMask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TextImagePairs:
    """Text vectors paired with the image vector of the video span that each describes."""

    text_vectors: Matrix  # float32 (N, D), as the model encodes them
    image_vectors: Matrix  # float32 (N, D), unit length
    text_ids: Ids  # (N,) equal for equal texts
    video_ids: Ids  # (N,)
    group_ids: Ids  # (N,) equal for interchangeable videos, else unique
    fold_ids: Ids  # (N,) equal for rows that share a video or a group and are never separated
    video_spans: npt.NDArray[np.float64]  # (N, 2) seconds, start and end; whole video: 0, infinity

    def __len__(self) -> int:
        return len(self.text_vectors)

    def __getitem__(self, selected_rows: Ids | RowMask) -> TextImagePairs:
        """Return a selection of the rows."""
        return TextImagePairs(
            self.text_vectors[selected_rows],
            self.image_vectors[selected_rows],
            self.text_ids[selected_rows],
            self.video_ids[selected_rows],
            self.group_ids[selected_rows],
            self.fold_ids[selected_rows],
            self.video_spans[selected_rows],
        )

    def find_false_negatives(self, other_pairs: TextImagePairs) -> RowMask:
        """Return which images of `other_pairs` may match the texts as well as their own.

        These are images of equal texts, of the same group, and of overlapping moments of a video.

        Args:
            other_pairs: The M candidate rows.

        Returns:
            Mask, bool (N, M).
        """
        span_starts, span_ends = self.video_spans[:, :1], self.video_spans[:, 1:]
        spans_overlap = (span_starts < other_pairs.video_spans[:, 1]) & (
            other_pairs.video_spans[:, 0] < span_ends
        )
        is_match: RowMask = (
            (self.text_ids[:, None] == other_pairs.text_ids)
            | (self.group_ids[:, None] == other_pairs.group_ids)
            | (self.video_ids[:, None] == other_pairs.video_ids) & spans_overlap
        )
        return is_match


MIN_ROWS, MIN_VIDEOS = 50, 10  # rows; videos or groups
HELD_OUT_SHARE, MIN_HELD_OUT = 0.22, 4  # of the videos or groups
TEXT_BATCH_SIZE = 64


@dataclass(frozen=True, slots=True)
class AdapterDataset:
    """Text-image pairs, the held-out rows, and what was skipped."""

    source_name: str
    text_image_pairs: TextImagePairs
    held_out_mask: RowMask  # bool (N,)
    skipped_reasons: tuple[str, ...]


@dataclass(slots=True)
class _ItemsWithImages:
    """Caption items whose image vectors are known."""

    caption_items: list[CaptionItem] = field(default_factory=list)
    image_vectors: list[Vector] = field(default_factory=list)  # float32 (D,) of unit length
    skipped_reasons: list[str] = field(default_factory=list)


def build_adapter_dataset(
    library: Library, encoder: Encoder, dataset: CaptionDataset | None, seed: int
) -> AdapterDataset:
    """Build text-image pairs from a dataset, or from the library's subtitles and file names.

    Args:
        library: Library whose stored frame features are used.
        encoder: Encoder of the texts, without an adapter.
        dataset: Captions; the subtitles and file names of the library if None.
        seed: Seed of the split.

    Returns:
        The pairs with the mask of the held-out rows.

    Raises:
        DatasetError: If there are too few rows to train and test an adapter.
    """
    videos_by_path = {video.path: video for video in library.videos()}
    skipped_reasons: list[str] = []
    if dataset is None:
        try:
            auto_dataset = build_auto_dataset(library.location.short_name, list(videos_by_path))
        except DatasetError as error:
            raise DatasetError(
                f"{library.location}: the subtitle files and file names of the videos give too "
                f"little training data; at least {MIN_ROWS} rows of {MIN_VIDEOS} videos are "
                "needed. Pass your own captions: `vsearch train align FILE`"
            ) from error
        dataset, skipped_reasons = auto_dataset.dataset, list(auto_dataset.unread_reasons)
    absent_paths = (
        {item.video_path for item in dataset.items} | set(dataset.missing_paths)
    ) - videos_by_path.keys()
    if absent_paths:
        skipped_reasons.append(f"videos not in the library: {len(absent_paths)}")
    item_rows = _collect_images(
        library,
        encoder,
        [item for item in dataset.items if item.video_path in videos_by_path],
        videos_by_path,
    )
    skipped_reasons += item_rows.skipped_reasons
    fold_names = _assign_folds(item_rows.caption_items)
    _require_enough_rows(
        dataset.dataset_name, len(item_rows.caption_items), len(set(fold_names)), skipped_reasons
    )
    held_out_mask = _select_held_out(
        fold_names,
        [videos_by_path[item.video_path].fingerprint for item in item_rows.caption_items],
        seed,
    )
    return AdapterDataset(
        dataset.dataset_name,
        _build_pairs(encoder, item_rows, fold_names),
        held_out_mask,
        tuple(skipped_reasons),
    )


def _require_enough_rows(
    dataset_name: str, row_count: int, fold_count: int, skipped_reasons: Sequence[str]
) -> None:
    if row_count < MIN_ROWS or fold_count < MIN_VIDEOS:
        reasons_text = "".join(f"; left out: {reason}" for reason in skipped_reasons)
        raise DatasetError(
            f"{dataset_name}: {row_count} rows of {fold_count} videos or groups are too few to "
            f"train and test on; at least {MIN_ROWS} rows of {MIN_VIDEOS} videos are "
            f"needed{reasons_text}"
        )


def _collect_images(
    library: Library,
    encoder: Encoder,
    caption_items: Sequence[CaptionItem],
    videos_by_path: dict[Path, Video],
) -> _ItemsWithImages:
    """Pair every item with the image vector of its span."""
    feature_store, item_rows, late_count = (
        library.feature_store,
        _ItemsWithImages(),
        0,
    )
    items_by_path: dict[Path, list[CaptionItem]] = {}
    for item in caption_items:
        items_by_path.setdefault(item.video_path, []).append(item)
    for video_path, video_items in items_by_path.items():
        try:
            frame_features = feature_store.load(videos_by_path[video_path].id, encoder.space)
        except DamagedLibraryError as error:
            item_rows.skipped_reasons.append(str(error))
            continue
        for item in video_items:
            if item.span is not None and item.span.start >= videos_by_path[video_path].duration:
                late_count += 1
                continue
            span_features = frame_features.within(item.span) if item.span else frame_features
            mean_vector = span_features.frame_vectors.mean(axis=0)
            item_rows.caption_items.append(item)
            item_rows.image_vectors.append(
                mean_vector / max(float(np.linalg.norm(mean_vector)), 1e-12)
            )
    if late_count:
        item_rows.skipped_reasons.append(
            f"rows that start after the end of their video: {late_count}"
        )
    return item_rows


def _build_pairs(
    encoder: Encoder, item_rows: _ItemsWithImages, fold_names: Sequence[str]
) -> TextImagePairs:
    normalized_captions = [normalize_caption(item.caption) for item in item_rows.caption_items]
    group_keys = [
        ("group", item.group_name) if item.group_name is not None else ("row", row_index)
        for row_index, item in enumerate(item_rows.caption_items)
    ]
    moment_spans = [
        (item.span.start, item.span.end) if item.span else (0, np.inf)
        for item in item_rows.caption_items
    ]
    return TextImagePairs(
        text_vectors=_encode_distinct_texts(
            encoder, [item.caption for item in item_rows.caption_items]
        ),
        image_vectors=np.stack(item_rows.image_vectors).astype(np.float32),
        text_ids=_number_names(normalized_captions),
        video_ids=_number_names([item.video_path for item in item_rows.caption_items]),
        group_ids=_number_names(group_keys),
        fold_ids=_number_names(fold_names),
        video_spans=np.array(moment_spans, np.float64),
    )


def _encode_distinct_texts(encoder: Encoder, captions: Sequence[str]) -> Matrix:
    """Encode each distinct text once; return float32 (N, D)."""
    distinct_captions = list(dict.fromkeys(captions))
    batch_starts = range(0, len(distinct_captions), TEXT_BATCH_SIZE)
    vector_batches = [
        encoder.encode_texts(distinct_captions[batch_start : batch_start + TEXT_BATCH_SIZE])
        for batch_start in batch_starts
    ]
    row_by_text = {
        caption_text: row_index for row_index, caption_text in enumerate(distinct_captions)
    }
    text_vectors: Matrix = np.concatenate(vector_batches)[
        [row_by_text[caption_text] for caption_text in captions]
    ]
    return text_vectors


def _assign_folds(caption_items: Sequence[CaptionItem]) -> list[str]:
    """Return a fold name per item, equal for items connected by shared videos or groups."""
    parent_names: dict[str, str] = {}

    def find_root(node_name: str) -> str:
        while parent_names.setdefault(node_name, node_name) != node_name:
            node_name = parent_names[node_name]
        return node_name

    for item in caption_items:
        if item.group_name is not None:
            first_root, second_root = sorted(
                (find_root(f"path {item.video_path}"), find_root(f"group {item.group_name}"))
            )
            parent_names[second_root] = first_root
    return [find_root(f"path {item.video_path}") for item in caption_items]


def _select_held_out(fold_names: Sequence[str], fingerprints: Sequence[str], seed: int) -> RowMask:
    """Return the mask of the held-out rows, bool (N,): the first folds in a seeded order."""
    lowest_digests: dict[str, str] = {}
    for fold_name, fingerprint in zip(fold_names, fingerprints, strict=True):
        digest = hashlib.sha256(f"{seed} {fingerprint}".encode()).hexdigest()
        lowest_digests[fold_name] = min(digest, lowest_digests.get(fold_name, digest))
    held_out_count = max(MIN_HELD_OUT, round(HELD_OUT_SHARE * len(lowest_digests)))
    held_out_folds = set(
        sorted(lowest_digests, key=lambda fold_name: lowest_digests[fold_name])[:held_out_count]
    )
    held_out_mask: RowMask = np.array([fold_name in held_out_folds for fold_name in fold_names])
    return held_out_mask


def _number_names(names: Iterable[T]) -> Ids:
    """Return a number per name, equal for equal names."""
    number_by_name: dict[T, int] = {}
    return np.array(
        [number_by_name.setdefault(name, len(number_by_name)) for name in names], np.int64
    )
