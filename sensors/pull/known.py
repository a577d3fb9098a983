"""Known items of an account as connectors see them, over the sealed table that landing keeps."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from batuta.keys import KeyRing
from batuta.landing.items import KnownItems
from batuta.landing.model import ItemMoves, KnownItem
from batuta.warehouse.connection import Connection
from sensors.connectors.pulling import Forgotten, Item, ItemChange
from sensors.pull.accounts import Key


class StoredKnown:
    """`Known` of one account."""

    def __init__(self, conn: Connection, keys: KeyRing, key: Key) -> None:
        self._items = KnownItems(conn, keys, *key)

    def get(self, ids: Collection[str]) -> Mapping[str, Item]:
        """See `Known.get`."""
        return {id: _item(item) for id, item in self._items.get(ids).items()}

    def children(self, parent: str) -> tuple[Item, ...]:
        """See `Known.children`."""
        return tuple(_item(item) for item in self._items.children(parent))

    def all(self) -> Iterator[Item]:
        """See `Known.all`."""
        return (_item(item) for item in self._items.all())


def moves_of(changes: Sequence[ItemChange], key: Key) -> ItemMoves | None:
    """A page's changes for landing; of an item that changes twice, the last change counts."""
    if not changes:
        return None
    last = {change.id: change for change in changes}
    return ItemMoves(
        *key,
        keep=tuple(_known(change) for change in last.values() if isinstance(change, Item)),
        forget=tuple(change.id for change in last.values() if isinstance(change, Forgotten)),
    )


def _item(item: KnownItem) -> Item:
    return Item(id=item.id, state=item.state, parent=item.parent, mark=item.mark)


def _known(item: Item) -> KnownItem:
    return KnownItem(id=item.id, parent=item.parent, state=item.state, mark=item.mark)
