"""Evidence from the names of files and folders: weak, so that it never overrules clear pictures.

A name adds at most `NAME_BOOST` standard deviations of the query's scores over the library; rare
words add more than those of many names, and words in most names add nothing. Confidences stay those
of the pictures, because nobody knows how well a library is named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vsearch.catalog.names import find_named
from vsearch.catalog.rows import split_name
from vsearch.search.fusion import sort_by_score
from vsearch.search.passages import STOP_WORDS, parse_search_terms
from vsearch.types import NameMatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.query.model import Term
    from vsearch.search.fusion import ScoreScale
    from vsearch.types import Moment

NAME_BOOST = 1.5  # standard deviations that a name of all words adds
COVERAGE_EXPONENT = 2.0  # a name of half of the words adds a quarter
COMMON_SHARE = 0.5  # of all videos; words in more names say nothing
MAX_NAMED_RESULTS = 3  # videos that only their names bring into the results
NAMED_RESULTS_SHARE = 3  # of which at least two thirds remain for pictures


@dataclass(frozen=True, slots=True)
class NameEvidence:
    """The words of a query in the name of a video, and how much they say."""

    name_match: NameMatch
    strength: float  # in [0, 1]


def rate_names(catalog: Catalog, query_terms: Iterable[Term]) -> dict[int, NameEvidence]:
    """Return the evidence of each video whose name contains words of the query, by video id.

    Args:
        catalog: The catalog.
        query_terms: Terms of the query; words of positive text terms count, except stop words.
    """
    query_text = " ".join(
        term.value for term in query_terms if term.kind == "text" and term.weight > 0
    )
    search_terms = {
        search_term.folded_text: search_term
        for search_term in parse_search_terms(
            " ".join(split_name(query_text)), exact_form=False, count_cues=lambda _: 0, cue_count=0
        )
        if search_term.folded_text not in STOP_WORDS and _is_distinctive(search_term.folded_text)
    }
    if not search_terms:
        return {}
    ids_by_word = {
        word: find_named(catalog, search_term.word_forms)
        for word, search_term in search_terms.items()
    }
    if not any(ids_by_word.values()):
        return {}
    video_count = catalog.count_videos()
    rarities: dict[str, float] = {}
    words_by_video: dict[int, list[str]] = {}
    for word, video_ids in ids_by_word.items():
        if len(video_ids) > max(1.0, COMMON_SHARE * video_count):
            continue
        rarities[word] = math.log((video_count + 1) / max(1, len(video_ids))) / math.log(
            video_count + 1
        )
        for video_id in video_ids:
            words_by_video.setdefault(video_id, []).append(word)
    total_rarity = sum(rarities.values())
    return {
        video_id: NameEvidence(
            NameMatch(tuple(words), covers_query=len(words) == len(rarities)),
            _rate_words([rarities[word] for word in words], total_rarity),
        )
        for video_id, words in words_by_video.items()
    }


def _is_distinctive(word: str) -> bool:
    """Return False for a single letter of an alphabet."""
    return len(word) > 1 or not word.isascii()


def _rate_words(rarities: Sequence[float], total_rarity: float) -> float:
    """Return the strength of found words: their coverage of the query times their mean rarity."""
    found_rarity = sum(rarities)
    coverage = (found_rarity / total_rarity) ** COVERAGE_EXPONENT
    return float(coverage * found_rarity / len(rarities))


def add_name_evidence(
    moments: Iterable[Moment],
    evidence_by_video: Mapping[int, NameEvidence],
    score_scale: ScoreScale,
) -> list[Moment]:
    """Raise the scores of moments in named videos.

    Args:
        moments: The moments.
        evidence_by_video: Evidence by video id.
        score_scale: Distribution of the query's visual scores.

    Returns:
        All moments, best first, each with its name match.
    """
    return sort_by_score(
        moment
        if (evidence := evidence_by_video.get(moment.video.id)) is None
        else replace(
            moment,
            score=moment.score + NAME_BOOST * score_scale.score_std * evidence.strength,
            explanation=replace(moment.explanation, name_match=evidence.name_match),
        )
        for moment in moments
    )


def keep_named(
    ranked_moments: Sequence[Moment], selected_moments: Sequence[Moment], k: int
) -> list[Moment]:
    """Replace the last of the selected moments by videos that are named like the query.

    Args:
        ranked_moments: All moments, best first.
        selected_moments: Those that would be returned, best first.
        k: Maximum number of results.

    Returns:
        At most `k` moments; up to `MAX_NAMED_RESULTS`, and a third of `k`, were added.
    """
    selected_ids = {moment.video.id for moment in selected_moments}
    named_by_video = {
        moment.video.id: moment
        for moment in reversed(ranked_moments)
        if moment.is_named_like_query and moment.video.id not in selected_ids
    }
    added_count = min(MAX_NAMED_RESULTS, k // NAMED_RESULTS_SHARE)
    added_moments = sort_by_score(named_by_video.values())[:added_count]
    return [*selected_moments[: k - len(added_moments)], *added_moments]
