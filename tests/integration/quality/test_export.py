"""A domain leaves under its contract: its columns, types and order, the same numbers in every format, or not at all."""

import csv
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from batuta.errors import UsageError
from batuta.quality.breaks import record
from batuta.quality.check import check, reading
from batuta.quality.contract import DataContract
from batuta.quality.export import Exported, NotExported, choose, export, format_of
from batuta.warehouse.connection import connect
from batuta_cli.main import LazyGroup
from tests.integration.quality.conftest import spoil
from tests.support.dbt import PROJECT

Contracts = dict[str, DataContract]


def exported(url: str, contract: DataContract, path: Path, product: str | None = None) -> Exported:
    with connect(url, "reader") as conn:
        return export(
            conn,
            contract,
            path,
            product=product,
            format=format_of(path, None),
            progress=lambda _done, _total: None,
        )


def test_every_format_holds_the_same_rows_in_the_contracts_columns_types_and_order(
    company: str, contracts: Contracts, tmp_path: Path
) -> None:
    contract = contracts["fct_orders"]
    files = {suffix: tmp_path / f"orders.{suffix}" for suffix in ("parquet", "csv", "jsonl")}
    done = [exported(company, contract, path) for path in files.values()]
    with connect(company, "reader") as conn:
        there = conn.execute(
            "select product, order_id, net_sales, customer_key, processed_at from batuta_marts.fct_orders "
            "order by product, order_id"
        ).fetchall()
    assert {d.rows for d in done} == {len(there)}
    table = pq.read_table(files["parquet"])
    names = [field.name for field in contract.fields]
    assert table.column_names == names
    assert str(table.schema.field("net_sales").type) == "decimal128(18, 4)"
    assert str(table.schema.field("processed_at").type) == "timestamp[us, tz=UTC]"
    assert table.schema.metadata[b"contract.version"] == contract.version.encode()
    columns = ["product", "order_id", "net_sales", "customer_key", "processed_at"]
    assert list(zip(*(table.column(c).to_pylist() for c in columns), strict=True)) == there
    with files["csv"].open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert list(rows[0]) == names
    assert [Decimal(row["net_sales"]) for row in rows] == [row[2] for row in there]
    assert [row["customer_key"] or None for row in rows] == [row[3] for row in there]
    documents = [json.loads(line, parse_float=Decimal) for line in files["jsonl"].read_text().splitlines()]
    assert [d["net_sales"] for d in documents] == [row[2] for row in there]
    assert list(documents[0]) == names
    assert documents[0]["processed_at"].endswith("Z")


def test_what_breaks_its_contract_is_not_exported_but_another_product_is(
    company: str, contracts: Contracts, tmp_path: Path
) -> None:
    spoil(company, "update batuta_marts.fct_orders set net_sales = 0.01 where product = 'arcsat'")
    path = tmp_path / "orders.csv"
    path.write_text("the last good export")
    with pytest.raises(NotExported) as error:
        exported(company, contracts["fct_orders"], path)
    assert "arcsat: net_sales_adds_up" in error.value.message
    assert "order_id" in error.value.message
    assert path.read_text() == "the last good export"
    assert exported(company, contracts["fct_orders"], path, "lojablock").rows > 0
    assert {row["product"] for row in csv.DictReader(path.read_text().splitlines())} == {"lojablock"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["orders.csv"]


def test_a_domain_without_products_and_a_product_without_rows(
    company: str, contracts: Contracts, tmp_path: Path
) -> None:
    assert exported(company, contracts["dim_kpis"], tmp_path / "kpis.jsonl").rows >= 9
    with pytest.raises(UsageError, match="leave out --product"):
        exported(company, contracts["dim_kpis"], tmp_path / "kpis.jsonl", "arcsat")
    with pytest.raises(UsageError) as error:
        exported(company, contracts["fct_orders"], tmp_path / "o.csv", "nobody")
    assert "arcsat, lojablock" in str(error.value.hint)


def test_a_domain_and_version_are_chosen_and_unknown_ones_list_the_known(contracts: Contracts) -> None:
    offered = list(contracts.values())
    assert choose(offered, "orders", "1").name == "fct_orders"
    assert choose(offered, "fct_orders", f"v{contracts['fct_orders'].version}").name == "fct_orders"
    with pytest.raises(UsageError) as error:
        choose(offered, "orders", "2.0.0")
    assert error.value.hint == f"versions: {contracts['fct_orders'].version}"
    with pytest.raises(UsageError) as error:
        choose(offered, "sales", "1")
    assert "orders" in str(error.value.hint)


def call(url: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setenv("BATUTA_DATABASE_URL", url)
    monkeypatch.setenv("BATUTA_PROJECT", str(PROJECT))
    return CliRunner().invoke(LazyGroup("batuta"), list(arguments))


def test_the_command_exports_and_says_what_it_wrote(
    company: str, contracts: Contracts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "kpis.parquet"
    done = call(
        company, monkeypatch, "export", "--domain", "kpis", "--contract", "1", "--out", str(path), "--json"
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout.splitlines()[-1])
    version = contracts["kpi_daily"].version
    assert (said["domain"], said["version"], said["rows"]) == ("kpis", version, pq.read_table(path).num_rows)
    assert said["bytes"] == path.stat().st_size
    wrong = call(company, monkeypatch, "export", "--domain", "kpis", "--contract", "1", "--out", "kpis.xlsx")
    assert isinstance(wrong.exception, UsageError)
    assert "--format" in str(wrong.exception.hint)


def test_the_command_says_what_is_broken_for_whom_since_when_and_by_which_events(
    company: str, contracts: Contracts, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(company, "update batuta_marts.fct_orders set net_sales = 0.01 where product = 'arcsat'")
    with connect(company, "reader") as conn, reading(conn):
        found = check(conn, contracts["fct_orders"])
    with connect(company, "writer") as conn:
        record(conn, found, batch=7, now=datetime(2025, 11, 13, 9, 0, tzinfo=UTC), run_id="run")
    said = call(company, monkeypatch, "contracts", "status", "--product", "arcsat")
    assert said.exit_code == 1
    reference = contracts["fct_orders"].reference
    assert f"{reference} is broken for arcsat since 2025-11-13 09:00 UTC (batch 7)" in said.stdout
    assert found.broken[0].evidence[0].events[0][1] in said.stdout
    other = call(company, monkeypatch, "contracts", "status", "--product", "lojablock", "--json")
    assert other.exit_code == 0
    assert json.loads(other.stdout)["breaks"] == []
