"""Sets of UIDs as IMAP writes them: ranges, so that a mailbox of a hundred thousand messages is a short text."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeAlias

_LARGEST: Final = 2**32 - 1
_RANGE: Final = re.compile(r"([0-9]{1,10})(?::([0-9]{1,10}))?")
_Range: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class UidSet:
    """A set of UIDs; `ranges` are (first, last), ascending, neither touching nor overlapping."""

    ranges: tuple[_Range, ...] = ()

    @classmethod
    def of(cls, uids: Iterable[int]) -> UidSet:
        """The set of these UIDs; what can be no UID is left out."""
        return cls(_joined(sorted((uid, uid) for uid in uids if 0 < uid <= _LARGEST)))

    @classmethod
    def parse(cls, text: str) -> UidSet:
        """Read a sequence set (RFC 9051, 9) without `*`; a range may stand the wrong way round.

        Raises:
            ValueError: the text is none.
        """
        ranges: list[_Range] = []
        for piece in text.split(",") if text else ():
            match = _RANGE.fullmatch(piece)
            if match is None:
                raise ValueError("not a sequence set")
            first, last = int(match[1]), int(match[2] or match[1])
            ranges.append((max(1, min(first, last)), min(_LARGEST, max(first, last))))
        return cls(_joined(sorted(ranges)))

    def __str__(self) -> str:
        return ",".join(f"{first}" if first == last else f"{first}:{last}" for first, last in self.ranges)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)

    def __contains__(self, uid: int) -> bool:
        index = bisect_right(self.ranges, (uid, _LARGEST)) - 1
        return index >= 0 and self.ranges[index][0] <= uid <= self.ranges[index][1]

    def __or__(self, other: UidSet) -> UidSet:
        return UidSet(_joined(sorted((*self.ranges, *other.ranges))))

    def __and__(self, other: UidSet) -> UidSet:
        return self - (self - other)

    def __sub__(self, other: UidSet) -> UidSet:
        left: list[_Range] = []
        away = iter(other.ranges)
        taken = next(away, None)
        for first, last in self.ranges:
            start = first
            while taken is not None and taken[0] <= last:
                if taken[0] > start:
                    left.append((start, taken[0] - 1))
                start = max(start, taken[1] + 1)
                if taken[1] > last:
                    break
                taken = next(away, None)
            if start <= last:
                left.append((start, last))
        return UidSet(tuple(left))

    def chunks(self, most: int) -> Iterator[UidSet]:
        """The set in pieces of at most so many UIDs, ascending."""
        uids = iter(self)
        while piece := tuple(islice(uids, most)):
            yield UidSet.of(piece)


EMPTY: Final = UidSet()


def _joined(ranges: Iterable[_Range]) -> tuple[_Range, ...]:
    """Sorted ranges, those that touch or overlap made one."""
    joined: list[_Range] = []
    for first, last in ranges:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)
