"""Current KPI values: read from the live views, with what they mean and how fresh they are.

The values and their definitions come from dbt (`live_kpi_daily`, `dim_kpis`); nothing is computed here, and nothing
is refreshed. Live views take in every committed event, so freshness is that of the event log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from batuta.errors import BatutaError
from batuta.facts import format_value
from batuta.lifetime.reasons import IN_PORTUGUESE

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

REASONS_PT: Final = MappingProxyType(
    {
        "no customers acquired": "nenhum cliente conquistado",
        "no customers acquired in 90 days": "nenhum cliente conquistado em 90 dias",
        "no spend recorded": "nenhum gasto registrado",
        "no answers in 90 days": "nenhuma resposta em 90 dias",
        "small sample": "amostra pequena",
        "nothing released in 90 days": "nada lançado em 90 dias",
        "no orders in 90 days": "nenhum pedido em 90 dias",
        "no sales in 90 days": "nenhuma venda em 90 dias",
        "no gross margin declared": "margem bruta não declarada",
        "nothing spent in 90 days": "nenhum gasto em 90 dias",
        "no active customers": "nenhum cliente ativo",
        "not predicted yet": "ainda não previsto",
        "customers bring no profit": "clientes não trazem lucro",
        "no invitations in 90 days": "nenhum convite em 90 dias",
        "no incident ended in 90 days": "nenhum incidente encerrado em 90 dias",
    }
)
_WINDOW_PT: Final = MappingProxyType(
    {
        "day": "dia",
        "days": "dias",
        "all time": "desde o início",
        "horizon of the prediction": "horizonte da previsão",
    }
)
_UNIT_PT: Final = MappingProxyType(
    {
        "currency": "moeda",
        "points": "pontos",
        "hours": "horas",
        "count": "quantidade",
        "percent": "por cento",
        "number": "número",
    }
)

_COLUMNS: Final = """
    select
        k.kpi, c.title_en, c.title_pt, k.value, k.unit, k.currency, c.grain, c.time_window, k.business_date,
        k.numerator, k.denominator, k.low, k.high, k.sample_size, k.basis, k.reason,
        c.direction, c.owner, c.definition_en, c.definition_pt,
        c.is_headline, c.is_live, k.batch,
        (select b.committed_at from batuta.batches as b where b.batch = k.batch)
"""
NEWEST: Final = f"""
    {_COLUMNS}
    from batuta_live.live_kpis as k
    inner join batuta_marts.dim_kpis as c on c.kpi = k.kpi
    where k.product = %(product)s
    order by c.position
"""
"""Reads `current_kpis` of the newest day; parameter `product`."""
_AS_OF: Final = f"""
    with latest as (
        select max(business_date) as business_date
        from batuta_live.live_product_daily
        where product = %(product)s and business_date <= %(as_of)s
    )
    {_COLUMNS}
    from batuta_live.live_kpi_daily as k
    inner join batuta_marts.dim_kpis as c on c.kpi = k.kpi
    where k.product = %(product)s and k.business_date = (select l.business_date from latest as l)
    order by c.position
"""


class KpisNotBuilt(BatutaError):
    """The database has no KPI views yet."""


@dataclass(frozen=True, slots=True)
class ProductForm:
    """A registered product and how its people write numbers."""

    name: str
    locale: str
    currency: str
    timezone: str


@dataclass(frozen=True, slots=True)
class KpiValue:
    """One KPI of one product on one day. `value` is None where nothing can be said; `reason` says why."""

    product: str
    kpi: str
    title_en: str
    title_pt: str
    value: Decimal | None
    unit: str
    currency: str | None
    grain: str
    window: str
    as_of: date
    numerator: Decimal | None
    denominator: Decimal | None
    low: Decimal | None
    high: Decimal | None
    sample_size: int | None
    basis: str
    reason: str | None
    direction: str
    owner: str
    definition_en: str
    definition_pt: str
    is_headline: bool
    is_live: bool
    batch: int
    committed_at: datetime | None
    """When the newest event behind the value was committed."""

    @property
    def printed_unit(self) -> str:
        """The unit as `batuta.facts` names it: money carries its currency."""
        return f"money:{self.currency}" if self.unit == "currency" else self.unit

    def title(self, locale: str) -> str:
        """What it is called in the language of `locale`."""
        return self.title_pt if locale.startswith("pt") else self.title_en

    def definition(self, locale: str) -> str:
        """What it means, in the language of `locale`."""
        return self.definition_pt if locale.startswith("pt") else self.definition_en


def current_kpis(
    conn: psycopg.Connection[Any], product: str, as_of: date | None = None
) -> tuple[KpiValue, ...]:
    """Every KPI of a product on the last day of its series that is not after `as_of`.

    Empty where the product has no facts up to then. Each value carries the day it is of. The newest are asked for
    as a prepared statement: planning the live views takes longer than reading them, and a connection plans once.

    Raises:
        KpisNotBuilt: dbt has not run on this database.
    """
    with marts_built(), conn.transaction():
        if as_of is None:
            conn.execute("set local plan_cache_mode = force_generic_plan")
            rows = conn.execute(NEWEST, {"product": product}, prepare=True).fetchall()
        else:
            rows = conn.execute(_AS_OF, {"product": product, "as_of": as_of}).fetchall()
    return tuple(KpiValue(product, *row) for row in rows)


def products(conn: psycopg.Connection[Any]) -> tuple[ProductForm, ...]:
    """The registered products, by name."""
    rows = conn.execute("select product, locale, currency, timezone from batuta.products order by product")
    return tuple(ProductForm(*row) for row in rows)


def catalogued(conn: psycopg.Connection[Any]) -> tuple[str, ...]:
    """The names of the KPIs of products, in the order of their catalogue."""
    rows = conn.execute("select kpi from batuta_marts.dim_kpis where scope = 'product' order by position")
    return tuple(row[0] for row in rows)


def leading(kpis: Mapping[str, T], named: Iterable[str], is_headline: Callable[[T], bool]) -> list[T]:
    """Of what is told of KPIs, by name: those a product's manifest names, else those the catalogue calls headline."""
    named_first = [kpis[kpi] for kpi in named if kpi in kpis]
    return named_first or [told for told in kpis.values() if is_headline(told)]


def reason_in(reason: str | None, locale: str) -> str | None:
    """A reason in the language of `locale`."""
    if reason is None or not locale.startswith("pt"):
        return reason
    return REASONS_PT.get(reason) or IN_PORTUGUESE.get(reason, reason)


def window_in(window: str, locale: str) -> str:
    """How much time a value looks at, in the language of `locale`: `90 days`, `desde o início`."""
    if not locale.startswith("pt"):
        return window
    number, _, unit = window.partition(" ")
    return f"{number} {_WINDOW_PT.get(unit, unit)}" if number.isdigit() else _WINDOW_PT.get(window, window)


def unit_in(value: KpiValue, locale: str) -> str:
    """What a value is counted in, in the language of `locale`; of money the ISO currency."""
    if value.currency is not None:
        return value.currency
    return _UNIT_PT.get(value.unit, value.unit) if locale.startswith("pt") else value.unit


def note_in(value: KpiValue, locale: str) -> str:
    """The interval of a value, and why there is none or what to keep in mind, in the language of `locale`."""
    notes: list[str] = []
    if value.low is not None and value.high is not None:
        low, high = (format_value(end, value.printed_unit, locale) for end in (value.low, value.high))
        notes.append(f"95 %: {low} {'a' if locale.startswith('pt') else 'to'} {high}")
    if (reason := reason_in(value.reason, locale)) is not None:
        notes.append(reason)
    return "; ".join(notes)


@contextmanager
def marts_built() -> Iterator[None]:
    """Say of a relation of dbt's that is missing what to do about it.

    Raises:
        KpisNotBuilt: within, a relation was read that is not there.
    """
    from psycopg.errors import InvalidSchemaName, UndefinedTable

    try:
        yield
    except (UndefinedTable, InvalidSchemaName) as error:
        raise KpisNotBuilt(
            "the KPI views are not built yet",
            hint="Run `batuta demo`, or under `batuta up` the job refresh_marts once.",
        ) from error
