"""What the log believes of a folder: which messages are in it, with which flags; kept as one known item.

Every page moves the belief a step towards what the server has, and is committed with it. So a poll may stop anywhere,
and a server may answer as it likes: what is still different is done by the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sensors.connectors.email.uids import EMPTY, UidSet
from sensors.connectors.pulling import Item

FOLDERS: Final = "folders"
"""The parent of the items of folders."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What the log has of one folder under one UIDVALIDITY.

    Attributes:
        name: The folder's name.
        role: Its role, as the contract calls it.
        epoch: The polling it belongs to; one that began anew believes nothing.
        validity: UIDVALIDITY; None: never opened.
        uids: The messages that are there by the log's account.
        flags: Which of them have which flag.
        modseq: Up to which modification sequence all this is complete; None: it is not, or the server has none.
        changes: How many changes of flags were seen, to tell apart those that are alike.
    """

    name: str
    role: str
    epoch: str
    validity: int | None = None
    uids: UidSet = EMPTY
    flags: Mapping[str, UidSet] = field(default_factory=dict[str, UidSet])
    modseq: int | None = None
    changes: int = 0

    def item(self) -> Item:
        """The belief as it is kept."""
        state = {
            "role": self.role,
            "epoch": self.epoch,
            "validity": self.validity,
            "uids": str(self.uids),
            "flags": {name: str(uids) for name, uids in self.flags.items() if uids},
            "modseq": self.modseq,
            "changes": self.changes,
        }
        return Item(id=folder_id(self.name), state=state | {"name": self.name}, parent=FOLDERS)

    @classmethod
    def of(cls, item: Item) -> Belief:
        """The belief in an item."""
        state = item.state
        return cls(
            name=state["name"],
            role=state["role"],
            epoch=state["epoch"],
            validity=state["validity"],
            uids=UidSet.parse(state["uids"]),
            flags={name: UidSet.parse(uids) for name, uids in state["flags"].items()},
            modseq=state["modseq"],
            changes=state["changes"],
        )

    def flags_of(self, uid: int) -> tuple[str, ...]:
        """The flags a message has by the log's account; sorted."""
        return tuple(sorted(name for name, uids in self.flags.items() if uid in uids))

    def flags_with(self, found: Mapping[int, Iterable[str]]) -> dict[str, UidSet]:
        """The flags, with these messages' as they were found."""
        touched = UidSet.of(found)
        now: dict[str, list[int]] = {}
        for uid, names in found.items():
            for name in names:
                now.setdefault(name, []).append(uid)
        return {
            name: (self.flags.get(name, UidSet()) - touched) | UidSet.of(now.get(name, ()))
            for name in {*self.flags, *now}
        }

    def flags_without(self, gone: UidSet) -> dict[str, UidSet]:
        """The flags without these messages."""
        return {name: uids - gone for name, uids in self.flags.items()}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the server has of an opened folder, held against a belief.

    Attributes:
        arrived: Messages the log does not have.
        gone: Messages it has and the server has not.
        changed: New flags of messages both have, with what tells this change from others, if the server has that.
    """

    arrived: UidSet
    gone: UidSet
    changed: Mapping[int, tuple[tuple[str, ...], int | None]]


def folder_id(name: str) -> str:
    """The id of a folder's item."""
    return f"folder:{name}"


def content_id(digest: str) -> str:
    """The id of the item that says where a content was received first."""
    return f"content:{digest}"


def changed_flags(
    belief: Belief, live: UidSet, now: Mapping[str, UidSet]
) -> dict[int, tuple[tuple[str, ...], int | None]]:
    """New flags of messages that stay, from the sets of those that have each flag."""
    touched = UidSet()
    for name in {*belief.flags, *now}:
        before, after = belief.flags.get(name, UidSet()), now.get(name, UidSet())
        touched |= (before - after) | (after - before)
    staying = touched & belief.uids & live
    return {uid: (tuple(sorted(name for name, uids in now.items() if uid in uids)), None) for uid in staying}
