"""The folders of a mailbox at Microsoft Graph: which there are, which are read, and how far each has been read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from sensors.connectors.email.graph_mail import Mailbox
from sensors.connectors.email.settings import ALL
from sensors.connectors.graph.client import document
from sensors.connectors.graph.paging import Chain, Circular
from sensors.connectors.pulling import Item, Permanent
from sensors.connectors.reading import JsonObject, text_at

PARENT: Final = "mail folders"
ROLES: Final = {
    "inbox": "inbox",
    "sentitems": "sent",
    "drafts": "drafts",
    "junkemail": "junk",
    "deleteditems": "trash",
    "archive": "archive",
}
"""Graph's well-known folders, and what the contract calls them."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder.

    Attributes:
        link: Where its delta goes on; None: it has to be read from its beginning.
        scan: Counts the readings from the beginning; marks what each has seen.
        full: It is being read from its beginning.
        epoch: The polling that read it.
    """

    id: str
    name: str
    role: str = "other"
    link: str | None = None
    scan: int = 0
    full: bool = True
    epoch: str = ""

    @property
    def mark(self) -> str:
        """The mark of what the last reading from the beginning, and what came after it, has shown."""
        return str(self.scan)

    def anew(self) -> Folder:
        """To be read from its beginning."""
        return replace(self, link=None, scan=self.scan + 1, full=True)

    def to_item(self) -> Item:
        """For the table of known items."""
        state = {
            "id": self.id,
            "name": self.name,
            "role": self.role,
            "link": self.link,
            "scan": self.scan,
            "full": self.full,
            "epoch": self.epoch,
        }
        return Item(f"folder:{self.id}", state, PARENT)


def from_item(item: Item) -> Folder:
    """Out of the table of known items."""
    return Folder(**item.state)


class Folders:
    """The folders of a mailbox."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def known(self) -> dict[str, Folder]:
        """Those that have been read before, by id."""
        found = (from_item(item) for item in self._mailbox.tools.known.children(PARENT))
        return {folder.id: folder for folder in found}

    def listed(self) -> tuple[Folder, ...]:
        """Those there are now and that settings name, with their roles.

        Raises:
            Permanent: there is none of them.
        """
        roles = self._roles()
        found = [Folder(id, name, roles.get(id, "other")) for id, name in self._all()]
        wanted = self._mailbox.settings.folders
        if wanted != ALL:
            names = {name.casefold() for name in wanted}
            found = [f for f in found if f.name.casefold() in names or f.role in names]
        if not found:
            raise Permanent(
                "none of the folders that settings name is in the mailbox",
                hint="Correct settings.folders; folders: all reads every folder.",
            )
        return tuple(found)

    def _all(self) -> Iterator[tuple[str, str]]:
        """Id and name of every folder, at any depth: delta gives them flat."""
        graph = self._mailbox.graph
        link: str | None = self._mailbox.address("mailFolders/delta?$select=displayName,parentFolderId")
        chain, found = Chain(), dict[str, str]()
        while link is not None:
            try:
                chain = chain.next(link)
            except Circular:
                break
            page = graph.read(link)
            for item in _values(page):
                identity = text_at(item, "id")
                if identity is not None and "@removed" not in item:
                    found[identity] = text_at(item, "displayName") or identity
            following = page.get("@odata.nextLink")
            link = following if isinstance(following, str) and graph.owns(following) else None
        yield from found.items()

    def _roles(self) -> dict[str, str]:
        roles: dict[str, str] = {}
        for well_known, role in ROLES.items():
            answer = self._mailbox.graph.ask(
                "GET", self._mailbox.address(f"mailFolders/{well_known}?$select=id"), expect=(200, 404)
            )
            identity = text_at(document(answer), "id") if answer.status == 200 else None
            if identity is not None:
                roles[identity] = role
        return roles


def _values(page: JsonObject) -> list[JsonObject]:
    values = page.get("value")
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
