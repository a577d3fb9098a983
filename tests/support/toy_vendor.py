"""A small vendor: a feed of survey answers over real HTTP, paged, with faults on demand, and the connector for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

import orjson

from batuta.landing.model import Delivery
from sensors.connectors.pulling import (
    Account,
    ConnectorSettings,
    Gone,
    Item,
    Page,
    Subscription,
    Tools,
    Window,
)
from tests.support.landing_trials import answer

NAME: Final = "trial"
FIRST_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Fault:
    """An answer other than the right one."""

    status: int
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b"the vendor's words: person@example.com"
    torn: bool = False
    """Promise more than is sent, then close."""


class ToyVendor:
    """`records` are numbers, each an hour after the one before; page size, faults and requests are open to tests."""

    def __init__(self) -> None:
        self.records: list[int] = []
        self.page_size = 3
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        """(method, path with query, headers) of every request."""
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def page(self, query: dict[str, list[str]]) -> bytes:
        """The records after `after`, of `from` <= time < `to` where asked for."""
        after = int(query.get("after", ["0"])[0])
        moments = [
            datetime.fromisoformat(query[name][0]) if name in query else None for name in ("from", "to")
        ]
        with self._lock:
            found = [
                number
                for number in self.records
                if number > after
                and (moments[0] is None or moments[0] <= at(number))
                and (moments[1] is None or at(number) < moments[1])
            ]
        return orjson.dumps({"records": found[: self.page_size], "more": len(found) > self.page_size})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                vendor.requests.append((self.command, self.path, headers))
                if vendor.faults:
                    self._fail(vendor.faults.pop(0))
                    return
                body = vendor.page(parse_qs(urlsplit(self.path).query))
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the library's name

            def _fail(self, fault: Fault) -> None:
                self.send_response(fault.status)
                for name, value in fault.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(fault.body) + (100 if fault.torn else 0)))
                self.end_headers()
                self.wfile.write(fault.body)
                if fault.torn:
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        return Handler


def at(number: int) -> datetime:
    """When a record was made."""
    return FIRST_AT + timedelta(hours=number)


class ToySettings(ConnectorSettings):
    """Where the vendor is."""

    api_url: str
    poll_seconds: int = 60


def account(vendor: ToyVendor, product: str = "arcsat", name: str | None = None) -> Account:
    """An account at the vendor."""
    return Account(product, NAME, name, ToySettings(api_url=vendor.url), {"token": b"toy-token"})


def delivery(account: Account, number: int, received_at: datetime) -> Delivery:
    """A record as the vendor hands it over, by whatever way."""
    body = answer(number, product=account.product).body
    return account.delivery("record", body, received_at)


class ToyPuller:
    """Polls by the last number; knows every number as an item. `crash_after` pages it dies."""

    def __init__(
        self, crash_after: int | None = None, death: type[BaseException] = KeyboardInterrupt
    ) -> None:
        self.crash_after = crash_after
        self.death = death
        self.audited: Sequence[Subscription] = ()
        self.gone = False

    def poll(self, account: Account, position: Any, tools: Tools) -> Iterator[Page]:
        if self.gone:
            raise Gone("the shop has uninstalled the app", hint="Install it again.")
        return self._pages(account, int(position or 0), tools, {})

    def backfill(self, account: Account, window: Window, position: Any, tools: Tools) -> Iterator[Page]:
        limits = {"from": window.start.isoformat(), "to": window.end.isoformat()}
        return self._pages(account, int(position or 0), tools, limits)

    def audit(self, account: Account, tools: Tools) -> tuple[Subscription, ...]:
        return tuple(self.audited)

    def _pages(self, account: Account, after: int, tools: Tools, limits: dict[str, str]) -> Iterator[Page]:
        assert isinstance(account.settings, ToySettings)
        pages, more = 0, True
        headers = {"authorization": f"Bearer {account.credentials['token'].decode()}"}
        while more and tools.time_left() > 0:
            found = tools.calls.request(
                "GET",
                f"{account.settings.api_url}/records",
                headers=headers,
                params={"after": str(after), **limits},
            )
            document = json.loads(found.body)
            more = document["more"]
            if not document["records"]:
                return
            after = max(document["records"])
            yield Page(
                deliveries=tuple(delivery(account, n, tools.clock()) for n in document["records"]),
                position=after,
                items=tuple(Item(str(n), {"number": n}) for n in document["records"]),
            )
            pages += 1
            if self.crash_after is not None and pages >= self.crash_after:
                raise self.death
