"""A drive and a mailbox at Graph's stand-in, through runner, landing and gateway into the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from batuta.manifests.graph import CompiledGraph
from batuta.manifests.models import ConnectorBinding, SecretRef
from batuta.settings import get_settings
from batuta.warehouse.connection import Connection, connect
from examples.vendors.graph import CLIENT_SECRET, Graph
from sensors.connectors import connector, email, puller
from sensors.connectors.pulling import Account, Puller, Window
from sensors.pull.accounts import BoundAccount
from sensors.pull.means import Means
from sensors.pull.run import audit_account, backfill_account, poll_account
from tests.support.gateway_server import gateway_settings, product, running
from tests.support.graph_service import SECRET, drive_account
from tests.support.landing_trials import open_landing
from tests.support.pulling import MemoryBlobs, TrialTime, shared_client

MUCH = 1e9
WINDOW = Window(datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def graph() -> Iterator[Graph]:
    with Graph() as served:
        yield served


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, "writer", autocommit=True) as connection:
        yield connection


@pytest.fixture
def means(database_url: str, tmp_path: Path) -> Means:
    def found(name: str) -> Puller:
        there = puller(name)
        assert there is not None
        return there

    time = TrialTime()
    return Means(
        landing=open_landing(tmp_path),
        connect=lambda: connect(database_url, "writer"),
        blobs=MemoryBlobs(),
        client=shared_client(),
        clock=time.clock,
        monotonic=time.monotonic,
        sleep=time.sleep,
        parse_of=lambda name: connector(name).parse,
        puller_of=found,
    )


def bound(account: Account) -> BoundAccount:
    binding = ConnectorBinding(type=account.connector, credentials={"clientSecret": SecretRef(env="GRAPH")})
    return BoundAccount(account, binding, "UTC", get_settings())


def rows(conn: Connection) -> list[tuple[str, dict[str, Any]]]:
    found = conn.execute("select type, data from batuta.events order by batch, time").fetchall()
    return [(str(row[0]).rpartition(".")[2], row[1]) for row in found]


def test_a_drive_lands_with_its_known_items_masked_and_counted(graph: Graph, means: Means, conn: Connection):
    drive, account = graph.service.drive, bound(drive_account(graph.url))
    folder = drive.make_folder("Inbox")
    kept = drive.write("a.txt", b"one", folder)
    drive.write("CPF 529.982.247-25.pdf", b"two", folder)
    first = poll_account(account, means, deadline=MUCH)
    assert (first.problem, first.counts.landed, first.counts.quarantined) == (None, 2, 0)
    drive.move(folder, name="Entrada")
    drive.edit(kept, b"three")
    second = poll_account(account, means, deadline=MUCH)
    assert (second.problem, second.counts.landed, second.counts.duplicate) == (None, 2, 0)
    assert poll_account(account, means, deadline=MUCH).counts.landed == 0
    again = backfill_account(account, WINDOW, means, deadline=MUCH)
    assert (again.problem, again.counts.landed, again.counts.quarantined) == (None, 0, 0)
    kinds = sorted(kind for kind, _ in rows(conn))
    assert kinds == ["created", "created", "renamed", "updated"]
    written = json.dumps(conn.execute("select data::text, source, subject, id from batuta.events").fetchall())
    assert "529.982" not in written
    [(counted, told)] = conn.execute(
        "select sum(counted), sum(landed + duplicate + quarantined + filtered) from batuta.completeness"
    ).fetchall()
    assert counted == told
    assert int(counted) > 4
    sealed = conn.execute("select * from batuta.entities").fetchall()
    assert len(sealed) == 4
    assert b"Inbox" not in b"".join(value for row in sealed for value in row if isinstance(value, bytes))


def test_a_mailbox_lands_and_names_nobody(graph: Graph, means: Means, conn: Connection):
    form = email.SETTINGS.model_validate(
        {
            "kind": "graph",
            "tenant": "example.com",
            "clientId": "1",
            "user": "ana@example.com",
            "folders": "all",
        }
        | {"authorityUrl": graph.url, "graphUrl": graph.url}
    )
    account = bound(Account("arcsat", "email", None, form, {"clientSecret": CLIENT_SECRET}))
    heads = ("From: bia@example.com", "To: ana@example.com", "Subject: Pedido", "Message-ID: <1@example.com>")
    id = graph.service.mailbox.receive("\r\n".join((*heads, "", "Oi.")).encode())
    first = poll_account(account, means, deadline=MUCH)
    assert (first.problem, first.counts.landed) == (None, 1)
    graph.service.mailbox.move(id, "folder-Archive")
    second = poll_account(account, means, deadline=MUCH)
    assert (second.problem, second.counts.landed, second.counts.quarantined) == (None, 1, 0)
    assert [(kind, data.get("change")) for kind, data in rows(conn)] == [
        ("received", None),
        ("updated", "place"),
    ]
    written = json.dumps(conn.execute("select data::text, source, subject, id from batuta.events").fetchall())
    assert "@example.com" not in written
    assert "%40example.com" not in written


def test_graph_shakes_hands_with_the_gateway_and_its_notifications_wake_the_account(
    graph: Graph, means: Means, database_url: str, tmp_path: Path
):
    binding = ConnectorBinding(type="onedrive", secret_refs=(SecretRef(file="client-state"),))
    settings = gateway_settings(tmp_path / "gateway", database_url)
    settings.secrets_dir.mkdir(parents=True)
    (settings.secrets_dir / "client-state").write_bytes(SECRET)
    with running(settings, graph=CompiledGraph(products=(product("arcsat", binding),))) as gateway:
        plain = drive_account(graph.url)
        account = Account(
            "arcsat", "onedrive", None, plain.settings, plain.credentials, plain.secrets, gateway.address
        )
        [subscription], problem = audit_account(bound(account), means, deadline=MUCH)
        assert problem is None
        assert (subscription.state, subscription.detail) == ("created", None)
        assert graph.service.notify() == [202]
        assert graph.service.notify("missed") == [202]
        [(woken,)] = gateway.query("select count(*) from batuta.wakeups where connector = 'onedrive'")
        assert woken >= 1
        [(landed,)] = gateway.query("select count(*) from batuta.events")
        assert landed == 0
        address = f"{gateway.address}/webhooks/arcsat/onedrive"
        strange = gateway.http.post(
            address,
            content=graph.service.notification(client_state="strange"),
            headers={"content-type": "application/json"},
        )
        assert strange.status_code == 401
