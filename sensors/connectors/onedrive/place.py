"""Where the reading of a drive stands, as its position keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from sensors.connectors.graph.paging import Chain

Phase: TypeAlias = Literal["read", "sweep", "settle"]
RESYNCS_AT_MOST: Final = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A position.

    A round reads the pages of a delta, sweeps what a full enumeration did not show, and settles what follows from
    changed folders; then the next round begins with the `link` that ended it.

    Attributes:
        of: The drive as settings name it.
        drive: Its id.
        link: What is to be read next: while `phase` is not `read`, in the next round.
        scan: Counts the full enumerations; marks what each has seen.
        full: The round is a full enumeration.
        gone: Folders that were deleted in this round and whose children have not been seen to.
        moved: Folders (id, time) below which paths may have changed.
        held: Files that could not be announced because a folder above them was not known yet.
        orphans: Files were announced below the root for want of their folder, which may yet come.
        resyncs: Full enumerations begun since a round last came to its end.
    """

    of: str
    drive: str
    link: str
    scan: int = 1
    full: bool = True
    phase: Phase = "read"
    chain: Chain = field(default_factory=Chain)
    gone: tuple[str, ...] = ()
    moved: tuple[tuple[str, str | None], ...] = ()
    held: tuple[str, ...] = ()
    orphans: bool = False
    resyncs: int = 0

    @property
    def mark(self) -> str:
        """The mark of what the last full enumeration, and what came after it, has shown."""
        return str(self.scan)

    def anew(self, link: str) -> Place:
        """A full enumeration from `link` on; what is still to be settled is kept."""
        return replace(
            self,
            link=link,
            scan=self.scan + 1,
            full=True,
            phase="read",
            chain=Chain(),
            resyncs=self.resyncs + 1,
        )

    def to_json(self) -> dict[str, Any]:
        """For a position."""
        return {
            "of": self.of,
            "drive": self.drive,
            "link": self.link,
            "scan": self.scan,
            "full": self.full,
            "phase": self.phase,
            "chain": self.chain.to_json(),
            "gone": list(self.gone),
            "moved": [list(entry) for entry in self.moved],
            "held": list(self.held),
            "orphans": self.orphans,
            "resyncs": self.resyncs,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Place:
        """Out of a position."""
        return cls(
            **{name: kept[name] for name in ("of", "drive", "link", "scan", "full", "phase")},
            chain=Chain.from_json(kept["chain"]),
            gone=tuple(kept["gone"]),
            moved=tuple((id, at) for id, at in kept["moved"]),
            held=tuple(kept["held"]),
            orphans=kept["orphans"],
            resyncs=kept["resyncs"],
        )
