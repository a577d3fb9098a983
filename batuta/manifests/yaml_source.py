"""YAML 1.2 text to JSON values, with the line and column of every key and value.

Stricter than YAML: no tags, no merge keys, no duplicate keys, no recursion, and caps on size, depth and
alias expansion, so that a hostile file costs no more than an honest one.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from batuta.manifests.problems import FieldPath, Position, Problem, dotted

MAX_FILE_BYTES = 1_048_576
MAX_NODES = 50_000
MAX_DEPTH = 40
MAX_INTEGER = 2**53 - 1

_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

Mark = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the parts of one YAML document stand."""

    file: str
    values: Mapping[FieldPath, Mark]
    keys: Mapping[FieldPath, Mark]

    def value_position(self, path: FieldPath) -> Position:
        """The place of a value, or of the nearest part above it that is there."""
        return self._nearest(path, self.values)

    def key_position(self, path: FieldPath) -> Position:
        """The place of a field's name, or of the nearest part above it that is there."""
        return self._nearest(path, self.keys)

    def _nearest(self, path: FieldPath, marks: Mapping[FieldPath, Mark]) -> Position:
        for length in range(len(path), -1, -1):
            mark = marks.get(path[:length]) or self.values.get(path[:length])
            if mark is not None:
                return Position(self.file, *mark)
        return Position(self.file)


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document: its value and its places."""

    value: Any
    source: Source


class _Refused(Exception):
    def __init__(self, mark: Mark, path: FieldPath, message: str) -> None:
        super().__init__(message)
        self.mark, self.path, self.message = mark, path, message


def read_yaml(content: bytes, file: str) -> tuple[tuple[YamlDocument, ...], tuple[Problem, ...]]:
    """Read every document of a file; what cannot be read is a problem, never an exception."""
    if len(content) > MAX_FILE_BYTES:
        return (), (_problem(file, (0, 0), f"larger than {MAX_FILE_BYTES // 1024} KiB; split the file"),)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", "replace")
        byte = content[error.start]
        return (), (
            _problem(file, _mark_after(before), f"not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8"),
        )
    documents: list[YamlDocument] = []
    problems: list[Problem] = []
    for node in _nodes(text, file, problems):
        reader = _Reader(file)
        try:
            value = reader.read(node, (), 0)
        except _Refused as refused:
            problems.append(_problem(file, refused.mark, refused.message, refused.path))
            continue
        problems.extend(reader.problems)
        if value is not None and not reader.problems:
            documents.append(YamlDocument(value, Source(file, reader.values, reader.keys)))
    return tuple(documents), tuple(problems)


def _nodes(text: str, file: str, problems: list[Problem]) -> Iterator[Node]:
    try:
        yaml = YAML(typ="safe", pure=True)
        yaml.Composer = _BoundedComposer
        yield from yaml.compose_all(StringIO(text))
    except _Refused as refused:
        problems.append(_problem(file, refused.mark, refused.message))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        problems.append(_problem(file, place, f"not YAML: {reason}"))
    except ReaderError as error:
        problems.append(_problem(file, _mark_after(text[: error.position]), f"not YAML: {error.reason}"))
    except (YAMLError, ValueError) as error:
        problems.append(_problem(file, (0, 0), f"not YAML: {error}"))


class _BoundedComposer(Composer):
    """Stops at a file too deep or too large while it is being read, not after."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self.warn_double_anchors = False
        self._depth = 0
        self._count = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH + 1 or self._count > MAX_NODES:
            mark = self.parser.peek_event().start_mark
            deep = self._depth > MAX_DEPTH + 1
            reason = f"nested deeper than {MAX_DEPTH} levels" if deep else f"more than {MAX_NODES} values"
            raise _Refused((mark.line + 1, mark.column + 1), (), reason)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Reader:
    """Reads one document; collects what can be read past, raises `_Refused` for what cannot."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.values: dict[FieldPath, Mark] = {}
        self.keys: dict[FieldPath, Mark] = {}
        self.problems: list[Problem] = []
        self._open: set[int] = set()
        self._count = 0

    def read(self, node: Node, path: FieldPath, depth: int) -> Any:
        mark = _mark(node)
        self._count += 1
        if self._count > MAX_NODES:
            raise _Refused(mark, (), f"more than {MAX_NODES} values once aliases are written out")
        if depth > MAX_DEPTH:
            raise _Refused(mark, (), f"nested deeper than {MAX_DEPTH} levels once aliases are written out")
        if id(node) in self._open:
            raise _Refused(mark, path, "an alias inside the value it stands for")
        self.values.setdefault(path, mark)
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path, depth)
            if isinstance(node, SequenceNode):
                self._known_tag(node, path, "seq")
                return [self.read(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))
        raise _Refused(mark, path, "not a value BATUTA can read")

    def _mapping(self, node: MappingNode, path: FieldPath, depth: int) -> dict[str, Any]:
        self._known_tag(node, path, "map")
        value: dict[str, Any] = {}
        for key_node, value_node in node.value:
            mark = _mark(key_node)
            if not isinstance(key_node, ScalarNode) or key_node.tag == f"{_TAG}null":
                self.problems.append(_problem(self.file, mark, "a field name is a text", path))
                continue
            key = str(key_node.value)
            field = (*path, key)
            if key_node.tag == f"{_TAG}merge":
                self.problems.append(
                    _problem(self.file, mark, "YAML 1.2 has no merge key <<; write the fields out", path)
                )
                continue
            if _UNSTORABLE.search(key):
                self.problems.append(
                    _problem(self.file, mark, "a field name with a character no database keeps", path)
                )
                continue
            if key in value:
                first = self.keys[field][0]
                self.problems.append(
                    _problem(self.file, mark, f"written twice; first on line {first}", field)
                )
                continue
            self.keys[field] = mark
            value[key] = self.read(value_node, field, depth + 1)
        return value

    def _known_tag(self, node: Node, path: FieldPath, tag: str) -> None:
        if node.tag != _TAG + tag:
            self.problems.append(
                _problem(self.file, _mark(node), f"a tag ({node.tag}) is not allowed here", path)
            )

    def _scalar(self, node: ScalarNode, path: FieldPath) -> str | int | float | bool | None:
        text = str(node.value)
        tag = str(node.tag).removeprefix(_TAG)
        message = ""
        if tag == "null":
            return None
        if tag == "bool":
            return text.lower() == "true"
        if tag == "int" and _INTEGER.fullmatch(text):
            number = int(text, 0) if text[:2] in ("0o", "0x") else int(text)
            if abs(number) <= MAX_INTEGER:
                return number
            message = "a number too large to be exact; write it in quotes"
        elif tag == "float" and "_" not in text:
            value = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
            if math.isfinite(value):
                return value
            message = "not a number JSON knows"
        elif tag not in ("str", "int", "float", "timestamp", "value"):
            message = f"a tag ({node.tag}) is not allowed here"
        if not message and _UNSTORABLE.search(text):
            message = "a text with a character no database keeps (NUL or half a surrogate pair)"
        if message:
            self.problems.append(_problem(self.file, _mark(node), message, path))
            return None
        return text


def _mark(node: Node) -> Mark:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _mark_after(text: str) -> Mark:
    return text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1


def _problem(file: str, mark: Mark, message: str, path: FieldPath = ()) -> Problem:
    return Problem(Position(file, *mark), dotted(path), message)
