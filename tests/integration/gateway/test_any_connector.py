"""No request, at the door of any connector, makes the gateway fail: any method, query, headers and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batuta.manifests.graph import CompiledGraph
from sensors.connectors import CONNECTORS
from tests.support.database import database
from tests.support.gateway_server import Running, binding, gateway_settings, product, running

fuzz = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PUSHED = sorted(name for name, module in CONNECTORS.items() if module.PUSH)
# What vendors' documents are made of: keys that parsers look for, and values of every kind beneath them.
WORDS = [
    "id", "type", "entry", "changes", "value", "messages", "statuses", "from",
    "timestamp", "text", "body", "object", "entity", "data", "workspace_id", "resource",
    "verification_token", "resourceData", "subscriptionId", "action", "clientState", "changeType", "lifecycleEvent",
    "repository", "full_name", "pull_request", "updated_at", "specversion", "admin_graphql_api_id",
    "created_at", "line_items", "customer", "context",
    "metadata", "source",
    "phone_number_id",
]  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | st.sampled_from(["\x00", "2025-11-12T11:00:00Z", "1762945200", "9" * 30, "x" * 3000, "a@b", "created"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=14,
)
HEADER = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40
)
QUERY = st.dictionaries(
    st.sampled_from(["hub.mode", "hub.verify_token", "hub.challenge", "validationToken", "x"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    max_size=3,
)


@pytest.fixture(scope="module")
def gateway(
    database_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Every connector's door twice: one that takes what is not signed, so that it is read, and one that does not."""
    graph = CompiledGraph(
        products=(
            product("open", *(binding(name, unsigned=True) for name in PUSHED)),
            product("closed", *(binding(name, "arcsat-events") for name in PUSHED)),
        )
    )
    home = tmp_path_factory.mktemp("any")
    with (
        database(database_server, template_database) as url,
        running(gateway_settings(home, url), graph=graph) as started,
    ):
        yield started


@st.composite
def headers(draw: st.DrawFn, name: str) -> dict[str, str]:
    """The headers this connector's deliveries have, mostly, and others."""
    connector = CONNECTORS[name]
    found = {
        one.partition("|")[0]: draw(HEADER | st.sampled_from(["orders/create", "push", "1"]))
        for one in connector.REQUIRED_HEADERS
    }
    found["content-type"] = draw(st.sampled_from(sorted(connector.MEDIA_TYPES)) | HEADER)
    signatures = [
        "x-hub-signature-256",
        "x-shopify-hmac-sha256",
        "x-notion-signature",
        "webhook-signature",
        "authorization",
    ]
    found |= draw(
        st.dictionaries(st.sampled_from([*signatures, "x-batuta-form", "ce-id"]), HEADER, max_size=2)
    )
    return found


@pytest.mark.parametrize("name", PUSHED)
@fuzz
@given(data=st.data())
def test_any_request_at_any_connector_s_door(gateway: Running, name: str, data: st.DataObject):
    body: Any = data.draw(JSON.map(orjson.dumps) | st.binary(max_size=200))
    sent = {key.encode(): value.encode("latin-1") for key, value in data.draw(headers(name)).items()}
    method = data.draw(st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "HEAD", "DELETE"]))
    query = data.draw(QUERY)
    for owner in ("open", "closed"):
        answered = gateway.http.request(
            method, f"/webhooks/{owner}/{name}", params=query, headers=sent, content=body
        )
        assert answered.status_code < 500, answered.text
