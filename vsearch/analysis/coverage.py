"""How well everything is shown by a few, and the few that show most within a budget.

Whatever is to be shown is shown as well as by the best of those that were chosen: a facility
location. It is monotone and submodular, what is like something chosen already adds little, so that
greedy choice gives what represents and differs at once (Lin & Bilmes 2011, "A Class of Submodular
Functions for Document Summarization"; for videos Gygli et al. 2015, "Video Summarization by
Learning Submodular Mixtures of Objectives").
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Shown = npt.NDArray[np.float32]  # (N, C) in [0, 1]: how well candidate c shows n
Weights = npt.NDArray[np.float32]  # (N,) not negative

_NOTHING = 1e-6  # of all there is to show: a smaller gain is none
_ROUNDED = 1e-9  # seconds that sums may be off


class Coverage:
    """What a choice of candidates is worth: 1 where everything is shown as it is."""

    def __init__(self, shown: Shown, weights: Weights) -> None:
        self._shown, self._weights = shown, weights / max(float(weights.sum()), 1e-12)

    def value(self, chosen: Iterable[int]) -> float:
        """The worth of some candidates, in [0, 1]."""
        indices = list(chosen)
        if not indices:
            return 0.0
        return min(1.0, float(self._weights @ self._shown[:, indices].max(axis=1)))

    def choose(self, costs: Sequence[float], budget: float) -> list[int]:
        """Candidates that are worth most while their costs do not exceed the budget, best first.

        The better one of two greedy choices, by gain and by gain for its cost: at least half of
        1 - 1/e of the best there is (Leskovec et al. 2007, "Cost-effective Outbreak Detection in
        Networks"). Who adds nothing is not chosen.
        """
        plain = self._greedy(costs, budget, [1.0] * len(costs))
        thrifty = self._greedy(costs, budget, [max(cost, _ROUNDED) for cost in costs])
        return max(thrifty, plain, key=self.value)

    def _greedy(self, costs: Sequence[float], budget: float, prices: Sequence[float]) -> list[int]:
        """Always who gains most for its price; what is known to gain less is not asked again."""
        best = np.zeros(len(self._weights), np.float32)  # (N,) how well each is shown so far
        gains = self._weights @ self._shown  # (C,)
        queue = [
            (-float(gain) / price, c, 0)
            for c, (gain, price) in enumerate(zip(gains, prices, strict=True))
        ]
        heapq.heapify(queue)
        chosen: list[int] = []
        while queue:
            worth, c, asked = heapq.heappop(queue)
            if costs[c] > budget + _ROUNDED:
                continue
            if asked < len(chosen):  # its gain has shrunk since
                gain = float(self._weights @ np.maximum(self._shown[:, c] - best, 0))
                heapq.heappush(queue, (-gain / prices[c], c, len(chosen)))
            elif -worth * prices[c] <= _NOTHING:
                continue
            else:
                chosen.append(c)
                budget -= costs[c]
                np.maximum(best, self._shown[:, c], out=best)
        return chosen
