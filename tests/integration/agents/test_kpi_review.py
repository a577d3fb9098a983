"""Levels, changes and anomalies, with what stands behind them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from batuta.facts import events_of_fact, render
from tests.support.agents_live import AS_OF, PRODUCT, Live, order

SKILL = "sigma.kpi.review"


def _day(kpi: str, ago: int, value: str | None, unit: str = "count", **columns: Any) -> dict[str, Any]:
    return {
        "product": PRODUCT,
        "business_date": AS_OF - timedelta(days=ago),
        "kpi": kpi,
        "value": None if value is None else Decimal(value),
        "unit": unit,
        "currency": "BRL" if unit == "currency" else None,
        "basis": "a basis",
        "batch": 42,
        **columns,
    }


def _text(paragraph: dict[str, Any], result: Any) -> str:
    return render(paragraph["text"], result.facts, "pt-BR").replace("\N{NO-BREAK SPACE}", " ")


def test_a_kpi_shows_its_changes_and_whether_they_are_good(live: Live) -> None:
    live.insert("live_kpi_daily", [_day("CAC", 0, "110", "currency"), _day("CAC", 7, "100", "currency")])
    live.insert(
        "live_kpi_daily",
        [
            _day(
                "NPS",
                0,
                "40",
                "points",
                sample_size=20,
                low=Decimal(10),
                high=Decimal(70),
                reason="small sample",
            )
        ],
    )
    live.insert("live_kpi_daily", [_day("NPS", 7, "35.5", "points")])
    live.insert("live_kpi_daily", [_day("LTV", 0, None, "currency", reason="no customers acquired")])

    result = live.run(SKILL)

    assert result.output is not None, result.error
    readings = {reading["kpi"]: reading for reading in result.output["kpis"]}
    assert list(readings) == ["LTV", "CAC", "NPS"]
    assert readings["CAC"]["unit"] == "money:BRL"
    day, week, month = readings["CAC"]["changes"]
    assert (week["previous"], week["absolute"], week["percent"], week["verdict"]) == (
        "100.00",
        "10.00",
        "10.0",
        "worse",
    )
    assert (day["previous"], day["verdict"], month["verdict"]) == (None, "unknown", "unknown")
    assert readings["NPS"]["changes"][1]["percent"] is None
    assert readings["NPS"]["reason"] == "amostra pequena"
    assert [_text(paragraph, result) for paragraph in result.output["narrative"]] == [
        "Situação dos indicadores em 12/11/2025.",
        "Valor do cliente (LTV): sem valor (nenhum cliente conquistado).",
        "Custo de aquisição (CAC): R$ 110,00, alta de 10,0 % em uma semana (pior).",
        "NPS: 40, +4,5 em uma semana (melhor).",
        "Nenhum dos últimos 14 dias foge do padrão.",
    ]


def _steady(live: Live, *, odd: dict[int, str]) -> None:
    wiggle = ("70", "72", "69", "71", "68", "74", "67", "73", "70")
    live.insert("live_kpi_daily", [_day("orders", ago, odd.get(ago, wiggle[ago % 9])) for ago in range(63)])


def test_a_day_that_breaks_the_pattern_is_reported_with_its_events(live: Live) -> None:
    _steady(live, odd={5: "20"})
    live.insert("live_orders", [order(n, day=AS_OF - timedelta(days=5)) for n in range(3)])
    live.insert("live_orders", [order(9)])

    result = live.run(SKILL)

    assert result.output is not None, result.error
    (anomaly,) = result.output["anomalies"]
    assert (anomaly["business_date"], anomaly["value"], anomaly["side"]) == ("2025-11-07", "20", "below")
    assert (anomaly["verdict"], anomaly["events"]) == ("worse", 3)
    assert Decimal(anomaly["baseline"]) in range(67, 75)
    with live.connect("reader") as conn:
        behind = events_of_fact(conn, result.facts[f"{anomaly['facts']}.value"].id)
    assert [event.id for event in behind.events] == ["order-0", "order-1", "order-2"]
    assert _text(anomaly["explanation"], result).startswith("Pedidos em 07/11/2025: 20, abaixo do esperado")


def test_a_day_that_is_not_over_is_not_judged(live: Live) -> None:
    _steady(live, odd={0: "3"})
    during: datetime = datetime(2025, 11, 12, 15, tzinfo=UTC)

    assert [found["business_date"] for found in _anomalies(live, lambda: during)] == []
    assert [found["business_date"] for found in _anomalies(live, lambda: during + timedelta(days=1))] == [
        "2025-11-12"
    ]


def _anomalies(live: Live, clock: Any) -> list[dict[str, Any]]:
    output = live.run(SKILL, clock=clock).output
    assert output is not None
    return output["anomalies"]


def test_without_any_kpi_it_says_so(live: Live) -> None:
    result = live.run(SKILL, as_of=date(2020, 1, 1))

    assert result.output is not None, result.error
    assert [_text(paragraph, result) for paragraph in result.output["narrative"]] == [
        "Ainda não há indicadores até 01/01/2020."
    ]
