"""Backfill of a drive: a full enumeration, of which the files last modified within the window are handed over.

A drive keeps states, not changes: what was deleted, and what came between two states, cannot be had. Known items are
read, never changed, so that a poll may run beside it; what it has told already is left out, what it will tell has the
same id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote, unquote

from batuta.landing.model import Delivery
from sensors.connectors.graph.client import Graph, document
from sensors.connectors.graph.paging import Chain, Circular
from sensors.connectors.onedrive.changes import Announcer, kind_of
from sensors.connectors.onedrive.settings import OneDriveSettings
from sensors.connectors.onedrive.tree import Node, Tree, read_item
from sensors.connectors.pulling import Account, Page, SourceFailed, Tools, Window
from sensors.connectors.reading import JsonObject, moment_at, object_at, text_at

_DEEPEST: Final = 1000
_ROOT: Final = "root:"


@dataclass(slots=True)
class Reading:
    """One backfill of one drive; `start` is where an enumeration of it begins."""

    account: Account
    settings: OneDriveSettings
    graph: Graph
    tools: Tools
    drive: str
    start: str
    _folders: dict[str, Node] = field(default_factory=dict[str, Node])
    _paths: dict[str, str] = field(default_factory=dict[str, str])

    def pages(self, span: Window, position: Any) -> Iterator[Page]:
        """The pages from a position on, which is a link and the chain that led to it.

        Raises:
            SourceFailed: the pages lead in a circle.
        """
        link, chain = self.start, Chain()
        if isinstance(position, dict):
            if "link" not in position:
                return
            link, chain = position["link"], Chain.from_json(position.get("chain"))
        while self.tools.time_left() > 0:
            answer = self.graph.ask("GET", link, expect=(200, 410))
            if answer.status == 410:
                link, chain = self.start, Chain()
                yield Page((), {"link": link, "chain": chain.to_json()}, note="the enumeration begins anew")
                continue
            page = document(answer)
            following = page.get("@odata.nextLink")
            if not (isinstance(following, str) and self.graph.owns(following)):
                yield self._page(page, span, {})
                return
            try:
                chain = chain.next(following)
            except Circular:
                raise SourceFailed(
                    "Microsoft Graph leads in a circle through the drive",
                    hint="Run the backfill again later.",
                ) from None
            link = following
            yield self._page(page, span, {"link": link, "chain": chain.to_json()})

    def _page(self, page: JsonObject, span: Window, position: dict[str, Any]) -> Page:
        announcer = Announcer(self.account, self.settings, self.tools.clock())
        tree = Tree(self.tools.known, self.settings.root)
        values = page.get("value")
        listed = [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
        nodes = {node.id: node for item in listed if (node := read_item(item, self.drive, None)) is not None}
        tree.load(nodes)
        self._folders |= {id: node for id, node in nodes.items() if node.folder}
        meant = [node for node in nodes.values() if not node.folder and not node.gone and _within(node, span)]
        told = (self._delivery(announcer, tree, node) for node in meant)
        deliveries = tuple(delivery for delivery in told if delivery is not None)
        rest = announcer.unchanged(len(listed) - len(deliveries))
        return Page((*deliveries, *rest), position, counted=len(listed))

    def _delivery(self, announcer: Announcer, tree: Tree, node: Node) -> Delivery | None:
        """The state of a file as the poll will tell it, with the same id; None if it has told it already."""
        known = tree.get(node.id)
        path = f"{self._folder_path(tree, node.parent)}/{node.name}"
        if known is not None:
            node = replace(node, said=known.said, events=known.events, lives=known.lives)
        if node.said is not None and node.said.version == node.version:
            return None
        kind = kind_of(node, path)
        return announcer.change(node, kind, path, node.modified)[0] if kind is not None else None

    def _folder_path(self, tree: Tree, id: str | None) -> str:
        """Where a folder lies: by this enumeration, by what is known, or by asking Graph for it."""
        if id is None:
            return self.settings.root
        if id not in self._paths:
            self._paths[id] = self._find_path(tree, id)
        return self._paths[id]

    def _find_path(self, tree: Tree, id: str) -> str:
        names: list[str] = []
        here: str | None = id
        for _ in range(_DEEPEST):
            node = (self._folders.get(here) or tree.get(here)) if here is not None else None
            if node is None or node.gone:
                break
            if node.root:
                return "/".join((self.settings.root, *names))
            names.insert(0, node.name)
            here = node.parent
        above = self._asked_path(here) if here is not None else self.settings.root
        return "/".join((above, *names))

    def _asked_path(self, id: str) -> str:
        """The path that Graph itself gives, which it does outside of delta."""
        url = self.graph.address(f"drives/{quote(self.drive)}/items/{quote(id)}")
        answer = self.graph.ask("GET", f"{url}?$select=id,name,root,parentReference", expect=(200, 404))
        item = document(answer) if answer.status == 200 else {}
        name = text_at(item, "name")
        if name is None or "root" in item:
            return self.settings.root
        above = unquote((text_at(object_at(item, "parentReference"), "path") or "").partition(_ROOT)[2])
        return "/".join((self.settings.root, *(part for part in above.split("/") if part), name))


def _within(node: Node, span: Window) -> bool:
    moment = moment_at({"modified": node.modified}, "modified")
    return moment is not None and span.start <= moment < span.end
