"""What WhatsApp's deliveries only point at: media, fetched while Meta still has them; and the subscription itself.

There is nothing to poll for messages: Meta keeps no history. A medium can be fetched for some days, over an address
that is good for five minutes; its hash came with the message.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any, Final, cast

import orjson

from batuta.landing.model import Delivery
from batuta.landing.reader import LoggedEvent
from sensors.connectors.answers import object_of
from sensors.connectors.pulling import Account, Page, Subscription, Tools, Window
from sensors.connectors.whatsapp import STORED, Settings

TYPES: Final = ("com.whatsapp.message.received", "com.whatsapp.message.edited")
MOST_EVENTS: Final = 50
MOST_BYTES: Final = 110 * 1024 * 1024


def poll(account: Account, position: Any, tools: Tools) -> Iterator[Page]:
    """Fetch the media of messages that have landed since, a few messages a page."""
    settings = cast("Settings", account.settings)
    batch = int((position or {}).get("batch", 0))
    while settings.fetch_media and tools.time_left():
        events = tools.landed(batch, TYPES, MOST_EVENTS)
        if not events:
            return
        batch = events[-1].batch
        found = [_fetched(account, tools, event) for event in events if _wanted(account, event)]
        yield Page(tuple(found), {"batch": batch})


def backfill(account: Account, window: Window, position: Any, tools: Tools) -> Iterator[Page]:  # noqa: ARG001
    """Nothing: Meta keeps no history of messages."""
    return iter(())


def audit(account: Account, tools: Tools) -> tuple[Subscription, ...]:
    """Whether our app gets the business account's events; if none does, ours is subscribed."""
    settings = cast("Settings", account.settings)
    if settings.business_account is None:
        return ()
    url = f"{settings.api_url}/{settings.business_account}/subscribed_apps"
    if object_of(tools.calls.request("GET", url, headers=_headers(account)), "Meta").get("data"):
        return (Subscription("webhook", "active"),)
    tools.calls.request("POST", url, headers=_headers(account))
    return (Subscription("webhook", "created", "no app was subscribed to the business account"),)


def _wanted(account: Account, event: LoggedEvent) -> bool:
    """A message of this number that came with a medium."""
    media = event.data.get("media")
    ours = account.name is None or account.name in (event.data.get("number"), _business(account))
    return ours and isinstance(media, dict) and bool(media.get("id"))


def _business(account: Account) -> str | None:
    return cast("Settings", account.settings).business_account


def _fetched(account: Account, tools: Tools, event: LoggedEvent) -> Delivery:
    """Keep the content of a medium if it is the one the message spoke of."""
    media = event.data["media"]
    about = {
        "message": event.subject,
        "source": event.source,
        "media": media["id"],
        "hash": media.get("hash"),
    }
    root = cast("Settings", account.settings).api_url
    answer = tools.calls.request(
        "GET", f"{root}/{media['id']}", headers=_headers(account), expect=(200, 400, 404)
    )
    if answer.status != 200:
        return _told(account, tools, about | {"verified": False, "missing": "expired"})
    described = object_of(answer, "Meta")
    size = described.get("file_size")
    if isinstance(size, int) and size > MOST_BYTES:
        return _told(account, tools, about | {"verified": False, "size": size, "missing": "too_large"})
    fetched = tools.calls.request(
        "GET",
        str(described.get("url")),
        headers=_headers(account),
        expect=(200, 400, 404, 410),
        max_bytes=MOST_BYTES,
    )
    if fetched.status != 200:
        return _told(account, tools, about | {"verified": False, "missing": "expired"})
    content = fetched.body
    digest = hashlib.sha256(content).hexdigest()
    expected = media.get("hash") or _from_base64(described.get("sha256"))
    if expected != f"sha256:{digest}":
        return _told(account, tools, about | {"verified": False, "missing": "other_content"})
    mime = str(described.get("mime_type") or media.get("mime") or "application/octet-stream")
    kept = tools.blobs.put(account.product, content, mime)
    return _told(
        account,
        tools,
        about | {"hash": kept, "verified": True, "size": len(content), "mime": mime, "missing": None},
    )


def _told(account: Account, tools: Tools, document: dict[str, Any]) -> Delivery:
    return account.delivery(STORED, orjson.dumps(document), tools.clock())


def _headers(account: Account) -> dict[str, str]:
    return {"authorization": f"Bearer {account.credentials.get('accessToken', b'').decode()}"}


def _from_base64(text: Any) -> str | None:
    """Meta writes a hash in hexadecimal here and in base64 there."""
    if not isinstance(text, str):
        return None
    if len(text) == 64:
        return f"sha256:{text.lower()}"
    try:
        return f"sha256:{base64.b64decode(text).hex()}"
    except ValueError:
        return None
