"""From what is known of a file to the change that is announced, and the delivery it travels in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias

import orjson

from batuta.events.event import format_time
from batuta.landing.model import Delivery
from sensors.connectors.onedrive import CHANGE, UNCHANGED
from sensors.connectors.onedrive.settings import OneDriveSettings
from sensors.connectors.onedrive.tree import Node
from sensors.connectors.pulling import Account

Kind: TypeAlias = Literal["created", "updated", "renamed", "deleted"]


def kind_of(node: Node, path: str) -> Kind | None:
    """What has happened to a file since it was last announced; None if nothing that counts.

    A file whose content and path have both changed is `updated`, with its previous path.
    """
    if node.said is None:
        return "created"
    if not node.same_content(node.said):
        return "updated"
    return "renamed" if node.said.path != path else None


@dataclass(frozen=True, slots=True)
class Announcer:
    """Writes changes as deliveries of an account."""

    account: Account
    settings: OneDriveSettings
    now: datetime

    def change(self, node: Node, kind: Kind, path: str, at: str | None) -> tuple[Delivery, Node]:
        """The delivery of a change, and the file as it is known once that is told.

        Args:
            node: The file as Graph tells it now; of a deleted one what was known.
            kind: What happened.
            path: Where it is; of a deleted one, where it was.
            at: When it happened, by Graph's account; None: it is seen now.
        """
        body = self._body(node, kind, path, at)
        return self._delivery(CHANGE, body), told(node, kind, path)

    def unchanged(self, count: int) -> tuple[Delivery, ...]:
        """The delivery that counts what Graph listed and nothing is told of; none for none."""
        return (self._delivery(UNCHANGED, {"filtered": count}),) if count else ()

    def _delivery(self, form: str, body: dict[str, Any]) -> Delivery:
        return self.account.delivery(form, orjson.dumps(body), self.now, content_type="application/json")

    def _body(self, node: Node, kind: Kind, path: str, at: str | None) -> dict[str, Any]:
        said = node.said
        return {
            "change": kind,
            "driveId": node.drive,
            "item": {
                "id": node.id,
                "parentId": node.parent,
                "version": node.version,
                "hash": node.hash,
                "size": node.size,
                "mime": node.mime,
                "createdAt": node.created,
                "modifiedAt": node.modified,
            },
            "path": path,
            "previousPath": said.path if said is not None and said.path != path else None,
            "labels": list(self.settings.labels_of(path)),
            "pii": self.settings.personal(path),
            "revision": node.events,
            "again": again(node, kind),
            "at": at or format_time(self.now),
            "seen": at is None,
        }


def again(node: Node, kind: Kind) -> int | None:
    """What makes an event's id another where the item's version alone does not: it tells of one version once more."""
    if kind == "deleted":
        return node.lives or None
    told_before = node.said is not None and node.said.version == node.version
    return node.events if told_before or node.lives else None


def told(node: Node, kind: Kind, path: str) -> Node:
    """A file after one more event of it."""
    if kind == "deleted":
        return buried(replace(node, events=node.events + 1, lives=node.lives + 1))
    return replace(node, said=node.as_said(path), events=node.events + 1)


def buried(node: Node) -> Node:
    """What is remembered of a deleted file: nothing but its counts."""
    return Node(id=node.id, drive=node.drive, events=node.events, lives=node.lives, gone=True, mark=node.mark)
