"""A Markdown note as Obsidian reads it: frontmatter, tags, links and embeds; and where links lead in a vault.

Frontmatter is YAML 1.2: `no` is a word and `1:30` a text. A note with broken frontmatter is still a note.
Source: help.obsidian.md (Properties, Tags, Internal links); facts in reference/connectors.md 2.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote

import orjson

MOST_FRONTMATTER: Final = 65_536
MOST_DEPTH: Final = 20
MOST_TEXT: Final = 500_000
MOST_LINKS: Final = 5_000
_FRONTMATTER: Final = re.compile(
    r"---[ \t]*\r?\n(.*?)(?:\r?\n)?^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)
_CODE: Final = re.compile(
    r"^(?P<fence>`{3,}|~{3,}).*?(?:^(?P=fence)[`~]*[ \t]*$|\Z)|(?P<tick>`+)(?!`).+?(?<!`)(?P=tick)(?!`)|%%.*?(?:%%|\Z)",
    re.DOTALL | re.MULTILINE,
)
_WIKILINK: Final = re.compile(r"(!?)\[\[([^\[\]\n]{1,1000})\]\]")
_LINK: Final = re.compile(r"(!?)\[([^\[\]\n]{0,1000})\]\(<?([^()<>\s]{1,1000})>?(?:\s+\"[^\"\n]*\")?\)")
_TAG: Final = re.compile(
    r"(?:(?<=\s)|^)#([\w/\-\u200d\ufe0f\u2600-\u27bf\U0001f000-\U0001faff]{1,200})", re.MULTILINE
)
_HEADING: Final = re.compile(r"^#[ \t]+(.{1,500}?)[ \t]*#*$", re.MULTILINE)
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """A link or embed as it is written, taken apart."""

    target: str
    embed: bool = False
    heading: str | None = None
    block: str | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """What a note says."""

    title: str | None
    text: str
    frontmatter: Mapping[str, list[str]]
    frontmatter_error: str | None
    tags: tuple[str, ...]
    aliases: tuple[str, ...]
    links: tuple[Link, ...]


def read_note(raw: bytes) -> Note:
    """Read a note; whatever is wrong with it, it is one."""
    text = raw.decode("utf-8-sig", "replace")
    found = _FRONTMATTER.match(text)
    properties, problem = _properties(found[1]) if found else ({}, None)
    body = text[found.end() :] if found else text
    prose = _CODE.sub(" ", body[:MOST_TEXT])
    heading = _HEADING.search(prose)
    return Note(
        title=heading[1] if heading else None,
        text=body[:MOST_TEXT].strip(),
        frontmatter=properties,
        frontmatter_error=problem,
        tags=tuple(_distinct([*_named_tags(properties), *_inline_tags(prose)])),
        aliases=tuple(_distinct([*properties.get("aliases", []), *properties.get("alias", [])])),
        links=tuple(_links(prose)),
    )


def aliases_of(raw: bytes) -> tuple[str, ...]:
    """Other names of a note, from its beginning only."""
    found = _FRONTMATTER.match(raw[: 2 * MOST_FRONTMATTER].decode("utf-8-sig", "replace"))
    properties = _properties(found[1])[0] if found else {}
    return tuple(_distinct([*properties.get("aliases", []), *properties.get("alias", [])]))


def _properties(text: str) -> tuple[dict[str, list[str]], str | None]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.events import AliasEvent

    if len(text) > MOST_FRONTMATTER:
        return {}, f"is longer than {MOST_FRONTMATTER} characters"
    try:
        if any(isinstance(event, AliasEvent) for event in YAML(typ="safe", pure=True).parse(text)):
            return {}, "has anchors that are used again, which Obsidian has not"
        document = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 2}" if mark is not None else ""
        return {}, f"is no YAML{where} ({type(error).__name__})"
    if document is None:
        return {}, None
    if not isinstance(document, dict):
        return {}, "is no list of properties"
    try:
        return {str(name): list(_texts(value, 0)) for name, value in document.items()}, None
    except RecursionError:
        return {}, "is nested too deep"


def _texts(value: Any, depth: int) -> Iterator[str]:
    """A value as texts; a link that was not quoted is a list in a list to YAML."""
    if depth > MOST_DEPTH:
        raise RecursionError
    if value is None:
        return
    if isinstance(value, list | tuple | set):
        for part in value:
            if isinstance(part, list) and len(part) == 1 and isinstance(part[0], str):
                yield f"[[{part[0]}]]"
            else:
                yield from _texts(part, depth + 1)
    elif isinstance(value, dict):
        readable = {str(name): list(_texts(inner, depth + 1)) for name, inner in value.items()}
        yield orjson.dumps(readable).decode()
    else:
        yield _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _named_tags(properties: Mapping[str, list[str]]) -> Iterator[str]:
    for name in ("tags", "tag"):
        for value in properties.get(name, []):
            yield from (part.removeprefix("#") for part in re.split(r"[,\s]+", value) if part)


def _inline_tags(prose: str) -> Iterator[str]:
    for match in _TAG.finditer(prose):
        tag = match[1].strip("/")
        if tag and not tag.isdigit():
            yield tag


def _links(prose: str) -> Iterator[Link]:
    for number, match in enumerate(_WIKILINK.finditer(prose)):
        if number == MOST_LINKS:
            return
        yield _wikilink(match[2].replace("\\|", "|"), embed=match[1] == "!")
    for match in _LINK.finditer(prose):
        target = unquote(match[3])
        if not _SCHEME.match(target) and not target.startswith("//"):
            yield _taken_apart(target, alias=match[2] or None, embed=match[1] == "!")


def _wikilink(written: str, *, embed: bool) -> Link:
    target, bar, alias = written.partition("|")
    return _taken_apart(target.strip(), alias=alias.strip() if bar else None, embed=embed)


def _taken_apart(target: str, *, alias: str | None, embed: bool) -> Link:
    place, mark, rest = target.partition("#")
    block = rest[1:] if rest.startswith("^") else None
    heading = rest if mark and block is None else None
    return Link(place.strip(), embed, heading or None, block or None, alias or None)


def _distinct(words: Iterable[str]) -> Iterator[str]:
    """Each word once, whatever its case; as it was written first."""
    seen: set[str] = set()
    for word in words:
        if word.casefold() not in seen:
            seen.add(word.casefold())
            yield word


class Places:
    """Where links lead: the files of a vault by path, by name and by alias, whatever the case."""

    def __init__(self, paths: Iterable[str], aliases: Mapping[str, Iterable[str]]) -> None:
        self._paths: dict[str, str] = {}
        self._names: dict[str, list[str]] = {}
        self._aliases: dict[str, str] = {}
        for path in sorted(paths, key=lambda p: (p.count("/"), p)):
            for spelling in _spellings(path):
                self._paths.setdefault(spelling, path)
            for name in _spellings(PurePosixPath(path).name):
                self._names.setdefault(name, []).append(path)
        for path in sorted(aliases):
            for alias in aliases[path]:
                self._aliases.setdefault(alias.casefold(), path)

    def resolve(self, target: str, origin: str) -> str | None:
        """The file a link leads to; None where there is none. An empty target is the note itself."""
        if not target:
            return origin
        wanted = target.strip().lstrip("/").casefold()
        beside = (PurePosixPath(origin).parent / target).as_posix().casefold()
        exact = self._paths.get(wanted) or self._paths.get(_straight(beside))
        if exact is not None:
            return exact
        named = self._names.get(wanted)
        if named:
            return named[0]
        ending = next((p for spelling, p in self._paths.items() if spelling.endswith(f"/{wanted}")), None)
        return ending or self._aliases.get(wanted)


def _spellings(path: str) -> tuple[str, ...]:
    """A note may be named with and without its ending."""
    folded = path.casefold()
    return (folded, folded.removesuffix(".md")) if folded.endswith(".md") else (folded,)


def _straight(path: str) -> str:
    """A path without `.` and `..`."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in (".", "..", ""):
            parts.append(part)
    return "/".join(parts)
