"""Microsoft Graph in this process: the stand-in asked directly, for tests that ask it thousands of times."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson

from examples.vendors.graph import CLIENT_SECRET, Service
from sensors.connectors.onedrive.settings import OneDriveSettings
from sensors.connectors.pulling import Account, Answer, Known, SourceFailed, Tools, Unauthorized
from tests.support.pulling import MemoryBlobs, TrialTime

SECRET = b"made-up-client-state"
RECEIVED_AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


class DirectCalls:
    """`Calls` that ask a `Service` without HTTP; headers, statuses and bodies are those it would send."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        expect: Collection[int] = (200,),
        max_bytes: int = 64 * 1024 * 1024,
        follow_redirects: bool = False,
    ) -> Answer:
        body = (
            orjson.dumps(json) if json is not None else urlencode(form).encode() if form else content or b""
        )
        reply = self._service.respond(method, url, headers or {}, body)
        if reply.status not in expect:
            failure = Unauthorized if reply.status in (401, 403) else SourceFailed
            raise failure(f"answers {reply.status}")
        named = {name.lower(): value for name, value in reply.headers.items()}
        raw = reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)
        return Answer(reply.status, named, raw, url)

    def stream(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int,
        follow_redirects: bool = False,
    ) -> Iterator[bytes]:
        yield self.request("GET", url, headers=headers).body

    def pause(self, seconds: float, why: str) -> None:
        raise AssertionError("the stand-in asks for no pause")


def drive_settings(url: str, **changes: Any) -> OneDriveSettings:
    """Settings of an account at a stand-in."""
    given = {
        "tenant": "example.com",
        "clientId": "11111111-2222-3333-4444-555555555555",
        "authorityUrl": url,
        "graphUrl": url,
        "drive": "users/ana/drive",
        "root": "OneDrive",
    }
    return OneDriveSettings.model_validate(given | changes)


def drive_account(url: str, **changes: Any) -> Account:
    """An account at a stand-in, which speaks for itself and can be woken."""
    return Account(
        "arcsat",
        "onedrive",
        None,
        drive_settings(url, **changes),
        {"clientSecret": CLIENT_SECRET},
        (SECRET,),
        "https://batuta.example.com",
    )


def direct_tools(service: Service, known: Known, time: TrialTime | None = None) -> Tools:
    """Tools that ask the service directly."""
    time = time or TrialTime()
    kept: dict[str, bytes] = {}
    return Tools(
        calls=DirectCalls(service),
        known=known,
        blobs=MemoryBlobs(),
        clock=time.clock,
        monotonic=time.monotonic,
        deadline=time.monotonic() + 3600,
        keep_secret=kept.__setitem__,
    )
