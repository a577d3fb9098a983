"""What reconciliation finds, kind by kind, and that every number can be followed."""

from decimal import Decimal

import pytest

from batuta.facts import events_of_fact, render
from batuta.skill_records import load_analysis
from tests.support.agents_live import AS_OF, PRODUCT, Live, order, refund, transaction

SKILL = "sigma.finance.reconcile"


def test_orders_that_are_paid_in_full_agree(live: Live) -> None:
    live.insert("live_orders", [order(1), order(2, "50.10")])
    live.insert("live_transactions", [transaction(1), transaction(2, "50.10")])

    result = live.run(SKILL)

    assert result.status == "ok", result.error
    assert result.output is not None
    assert (result.output["checked"], result.output["agreeing"], result.output["mismatches"]) == (2, 2, [])
    assert result.output["value_at_risk"] == "0"
    assert [paragraph["key"] for paragraph in result.output["narrative"]] == ["checked", "ok"]


@pytest.mark.parametrize(
    ("kind", "expected", "found", "orders", "transactions", "refunds"),
    [
        ("paid_without_transaction", "100.00", "0.00", [order(1)], [], []),
        ("paid_without_transaction", "100.00", "0.00", [order(1)], [transaction(1, status="failure")], []),
        (
            "paid_without_transaction",
            "100.00",
            "0.00",
            [order(1)],
            [transaction(1, kind="authorization")],
            [],
        ),
        ("captured_differs_from_total", "100.00", "99.99", [order(1)], [transaction(1, "99.99")], []),
        (
            "captured_differs_from_total",
            "100.00",
            "120.00",
            [order(1, financial_status="partially_paid")],
            [transaction(1, "120")],
            [],
        ),
        (
            "captured_on_cancelled_without_refund",
            "0",
            "100.00",
            [order(1, is_cancelled=True)],
            [transaction(1)],
            [],
        ),
        (
            "captured_on_unpaid_order",
            "0",
            "100.00",
            [order(1, financial_status="pending")],
            [transaction(1)],
            [],
        ),
        (
            "refund_exceeds_captured",
            "100.00",
            "130.00",
            [order(1, financial_status="refunded")],
            [transaction(1), transaction(1, "130", kind="refund", suffix="r")],
            [refund(1, "100", "130")],
        ),
        (
            "refund_recorded_but_not_moved",
            "40.00",
            "0.00",
            [order(1)],
            [transaction(1), transaction(1, "40", kind="refund", status="failure", suffix="r")],
            [refund(1, "40", "0", is_failed=True)],
        ),
        (
            "refund_recorded_but_not_moved",
            "25.00",
            "0.00",
            [order(1)],
            [transaction(1)],
            [refund(1, "25", "0")],
        ),
        (
            "refund_moved_but_not_recorded",
            "0.00",
            "40.00",
            [order(1, financial_status="partially_refunded")],
            [transaction(1), transaction(1, "40", kind="refund", suffix="r")],
            [],
        ),
        ("currency_mismatch", "100.00", "0.00", [order(1)], [transaction(1, currency="USD")], []),
        ("transaction_without_order", "0", "100.00", [], [transaction(1)], []),
    ],
)
def test_each_kind_of_mismatch_is_found_once_with_what_was_expected(
    live: Live, kind: str, expected: str, found: str, orders: list, transactions: list, refunds: list
) -> None:
    live.insert("live_orders", orders)
    live.insert("live_transactions", transactions)
    live.insert("live_refunds", refunds)

    output = live.run(SKILL).output

    assert output is not None
    assert [(m["kind"], m["expected"], m["found"]) for m in output["mismatches"]] == [(kind, expected, found)]
    assert [(k["kind"], k["orders"]) for k in output["kinds"]] == [(kind, 1)]
    assert Decimal(output["value_at_risk"]) == abs(Decimal(found) - Decimal(expected))


@pytest.mark.parametrize(
    ("orders", "transactions", "refunds"),
    [
        # A failed refund that a later one made up for.
        (
            [order(1, financial_status="partially_refunded")],
            [
                transaction(1),
                transaction(1, "40", kind="refund", status="failure", suffix="a"),
                transaction(1, "40", kind="refund", suffix="b"),
            ],
            [refund(1, "40", "40"), refund(1, "40", "0", refund_id="x", is_failed=True, event_id="x")],
        ),
        # Authorised, never captured, then voided.
        ([order(1, is_voided=True, financial_status="voided")], [transaction(1, kind="authorization")], []),
        # Cancelled and paid back in full.
        (
            [order(1, is_cancelled=True, financial_status="refunded")],
            [transaction(1), transaction(1, kind="refund", suffix="r")],
            [refund(1, "100", "100")],
        ),
        # A test order, a deleted one, one before the window.
        ([order(1, is_test=True)], [transaction(1, "7", is_test=True)], []),
        ([order(1, is_deleted=True)], [], []),
        ([order(1, day=AS_OF.replace(year=2024))], [], []),
        # Not yet paid, partly paid, free.
        ([order(1, financial_status="pending")], [], []),
        ([order(1, financial_status="partially_paid")], [transaction(1, "30")], []),
        ([order(1, "0")], [], []),
    ],
)
def test_what_is_in_order_is_not_reported(
    live: Live, orders: list, transactions: list, refunds: list
) -> None:
    live.insert("live_orders", orders)
    live.insert("live_transactions", transactions)
    live.insert("live_refunds", refunds)

    output = live.run(SKILL).output

    assert output is not None
    assert output["mismatches"] == []


def test_a_tolerance_lets_small_differences_pass(live: Live) -> None:
    live.insert("live_orders", [order(1), order(2)])
    live.insert("live_transactions", [transaction(1, "99.95"), transaction(2, "99.94")])

    output = live.run(SKILL, {"tolerance_cents": 5}).output

    assert output is not None
    assert [m["order_id"] for m in output["mismatches"]] == ["2"]


def test_totals_count_what_the_list_leaves_out_and_an_order_is_at_risk_once(live: Live) -> None:
    live.insert("live_orders", [order(n, str(100 * n)) for n in range(1, 6)])
    live.insert(
        "live_transactions", [transaction(5, "700"), transaction(5, "800", kind="refund", suffix="r")]
    )

    output = live.run(SKILL, {"limit": 2}).output

    assert output is not None
    assert len(output["mismatches"]) == 2
    # Order 5 disagrees in three ways: captured 700 of 500, 800 paid back of 700, of which none is recorded.
    assert output["unlisted"] == 5
    assert {k["kind"]: k["orders"] for k in output["kinds"]} == {
        "paid_without_transaction": 4,
        "captured_differs_from_total": 1,
        "refund_exceeds_captured": 1,
        "refund_moved_but_not_recorded": 1,
    }
    assert Decimal(output["value_at_risk"]) == 100 + 200 + 300 + 400 + 800
    assert output["mismatched"] == 5
    assert output["agreeing"] == 0


def test_a_mismatch_can_be_followed_to_its_events_and_said_in_portuguese(live: Live) -> None:
    live.insert("live_orders", [order(1, "1234.56"), order(2)])
    live.insert("live_transactions", [transaction(1, "1000"), transaction(2)])

    result = live.run(SKILL)
    with live.connect("writer") as conn:
        analysis = load_analysis(conn, SKILL, PRODUCT, AS_OF)
    assert analysis is not None
    assert analysis.run_id == result.run_id
    said = [
        render(text, analysis.facts, "pt-BR").replace("\N{NO-BREAK SPACE}", " ")
        for text in analysis.narrative
    ]
    totals = "R$ 1.334,56 vendidos, R$ 1.100,00 recebidos e R$ 0,00 devolvidos"
    assert said == [
        f"Foram conferidos 2 pedidos dos 90 dias até 12/11/2025: {totals}.",
        "1 pedido não confere; o valor em risco é de R$ 234,56.",
        "O maior grupo é “valor pago diferente do total”, com 1 pedido e diferença de R$ 234,56.",
    ]
    fact = analysis.facts["order.1.captured_differs_from_total.difference"]
    assert fact.value == Decimal("-234.56")
    with live.connect("reader") as conn:
        found = events_of_fact(conn, fact.id)
        everything = events_of_fact(conn, analysis.facts["checked"].id)
    assert [event.id for event in found.events] == ["order-1", "transaction-1"]
    assert found.unchanged is True
    assert all(event.expired for event in found.events)
    assert len(everything.events) == 4
