"""Following a chain of pages without being led in a circle.

Graph has given out `nextLink`s that repeat. Brent's method finds a circle of any length with one remembered link, so
that the place in the chain, with all it needs, fits into a position.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Final

MAX_PAGES: Final = 100_000


class Circular(Exception):
    """The chain of pages comes back to where it was, or does not end."""


@dataclass(frozen=True, slots=True)
class Chain:
    """How far a chain of pages was followed."""

    pages: int = 0
    remembered: str = ""

    def next(self, link: str) -> Chain:
        """The chain with one more page, which lies at `link`.

        Raises:
            Circular: the page was there before, or there are too many.
        """
        digest = hashlib.sha256(link.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        pages = self.pages + 1
        if digest == self.remembered or pages > MAX_PAGES:
            raise Circular
        if pages & (pages - 1) == 0:
            return Chain(pages, digest)
        return replace(self, pages=pages)

    def to_json(self) -> list[Any]:
        """For a position."""
        return [self.pages, self.remembered]

    @classmethod
    def from_json(cls, kept: Any) -> Chain:
        """Out of a position; a new chain where it holds none."""
        match kept:
            case [int(pages), str(remembered)]:
                return cls(pages, remembered)
            case _:
                return cls()
