"""Plain tables with the columns of the live views, for tests of skills that need a few exact rows and no dbt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from typing import Any, Literal

import psycopg
from psycopg import sql

from batuta.warehouse.connection import connect
from batuta_agents.model import SkillRequest, SkillResult
from batuta_agents.runtime import run_skill

AS_OF = date(2025, 11, 12)
PRODUCT = "arcsat"
ROLES = ("crm.read", "finance.read", "kpi.read", "orders.read")
STARTED_AT = datetime(2025, 11, 13, 9, 0, tzinfo=UTC)

_TABLES = """
create schema if not exists batuta_live;
create table batuta_live.live_orders (
    product text, order_id text, order_name text, customer_key text, is_guest boolean default false,
    processed_at timestamptz, created_at timestamptz, updated_at timestamptz, cancelled_at timestamptz,
    is_cancelled boolean default false, is_voided boolean default false, is_test boolean default false,
    is_deleted boolean default false, financial_status text default 'paid', currency text default 'BRL',
    business_date date, gross_sales numeric(18, 4) default 0, discounts numeric(18, 4) default 0,
    total_price numeric(18, 4) default 0, line_count integer default 1, event_source text default 'shop',
    event_id text, batch bigint default 1);
create table batuta_live.live_transactions (
    product text, transaction_id text, order_id text, parent_id text, kind text default 'sale',
    status text default 'success', gateway text default 'pix', amount numeric(18, 4), currency text default 'BRL',
    is_test boolean default false, processed_at timestamptz, business_date date, event_source text default 'shop',
    event_id text, batch bigint default 1);
create table batuta_live.live_refunds (
    product text, refund_id text, order_id text, refunded_at timestamptz, business_date date,
    returns numeric(18, 4) default 0, refund_total numeric(18, 4) default 0, is_failed boolean default false,
    currency text default 'BRL', event_source text default 'shop', event_id text, batch bigint default 1);
create table batuta_live.live_customers (
    product text, customer_key text, first_order_date date, acquired_on date, last_order_date date);
create table batuta_live.live_spend (
    product text, spend_id text, period_start date, period_end date, event_source text, event_id text);
create table batuta_live.live_surveys (
    product text, survey_id text, respondent_key text, business_date date, event_source text, event_id text);
create table batuta_live.live_pull_requests (
    product text, repository_id text, number bigint, base_ref text, default_branch text, is_bot boolean,
    merged_at timestamptz, event_source text, event_id text);
create table batuta_live.live_invitations (
    product text, business_date date, event_source text, event_id text
);
create table batuta_live.live_issues (
    product text, is_incident boolean, is_deleted boolean, opened_on date, closed_on date, event_source text,
    event_id text
);
create table batuta_live.live_releases (
    product text, repository_id text, release_id text, released_at timestamptz, released_on date, is_draft boolean,
    is_prerelease boolean, is_deleted boolean, event_source text, event_id text);
create table batuta_live.live_kpi_daily (
    product text, business_date date, kpi text, value numeric, unit text, currency text, numerator numeric,
    denominator numeric, sample_size bigint, low numeric, high numeric, basis text, reason text, batch bigint);
create schema if not exists batuta_marts;
create table batuta_marts.dim_kpis (
    kpi text, position integer, title_en text, title_pt text, direction text, time_window text, is_headline boolean);
insert into batuta_marts.dim_kpis values
    ('LTV', 1, 'Lifetime value', 'Valor do cliente (LTV)', 'up', 'all time', true),
    ('CAC', 2, 'Customer acquisition cost', 'Custo de aquisição (CAC)', 'down', '90 days', true),
    ('NPS', 3, 'Net promoter score', 'NPS', 'up', '90 days', true),
    ('net_sales', 5, 'Net sales', 'Vendas líquidas', 'up', '1 day', false),
    ('orders', 6, 'Orders', 'Pedidos', 'up', '1 day', false),
    ('new_customers', 7, 'New customers', 'Novos clientes', 'up', '1 day', false);
grant usage on schema batuta_marts to batuta_reader;
grant select on all tables in schema batuta_marts to batuta_reader;
grant usage on schema batuta_live to batuta_reader;
grant select on all tables in schema batuta_live to batuta_reader;
"""


@dataclass(frozen=True)
class Live:
    """A database with live tables, and the skills over it."""

    url: str

    def connect(self, role: Literal["owner", "reader", "writer", "auditor"]) -> psycopg.Connection[Any]:
        return connect(self.url, role)

    def clear(self) -> None:
        """Empty the live tables and forget recorded runs."""
        with psycopg.connect(self.url) as conn:
            tables = conn.execute(
                "select tablename from pg_tables where schemaname = 'batuta_live'"
            ).fetchall()
            names = [f"batuta_live.{name}" for (name,) in tables]
            conn.execute(f"truncate {', '.join(names)}, batuta.skill_runs cascade".encode())

    def insert(self, relation: str, rows: Sequence[dict[str, Any]]) -> None:
        with psycopg.connect(self.url) as conn:
            for row in rows:
                statement = sql.SQL("insert into batuta_live.{} ({}) values ({})").format(
                    sql.Identifier(relation),
                    sql.SQL(", ").join(map(sql.Identifier, row)),
                    sql.SQL(", ").join([sql.Placeholder()] * len(row)),
                )
                conn.execute(statement, list(row.values()))

    def run(
        self,
        name: str,
        input: dict[str, Any] | None = None,
        *,
        roles: tuple[str, ...] = ROLES,
        product: str = PRODUCT,
        as_of: date = AS_OF,
        locale: str = "pt-BR",
        clock: Callable[[], datetime] = lambda: STARTED_AT,
    ) -> SkillResult:
        request = SkillRequest(product=product, roles=roles, as_of=as_of, caller="test", locale=locale)
        return run_skill(name, input or {}, request, partial(connect, self.url), clock)


def live_database(url: str) -> Live:
    """Add live tables and the product to a migrated database."""
    with psycopg.connect(url) as conn:
        conn.execute(_TABLES.encode())
        conn.execute(
            "insert into batuta.products values (%s, 'BRL', 'America/Sao_Paulo', 'pt-BR', now())", (PRODUCT,)
        )
        conn.execute("insert into batuta.batches values (41, now(), 'file', 0), (42, now(), 'file', 0)")
    return Live(url)


def order(number: int, total: str = "100", day: date = AS_OF, **columns: Any) -> dict[str, Any]:
    """A row of live_orders."""
    return {
        "product": PRODUCT,
        "order_id": str(number),
        "order_name": f"#{number}",
        "processed_at": noon(day),
        "business_date": day,
        "total_price": Decimal(total),
        "gross_sales": Decimal(total),
        "event_id": f"order-{number}",
        **columns,
    }


def transaction(
    number: int, amount: str = "100", day: date = AS_OF, *, suffix: str = "", **columns: Any
) -> dict[str, Any]:
    """A row of live_transactions for the order of that number."""
    name = f"transaction-{number}{suffix}"
    return {
        "product": PRODUCT,
        "transaction_id": name,
        "order_id": str(number),
        "amount": Decimal(amount),
        "processed_at": noon(day),
        "business_date": day,
        "event_id": name,
        **columns,
    }


def refund(number: int, returns: str, moved: str, day: date = AS_OF, **columns: Any) -> dict[str, Any]:
    """A row of live_refunds for the order of that number."""
    return {
        "product": PRODUCT,
        "refund_id": f"refund-{number}",
        "order_id": str(number),
        "refunded_at": noon(day),
        "business_date": day,
        "returns": Decimal(returns),
        "refund_total": Decimal(moved),
        "event_id": f"refund-{number}",
        **columns,
    }


def noon(day: date) -> datetime:
    """Midday of a date, UTC."""
    return datetime.combine(day, time(12), tzinfo=UTC)
