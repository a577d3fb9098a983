"""The warehouse as pandas frames, for notebooks: `kpis()`, `events()`, `facts()`, `cohorts()` and what goes with them.

Every function works without arguments, on the database of the project's settings, and reads as the role
`batuta_reader`: nothing can be changed from here, and what the reader may not see (vault, quarantine) is not there.

Types, the same in all frames:

- days are `datetime64[us]` without a zone, in the product's time zone; moments are `datetime64[us, UTC]`. Microseconds
  are what PostgreSQL keeps; nanoseconds end in 2262, and a vendor's absurd date would be an error.
- money and every published figure are exact: objects, `decimal.Decimal`, None where there is none. Sums stay exact;
  `.astype(float)` before a plot.
- counts are `Int64`, shares in percent `Float64`, flags `boolean`: a value that is not known is `<NA>`, never 0.
- names from a short list are `category`, other texts `string`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from batuta.analyst import queries
from batuta.analyst.frames import column, frame
from batuta.errors import UsageError
from batuta.facts import decode_value
from batuta.kpis import marts_built, products
from batuta.settings import get_settings
from batuta.warehouse.connection import Connection, connect
from batuta.warehouse.database import ensure_database

if TYPE_CHECKING:
    import pandas as pd

Names: TypeAlias = str | Sequence[str] | None
"""One name, several, or None for all."""
Day: TypeAlias = date | str | None
"""A day, or its ISO form, as in `2025-11-12`."""
Grain: TypeAlias = Literal["day", "week", "month"]

GRAINS: Final = ("day", "week", "month")


def kpis(
    product: Names = None,
    *,
    kpi: Names = None,
    since: Day = None,
    until: Day = None,
    as_of: Day = None,
    grain: Grain = "day",
    live: bool = False,
    url: str | None = None,
) -> pd.DataFrame:
    """KPI values, one row per product, KPI and period, by product, KPI and day.

    Args:
        product: Only these products.
        kpi: Only these KPIs, as `dim_kpis` names them (`LTV`, `CAC`).
        since: First day.
        until: Last day.
        as_of: Instead of a range: the values of each product's last day that is not after this one.
        grain: A value of a week (Monday to Sunday) or a month is the one of its last day in the range: windows and
            running totals end there. Nothing is averaged over days.
        live: Every committed event is in; without it, as of the last refresh of the marts, which is faster.
        url: Another database than the one of the settings.

    Returns:
        `product`, `kpi`, `unit` (currency, points, hours, count, percent), `currency` (where the unit is one), `basis`:
        category. `period`: first day of the period; `business_date`: the day the value is of. `value` in `unit`,
        `numerator`, `denominator`, `low` and `high` (95 % interval): exact. `sample_size`: count. `reason`: why there
        is no value, or what to beware of. `batch`: last batch the value takes in.

    Raises:
        KpisNotBuilt: the marts are not built yet.
        UsageError: an unknown product or KPI, a day that is none, `as_of` together with a range.
    """
    if as_of is not None and (since is not None or until is not None):
        raise UsageError("as_of asks for one day, since and until for a range: give one or the other")
    if grain not in GRAINS:
        raise UsageError(f"{grain!r} is not a grain", hint=f"grains: {', '.join(GRAINS)}")
    relation = "batuta_live.live_kpi_daily" if live else "batuta_marts.kpi_daily"
    with _open(url) as conn, marts_built():
        parameters = {
            "product": _known(conn, product),
            "kpi": _known_kpis(conn, kpi),
            "since": _day(since, "since"),
            "until": _day(until, "until"),
            "as_of": _day(as_of, "as_of"),
            "grain": grain,
        }
        return frame(conn, queries.KPIS.replace("{relation}", relation), parameters, queries.KPI_COLUMNS)


def cohorts(
    product: Names = None, *, since: Day = None, until: Day = None, url: str | None = None
) -> pd.DataFrame:
    """Customers by the month of their first order, and what became of them: one row per product, cohort, month since.

    Args:
        product: Only these products.
        since: First cohort month; any day of it.
        until: Last cohort month; any day of it.
        url: Another database than the one of the settings.

    Returns:
        `product`, `currency`: category. `cohort_month`: its first day. `month_offset`: months since; 0 is the month
        itself. `customers`: acquired customers of the cohort, `active_customers`: those of them who ordered in the
        month, `orders`: counts. `retention`: percent of the cohort active, 100 in month 0. `net_sales` of the month,
        `cumulative_net_sales`, and `cumulative_net_sales_per_customer` (over all customers of the cohort, to four
        digits): exact, in `currency`. `is_complete`: whether the month is over; while it is not, its figures are
        missing, not low.

    Raises:
        KpisNotBuilt: the marts are not built yet.
        UsageError: an unknown product, a day that is none.
    """
    with _open(url) as conn, marts_built():
        parameters = {
            "product": _known(conn, product),
            "since": _day(since, "since"),
            "until": _day(until, "until"),
        }
        return frame(conn, queries.COHORTS, parameters, queries.COHORT_COLUMNS)


def repeat_rate(
    product: Names = None, *, since: Day = None, until: Day = None, url: str | None = None
) -> pd.DataFrame:
    """How many customers bought again, one row per product with a customer in the window.

    A customer is whoever has an order that counts as a sale in the window; who has such orders on at least two days of
    it came back. Several orders on one day are one purchase.

    Args:
        product: Only these products.
        since: First day of the window; the first of all by default.
        until: Last day; the last of each product's series by default.
        url: Another database than the one of the settings.

    Returns:
        `product`: category. `since`, `until`: the window as it was taken. `customers`, `repeat_customers`: counts.
        `repeat_rate`: percent.

    Raises:
        KpisNotBuilt: the marts are not built yet.
        UsageError: an unknown product, a day that is none.
    """
    with _open(url) as conn, marts_built():
        parameters = {
            "product": _known(conn, product),
            "since": _day(since, "since"),
            "until": _day(until, "until"),
        }
        return frame(conn, queries.REPEAT_RATE, parameters, queries.REPEAT_COLUMNS)


def predicted_ltv(
    product: Names = None, *, since: Day = None, until: Day = None, url: str | None = None
) -> pd.DataFrame:
    """What customers were predicted to bring, one row per product, day and horizon.

    Args:
        product: Only these products.
        since: First as-of day.
        until: Last as-of day.
        url: Another database than the one of the settings.

    Returns:
        `product`, `currency`, `method`: category. `as_of`: the day up to which purchases were taken in. `horizon_days`,
        `customers` (acquired by the day), `repeat_customers`: counts. `value`: net sales to expect in the horizon, mean
        per customer, `low` and `high`: its 95 % interval, exact, in `currency`. `discount_rate`: per year, exact.
        `reason`: why there is no value.

    Raises:
        KpisNotBuilt: the marts are not built yet.
        UsageError: an unknown product, a day that is none.
    """
    with _open(url) as conn, marts_built():
        parameters = {
            "product": _known(conn, product),
            "since": _day(since, "since"),
            "until": _day(until, "until"),
        }
        return frame(conn, queries.PREDICTED, parameters, queries.PREDICTED_COLUMNS)


def events(
    product: Names = None,
    *,
    type: Names = None,
    since: Day = None,
    until: Day = None,
    limit: int | None = None,
    url: str | None = None,
) -> pd.DataFrame:
    """Events of the log, in the order they were committed; personal data is masked since before they were written.

    Args:
        product: Only these products.
        type: Only these types; `.*` at the end takes in a family (`com.shopify.orders.*`).
        since: First day on which they happened, in the product's time zone.
        until: Last day on which they happened.
        limit: Only the last so many to be committed. All of them by default: on a large log, narrow it down.
        url: Another database than the one of the settings.

    Returns:
        `product`, `connector`, `dataset`, `type`: category. `batch`: the landing, count. `time`: when it happened,
        `received_at`: when it came, moments. `business_date`: day of `time` in the product's time zone. `source`, `id`,
        `subject`: string. `data`: the payload, a dict.

    Raises:
        UsageError: an unknown product, a day that is none, a limit below 1.
    """
    if limit is not None and limit < 1:
        raise UsageError(
            f"a limit of {limit} events asks for nothing", hint="Leave it out, or give 1 or more."
        )
    chosen = _listed(type)
    with _open(url) as conn:
        parameters = {
            "product": _known(conn, product),
            "types": None if chosen is None else [name for name in chosen if not name.endswith(".*")],
            "families": [name[:-1].replace("_", r"\_") + "%" for name in chosen or () if name.endswith(".*")],
            "since": _day(since, "since"),
            "until": _day(until, "until"),
            "limit": limit,
        }
        return frame(conn, queries.EVENTS, parameters, queries.EVENT_COLUMNS)


def facts(
    product: Names = None,
    *,
    skill: Names = None,
    name: Names = None,
    since: Day = None,
    until: Day = None,
    every_run: bool = False,
    url: str | None = None,
) -> pd.DataFrame:
    """The recorded numbers that analyses were made from, one row per run and fact.

    Args:
        product: Only these products.
        skill: Only these skills, by full name (`sigma.finance.reconcile`).
        name: Only facts of these names.
        since: First as-of day.
        until: Last as-of day.
        every_run: All successful runs, not only the newest of each product, skill and day.
        url: Another database than the one of the settings.

    Returns:
        `product`, `skill`, `name`, `unit`: category; a money unit carries its currency (`money:BRL`). `as_of`: day.
        `value`: an object by `unit`: int for counts, date for dates, str for texts, else Decimal. `id`: string, what
        `batuta events list --fact` follows to the events behind it. `skill_run`: string. `finished_at`: moment.

    Raises:
        UsageError: an unknown product, a day that is none.
    """
    with _open(url) as conn:
        parameters = {
            "product": _known(conn, product),
            "skill": _listed(skill),
            "name": _listed(name),
            "since": _day(since, "since"),
            "until": _day(until, "until"),
            "every_run": every_run,
        }
        found = frame(conn, queries.FACTS, parameters, queries.FACT_COLUMNS)
    values = [decode_value(value, unit) for value, unit in zip(found["value"], found["unit"], strict=True)]
    found["value"] = column(values, "exact")
    return found


def _open(url: str | None) -> Connection:
    return connect(url or ensure_database(get_settings()), "reader", application="batuta-analyst")


def _listed(names: Names) -> list[str] | None:
    return [names] if isinstance(names, str) else None if names is None else list(names)


def _known(conn: Connection, product: Names) -> list[str] | None:
    return _among("product", _listed(product), [form.name for form in products(conn)])


def _known_kpis(conn: Connection, kpi: Names) -> list[str] | None:
    rows = conn.execute("select kpi from batuta_marts.dim_kpis order by position").fetchall()
    return _among("KPI", _listed(kpi), [name for (name,) in rows])


def _among(what: str, asked: list[str] | None, known: Sequence[str]) -> list[str] | None:
    unknown = [name for name in asked or () if name not in known]
    if unknown:
        raise UsageError(f'no {what} "{unknown[0]}"', hint=f"There is {', '.join(known) or 'none yet'}.")
    return asked


def _day(value: Day, argument: str) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise UsageError(f"{argument}: {value!r} is not a day", hint="Write it as 2025-11-12.") from None
