"""The drive's tree as it is known: what Graph last told of each item, and what was last announced of each file.

Graph's delta gives no paths, names folders only once, and lists what lies in a renamed folder not at all; so paths come
from this tree, by climbing from an item to the root.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from sensors.connectors.pulling import Forgotten, Item, ItemChange, Known
from sensors.connectors.reading import JsonObject, number_at, object_at, text_at

SELECTED: Final = (
    "id,name,eTag,cTag,size,file,folder,package,root,deleted,parentReference,"
    "createdDateTime,lastModifiedDateTime"
)
_DEEPEST: Final = 1000


@dataclass(frozen=True, slots=True)
class Said:
    """What was last announced of a file: its path, and what tells whether its content is another by now."""

    path: str
    version: str
    hash: str | None = None
    size: int | None = None
    modified: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One item of the drive.

    Attributes:
        said: None while nothing was announced, and for folders.
        events: How many events there have been of it, over all its lives.
        lives: How often it was deleted and came back: its events then need ids of their own.
        gone: It was deleted. A file is remembered for its counts alone, a folder until its children are seen to.
        mark: The enumeration that saw it last.
    """

    id: str
    drive: str
    parent: str | None = None
    name: str = ""
    folder: bool = False
    root: bool = False
    etag: str | None = None
    hash: str | None = None
    size: int | None = None
    mime: str | None = None
    created: str | None = None
    modified: str | None = None
    said: Said | None = None
    events: int = 0
    lives: int = 0
    gone: bool = False
    mark: str | None = None

    @property
    def version(self) -> str:
        """What tells one state of the item from the next: its eTag, else when it was modified, and its hash."""
        return self.etag.replace('"', "") if self.etag else f"{self.modified}:{self.hash}"

    def same_content(self, said: Said) -> bool:
        """Whether the content is what it was: by its hash where both are known by one method."""
        if self.hash and said.hash and _method(self.hash) == _method(said.hash):
            return self.hash == said.hash
        return (self.size, self.modified) == (said.size, said.modified)

    def as_said(self, path: str) -> Said:
        """What is known of the file, announced under this path."""
        return Said(path, self.version, self.hash, self.size, self.modified)

    def to_item(self) -> Item:
        """For the table of known items."""
        state = {name: value for name, value in asdict(self).items() if value and name not in _ASIDE}
        return Item(self.id, state, None if self.gone else self.parent, self.mark)


_ASIDE: Final = frozenset({"id", "parent", "mark"})


def from_item(item: Item) -> Node:
    """Out of the table of known items."""
    state = dict(item.state)
    said = state.pop("said", None)
    return Node(id=item.id, parent=item.parent, mark=item.mark, said=Said(**said) if said else None, **state)


def read_item(item: JsonObject, drive: str, mark: str | None) -> Node | None:
    """An item of a delta page as far as Graph tells it; None if it has no id."""
    identity = text_at(item, "id")
    if identity is None:
        return None
    file = object_at(item, "file")
    return Node(
        id=identity,
        drive=drive,
        parent=None if "root" in item else text_at(object_at(item, "parentReference"), "id"),
        name=text_at(item, "name") or "",
        folder="folder" in item or "root" in item,
        root="root" in item,
        etag=text_at(item, "eTag"),
        hash=_hash(object_at(file, "hashes")),
        size=number_at(item, "size"),
        mime=text_at(file, "mimeType"),
        created=text_at(item, "createdDateTime"),
        modified=text_at(item, "lastModifiedDateTime"),
        gone="deleted" in item,
        mark=mark,
    )


def _hash(hashes: Mapping[str, Any]) -> str | None:
    """The best hash a drive gives: personal drives have SHA, all have quickXor."""
    sha256, quick, sha1 = (text_at(dict(hashes), name) for name in ("sha256Hash", "quickXorHash", "sha1Hash"))
    if sha256:
        return f"sha256:{sha256.lower()}"
    if quick:
        return f"quickxor:{quick}"
    return f"sha1:{sha1.lower()}" if sha1 else None


def _method(hash: str) -> str:
    return hash.partition(":")[0]


@dataclass(slots=True)
class Tree:
    """The known items with what a page changes in them."""

    known: Known
    root: str
    _seen: dict[str, Node | None] = field(default_factory=dict[str, Node | None])
    _changed: dict[str, ItemChange] = field(default_factory=dict[str, ItemChange])

    def load(self, ids: Collection[str]) -> None:
        """Fetch items together that will be asked for one by one."""
        missing = [id for id in ids if id not in self._seen]
        if missing:
            found = self.known.get(missing)
            self._seen |= {id: from_item(found[id]) if id in found else None for id in missing}

    def get(self, id: str) -> Node | None:
        """An item, also one that is gone; None if it is unknown."""
        self.load((id,))
        return self._seen[id]

    def put(self, node: Node) -> None:
        """Know an item from now on."""
        self._seen[node.id] = node
        self._changed[node.id] = node.to_item()

    def forget(self, id: str) -> None:
        """Know nothing of an item any more."""
        self._seen[id] = None
        self._changed[id] = Forgotten(id)

    def children(self, parent: str) -> Iterator[Node]:
        """What lies in a folder."""
        for item in self.known.children(parent):
            if item.id not in self._seen:
                self._seen[item.id] = from_item(item)
        for node in list(self._seen.values()):
            if node is not None and node.parent == parent and not node.gone:
                yield node

    def path(self, node: Node) -> str | None:
        """The path of an item; None if a folder on the way up to the root is not known."""
        names, complete = self._climb(node)
        return "/".join((self.root, *names)) if complete else None

    def path_as_known(self, node: Node) -> str:
        """The path of an item, the first folder on the way up that is not known taken for the root."""
        return "/".join((self.root, *self._climb(node)[0]))

    def _climb(self, node: Node) -> tuple[list[str], bool]:
        """The names from below the root down to an item, and whether they begin at the root."""
        names: list[str] = []
        here: Node | None = node
        for _ in range(_DEEPEST):
            if here is None or here.gone:
                return names, False
            if here.root:
                return names, True
            names.insert(0, here.name)
            here = self.get(here.parent) if here.parent is not None else None
        return names, False

    @property
    def changes(self) -> tuple[ItemChange, ...]:
        """What a page does to the table of known items."""
        return tuple(self._changed.values())

    def __len__(self) -> int:
        """How many items the page changes."""
        return len(self._changed)
