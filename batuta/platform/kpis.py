"""Platform KPIs: how BATUTA itself does, by pipeline, connector, agent, classifier and product.

Values, definitions and error budgets come from dbt (`platform_kpi_daily`, `dim_kpis`, `fct_service_levels`), as of its
last refresh by the job `refresh_platform`; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from batuta.errors import BatutaError

if TYPE_CHECKING:
    import psycopg

EVERY_PRODUCT: Final = "(all)"
REASONS_PT: Final = MappingProxyType(
    {
        "nothing published": "nada publicado",
        "only late events published": "só eventos atrasados publicados",
        "no new events published": "nenhum evento novo publicado",
        "nothing to measure in 28 days": "nada a medir em 28 dias",
        "no labelled predictions in 90 days": "nenhuma previsão rotulada em 90 dias",
        "nothing predicted in 90 days": "nada previsto em 90 dias",
        "small sample": "amostra pequena",
        "storage not measured yet": "armazenamento ainda não medido",
        "not measured": "não medido",
        "no events accepted in 28 days": "nenhum evento aceito em 28 dias",
        "prices in several currencies": "preços em várias moedas",
        "no price for compute_second": "sem preço do processamento",
        "no price for model_input_token": "sem preço dos tokens de entrada",
        "no price for model_output_token": "sem preço dos tokens de saída",
        "no price for storage_gib_day": "sem preço do armazenamento",
    }
)


class PlatformKpisNotBuilt(BatutaError):
    """The database has no platform KPIs yet."""


@dataclass(frozen=True, slots=True)
class PlatformKpi:
    """One platform KPI of one subject on one day. `value` is None where nothing can be said; `reason` says why."""

    kpi: str
    title_en: str
    title_pt: str
    kind: str
    """pipeline, connector, agent, classifier, product or platform."""
    subject: str
    product: str
    """`(all)` is every product together."""
    as_of: date
    """The day of the value, in UTC."""
    value: Decimal | None
    unit: str
    currency: str | None
    numerator: Decimal | None
    denominator: Decimal | None
    low: Decimal | None
    high: Decimal | None
    sample_size: int | None
    window: str
    basis: str
    reason: str | None
    direction: str
    owner: str
    definition_en: str
    definition_pt: str
    objective: Decimal | None
    """Percent that is promised; None where nothing is."""
    budget_left_percent: Decimal | None
    """What is left of the error budget; negative where it is overspent."""
    budget_left_minutes: Decimal | None


def platform_kpis(
    conn: psycopg.Connection[Any], as_of: date | None = None, products: Collection[str] = ()
) -> tuple[PlatformKpi, ...]:
    """Every platform KPI on the last day that is known and not after `as_of` (UTC), in the catalogue's order.

    Args:
        conn: A connection of the role reader.
        as_of: The last day to take in.
        products: Only what is about these products; all, and what is about no single one, by default.

    Raises:
        PlatformKpisNotBuilt: dbt has not built them on this database.
    """
    from psycopg.errors import InvalidSchemaName, UndefinedTable

    try:
        rows = conn.execute(_VALUES, {"as_of": as_of, "products": sorted(products) or None}).fetchall()
    except (UndefinedTable, InvalidSchemaName) as error:
        raise PlatformKpisNotBuilt(
            "the platform KPIs are not built yet",
            hint="Run `batuta demo`, or `batuta up`: the job refresh_platform builds them within the hour.",
        ) from error
    return tuple(PlatformKpi(*row) for row in rows)


def reason_in(reason: str | None, locale: str) -> str | None:
    """A reason in the language of `locale`."""
    if reason is None or not locale.startswith("pt"):
        return reason
    return REASONS_PT.get(reason, reason)


_VALUES: Final = """
select
    k.kpi, c.title_en, c.title_pt, k.kind, k.subject, k.product, k.day, k.value, k.unit, k.currency, k.numerator,
    k.denominator, k.low, k.high, k.sample_size, c.time_window, k.basis, k.reason, c.direction, c.owner,
    c.definition_en, c.definition_pt, s.objective, s.budget_left_percent, s.budget_left_minutes
from batuta_marts.platform_kpi_daily as k
join batuta_marts.dim_kpis as c on c.kpi = k.kpi
left join batuta_marts.fct_service_levels as s
    on s.day = k.day and s.kind = k.kind and s.subject = k.subject and s.product = k.product
    and k.kpi = s.kind || '_' || s.indicator
where
    k.day = (
        select max(latest.day) from batuta_marts.platform_kpi_daily as latest
        where latest.day <= coalesce(%(as_of)s::date, 'infinity')
    )
    and (%(products)s::text[] is null or k.product = any(%(products)s::text[]))
order by c.position, k.subject, k.product
"""
