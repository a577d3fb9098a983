"""Vendors' answers read: what is not the JSON it should be is a sentence, and nothing of it is shown."""

from __future__ import annotations

from typing import Any

import orjson

from sensors.connectors.pulling import Answer, SourceFailed
from sensors.connectors.reading import JsonObject


def object_of(answer: Answer, vendor: str) -> JsonObject:
    """The object of an answer.

    Raises:
        SourceFailed: it is none.
    """
    document = _document(answer, vendor)
    if not isinstance(document, dict):
        raise SourceFailed(f"{vendor} answered with something else than an object")
    return document


def objects_of(answer: Answer, vendor: str) -> list[JsonObject]:
    """The objects of a list; what else stands in it is left out.

    Raises:
        SourceFailed: it is no list.
    """
    document = _document(answer, vendor)
    if not isinstance(document, list):
        raise SourceFailed(f"{vendor} answered with something else than a list")
    return [item for item in document if isinstance(item, dict)]


def _document(answer: Answer, vendor: str) -> Any:
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise SourceFailed(f"{vendor} answered with something that is no JSON") from None
