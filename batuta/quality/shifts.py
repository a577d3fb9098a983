"""Whether values of late are spread as they used to be: the two-sample Kolmogorov-Smirnov test, with a floor. Pure.

The greatest distance between the two cumulative shares is compared with its bound by chance (Smirnov's asymptotic one).
With tens of thousands of values any difference is significant, so a shift must also be large enough to matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

FALSE_ALARM: Final = 1e-4
"""How often chance alone exceeds the bound, for one comparison."""
LEAST_DISTANCE: Final = 0.1
FEWEST: Final = 30
"""With fewer values on either side nothing is concluded."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far two samples are apart, and from where on that is no chance.

    Attributes:
        distance: Greatest difference of the cumulative shares, 0 to 1.
        bound: What chance and the floor allow.
        at: The value where the distance is greatest.
        grew: Whether the recent values are larger there.
        recent: How many recent values there are.
        before: How many earlier ones.
    """

    distance: float
    bound: float
    at: float
    grew: bool
    recent: int
    before: int

    @property
    def is_alarm(self) -> bool:
        """Whether the values have shifted."""
        return self.distance > self.bound


def shift(counted: Iterable[tuple[float, int, int]]) -> Shift | None:
    """Compare two samples; None where either is too small.

    Args:
        counted: Each value once, with how often it is among the recent and among the earlier ones.
    """
    values = sorted(counted)
    recent, before = sum(r for _, r, _ in values), sum(b for _, _, b in values)
    if min(recent, before) < FEWEST:
        return None
    below_recent = below_before = 0
    distance, at, grew = 0.0, values[0][0], False
    for value, of_recent, of_before in values:
        below_recent += of_recent
        below_before += of_before
        difference = below_before / before - below_recent / recent
        if abs(difference) > distance:
            distance, at, grew = abs(difference), value, difference > 0
    chance = math.sqrt(-math.log(FALSE_ALARM / 2) / 2 * (recent + before) / (recent * before))
    return Shift(distance, max(LEAST_DISTANCE, chance), at, grew, recent, before)
