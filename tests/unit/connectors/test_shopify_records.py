"""Records of the Admin API, read: whatever they are, they become an event or are `Rejected`; nothing else."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batuta.contracts.contract import Contracts
from batuta.contracts.plan import ContractViolation, write_program
from batuta.keys import create_keys
from batuta.landing.model import Delivery, Parsed, Rejected
from batuta.privacy.masking import Masker
from examples.vendors import shopify_data as data
from examples.vendors.shopify import TOKEN, Shopify
from sensors.connectors import shopify
from sensors.connectors.pulling import FORM, Account
from sensors.connectors.shopify import pull
from sensors.connectors.shopify.nodes import READERS
from tests.support.pulling import NOW, pull_all, tools
from tests.support.vendor_deliveries import SHOP

FORMS = tuple(READERS)
CONTRACTS = Contracts.load()
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=15)
    | st.sampled_from(["gid://shopify/Order/1", "2025-11-12T11:00:00Z", "1E999999", "-", "9" * 400, "\x00"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def records() -> dict[str, Any]:
    """One true record of each form, as the stand-in gives it and the puller hands it on."""
    with Shopify(SHOP) as shop:
        shop.now = lambda: NOW
        order = data.order(1, NOW, lines=2)
        refund = data.refund(order, NOW)
        shop.put("orders", order | {"refunds": [refund]}, [data.sale(order, NOW), *refund["transactions"]])
        shop.put("products", data.product(1, NOW))
        shop.put("customers", data.customer(1, NOW))
        account = Account(
            "arcsat", "shopify", SHOP, shopify.Settings(api_url=shop.url), {"accessToken": TOKEN.encode()}
        )
        pulled = pull_all(pull, account, tools()).deliveries
    return {delivery.headers[FORM]: orjson.loads(delivery.body) for delivery in pulled}


def record(form: str, body: bytes, **headers: str) -> Delivery:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Delivery(
        "arcsat",
        "shopify",
        SHOP,
        {FORM: form, shopify.SHOP: SHOP} | named,
        body,
        datetime(2026, 1, 1, tzinfo=UTC),
    )


def read(delivery: Delivery) -> Parsed | Rejected:
    try:
        return shopify.parse(delivery)
    except Rejected as rejected:
        return rejected


@given(st.sampled_from((*FORMS, "none", "")), st.binary(max_size=100))
def test_any_bytes_in_any_form(form: str, body: bytes) -> None:
    assert isinstance(read(record(form, body)), Rejected)


@given(st.sampled_from(FORMS), JSON, st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_any_json_in_any_form(form: str, document: Any, since: str) -> None:
    read(record(form, orjson.dumps(document), x_batuta_since=since))


@settings(max_examples=300)
@given(form=st.sampled_from(FORMS), draws=st.data())
def test_a_true_record_with_any_member_replaced(
    form: str, draws: st.DataObject, records: dict[str, Any]
) -> None:
    document = copy.deepcopy(records[form])
    for _ in range(draws.draw(st.integers(1, 3))):
        owner: Any = document
        while True:
            keys = sorted(owner) if isinstance(owner, dict) else list(range(len(owner)))
            key = draws.draw(st.sampled_from(keys))
            if not isinstance(owner[key], dict | list) or not owner[key] or draws.draw(st.booleans()):
                break
            owner = owner[key]
        owner[key] = draws.draw(JSON)
    parsed = read(record(form, orjson.dumps(document)))
    if isinstance(parsed, Rejected):
        assert parsed.code
        assert parsed.message
    else:
        (candidate,) = parsed.candidates
        assert candidate.entity
        assert candidate.version
        assert candidate.event.id == f"{candidate.entity}:{candidate.version}"


@pytest.mark.parametrize("form", FORMS)
def test_a_true_record_keeps_its_contract_with_nothing_dropped(
    form: str, records: dict[str, Any], tmp_path: Path
) -> None:
    """What is read is what the contract takes in; all that is dropped is what would tell who a customer is."""
    (candidate,) = shopify.parse(record(form, orjson.dumps(records[form]))).candidates
    contract = CONTRACTS.for_type(candidate.event.type)
    plan = write_program(contract.root, contract.reference, {}).bind(Masker("arcsat", create_keys(tmp_path)))
    try:
        _, tally = plan.apply(candidate.event.data)
    except ContractViolation as violation:
        pytest.fail(str(violation))
    assert tally.dropped == (1 if form == "customer" else 0)


def test_a_customer_is_told_by_neither_subject_nor_id(records: dict[str, Any]) -> None:
    (pulled,) = shopify.parse(record("customer", orjson.dumps(records["customer"]))).candidates
    assert pulled.hashed == {"id", "subject"}
    (order,) = shopify.parse(record("order", orjson.dumps(records["order"]))).candidates
    assert not order.hashed


def test_what_is_new_since_the_last_poll_is_told_as_created(records: dict[str, Any]) -> None:
    body = orjson.dumps(records["order"])

    def type_since(moment: str | None) -> str:
        headers = {} if moment is None else {"x_batuta_since": moment}
        (candidate,) = shopify.parse(record("order", body, **headers)).candidates
        return candidate.event.type

    assert type_since("2026-03-02T11:59:59Z") == "com.shopify.orders.created"
    assert type_since("2026-03-02T12:00:00Z") == "com.shopify.orders.updated"
    assert type_since(None) == "com.shopify.orders.updated"


def test_a_record_of_an_unknown_form_or_without_its_id_is_refused(records: dict[str, Any]) -> None:
    found = read(record("invoice", b"{}"))
    assert isinstance(found, Rejected)
    assert found.field == FORM
    for form in FORMS:
        found = read(record(form, orjson.dumps(records[form] | {"id": "gid://shopify/Wrong/1"})))
        assert isinstance(found, Rejected)
        assert "global id" in found.message


def test_half_of_a_pair_of_credentials_is_said_when_the_manifest_is_read() -> None:
    lacking = shopify.Settings().lacking
    assert lacking(frozenset()) is None, "an account may only take webhooks"
    assert lacking(frozenset({"accessToken"})) is None
    assert lacking(frozenset({"clientId", "clientSecret"})) is None
    assert "clientSecret" in (lacking(frozenset({"clientId"})) or "")
