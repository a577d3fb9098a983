"""The shipped contracts: valid schemas, strict on what KPIs need, tolerant of the rest, naming nobody."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from batuta.contracts.contract import Contracts
from batuta.contracts.plan import ContractViolation, Plan, write_program
from batuta.keys import create_keys
from batuta.privacy.masking import Masker

CONTRACTS = Contracts.load()


@pytest.fixture(scope="module")
def masker(tmp_path_factory: pytest.TempPathFactory) -> Masker:
    return Masker("arcsat", create_keys(tmp_path_factory.mktemp("home")))


def plan(name: str, masker: Masker) -> Plan:
    return write_program(CONTRACTS.get(name).root, name, {}).bind(masker)


@pytest.mark.parametrize("name", CONTRACTS.names)
def test_a_shipped_contract_is_a_valid_schema_with_title_and_description(name: str) -> None:
    schema = dict(CONTRACTS.get(name).schema)
    Draft202012Validator.check_schema(schema)
    assert schema["title"]
    assert schema["description"]


SURVEY: dict[str, Any] = {
    "survey_id": "nps", "respondent": "r-1", "score": 9, "answered_at": "2025-11-12T11:00:00Z", "channel": "mail",
}  # fmt: skip


@pytest.mark.parametrize("score", [11, -1, 7.5, "9", None, True])
def test_a_score_is_an_integer_of_zero_to_ten(score: Any, masker: Masker) -> None:
    with pytest.raises(ContractViolation) as caught:
        plan("batuta.survey", masker).apply(SURVEY | {"score": score})
    assert caught.value.field_path == "score"


@pytest.mark.parametrize("amount", [100, "1,50", "-1", "1.23456", "", "1e3", "١٠"])
def test_spend_is_a_decimal_text_of_zero_or_more(amount: Any, masker: Masker) -> None:
    spend = {
        "period_start": "2025-11-01", "period_end": "2025-11-30", "channel": "ads", "kind": "media",
        "amount": amount, "currency": "BRL",
    }  # fmt: skip
    with pytest.raises(ContractViolation) as caught:
        plan("batuta.spend", masker).apply(spend)
    assert caught.value.field_path == "amount"


RATE: dict[str, Any] = {
    "pair": "USD/BRL", "day": "2025-11-12", "rate": "5.4321", "provider": "Banco Central",
}  # fmt: skip


@pytest.mark.parametrize("rate", ["1", "0.0001", "000000001.5", "999999999.9999999999"])
def test_a_rate_is_a_decimal_text_of_more_than_zero(rate: str, masker: Masker) -> None:
    masked, _ = plan("batuta.rate", masker).apply(RATE | {"rate": rate})
    assert masked == RATE | {"rate": rate}


@pytest.mark.parametrize(
    "rate", ["0", "0.0000", "-5.43", 5.43, "5,43", "1e3", "", "1234567890", "5.43\n", None]
)
def test_a_rate_that_is_none_is_refused(rate: Any, masker: Masker) -> None:
    with pytest.raises(ContractViolation) as caught:
        plan("batuta.rate", masker).apply(RATE | {"rate": rate})
    assert caught.value.field_path == "rate"


@pytest.mark.parametrize("pair", ["BRL/BRL", "USDBRL", "usd/brl", "USD/BRL/EUR", "USD", "", None])
def test_a_rate_is_between_two_different_currencies(pair: Any, masker: Masker) -> None:
    with pytest.raises(ContractViolation) as caught:
        plan("batuta.rate", masker).apply(RATE | {"pair": pair})
    assert caught.value.field_path == "pair"


@pytest.mark.parametrize("missing", ["survey_id", "respondent", "sent_at", "channel"])
def test_an_invitation_says_what_was_sent_to_whom_and_when(missing: str, masker: Masker) -> None:
    invitation = {
        "survey_id": "nps",
        "respondent": "r-1",
        "sent_at": "2025-11-12T11:00:00Z",
        "channel": "mail",
    }
    plan("batuta.survey_sent", masker).apply(invitation)
    del invitation[missing]
    with pytest.raises(ContractViolation) as caught:
        plan("batuta.survey_sent", masker).apply(invitation)
    assert caught.value.field_path == missing


def test_who_was_invited_and_who_answered_have_one_pseudonym(masker: Masker) -> None:
    invitation = {
        "survey_id": "nps",
        "respondent": "r-1",
        "sent_at": "2025-11-12T11:00:00Z",
        "channel": "mail",
    }
    sent, _ = plan("batuta.survey_sent", masker).apply(invitation)
    answered, _ = plan("batuta.survey", masker).apply(SURVEY)
    assert sent["respondent"] == answered["respondent"]
    assert sent["respondent"].startswith("h1:")


ORDER: dict[str, Any] = {
    "id": 820982911946154508,
    "admin_graphql_api_id": "gid://shopify/Order/820982911946154508",
    "created_at": "2025-11-12T08:00:00-03:00",
    "updated_at": "2025-11-12T08:00:00-03:00",
    "processed_at": "2025-11-12T08:00:00-03:00",
    "cancelled_at": None,
    "financial_status": "paid",
    "test": False,
    "currency": "BRL",
    "total_price": "90.00",
    "email": "Ana.Souza@exemplo.com",
    "phone": "+55 11 98765-4321",
    "note": "Ligar para 11 98765-4321, CPF 529.982.247-25",
    "browser_ip": "203.0.113.7",
    "customer": {"id": 207119551, "email": "ana.souza@exemplo.com", "first_name": "Ana", "last_name": "Souza"},
    "billing_address": {
        "name": "Ana Souza", "address1": "Rua A, 1", "city": "Recife", "province_code": "PE", "country_code": "BR",
    },
    "line_items": [
        {
            "id": 1, "product_id": 7, "sku": "A", "title": "Camiseta", "quantity": 2, "price": "50.00",
            "gift_card": False,
            "discount_allocations": [{"amount": "10.00", "discount_application_index": 0}],
            "properties": [{"name": "gravação", "value": "Para Ana"}],
        }
    ],
    "refunds": [
        {
            "id": 5, "created_at": "2025-11-13T08:00:00-03:00",
            "refund_line_items": [
                {"id": 9, "line_item_id": 1, "quantity": 1, "subtotal": 45.0, "line_item": {"id": 1, "title": None}}
            ],
            "order_adjustments": [{"id": 3, "amount": "-5.00", "kind": "refund_discrepancy"}],
            "transactions": [{"id": 4, "kind": "refund", "status": "success", "amount": "45.00", "test": False}],
        }
    ],
}  # fmt: skip


def test_an_order_keeps_what_kpis_need_and_nothing_that_names_a_person(masker: Masker) -> None:
    masked, tally = plan("shopify.order", masker).apply(ORDER)
    text = repr(masked)
    for clear in ("Ana", "Souza", "souza", "98765", "529.982", "Rua A", "203.0.113", "207119551"):
        assert clear not in text
    assert masked["email"] == masked["customer"]["email"]
    assert masked["line_items"][0]["discount_allocations"] == [
        {"amount": "10.00", "discount_application_index": 0}
    ]
    assert masked["refunds"][0]["order_adjustments"][0]["amount"] == "-5.00"
    assert masked["billing_address"] == {"city": "Recife", "province_code": "PE", "country_code": "BR"}
    assert tally.dropped == 6


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"total_price": 90.0}, "total_price"),
        ({"total_price": "90,00"}, "total_price"),
        ({"id": "820982911946154508"}, "id"),
        ({"processed_at": "yesterday"}, "processed_at"),
        ({"line_items": None}, "line_items"),
        ({"line_items": [{"id": 1, "quantity": 1}]}, "line_items[].price"),
    ],
)
def test_an_order_a_kpi_could_not_be_made_of_is_refused(
    change: dict[str, Any], field: str, masker: Masker
) -> None:
    with pytest.raises(ContractViolation) as caught:
        plan("shopify.order", masker).apply(ORDER | change)
    assert caught.value.field_path == field


def test_people_on_github_are_hashed_and_never_meet_a_shops_customer_of_the_same_number(
    masker: Masker,
) -> None:
    masked, _ = plan("github.other", masker).apply(
        {"sender": {"login": "ana", "id": 207119551, "type": "User"}}
    )
    order, _ = plan("shopify.order", masker).apply(ORDER)
    assert masked["sender"]["type"] == "User"
    assert masked["sender"]["id"].startswith("h1:")
    assert masked["sender"]["id"] != order["customer"]["id"]
