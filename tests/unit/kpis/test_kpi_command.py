"""How `batuta kpi` shows what it read."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from click.testing import CliRunner

from batuta.errors import BatutaError, UsageError
from batuta.kpis import REASONS_PT, KpiValue, ProductForm, reason_in, unit_in, window_in
from batuta_cli.commands import kpi as command
from tests.support.kpis_dbt import PROJECT

CASA = ProductForm("casa", "pt-BR", "BRL", "America/Sao_Paulo")
HAUS = ProductForm("haus", "en", "EUR", "Europe/Berlin")
LTV = KpiValue(
    product="casa",
    kpi="LTV",
    title_en="Lifetime value",
    title_pt="Valor do cliente (LTV)",
    value=Decimal("1723.6000"),
    unit="currency",
    currency="BRL",
    grain="product, day",
    window="all time",
    as_of=date(2025, 11, 12),
    numerator=Decimal("3278289.4500"),
    denominator=Decimal("1902.0000"),
    low=None,
    high=None,
    sample_size=1902,
    basis="ltv_net_sales",
    reason=None,
    direction="up",
    owner="team:vox",
    definition_en="Net sales per customer",
    definition_pt="Vendas por cliente",
    is_headline=True,
    is_live=True,
    batch=16,
    committed_at=datetime(2025, 11, 13, 8, 30, tzinfo=UTC),
)
NPS = replace(
    LTV,
    kpi="NPS",
    title_pt="NPS",
    title_en="Net promoter score",
    value=None,
    unit="points",
    currency=None,
    window="90 days",
    sample_size=0,
    reason="no answers in 90 days",
    is_headline=False,
)


class NoDatabase:
    """A connection nobody reads from."""

    def __enter__(self) -> "NoDatabase":
        return self

    def __exit__(self, *_: object) -> None:
        return


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, date | None]]:
    """What the command asks for; it is answered with two values."""
    asked: list[tuple[str, date | None]] = []

    def values(_conn: object, product: str, as_of: date | None = None) -> tuple[KpiValue, ...]:
        asked.append((product, as_of))
        return (LTV, NPS) if product == "casa" else ()

    monkeypatch.setattr(command, "ensure_database", lambda *_: "")
    monkeypatch.setattr(command, "connect", lambda *_: NoDatabase())
    monkeypatch.setattr(command, "products", lambda _: (CASA, HAUS))
    monkeypatch.setattr(command, "current_kpis", values)
    return asked


def test_values_are_written_as_the_people_of_the_product_write_them(
    shown: list[tuple[str, date | None]],
) -> None:
    result = CliRunner().invoke(command.kpi, [], env={"COLUMNS": "140"})
    assert result.exit_code == 0
    page = result.output.replace("\xa0", " ")
    assert "casa, em 12/11/2025 (eventos até 13/11/2025, 05:30)" in page
    assert "R$ 1.723,60" in page
    assert "desde o início" in page
    assert "nenhuma resposta em 90 dias" in page
    assert "haus: no figures yet" in page
    assert shown == [("casa", None), ("haus", None)]


def test_json_has_exact_values_and_the_reason_for_a_missing_one(shown: list[tuple[str, date | None]]) -> None:
    result = CliRunner().invoke(command.kpi, ["--product", "casa", "--as-of", "2025-11-12", "--json"])
    (document,) = json.loads(result.output)
    ltv, nps = document["kpis"]
    assert (ltv["value"], ltv["currency"], ltv["as_of"], ltv["batch"]) == (
        "1723.6000",
        "BRL",
        "2025-11-12",
        16,
    )
    assert (nps["value"], nps["reason"]) == (None, "no answers in 90 days")
    assert shown == [("casa", date(2025, 11, 12))]


@pytest.mark.usefixtures("shown")
def test_an_unknown_product_is_bad_usage_and_names_those_there_are() -> None:
    error = CliRunner().invoke(command.kpi, ["--product", "cassa"]).exception
    assert isinstance(error, UsageError)
    assert error.hint == "products: casa, haus"


@pytest.mark.usefixtures("shown")
def test_without_products_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "products", lambda _: ())
    error = CliRunner().invoke(command.kpi, []).exception
    assert isinstance(error, BatutaError)
    assert "batuta apply" in (error.hint or "")


def test_every_reason_a_model_gives_can_be_said_in_portuguese() -> None:
    import re

    text = (PROJECT / "macros" / "kpis" / "kpi_values.sql").read_text()
    given = set(re.findall(r"then '((?:no|not|nothing|small|customers) [^']+)'", text))
    assert given == set(REASONS_PT)
    assert reason_in("small sample", "en") == "small sample"


def test_every_unit_and_window_of_the_catalogue_can_be_said() -> None:
    from ruamel.yaml import YAML

    document = YAML(typ="safe", pure=True).load(PROJECT / "models" / "marts" / "_dim_kpis.yml")
    catalogue = document["models"][0]["config"]["meta"]["kpis"].values()
    for kpi in catalogue:
        assert window_in(kpi["window"], "pt-BR") != kpi["window"] == window_in(kpi["window"], "en")
        counted = replace(LTV, unit=kpi["unit"], currency=None)
        assert unit_in(counted, "pt-BR") != kpi["unit"] == unit_in(counted, "en")
    assert window_in("90 days", "pt-BR") == "90 dias"
    assert unit_in(LTV, "pt-BR") == unit_in(LTV, "en") == "BRL"
