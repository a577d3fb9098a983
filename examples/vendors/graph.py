"""A stand-in for Microsoft Graph: tokens, a drive, a mailbox, subscriptions and the notifications they send.

It keeps to what is documented: 410 with Location for a token that is too old, syncStateNotFound for mail, validation of
a notification address before a subscription is made, ids that are immutable only on request. Data is made up;
`python -m examples.vendors graph` serves a small drive and mailbox.
"""

from __future__ import annotations

import argparse
import json
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import httpx
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from examples.vendors.graph_drive import Drive, Expired
from examples.vendors.graph_mail import Lost, Mailbox
from examples.vendors.serving import Served

CLIENT_SECRET: Final = b"made-up-client-secret"
REFRESH_TOKEN: Final = b"made-up-refresh-token"
TOKEN_SECONDS: Final = 3600
WELL_KNOWN: Final = {"inbox": "Inbox", "archive": "Archive", "sentitems": "SentItems"}
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, what stands in the body, and headers."""

    status: int = 200
    body: Json | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def _error(status: int, code: str, **headers: str) -> Reply:
    body = {"error": {"code": code, "message": "Made up.", "innerError": {"code": code}}}
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


class Service:
    """Graph without HTTP: `respond` answers one request."""

    def __init__(self, url: str = "https://graph.example.com") -> None:
        self.url = url
        self.drive = Drive()
        self.mailbox = Mailbox()
        self.subscriptions: dict[str, Json] = {}
        self.tokens: set[str] = set()
        self.refresh_tokens: set[str] = {REFRESH_TOKEN.decode()}
        self.reachable = True
        """Whether addresses for notifications can be reached, where they are not asked over HTTP."""

    def respond(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """The answer to a request; header names are lower case."""
        parts = urlsplit(url)
        path = unquote(parts.path).strip("/").split("/")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if path[-1] == "token":
            return self._token(body)
        if headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return _error(401, "InvalidAuthenticationToken")
        match [method, *path[1:]]:
            case ["GET", "subscriptions"]:
                return Reply(body={"value": [dict(s, clientState=None) for s in self.subscriptions.values()]})
            case ["POST", "subscriptions"]:
                return self._subscribe(json.loads(body))
            case [_, "subscriptions", id, *rest]:
                return self._subscription(method, id, rest, body)
            case ["GET", *place] if "mailFolders" in place or "messages" in place:
                return self._mail(place, query, headers)
            case ["GET", *place] if "drive" in place or "drives" in place:
                return self._files(place, query)
            case _:
                return _error(404, "ResourceNotFound")

    def revoke_tokens(self) -> None:
        """Let every token that was given out be refused."""
        self.tokens.clear()

    def _token(self, body: bytes) -> Reply:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        issued: Json = {"token_type": "Bearer", "expires_in": TOKEN_SECONDS}
        if form.get("grant_type") == "client_credentials":
            known = form.get("client_secret") == CLIENT_SECRET.decode() and form["scope"].endswith(
                "/.default"
            )
        else:
            known = form.get("refresh_token") in self.refresh_tokens
            issued["refresh_token"] = secrets.token_urlsafe(12)
        if not known:
            return Reply(400, {"error": "invalid_grant", "error_description": "AADSTS: made up"})
        self.refresh_tokens |= {issued["refresh_token"]} if "refresh_token" in issued else set()
        issued["access_token"] = secrets.token_urlsafe(12)
        self.tokens.add(issued["access_token"])
        return Reply(body=issued)

    def _files(self, place: list[str], query: dict[str, str]) -> Reply:
        match place:
            case ["drives", id, *_] if id != self.drive.id:
                return _error(404, "itemNotFound")
            case [*_, "root", "delta"]:
                return self._delta("/".join(place), query)
            case [*_, "items", id]:
                item = self.drive.item(id)
                return Reply(body=item) if item is not None else _error(404, "itemNotFound")
            case ["me" | "users" | "groups" | "sites" | "drives", *_]:
                return Reply(body={"id": self.drive.id})
            case _:
                return _error(404, "itemNotFound")

    def _delta(self, place: str, query: dict[str, str]) -> Reply:
        selected = f"$select={query['$select']}&" if "$select" in query else ""
        link = f"{self.url}/v1.0/{place}?{selected}token="
        try:
            page = self.drive.page(query.get("token"), link)
        except Expired:
            return _error(
                410, "resyncChangesApplyDifferences", Location=link.removesuffix("token=").rstrip("?&")
            )
        except (ValueError, TypeError):
            return _error(400, "invalidRequest")
        if "$select" in query:
            names = query["$select"].split(",")
            page["value"] = [{n: item[n] for n in names if n in item} for item in page["value"]]
        return Reply(body=page)

    def _mail(self, place: list[str], query: dict[str, str], headers: Mapping[str, str]) -> Reply:
        immutable = 'IdType="ImmutableId"' in headers.get("prefer", "")
        token = query.get("$deltatoken") or query.get("$skiptoken")
        link = f"{self.url}/v1.0/{'/'.join(place)}?"
        try:
            match place[2 if place[0] == "users" else 1 :]:
                case ["mailFolders", "delta"]:
                    return Reply(body=self.mailbox.folder_page(token, link))
                case ["mailFolders", folder, "messages", "delta"] if folder in self.mailbox.folders:
                    if self.mailbox.folders[folder].deleted:
                        return _error(404, "ErrorItemNotFound")
                    return Reply(body=self.mailbox.message_page(folder, token, link, immutable=immutable))
                case ["mailFolders", folder, "messages"] if folder in self.mailbox.folders:
                    _, _, start, _, _, _, end = query["$filter"].split(" ")
                    return Reply(body=self.mailbox.received_between(folder, start, end, immutable=immutable))
                case ["mailFolders", name] if name in WELL_KNOWN:
                    return Reply(body={"id": f"folder-{WELL_KNOWN[name]}"})
                case ["messages", id, *value]:
                    found = self.mailbox.messages.get(id)
                    if found is None or found.deleted:
                        return _error(404, "ErrorItemNotFound")
                    if value != ["$value"]:
                        names = query.get("$select", "").split(",")
                        return Reply(body=self.mailbox.described(found, names, immutable=immutable))
                    if found.broken is not None:
                        return _error(*found.broken)
                    return Reply(body=found.mime, headers={"content-type": "text/plain"})
                case _:
                    return _error(404, "ErrorItemNotFound")
        except Lost:
            return _error(410, "syncStateNotFound")

    def _subscribe(self, asked: Json) -> Reply:
        for name in ("notificationUrl", "lifecycleNotificationUrl"):
            if name in asked and not self._validates(asked[name]):
                return _error(400, "ValidationError")
        if asked["resource"].endswith("root") and asked["changeType"] != "updated":
            return _error(400, "InvalidRequest")
        made = asked | {"id": str(uuid.uuid4())}
        self.subscriptions[made["id"]] = made
        return Reply(201, dict(made, clientState=None))

    def _validates(self, address: str) -> bool:
        """Whether an address echoes a token, as plain text."""
        if not self.reachable or not address.startswith("http"):
            return False
        if urlsplit(address).hostname in (None, "batuta.example.com"):
            return True
        token = f"Validation: Testing client application <{secrets.token_hex(4)}> +&"
        try:
            answer = httpx.post(address, params={"validationToken": token}, timeout=10)
        except httpx.TransportError:
            return False
        plain = answer.headers.get("content-type", "").startswith("text/plain")
        return answer.status_code == 200 and plain and answer.text == token

    def _subscription(self, method: str, id: str, rest: list[str], body: bytes) -> Reply:
        if id not in self.subscriptions:
            return _error(404, "ResourceNotFound")
        if method == "DELETE":
            del self.subscriptions[id]
            return Reply(204)
        if rest == ["reauthorize"]:
            return Reply(204)
        self.subscriptions[id] |= {"expirationDateTime": json.loads(body)["expirationDateTime"]}
        return Reply(body=dict(self.subscriptions[id], clientState=None))

    def notification(self, *lifecycle: str, client_state: str | None = None) -> bytes:
        """A batch: one notification for each subscription, or one for each lifecycle event."""
        states = [s.get("clientState") for s in self.subscriptions.values()] or [None]
        items: list[Json] = [
            {
                "subscriptionId": str(uuid.uuid4()),
                "subscriptionExpirationDateTime": "2026-12-01T00:00:00Z",
                "tenantId": "84bd8158-6d4d-4958-8b9f-9d6445542f95",
                "clientState": client_state or state,
                "changeType": "updated",
                "resource": "made/up",
            }
            for state in states
        ]
        if lifecycle:
            items = [{**items[0], "lifecycleEvent": event} for event in lifecycle]
        return json.dumps({"value": items}).encode()

    def notify(self, *lifecycle: str) -> list[int]:
        """Send the notifications to the addresses of the subscriptions; the statuses of the answers."""
        addresses = {s["notificationUrl"] for s in self.subscriptions.values()}
        headers = {"content-type": "application/json"}
        body = self.notification(*lifecycle)
        return [
            httpx.post(address, content=body, headers=headers, timeout=10).status_code
            for address in sorted(addresses)
        ]


class Graph(Served):
    """The service over HTTP."""

    def __init__(self, *, port: int = 0) -> None:
        super().__init__(Starlette(routes=[Route("/{path:path}", self._respond, methods=METHODS)]), port)
        self.service = Service(self.url)

    async def _respond(self, request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.body()
        reply = await run_in_threadpool(self.service.respond, request.method, str(request.url), headers, body)
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        return Response(
            content if reply.status != 204 else b"",
            reply.status,
            {"content-type": "application/json"} | dict(reply.headers),
        )


METHODS: Final = ["GET", "POST", "PATCH", "DELETE"]


def fill(service: Service) -> None:
    """A few files and mails to look at."""
    drive = service.drive
    inbox = drive.make_folder("Inbox")
    arkana = drive.make_folder("arkana", inbox)
    drive.write("lojablock-2025-11-12.png", b"a picture", arkana)
    drive.write("contrato 529.982.247-25.pdf", b"a contract", arkana)
    drive.write("precos.xlsx", b"a sheet", drive.make_folder("Vendas"))
    heads = (
        "From: Bia <bia@example.com>",
        "To: ana@example.com",
        "Subject: Pedido",
        "Message-ID: <1@example.com>",
    )
    mail = "\r\n".join((*heads, "", "Oi.")).encode()
    service.mailbox.receive(mail)


def serve(arguments: Sequence[str]) -> None:
    """Serve the stand-in until interrupted; while it is served, one file more appears with every line on stdin."""
    parser = argparse.ArgumentParser(prog="python -m examples.vendors graph")
    parser.add_argument("--port", type=int, default=8704)
    graph = Graph(port=parser.parse_args(arguments).port)
    fill(graph.service)
    graph.start()
    print(f"Microsoft Graph stands in at {graph.url}: authorityUrl and graphUrl of an account.")
    print(f"clientSecret: {CLIENT_SECRET.decode()}   refreshToken: {REFRESH_TOKEN.decode()}")
    print(f"drive: drives/{graph.service.drive.id}   mailbox: {graph.service.mailbox.id}")
    print("A line (a file name) writes a file and notifies; Ctrl+C ends.")
    _obey(graph.service)
    graph.wait()


def _obey(service: Service) -> None:
    """Write a file for every line of standard input."""
    import sys

    for line in sys.stdin:
        name = line.strip() or f"nota-{datetime.now(UTC):%H%M%S}.txt"
        service.drive.write(name, name.encode())
        print(f"{name} written; notified: {service.notify()}")
