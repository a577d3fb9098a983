"""Which addresses the gateway serves for a product's accounts."""

from __future__ import annotations

from typing import Any

from batuta.manifests.graph import CompiledGraph
from batuta.manifests.models import ConnectorBinding, SecretRef
from batuta.settings import Settings
from batuta_gateway.doors import open_doors
from tests.support.gateway_server import product


def test_a_mailbox_over_imap_has_no_door_and_one_over_graph_has(settings: Settings) -> None:
    imap: dict[str, Any] = {"host": "imap.example.com", "user": "vendas@example.com"}
    graph: dict[str, Any] = {"kind": "graph", "tenant": "example.com", "clientId": "made-up"}
    unfit: dict[str, Any] = {"kind": "pigeon"}
    bindings = [
        ConnectorBinding(
            type="email", account=name, secret_refs=(SecretRef(file="state"),), settings=settings_of
        )
        for name, settings_of in (("imap", imap), ("graph", graph), ("unfit", unfit))
    ]
    doors = open_doors(CompiledGraph(products=(product("arcsat", *bindings),)), settings)
    assert doors.find("arcsat", "email", "imap") is None
    assert doors.find("arcsat", "email", "graph") is not None
    assert doors.find("arcsat", "email", "unfit") is not None


def test_while_one_of_two_secrets_is_missing_deliveries_signed_with_the_other_are_let_in(
    settings: Settings,
) -> None:
    settings.secrets_dir.mkdir(parents=True)
    (settings.secrets_dir / "old").write_bytes(b"old-secret")
    binding = ConnectorBinding(type="shopify", secret_refs=(SecretRef(file="new"), SecretRef(file="old")))
    doors = open_doors(CompiledGraph(products=(product("arcsat", binding),)), settings)
    door = doors.find("arcsat", "shopify", None)
    assert door is not None
    assert door.secrets == (b"old-secret",)
