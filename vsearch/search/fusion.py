"""Late fusion of visual, speech and OCR evidence into one score.

A transcript hit adds to the visual score of its moment. The gain is measured in standard deviations
of the query's scores over the library, so it weighs the same for every model. A hit that covers
the whole query outweighs any visual match; a partial hit counts little. This corresponds to adding
log-odds in a naive Bayes model; `benchmarks/bench_fusion.py` compares it with reciprocal rank
fusion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vsearch.search.calibration import MAX_CONFIDENCE
from vsearch.types import Explanation, Moment, ScoreShares, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vsearch.types import Quote, Video

TEXT_BOOST = 8.0  # standard deviations that a hit on the whole query adds
TEXT_SCORE_EXPONENT = 3.0  # a hit on half of the query counts an eighth
MIN_TEXT_SCORE = 0.4  # share of the query a hit must cover to become a moment of its own
MAX_TEXT_GAP_SECONDS = 2.0  # between a visual moment and a hit that supports it
MIN_TEXT_MOMENT_SECONDS = 1.0  # duration of a moment found by transcript
MAX_QUOTES_PER_MOMENT = 3  # shown per moment


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """Mean and standard deviation of a query's visual scores over the library."""

    baseline: float
    score_std: float


@dataclass(frozen=True, slots=True)
class TextHit:
    """A transcript passage that matches a term, with the visual score at its time."""

    video: Video
    quote: Quote
    visual_score: float = 0.0
    confidence: float | None = None  # of the visual score
    term_weight: float = 1.0  # share of the term among the text terms of the query
    term_index: int = 0  # position of the matched term in the query

    @property
    def span(self) -> Span:
        """Span of the quote, extended to at least `MIN_TEXT_MOMENT_SECONDS`."""
        end_time = max(self.quote.span.end, self.quote.span.start + MIN_TEXT_MOMENT_SECONDS)
        end_time = min(end_time, max(self.video.duration, self.quote.span.end))
        return Span(self.quote.span.start, end_time)

    @property
    def text_evidence(self) -> float:
        """Weighted evidence of this hit, in [0, 1]."""
        return float(self.term_weight * self.quote.score**TEXT_SCORE_EXPONENT)

    def is_near(self, visual_span: Span) -> bool:
        """Return True if the quote is close enough to support a visual moment."""
        return self.quote.span.overlaps(visual_span, MAX_TEXT_GAP_SECONDS)


@dataclass(frozen=True, slots=True, eq=False)
class TextHitGroup:
    """Hits at about the same time: of several terms, or of one term in speech and OCR."""

    text_hits: tuple[TextHit, ...]  # by descending evidence

    @property
    def best_hit(self) -> TextHit:
        """Hit with the most evidence."""
        return self.text_hits[0]

    @property
    def hits_by_term(self) -> list[TextHit]:
        """Best hit of each term."""
        return list(
            {text_hit.term_index: text_hit for text_hit in reversed(self.text_hits)}.values()
        )

    @property
    def span(self) -> Span:
        """Span that covers the best hit of every term."""
        hit_spans = [text_hit.span for text_hit in self.hits_by_term]
        return Span(min(span.start for span in hit_spans), max(span.end for span in hit_spans))

    @property
    def quotes(self) -> tuple[Quote, ...]:
        """Distinct quotes; one quote may match two terms."""
        return tuple(dict.fromkeys(text_hit.quote for text_hit in self.text_hits))[
            :MAX_QUOTES_PER_MOMENT
        ]

    @property
    def total_evidence(self) -> float:
        """Sum of the evidence of all terms, in [0, 1]."""
        return sum(text_hit.text_evidence for text_hit in self.hits_by_term)


def group_text_hits(text_hits: Iterable[TextHit]) -> list[TextHitGroup]:
    """Cluster hits of one video that are close in time, seeded by the strongest hits."""
    groups_by_video: dict[int, list[list[TextHit]]] = {}
    for text_hit in sorted(
        text_hits, key=lambda hit: (-hit.text_evidence, hit.span.duration, hit.span)
    ):
        video_groups = groups_by_video.setdefault(text_hit.video.id, [])
        matching_groups = (
            group_hits for group_hits in video_groups if _belongs_to_group(text_hit, group_hits)
        )
        if (hit_list := next(matching_groups, None)) is not None:
            hit_list.append(text_hit)
        else:
            video_groups.append([text_hit])
    return [
        TextHitGroup(tuple(group_hits))
        for video_groups in groups_by_video.values()
        for group_hits in video_groups
    ]


def _belongs_to_group(text_hit: TextHit, other_hits: Sequence[TextHit]) -> bool:
    """Allow a gap to hits of other terms; hits of the same term must overlap."""
    if any(text_hit.term_index == other_hit.term_index for other_hit in other_hits):
        return text_hit.quote.span.overlaps(other_hits[0].quote.span)
    return text_hit.span.overlaps(other_hits[0].span, MAX_TEXT_GAP_SECONDS)


def fuse_evidence(
    visual_moments: Sequence[Moment],
    text_hits: Sequence[TextHit],
    score_scale: ScoreScale,
    *,
    min_text_score: float = MIN_TEXT_SCORE,
) -> list[Moment]:
    """Merge visual moments and transcript hits into one ranked list.

    A hit near a visual moment adds to its score. If the hit's gain exceeds the moment's lead over
    the baseline, the hit becomes a moment of its own, because it locates the event better; the
    visual moment is dropped unless it is more than twice as long.

    Args:
        visual_moments: Moments found by frames, best first.
        text_hits: Hits with visual score and confidence set.
        score_scale: Distribution of the query's visual scores.
        min_text_score: Share of the query a hit must cover to become a moment of its own.

    Returns:
        All moments, best first.
    """
    groups_by_video: dict[int, list[TextHitGroup]] = {}
    for hit_group in group_text_hits(text_hits):
        groups_by_video.setdefault(hit_group.best_hit.video.id, []).append(hit_group)
    absorbed_groups: set[TextHitGroup] = set()  # merged into a visual moment
    standalone_groups = {
        hit_group
        for video_groups in groups_by_video.values()
        for hit_group in video_groups
        if any(text_hit.quote.score >= min_text_score for text_hit in hit_group.text_hits)
    }
    fused_moments: list[Moment] = []
    for moment in visual_moments:
        video_groups = groups_by_video.get(moment.video.id, ())
        near_groups = [
            near_group
            for near_group in video_groups
            if any(term_hit.is_near(moment.span) for term_hit in near_group.hits_by_term)
        ]
        visual_lead = max(0.0, moment.score - score_scale.baseline)
        stronger_groups = [
            near_group
            for near_group in near_groups
            if _text_gain(near_group, score_scale) > visual_lead and near_group in standalone_groups
        ]
        if stronger_groups:
            if (
                sum(near_group.span.duration for near_group in stronger_groups)
                < moment.span.duration / 2
            ):
                fused_moments.append(moment)
            continue
        fused_moments.append(
            _add_text_evidence(moment, near_groups, visual_lead, score_scale)
            if near_groups
            else moment
        )
        absorbed_groups.update(near_groups)
    fused_moments += [
        _text_moment_with_visuals(hit_group, score_scale)
        for hit_group in standalone_groups - absorbed_groups
    ]
    return sort_by_score(fused_moments)


def text_only_moments(text_hits: Sequence[TextHit]) -> list[Moment]:
    """Convert the hits of a query without visual terms into moments.

    Returns:
        Moments, best first. Score and confidence are the share of the query that was matched, in
        [0, 1].
    """
    return sort_by_score(map(_text_only_moment, group_text_hits(text_hits)))


def _text_only_moment(hit_group: TextHitGroup) -> Moment:
    best_hit = hit_group.best_hit
    text_score = sum(
        text_hit.term_weight * text_hit.quote.score for text_hit in hit_group.hits_by_term
    )
    explanation = Explanation(
        best_hit.quote.span.start,
        0.0,
        0,
        quotes=hit_group.quotes,
        score_shares=_split_score_shares(0.0, best_hit),
    )
    return Moment(
        best_hit.video, hit_group.span, text_score, min(MAX_CONFIDENCE, text_score), explanation
    )


def sort_by_score(moments: Iterable[Moment]) -> list[Moment]:
    """Sort by descending score; ties by video id, then span."""
    return sorted(moments, key=lambda moment: (-moment.score, moment.video.id, moment.span))


def _add_text_evidence(
    moment: Moment, near_groups: Sequence[TextHitGroup], visual_lead: float, score_scale: ScoreScale
) -> Moment:
    """Add the evidence of nearby hits to a visual moment."""
    text_hits = [text_hit for hit_group in near_groups for text_hit in hit_group.text_hits]
    hit_group = TextHitGroup(tuple(sorted(text_hits, key=lambda text_hit: -text_hit.text_evidence)))
    text_gain = _text_gain(hit_group, score_scale)
    visual_share = visual_lead / (visual_lead + text_gain) if visual_lead + text_gain > 0 else 0.0
    explanation = replace(
        moment.explanation,
        quotes=hit_group.quotes,
        score_shares=_split_score_shares(visual_share, hit_group.best_hit),
    )
    confidence = _combine_confidence(moment.confidence, hit_group)
    return replace(
        moment, score=moment.score + text_gain, confidence=confidence, explanation=explanation
    )


def _text_moment_with_visuals(hit_group: TextHitGroup, score_scale: ScoreScale) -> Moment:
    """Make a moment of a hit group, on top of its visual score."""
    best_hit = hit_group.best_hit
    best_visual_hit = max(hit_group.text_hits, key=lambda text_hit: text_hit.visual_score)
    text_gain = _text_gain(hit_group, score_scale)
    visual_lead = max(0.0, best_visual_hit.visual_score - score_scale.baseline)
    score_shares = _split_score_shares(
        visual_lead / (visual_lead + text_gain) if visual_lead + text_gain > 0 else 0.0, best_hit
    )
    explanation = Explanation(
        best_hit.quote.span.start,
        best_visual_hit.visual_score,
        0,
        quotes=hit_group.quotes,
        score_shares=score_shares,
    )
    confidence = _combine_confidence(best_visual_hit.confidence, hit_group)
    return Moment(
        best_hit.video,
        hit_group.span,
        best_visual_hit.visual_score + text_gain,
        confidence,
        explanation,
    )


def _text_gain(hit_group: TextHitGroup, score_scale: ScoreScale) -> float:
    return float(TEXT_BOOST * score_scale.score_std * hit_group.total_evidence)


def _combine_confidence(visual_confidence: float | None, hit_group: TextHitGroup) -> float:
    """Combine both as independent evidence (noisy-or)."""
    miss_probability = (1 - (visual_confidence or 0.0)) * (1 - hit_group.total_evidence)
    return float(min(MAX_CONFIDENCE, 1 - miss_probability))


def _split_score_shares(visual_share: float, text_hit: TextHit) -> ScoreShares:
    is_ocr = text_hit.quote.source == "ocr"
    return ScoreShares(
        visual_share, 0.0 if is_ocr else 1 - visual_share, 1 - visual_share if is_ocr else 0.0
    )
