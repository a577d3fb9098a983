"""The steps of a round, each of which becomes one page: read, sweep, settle. No request is made here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from batuta.landing.model import Delivery
from sensors.connectors.graph.paging import Chain, Circular
from sensors.connectors.onedrive.changes import Announcer, buried, kind_of
from sensors.connectors.onedrive.place import Place
from sensors.connectors.onedrive.tree import Node, Tree, from_item, read_item
from sensors.connectors.pulling import Known, Page
from sensors.connectors.reading import JsonObject

CHANGES_AT_MOST: Final = 2000
"""How many items one page of sweeping or settling changes; what is left comes with the next."""


@dataclass(frozen=True, slots=True)
class NextPage:
    """Where pages may lie: the beginning of a full enumeration, and which links may be followed."""

    start: str
    owns: Callable[[object], bool]


class Round:
    """One step of a round, from a place; `place` is where it has led to, `over` whether the round has ended."""

    def __init__(self, announcer: Announcer, known: Known, place: Place) -> None:
        self.place = place
        self.over = False
        self._announcer = announcer
        self._known = known
        self._tree = Tree(known, announcer.settings.root)
        self._deliveries: list[Delivery] = []
        # In the order in which they came, each once.
        self._held = dict.fromkeys(place.held)

    def anew(self, link: str, why: str) -> Page:
        """A page that begins a full enumeration."""
        self.place = self.place.anew(link)
        return self._page(note=why)

    def read(self, page: JsonObject, following: NextPage) -> Page:
        """One page of Graph's; of an item that is listed twice the last one counts."""
        values = page.get("value")
        listed = [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
        found = (read_item(item, self.place.drive, self.place.mark) for item in listed)
        nodes = {node.id: node for node in found if node is not None}
        self._tree.load({*nodes, *(node.parent for node in nodes.values() if node.parent is not None)})
        for node in sorted(nodes.values(), key=_folders_first):
            self._take(node)
        self._deliveries += self._announcer.unchanged(len(listed) - len(self._deliveries))
        note = self._move_on(page, following)
        return self._page(counted=len(listed), note=note)

    def sweep(self) -> Page:
        """Delete what the full enumeration has not shown."""
        for item in self._known.all():
            if len(self._tree) >= CHANGES_AT_MOST:
                return self._page()
            node = from_item(item)
            if node.drive != self.place.drive:
                self._tree.forget(node.id)
            elif node.mark == self.place.mark or node.gone:
                continue
            elif node.folder:
                self._tree.forget(node.id)
                self.place = replace(self.place, orphans=True)
            else:
                self._delete(node)
        self.place = replace(self.place, phase="settle")
        return self._page()

    def settle(self) -> Page:
        """Announce what follows from changed folders, and what waited for one; the round ends when nothing is left."""
        steps = (self._settle_gone, self._settle_moved, self._settle_held)
        while any(step() for step in steps):
            if len(self._tree) >= CHANGES_AT_MOST:
                return self._page()
        self.over = True
        self.place = replace(self.place, phase="read", full=False, chain=Chain(), resyncs=0)
        return self._page()

    def _take(self, node: Node) -> None:
        """Know an item as Graph tells it, and announce what that means for a file."""
        before = self._tree.get(node.id)
        alive = before is not None and not before.gone
        if self._announcer.settings.saved and before is not None and _is_older(node, before):
            return
        if node.gone:
            if alive and before is not None:
                self._remove(before)
            return
        if before is not None:
            node = replace(node, said=before.said, events=before.events, lives=before.lives)
        self._tree.put(node)
        if not node.folder:
            self._announce(node, node.modified, complete=False)
        elif self._below_may_change(node, before):
            self.place = replace(self.place, moved=(*self.place.moved, (node.id, node.modified)))

    def _below_may_change(self, node: Node, before: Node | None) -> bool:
        """Whether paths below a folder may be others than were announced."""
        if before is None:
            return self.place.orphans
        return before.gone or (before.name, before.parent, before.root) != (node.name, node.parent, node.root)

    def _remove(self, before: Node) -> None:
        if before.folder:
            self._tree.put(replace(before, gone=True))
            self.place = replace(self.place, gone=(*self.place.gone, before.id))
        else:
            self._delete(before)

    def _delete(self, node: Node) -> None:
        """Announce that a file is gone, as it was last announced; of one that never was nothing is told."""
        if node.said is not None:
            last = replace(node, hash=node.said.hash, size=node.said.size, modified=node.said.modified)
            self._tell(*self._announcer.change(last, "deleted", node.said.path, None))
        elif node.events:
            self._tree.put(buried(node))
        else:
            self._tree.forget(node.id)

    def _announce(self, node: Node, at: str | None, *, complete: bool) -> None:
        """Announce what has changed of a file; it is held where its path cannot be known yet."""
        path = self._tree.path(node)
        if path is None and not complete:
            self._held[node.id] = None
            return
        if path is None:
            self.place = replace(self.place, orphans=True)
            path = self._tree.path_as_known(node)
        kind = kind_of(node, path)
        if kind is not None:
            self._tell(*self._announcer.change(node, kind, path, at))

    def _tell(self, delivery: Delivery, node: Node) -> None:
        self._deliveries.append(delivery)
        self._tree.put(node)

    def _settle_gone(self) -> bool:
        """Delete what lies in one deleted folder."""
        if not self.place.gone:
            return False
        id, *others = self.place.gone
        folder = self._tree.get(id)
        if folder is not None and folder.gone:
            for child in self._tree.children(id):
                if len(self._tree) >= CHANGES_AT_MOST:
                    self.place = replace(self.place, gone=(id, *others))
                    return True
                if child.folder:
                    others.append(child.id)
                    self._tree.put(replace(child, gone=True))
                else:
                    self._delete(child)
            self._tree.forget(id)
        self.place = replace(self.place, gone=tuple(others))
        return True

    def _settle_moved(self) -> bool:
        """Announce the paths of what lies in one folder that was renamed or moved."""
        if not self.place.moved:
            return False
        (id, at), *others = self.place.moved
        folder = self._tree.get(id)
        if folder is not None and not folder.gone:
            below: list[tuple[str, str | None]] = []
            for child in self._tree.children(id):
                if len(self._tree) >= CHANGES_AT_MOST:
                    return True
                if child.folder:
                    below.append((child.id, at))
                else:
                    self._announce(child, at if child.said is not None else child.modified, complete=True)
            others = [*below, *others]
        self.place = replace(self.place, moved=tuple(others))
        return True

    def _settle_held(self) -> bool:
        """Announce one file that waited for its folder; without one it stands below the root until that comes."""
        if not self._held:
            return False
        id = next(iter(self._held))
        node = self._tree.get(id)
        if node is not None and not node.gone:
            self._announce(node, node.modified, complete=True)
        del self._held[id]
        return True

    def _move_on(self, page: JsonObject, following: NextPage) -> str | None:
        """Go on to the page that comes next; why the enumeration must begin anew, if it must."""
        link = page.get("@odata.nextLink")
        if link is None:
            return self._end_of_pages(page.get("@odata.deltaLink"), following)
        if not (isinstance(link, str) and following.owns(link)):
            self.place = self.place.anew(following.start)
            return "Graph's link to the next page leads nowhere; a full enumeration begins"
        try:
            chain = self.place.chain.next(link)
        except Circular:
            self.place = self.place.anew(following.start)
            return "Graph's pages lead in a circle; a full enumeration begins"
        self.place = replace(self.place, link=link, chain=chain)
        return None

    def _end_of_pages(self, link: Any, following: NextPage) -> str | None:
        if not (isinstance(link, str) and following.owns(link)):
            self.place = self.place.anew(following.start)
            return "Graph gave no link to the next changes; a full enumeration begins"
        self.place = replace(self.place, link=link, phase="sweep" if self.place.full else "settle")
        return None

    def _page(self, *, counted: int | None = None, note: str | None = None) -> Page:
        self.place = replace(self.place, held=tuple(self._held))
        return Page(
            tuple(self._deliveries), self.place.to_json(), self._tree.changes, counted=counted, note=note
        )


def _is_older(node: Node, known: Node) -> bool:
    """Whether an item was modified before its known state; times of one source are of one form."""
    return not node.gone and node.modified is not None and node.modified < (known.modified or "")


def _folders_first(node: Node) -> tuple[bool, bool]:
    """Folders before files, so that paths are known; what is gone last, so that a move is none."""
    return (node.gone, not node.folder)
