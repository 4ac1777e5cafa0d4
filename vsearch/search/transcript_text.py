"""Transcripts of a library: lookup by video, and embedding of cues for semantic search."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.catalog.path_matching import videos_matching
from vsearch.errors import LibraryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.catalog.catalog import Catalog
    from vsearch.protocols import Encoder
    from vsearch.types import Cue, CueSource, Video

log = logging.getLogger(__name__)
EMBED_BATCH_CUES = 256
WARN_ABOVE_CUES = 5_000  # at about 8 ms each, the user is warned that it takes a while
SAME_MODEL_SIMILARITY = 0.99  # cosine of a cue embedded twice by one model
SOURCE_PRIORITY: tuple[CueSource, ...] = ("subtitles", "speech", "ocr")


@dataclass(frozen=True, slots=True)
class TranscriptText:
    """Cues of one source of a video, in temporal order."""

    video: Video
    source: CueSource
    cues: tuple[Cue, ...]


def load_transcript(
    catalog: Catalog, video_name: str, cue_source: CueSource | None
) -> TranscriptText:
    """Load the transcript of a video.

    Args:
        catalog: The catalog of the library.
        video_name: Path or unambiguous name of the video.
        cue_source: The source; None: the first of `SOURCE_PRIORITY` that is available.

    Raises:
        LibraryError: The name matches no video or several, or there is no such transcript.
    """
    matching_videos = videos_matching(catalog, [video_name])
    if len(matching_videos) != 1:
        match_summary = (
            f"matches {len(matching_videos)} videos"
            if matching_videos
            else "no such video in the library"
        )
        raise LibraryError(f"{video_name}: {match_summary}; use a path from `vsearch list`")
    [video] = matching_videos
    all_cues = catalog.cues_of_video(video.id)
    for candidate_source in SOURCE_PRIORITY if cue_source is None else (cue_source,):
        source_cues = tuple(cue for cue in all_cues if cue.source == candidate_source)
        if source_cues:
            return TranscriptText(video, candidate_source, source_cues)
    raise LibraryError(_explain_missing(catalog, video, cue_source))


def _explain_missing(catalog: Catalog, video: Video, cue_source: CueSource | None) -> str:
    """Return an error message that suggests how to get the transcript."""
    tried_sources = {transcript.source for transcript in catalog.transcripts([video.id])}
    missing_kind = "transcript" if cue_source is None else f"transcript from {cue_source}"
    source_remedies: dict[CueSource, str] = {
        "subtitles": "put a subtitle file next to it and run `vsearch index`",
        "speech": "run `vsearch transcribe` to transcribe speech",
        "ocr": "run `vsearch ocr` to extract on-screen text",
    }
    open_remedies = [
        source_remedies[source]
        for source in (SOURCE_PRIORITY if cue_source is None else (cue_source,))
        if source not in tried_sources or source == "subtitles"
    ]
    advice_text = ", or ".join(open_remedies) or "it was processed, and nothing was found"
    return f"{video.path} has no {missing_kind}: {advice_text}"


def embed_cues(
    catalog: Catalog, load_encoder: Callable[[], Encoder], *, check_model: bool = False
) -> int:
    """Embed the cues that have no vector yet, for semantic search.

    Vectors are committed batch by batch, so the process may be interrupted at any time.

    Args:
        catalog: The catalog of the library.
        load_encoder: Returns the library's encoder; only called if there is something to do.
        check_model: First embed a known cue again; if the encoder's output has changed, discard
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
    probe_vector = cue_index.probe_vector(space) if check_model else None
    if (
        probe_vector is not None
        and float(cue_encoder.encode_texts([probe_vector[0]])[0] @ probe_vector[1])
        < SAME_MODEL_SIMILARITY
    ):
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
