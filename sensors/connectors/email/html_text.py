"""The text of an HTML mail, in one pass over it whatever it holds.

The parser of the standard library takes quadratic time on some broken documents, and anybody may send a mail; this
reads no more out of the markup than where words and lines end. Addresses of links are left out: they name their reader.
"""

from __future__ import annotations

import html
import re
from typing import Final

_LINE_ENDS: Final = re.compile(
    r"address|article|blockquote|br|center|dd|div|dl|dt|fieldset|footer|form|h[1-6]|header|hr|li|main|nav|ol|option|p"
    r"|pre|section|table|tbody|tfoot|thead|title|tr|ul"
)
_CELL_ENDS: Final = frozenset({"td", "th"})
_UNSEEN: Final = frozenset({"script", "style", "head", "template", "noframes", "xml"})
_NAME: Final = re.compile(r"/?([A-Za-z][A-Za-z0-9]{0,31})")
_SPACES: Final = re.compile(r"[ \t\r\f\v\u00a0]+")
_LINES: Final = re.compile(r" ?\n[ \n]*")
_END: Final = re.compile(r"</([A-Za-z][A-Za-z0-9]{0,31})")


def html_text(document: str) -> str:
    """The words of a document, lines where its blocks end; never fails, and takes time in proportion to its length."""
    pieces: list[str] = []
    ends = _ends_of_unseen(document)
    position = 0
    while (start := document.find("<", position)) >= 0:
        pieces.append(_words(document[position:start]))
        position = _after_markup(document, start, pieces, ends)
    pieces.append(_words(document[position:]))
    return _LINES.sub("\n", _SPACES.sub(" ", "".join(pieces))).strip()


def _words(text: str) -> str:
    return html.unescape(text.replace("\n", " "))


def _ends_of_unseen(document: str) -> dict[str, list[int]]:
    """Where elements that are not shown end: found once, so that many beginnings cost no search each."""
    ends: dict[str, list[int]] = {}
    for match in _END.finditer(document):
        name = match[1].lower()
        if name in _UNSEEN:
            ends.setdefault(name, []).append(match.start())
    for positions in ends.values():
        positions.reverse()
    return ends


def _after_markup(document: str, start: int, pieces: list[str], ends: dict[str, list[int]]) -> int:
    """Where the text goes on behind the markup that begins at `start`."""
    if document.startswith("<!--", start):
        end = document.find("-->", start)
        return len(document) if end < 0 else end + 3
    if document.startswith(("<!", "<?"), start):
        end = document.find(">", start)
        return len(document) if end < 0 else end + 1
    name = _NAME.match(document, start + 1)
    if name is None:
        pieces.append("<")
        return start + 1
    end = _end_of_tag(document, name.end())
    word = name[1].lower()
    if _LINE_ENDS.fullmatch(word):
        pieces.append("\n")
    elif word in _CELL_ENDS:
        pieces.append(" ")
    if word in _UNSEEN and document[start + 1] != "/":
        waiting = ends.get(word, [])
        while waiting and waiting[-1] < end:
            waiting.pop()
        return waiting[-1] if waiting else len(document)
    return end


def _end_of_tag(document: str, position: int) -> int:
    """Behind the `>` of a tag; one within quotes does not count, unless the quotes never end."""
    close = document.find(">", position)
    if close < 0:
        return len(document)
    inside = document[position:close]
    for quote in ('"', "'"):
        if inside.count(quote) % 2:
            unquoted = document.find(quote, close, close + 4096)
            after = document.find(">", unquoted) if unquoted >= 0 else -1
            return after + 1 if after >= 0 else close + 1
    return close + 1
