"""Where the vectors of an index come from when it is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vsearch.types import Ids, Matrix


@dataclass(frozen=True, slots=True)
class Source:
    """The vectors of a library: looked at twice, never all in memory."""

    count: int  # about
    sample: Callable[[int], Matrix]  # at most so many, drawn evenly, float32 (M, D)
    batches: Callable[[], Iterator[tuple[Ids, Matrix]]]  # ascending by id, float32 (N, D)
    questions: Callable[[], Matrix]  # that are usually asked, float32 (Q, D); there may be none
