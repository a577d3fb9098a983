"""The models give the KPI values that follow from what was lived: on every day, from marts and live views alike."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from batuta.landing.model import Delivery
from batuta.warehouse.connection import connect
from examples.arcsat.generate import Simulation, generate, simulate
from tests.integration.conftest import Company
from tests.support.example import KEYS, land_file, open_landing, register
from tests.support.kpis_dbt import TABLES, KpiWarehouse
from tests.support.truth import expected_kpis

RELATIONS = ("batuta_marts.kpi_daily", "batuta_live.live_kpi_daily")
A_CENT = Decimal("0.01")

Stored = dict[tuple[str, date, str], tuple[Any, ...]]


def stored_kpis(url: str, relation: str) -> Stored:
    with connect(url, "reader") as connection:
        rows = connection.execute(
            f"select product, business_date, kpi, value, sample_size, low, high from {relation}".encode()
        ).fetchall()
    return {(product, day, kpi): tuple(values) for product, day, kpi, *values in rows}


def disagreements(simulation: Simulation, stored: Stored) -> list[str]:
    """Every value that is not what it must be, in words."""
    found: list[str] = []
    for product, day in sorted({(product, day) for product, day, _ in stored}):
        truth = expected_kpis(simulation, product, day)
        for kpi, expected in (
            ("LTV", truth.ltv),
            ("CAC", truth.cac),
            ("NPS", truth.nps),
            ("leadTime", truth.lead_time),
        ):
            value, size, low, high = stored[product, day, kpi]
            if (value, size) != (expected.value, expected.sample_size):
                found.append(f"{product} {day} {kpi}: {value} of {size}, must be {expected}")
            for bound, must_be in ((low, expected.low), (high, expected.high)):
                if (bound is None) != (must_be is None) or (
                    must_be is not None and abs(bound - must_be) > A_CENT
                ):
                    found.append(f"{product} {day} {kpi}: interval {low} to {high}, must be {expected}")
        day_values = (
            ("net_sales", truth.day.net_sales),
            ("orders", truth.day.orders),
            ("new_customers", truth.day.new_customers),
        )
        for kpi, expected_value in day_values:
            if stored[product, day, kpi][0] != expected_value:
                found.append(
                    f"{product} {day} {kpi}: {stored[product, day, kpi][0]}, must be {expected_value}"
                )
    return found


def test_every_kpi_of_every_day_is_what_was_lived(example: Company, example_url: str) -> None:
    for relation in RELATIONS:
        stored = stored_kpis(example_url, relation)
        assert {product for product, _, _ in stored} == {"arcsat", "lojablock"}
        assert max(day for _, day, _ in stored) == date(2025, 11, 12)
        assert disagreements(example.simulation, stored) == []


def test_arrival_in_reverse_and_in_two_refreshes_gives_the_same_values(
    database_url: str, tmp_path: Path
) -> None:
    simulation = simulate(21, "small")
    manifest = generate(tmp_path / "deliveries", KEYS, 21, "small", simulation)
    register(database_url, manifest)
    landing = open_landing(tmp_path / "home")

    def newest(found: Iterable[Delivery]) -> Iterable[Delivery]:
        return list(found)[::-2]

    def others(found: Iterable[Delivery]) -> Iterable[Delivery]:
        return list(found)[-2::-2]

    for file in manifest.files:
        land_file(database_url, landing, tmp_path / "deliveries", file, newest)
    warehouse = KpiWarehouse(database_url, tmp_path / "dbt")
    warehouse.run("seed")
    warehouse.refresh()
    for file in manifest.files:
        land_file(database_url, landing, tmp_path / "deliveries", file, others)
    live, mart = RELATIONS[1], RELATIONS[0]
    assert disagreements(simulation, stored_kpis(database_url, live)) == []
    warehouse.refresh(*TABLES)
    assert disagreements(simulation, stored_kpis(database_url, mart)) == []
