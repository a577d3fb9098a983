"""From a KPI's value of a day to the events that its definition counts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from batuta.errors import BatutaError
from batuta.facts import FactEvent, look_up_events
from batuta.kpis import catalogued, marts_built, products
from batuta_agents.queries import fetch, load_query

if TYPE_CHECKING:
    import psycopg

_PACKAGE: Final = "batuta_agents.sigma"


def events_of_kpi(
    conn: psycopg.Connection[Any], product: str, kpi: str, days: Iterable[date]
) -> tuple[FactEvent, ...]:
    """The events behind a KPI's values of these business days, as the live views know them now (role: reader).

    Raises:
        BatutaError: no such product or KPI.
        KpisNotBuilt: dbt has not run on this database.
    """
    form = next((known for known in products(conn) if known.name == product), None)
    if form is None:
        raise BatutaError(f"no product is called {product}", hint="See those there are: batuta registry list")
    query = load_query(_PACKAGE, "kpi_events")
    with marts_built():
        known = catalogued(conn)
        if kpi not in known:
            raise BatutaError(f"no KPI is called {kpi}", hint=f"There are {', '.join(known)}.")
        found = [
            (row["source"], row["id"])
            for day in days
            for row in fetch(
                conn, query, {"product": product, "currency": form.currency, "kpi": kpi, "day": day}
            ).rows
        ]
    return look_up_events(conn, product, set(found))
