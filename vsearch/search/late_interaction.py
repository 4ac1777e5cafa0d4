"""Late interaction: score a segment by its frames instead of by one pooled vector.

A pooled vector blurs what only some frames show, and the best frame alone is a matter of luck. The
log-mean-exp of the frame scores lies between their mean and their maximum. A share of the mean over
the surroundings is added, as a match is more likely where they match, too. Reading frames is only
affordable for the candidates that the pooled vectors retrieve. `benchmarks/bench_ranking.py`
compares the result with simpler rankings.

Source: Khattab and Zaharia, "ColBERT: Efficient and Effective Passage Search via Contextualized
Late Interaction over BERT", 2020 (with a maximum over tokens).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vsearch.types import Span

if TYPE_CHECKING:
    from vsearch.types import Features, Vector

INVERSE_TEMPERATURE = 20.0  # 0 would be the mean, infinity the best frame
CONTEXT_SECONDS = 8.0  # before and after the segment
CONTEXT_SHARE = 0.25  # of the score; these three were chosen on queries of all kinds


def context_span(segment_span: Span) -> Span:
    """Return the span of a segment and its surroundings."""
    return Span(max(0.0, segment_span.start - CONTEXT_SECONDS), segment_span.end + CONTEXT_SECONDS)


def score_segment(frame_features: Features, segment_span: Span, query_vector: Vector) -> float:
    """Score a segment by the similarities of its frames, and of those around it, to a query.

    Args:
        frame_features: Stored frames that cover the context span of the segment, at least one.
        segment_span: The segment, in seconds.
        query_vector: float32 (D,) of unit length.
    """
    context_frames = frame_features.within(context_span(segment_span))
    similarities = context_frames.frame_vectors @ query_vector
    is_inside = (context_frames.frame_times >= segment_span.start) & (
        context_frames.frame_times < segment_span.end
    )
    segment_similarities = similarities[is_inside] if is_inside.any() else similarities
    best_similarity = float(segment_similarities.max())
    weights = np.exp(INVERSE_TEMPERATURE * (segment_similarities - best_similarity))
    segment_score = best_similarity + float(np.log(weights.mean())) / INVERSE_TEMPERATURE
    return (1 - CONTEXT_SHARE) * segment_score + CONTEXT_SHARE * float(similarities.mean())
