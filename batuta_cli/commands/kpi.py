"""`batuta kpi`: current KPI values of the products, as their people write numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import click

from batuta.errors import BatutaError, UsageError
from batuta.facts import encode_value, format_value
from batuta.kpis import (
    KpiValue,
    ProductForm,
    current_kpis,
    note_in,
    products,
    reason_in,
    unit_in,
    window_in,
)
from batuta.reports.formats import moment, short_date
from batuta.settings import get_settings
from batuta.warehouse.connection import connect
from batuta.warehouse.database import ensure_database
from batuta_cli.days import DAY
from batuta_cli.progress import steps

WORDS = {
    "en": {
        "value": "Value",
        "unit": "Unit",
        "window": "Window",
        "basis": "Basis",
        "note": "Note",
        "as_of": "as of",
        "fresh": "events up to",
        "none": "no figures yet",
    },
    "pt": {
        "value": "Valor",
        "unit": "Unidade",
        "window": "Período",
        "basis": "Base",
        "note": "Observação",
        "as_of": "em",
        "fresh": "eventos até",
        "none": "ainda sem números",
    },
}


WHOLE = ("agent", "classifier")
"""What is shown for all products together unless products are named."""


class NoProducts(BatutaError):
    """Nothing is registered."""


@click.group(invoke_without_command=True)
@click.option("--product", "names", multiple=True, help="Only this product; may be given several times.")
@click.option(
    "--as-of",
    type=DAY,
    help="The last day to take in; by default the last day that has figures.",
)
@click.option("--platform", is_flag=True, help="KPIs about BATUTA itself, as of their last refresh.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def kpi(
    context: click.Context, names: tuple[str, ...], as_of: date | None, *, platform: bool, as_json: bool
) -> None:
    """Current KPI values with unit, window, as-of day and freshness.

    Read from the live views: every committed event is in. A value that cannot be told says why. With --platform: how
    pipelines, connectors, agents and classifiers do, what events cost, and what is left of error budgets.
    """
    if context.invoked_subcommand is not None:
        return
    if platform:
        _platform(names, as_of, as_json=as_json)
        return
    with connect(ensure_database(get_settings(), steps()), "reader") as conn:
        chosen = _choose(products(conn), names)
        found = [(product, current_kpis(conn, product.name, as_of)) for product in chosen]
    if as_json:
        click.echo(json.dumps([_document(product, values) for product, values in found], ensure_ascii=False))
        return
    for product, values in found:
        _print(product, values)


@kpi.command()
@click.option("--product", required=True, help="The product whose customers are meant.")
@click.option(
    "--as-of",
    type=DAY,
    required=True,
    help="The last day whose purchases are taken in.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def predict(product: str, as_of: date, *, as_json: bool) -> None:
    """Predict what a product's customers will bring, and keep it.

    From the marts as they are; Dagster does the same after a refresh. The horizon is BATUTA_LTV_HORIZON_DAYS.
    """
    from batuta.lifetime.predict import Outlook
    from batuta.lifetime.store import predict_and_store

    settings = get_settings()
    outlook = Outlook(settings.ltv_horizon_days, settings.ltv_discount_rate)
    opened = partial(connect, ensure_database(settings, steps()))
    with opened("reader") as conn:
        form = _choose(products(conn), [product])[0]
    made = predict_and_store(opened, product, as_of, datetime.now(UTC), outlook)
    if as_json:
        found = {name: _plain(value) for name, value in asdict(made).items() if name != "parameters"}
        click.echo(json.dumps(found | {"parameters": made.parameters}, ensure_ascii=False))
        return
    if made.value is None:
        click.echo(f"{product}: {reason_in(made.reason, form.locale)}")
        return
    value, low, high = (
        format_value(figure, f"money:{made.currency}", form.locale)
        for figure in (made.value, made.low, made.high)
    )
    click.echo(
        f"{product}: {value} per customer in {made.horizon_days} days after {made.as_of} ({low} to {high})"
    )


def _platform(names: Sequence[str], day: date | None, *, as_json: bool) -> None:
    from batuta.platform.kpis import EVERY_PRODUCT, platform_kpis
    from batuta_cli.platform_table import print_platform

    with connect(ensure_database(get_settings(), steps()), "reader") as conn:
        registered = products(conn)
        chosen = [product.name for product in _choose(registered, names)] if names else []
        values = platform_kpis(conn, day, chosen)
    if as_json:
        document = [{name: _plain(value) for name, value in asdict(entry).items()} for entry in values]
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    whole = [one for one in values if chosen or one.product == EVERY_PRODUCT or one.kind not in WHOLE]
    print_platform(whole, registered[0].locale if registered else "en")


def _choose(registered: Sequence[ProductForm], names: Sequence[str]) -> list[ProductForm]:
    if not registered:
        raise NoProducts("no product is registered", hint="Run `batuta apply PATH`, or `batuta demo`.")
    known = {product.name: product for product in registered}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f'no product "{unknown[0]}"', hint=f"products: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] or list(registered)


def _document(product: ProductForm, values: Sequence[KpiValue]) -> dict[str, Any]:
    return {
        "product": product.name,
        "locale": product.locale,
        "currency": product.currency,
        "kpis": [{name: _plain(value) for name, value in asdict(entry).items()} for entry in values],
    }


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, bool | int) else encode_value(value)  # pyright: ignore[reportArgumentType]


def _print(product: ProductForm, values: Sequence[KpiValue]) -> None:
    from rich.console import Console
    from rich.table import Table

    words = WORDS["pt" if product.locale.startswith("pt") else "en"]
    console = Console()
    if not values:
        console.print(f"{product.name}: {words['none']}")
        return
    table = Table(title=_heading(product, values[0], words), title_justify="left")
    table.add_column("KPI")
    table.add_column(words["value"], justify="right", no_wrap=True)
    table.add_column(words["unit"])
    table.add_column(words["window"])
    table.add_column("n", justify="right")
    table.add_column(words["note"])
    for entry in values:
        table.add_row(
            entry.title(product.locale),
            format_value(entry.value, entry.printed_unit, product.locale),
            unit_in(entry, product.locale),
            window_in(entry.window, product.locale),
            format_value(entry.sample_size, "count", product.locale),
            note_in(entry, product.locale),
            style="bold" if entry.is_headline else None,
        )
    console.print(table)


def _heading(product: ProductForm, value: KpiValue, words: dict[str, str]) -> str:
    heading = f"{product.name}, {words['as_of']} {short_date(value.as_of, product.locale)}"
    if value.committed_at is None:
        return heading
    at = moment(value.committed_at, product.timezone, product.locale)
    return f"{heading} ({words['fresh']} {at})"
