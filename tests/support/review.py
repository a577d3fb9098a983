"""A daily review's inputs made by hand: small, complete, with every section."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from batuta.facts import Fact, FactValue
from batuta.reports.model import (
    Freshness,
    HeldDeliveries,
    Intake,
    KpiPoint,
    KpiSeries,
    ProductInfo,
    ReviewInputs,
)
from batuta.skill_records import Analysis

DAY = date(2025, 11, 12)
SHOP = "https://shop.example.com"
PRODUCT = ProductInfo("arcsat", "pt-BR", "BRL", "America/Sao_Paulo", ("LTV", "NPS"))


def series(
    kpi: str, unit: str, values: Sequence[str | None], *, direction: Any = "up", **point: Any
) -> KpiSeries:
    """A KPI whose last value is of `DAY`."""
    first = DAY - timedelta(days=len(values) - 1)
    points = tuple(
        KpiPoint(
            first + timedelta(days=place), None if value is None else Decimal(value), sample_size=40, **point
        )
        for place, value in enumerate(values)
    )
    return KpiSeries(
        kpi, f"Título de {kpi}", f"Definição de {kpi}.", unit, direction, "1 day", "team:vox", True, points
    )


def fact(run: str, name: str, value: FactValue, unit: str, lineage: Mapping[str, Any] | None = None) -> Fact:
    """A recorded fact of a run."""
    rows = {
        "kind": "rows",
        "query": "orders_with_payments",
        "query_digest": "sha256:" + "ab" * 32,
        "relations": ["live_orders"],
        "filter": "orders of the window",
        "columns": [name],
        "row_count": 1,
        "batch_to": 9,
        "events": {"count": 2, "sample": [[SHOP, "evento-um"], [SHOP, "evento-dois"]]},
    }
    return Fact(f"{run}.{name}", name, value, unit, DAY, lineage or rows)


def analysis(
    skill: str, output: Mapping[str, Any], narrative: tuple[str, ...], facts: list[Fact]
) -> Analysis:
    """An analysis as it is read back."""
    return Analysis(
        run_id=f"run-{skill}",
        skill=skill,
        skill_version="1",
        product="arcsat",
        as_of=DAY,
        locale="pt-BR",
        output=output,
        narrative=narrative,
        facts={found.name: found for found in facts},
        batch_to=9,
        pipeline="arcsat-daily-review",
        dagster_run_id="run-1",
        output_digest="sha256:" + "cd" * 32,
        finished_at=datetime(2025, 11, 13, 9, tzinfo=UTC),
    )


def reconcile(order_name: str = "#1042") -> Analysis:
    """One order that was not paid in full."""
    run = "reconcile"
    computed = {
        "kind": "facts",
        "facts": ["mismatch.1.expected", "mismatch.1.found"],
        "formula": "found - expected",
        "batch_to": 9,
    }
    return analysis(
        "sigma.finance.reconcile",
        {
            "currency": "BRL",
            "kinds": [
                {"label": "valor pago diferente", "meaning": "Cobre a diferença.", "facts": "kind.differs"}
            ],
            "mismatches": [
                {
                    "order_id": "42",
                    "order_name": order_name,
                    "label": "valor pago diferente",
                    "business_date": "2025-11-10",
                    "facts": "mismatch.1",
                }
            ],
            "unlisted": 0,
        },
        ("{{fact:mismatched}} pedido não confere: {{fact:value_at_risk}}.",),
        [
            fact(run, "mismatched", 1, "count"),
            fact(run, "value_at_risk", Decimal("1234.56"), "money:BRL"),
            fact(run, "kind.differs.orders", 1, "count"),
            fact(run, "kind.differs.difference", Decimal("1234.56"), "money:BRL"),
            fact(run, "mismatch.1.expected", Decimal("2234.56"), "money:BRL"),
            fact(run, "mismatch.1.found", Decimal("1000.00"), "money:BRL"),
            fact(run, "mismatch.1.difference", Decimal("-1234.56"), "money:BRL", computed),
        ],
    )


def review_inputs(**changes: Any) -> ReviewInputs:
    """The inputs of a small review, with any field replaced."""
    inputs = ReviewInputs(
        product=PRODUCT,
        pipeline="arcsat-daily-review",
        family="daily_review",
        business_date=DAY,
        series=(
            series("LTV", "money:BRL", ["900.00"] * 8 + ["1234.56"]),
            series(
                "NPS",
                "points",
                [None, None, "30", "31", "32", "33", "34", "35", "36"],
                low=Decimal("20.5"),
                high=Decimal(50),
            ),
            series(
                "net_sales",
                "money:BRL",
                ["100.00", "250.00", "80.00", "90.00", "100.00", "110.00", "120.00", "130.00", "1234567.89"],
            ),
            series("refund_rate", "percent", ["5.0"] * 8 + ["5.3"], direction="down"),
        ),
        analyses={"sigma.finance.reconcile": reconcile()},
        intake=(Intake("shopify", 23815, 294, 11, 0),),
        held=(HeldDeliveries("shopify", "json", 11),),
        freshness=Freshness(9, datetime(2025, 11, 13, 2, 54, tzinfo=UTC)),
    )
    return replace(inputs, **changes)
