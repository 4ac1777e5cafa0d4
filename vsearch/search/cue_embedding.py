"""Embedding of transcript cues for semantic search."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.protocols import Encoder
    from vsearch.types import Matrix

log = logging.getLogger(__name__)
EMBED_BATCH_CUES = 256
WARN_ABOVE_CUES = 5_000  # at about 8 ms each, the user is warned that it takes a while
PROBE_CUES = 16  # compared: languages change from cue to cue, and a model may be new for some
SAME_MODEL_SIMILARITY = 0.99  # cosine of a cue embedded twice by one model


def embed_cues(
    catalog: Catalog, load_encoder: Callable[[], Encoder], *, check_model: bool = False
) -> int:
    """Embed the cues that have no vector yet, for semantic search.

    Vectors are committed batch by batch, so the process may be interrupted at any time.

    Args:
        catalog: The catalog of the library.
        load_encoder: Returns the library's encoder; only called if there is something to do.
        check_model: First embed some known cues again; if the encoder's output has changed, discard
            all vectors and start over.

    Returns:
        The number of embedded cues; 0 if the encoder has no text support.
    """
    space, cue_index = catalog.space(), catalog.cue_index
    if space is None or not space.supports_text:
        return 0
    last_cue_id = cue_index.last_embedded_cue(space)
    if not check_model and not cue_index.cues_after(last_cue_id, 1):
        return 0
    cue_encoder = load_encoder()
    if cue_encoder.space != space:
        return 0
    if check_model and _has_changed(cue_encoder, *cue_index.probe_vectors(space, PROBE_CUES)):
        with catalog.begin() as transaction:
            transaction.remove_cue_vectors(space)
        last_cue_id = 0
    if (pending_count := cue_index.count_after(last_cue_id)) >= WARN_ABOVE_CUES:
        log.warning(
            "embedding %d cues for semantic search takes some minutes. After Ctrl-C, the next "
            "`vsearch index` continues; keyword search works already.",
            pending_count,
        )
    embedded_count = 0
    while cue_batch := cue_index.cues_after(last_cue_id, EMBED_BATCH_CUES):
        cue_vectors = cue_encoder.encode_texts([cue_text for _, cue_text in cue_batch])
        valid_rows = np.isfinite(cue_vectors).all(axis=1) & (np.abs(cue_vectors).max(axis=1) > 0)
        cue_ids = [
            cue_id for (cue_id, _), is_valid in zip(cue_batch, valid_rows, strict=True) if is_valid
        ]
        with catalog.begin() as transaction:
            transaction.add_cue_vectors(cue_ids, cue_vectors[valid_rows], space)
        last_cue_id, embedded_count = cue_batch[-1][0], embedded_count + len(cue_ids)
    if embedded_count:
        log.info("embedded %d cues for semantic search", embedded_count)
    return embedded_count


def _has_changed(cue_encoder: Encoder, cue_texts: Sequence[str], cue_vectors: Matrix) -> bool:
    """Return whether the encoder embeds any of the cues differently than before."""
    similarities = (cue_encoder.encode_texts(cue_texts) * cue_vectors).sum(axis=1)
    return bool((similarities < SAME_MODEL_SIMILARITY).any())
