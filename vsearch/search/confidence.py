"""How probable it is that what was found is what was asked, in one library."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vsearch.search.background import SAMPLE
from vsearch.search.calibration import SURE, Calibration, calibration
from vsearch.search.texts import GenericTexts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.catalog.repository import Catalog
    from vsearch.protocols import Encoder
    from vsearch.search.current import Current
    from vsearch.search.fusion import Place
    from vsearch.search.querybank import Querybank
    from vsearch.types import Ids, Matrix, Moment, Term

SEEN = ("text", "image", "clip")  # kinds of terms that are looked for in pictures


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """A calibration, and what it was made for."""

    ids: Ids
    encoder: Encoder
    form: tuple[tuple[bool, float], ...]  # of the terms: whether in words, and the weight
    size: int
    made: Calibration | None


class Confidence:
    """Tells confidences. Safe to use from several threads; what was measured last is kept."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        """`folder` is where the model's reading of generic texts is kept: a cache."""
        self._catalog, self._texts = catalog, GenericTexts(folder)
        self._known: _Known | None = None
        self._lock = threading.Lock()

    def calibration(
        self,
        terms: Sequence[Term],
        encoder: Encoder,
        current: Current,
        sample: Matrix,
        bank: Querybank,
        among: Ids | None,
    ) -> Calibration | None:
        """For a query of these terms; None where none can be had.

        Terms that ask for words in a video are passed over. `sample` and `bank` are those of the
        engine, `among` the segments that are searched, None: all.
        """
        seen = [term for term in terms if term.kind in SEEN]
        form = tuple((term.kind == "text", term.weight) for term in seen)
        size = len(current.ids if among is None else among)
        with self._lock:
            known = self._known
        if (
            known is None
            or known.ids is not current.ids
            or known.encoder is not encoder
            or (known.form, known.size) != (form, size)
        ):
            made = self._measured(seen, encoder, current, sample, bank, size)
            known = _Known(current.ids, encoder, form, size, made)
            with self._lock:
                self._known = known
        return known.made

    def _measured(
        self,
        terms: Sequence[Term],
        encoder: Encoder,
        current: Current,
        sample: Matrix,
        bank: Querybank,
        size: int,
    ) -> Calibration | None:
        if not terms:
            return None
        words = any(term.kind == "text" for term in terms)
        texts = self._texts.of(encoder) if words else None
        ids = current.ids[:: max(1, -(-len(current.ids) // SAMPLE))]
        if len(ids) != len(sample):  # a segment without a vector
            ids, sample = self._catalog.vectors(ids, current.space)
        return calibration(terms, texts, sample, self._catalog.videos_of(ids), bank, size)


def told(found: Sequence[Moment], calibrated: Calibration | None) -> list[Moment]:
    """The moments with their confidence; a copy that was seen to be one is as sure as can be.

    Without a calibration only copies have one.
    """
    others = [moment.score for moment in found if not moment.why.copy]
    chances = iter(calibrated.confidences(others) if calibrated else [None] * len(others))
    return [
        replace(moment, confidence=SURE if moment.why.copy else next(chances)) for moment in found
    ]


def sure(
    places: Sequence[Place], found: Sequence[Moment], calibrated: Calibration | None
) -> list[Place]:
    """The places of words with the confidence of their pictures, beside moments of pictures."""
    if calibrated is None:
        return list(places)
    best = max((moment.score for moment in found), default=0.0)
    chances = calibrated.confidences([*(place.seen for place in places), best])
    pairs = zip(places, chances, strict=False)  # the last one is of the best
    return [replace(place, confidence=chance) for place, chance in pairs]
