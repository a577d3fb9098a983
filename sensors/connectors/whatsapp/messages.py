"""A message or a status, whatever its type, as the facts that are kept of it.

Exactly these fields go on; who somebody is becomes a keyed hash by contract, where somebody is is left out. The signals
of fraud are read here, from the text before anything in it is masked.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from batuta.fraud.signals import signals
from sensors.connectors.reading import JsonObject, number_at, object_at, text_at

MEDIA: Final = frozenset({"image", "video", "audio", "document", "sticker"})
_SHA256_BYTES: Final = 32


def message_data(message: JsonObject, contacts: list[JsonObject], *, number: str, echo: bool) -> JsonObject:
    """What is kept of a message.

    Args:
        message: One of `messages`, or of `message_echoes`.
        contacts: The `contacts` beside it.
        number: The id of our phone number.
        echo: It is one of ours, sent from the phone.
    """
    edit, revoke = object_at(message, "edit"), object_at(message, "revoke")
    content = object_at(edit, "message") or message
    kind = text_at(content, "type") or text_at(message, "type") or "unknown"
    inside = object_at(content, kind)
    context = object_at(message, "context")
    text = _text(kind, inside)
    media = _media(kind, inside) if kind in MEDIA else None
    forwarded = context.get("forwarded") is True
    often = context.get("frequently_forwarded") is True
    return {
        "number": number,
        "direction": "out" if echo else "in",
        "type": kind,
        "sender": person(message, contacts) if not echo else None,
        "text": text,
        "media": media,
        "forwarded": forwarded or often,
        "frequently_forwarded": often,
        "reply_to": text_at(context, "id"),
        "original": text_at(edit, "original_message_id") or text_at(revoke, "original_message_id"),
        "reacts_to": text_at(inside, "message_id") if kind == "reaction" else None,
        "emoji": text_at(inside, "emoji") if kind == "reaction" else None,
        "choice": _choice(kind, inside),
        "order_items": _count(inside, "product_items") if kind == "order" else None,
        "contact_cards": len(content["contacts"]) if isinstance(content.get("contacts"), list) else None,
        "system": text_at(inside, "type") if kind == "system" else None,
        "became": _became(inside) if kind == "system" else None,
        "referral": text_at(object_at(message, "referral"), "source_type"),
        "errors": _errors(message),
        "signals": None if echo else signals(text, filename=text_at(inside, "filename"), mime=_mime(inside)),
    }


def status_data(status: JsonObject, contacts: list[JsonObject], *, number: str) -> JsonObject:
    """What is kept of a status."""
    pricing = object_at(status, "pricing")
    contact = contacts[0] if contacts else {}
    return {
        "number": number,
        "status": text_at(status, "status"),
        "recipient": {
            "phone": text_at(status, "recipient_id") or text_at(contact, "wa_id"),
            "user": text_at(status, "recipient_user_id") or text_at(contact, "user_id"),
        },
        "conversation": text_at(object_at(object_at(status, "conversation"), "origin"), "type"),
        "category": text_at(pricing, "category"),
        "billable": pricing.get("billable") if isinstance(pricing.get("billable"), bool) else None,
        "errors": _errors(status),
    }


def person(message: JsonObject, contacts: list[JsonObject]) -> JsonObject:
    """Who wrote: the id of the user where Meta gives one, and the phone number where it does."""
    phone = text_at(message, "from")
    contact = next((c for c in contacts if phone is not None and c.get("wa_id") == phone), None)
    if contact is None:
        contact = contacts[0] if len(contacts) == 1 else {}
    return {
        "phone": phone or text_at(contact, "wa_id"),
        "user": text_at(message, "from_user_id") or text_at(contact, "user_id"),
    }


def _text(kind: str, inside: Mapping[str, Any]) -> str | None:
    if kind == "text":
        return text_at(inside, "body")
    if kind == "button":
        return text_at(inside, "text")
    if kind == "interactive":
        reply = object_at(inside, text_at(inside, "type") or "")
        return text_at(reply, "title") or text_at(reply, "body")
    if kind == "order":
        return text_at(inside, "text")
    if kind == "system":
        return None
    return text_at(inside, "caption")


def _choice(kind: str, inside: Mapping[str, Any]) -> str | None:
    """What was picked: the payload of a button, the id of a reply."""
    if kind == "button":
        return text_at(inside, "payload")
    if kind == "interactive":
        return text_at(object_at(inside, text_at(inside, "type") or ""), "id")
    return None


def _media(kind: str, inside: Mapping[str, Any]) -> JsonObject:
    return {
        "id": text_at(inside, "id"),
        "kind": "voice" if kind == "audio" and inside.get("voice") is True else kind,
        "mime": _mime(inside),
        "hash": _hash(text_at(inside, "sha256")),
        "filename": text_at(inside, "filename"),
    }


def _mime(inside: Mapping[str, Any]) -> str | None:
    mime = text_at(inside, "mime_type")
    return mime.partition(";")[0].strip().lower() if mime else None


def _hash(text: str | None) -> str | None:
    """Meta's base64 of a SHA-256, in the form all hashes of contents have; None for anything else."""
    try:
        raw = base64.b64decode((text or "").encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    return f"sha256:{raw.hex()}" if len(raw) == _SHA256_BYTES else None


def _became(inside: Mapping[str, Any]) -> JsonObject:
    """Somebody's new number or id."""
    return {
        "phone": text_at(inside, "wa_id") or text_at(inside, "new_wa_id"),
        "user": text_at(inside, "user_id"),
        "was": text_at(inside, "previous_user_id"),
    }


def _errors(thing: Mapping[str, Any]) -> list[JsonObject]:
    errors = thing.get("errors")
    found = [e for e in errors if isinstance(e, dict)] if isinstance(errors, list) else []
    return [{"code": number_at(e, "code"), "title": text_at(e, "title")} for e in found]


def _count(inside: Mapping[str, Any], name: str) -> int | None:
    items = inside.get(name)
    return len(items) if isinstance(items, list) else None
