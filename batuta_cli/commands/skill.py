"""`batuta skill`: list the skills and run one, as a pipeline or the gateway would."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from batuta.errors import BatutaError, UsageError
from batuta_cli.days import DAY

if TYPE_CHECKING:
    import psycopg

    from batuta_agents.model import SkillResult

OPERATOR = "operator"


class SkillRefused(BatutaError):
    """The run was denied or failed."""


class BadSkillInput(UsageError):
    """The input is not what the skill takes."""


@dataclass(frozen=True, slots=True)
class ProductForm:
    """What a run must know of its product."""

    locale: str
    currency: str
    timezone: str
    as_of: date


@click.group()
def skill() -> None:
    """List and run skills."""


@skill.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with the schemas.")
def list_skills(*, as_json: bool) -> None:
    """Every implemented skill with what it does, reads and takes."""
    from batuta_agents.catalog import catalog

    found = catalog()
    if as_json:
        document = [
            {
                "name": info.name,
                "description": info.description,
                "roles": info.roles,
                "needs": info.needs,
                "input": info.input_schema,
                "output": info.output_schema,
            }
            for info in found
        ]
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    for info in found:
        click.echo(click.style(info.name, bold=True))
        click.echo(f"  {info.description}")
        click.echo(f"  roles: {', '.join(info.roles)}")
        for name, field in info.input_schema["properties"].items():
            click.echo(
                f"  input {name}: {field.get('description', '')} (default {json.dumps(field.get('default'))})"
            )


@skill.command()
@click.argument("name")
@click.option("--product", required=True, help="The product to look at.")
@click.option(
    "--input", "given", default="{}", help="The skill's input, a JSON object; - reads standard input."
)
@click.option(
    "--as-of",
    type=DAY,
    help="The business day to look at; by default the one its figures reach.",
)
@click.option(
    "--role", "roles", multiple=True, help="Run with these roles only; by default with all the skill asks."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def run(
    name: str, product: str, given: str, as_of: date | None, roles: tuple[str, ...], *, as_json: bool
) -> None:
    """Run the skill NAME once, on the facts of now, and record it."""
    from batuta.settings import get_settings
    from batuta.warehouse.connection import connect
    from batuta.warehouse.database import ensure_database
    from batuta_agents.discovery import find_skill
    from batuta_agents.model import SkillRequest
    from batuta_agents.runtime import run_skill
    from batuta_cli.progress import steps

    input_object = _object(given)
    wanted = find_skill(name)
    url = ensure_database(get_settings(), steps())
    with connect(url, "reader") as conn:
        form = _product(conn, product)
    request = SkillRequest(
        product=product,
        roles=roles or wanted.roles,
        as_of=as_of or form.as_of,
        caller=OPERATOR,
        locale=form.locale,
        currency=form.currency,
        timezone=form.timezone,
    )
    result = run_skill(name, input_object, request, partial(connect, url), lambda: datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(result.to_contract(form.locale), ensure_ascii=False))
    elif result.status == "ok":
        _print(result, form.locale)
    if result.status == "invalid":
        raise BadSkillInput(result.error or "bad input", hint="`batuta skill list` shows what it takes.")
    if result.status != "ok":
        raise SkillRefused(result.error or result.status, hint=f"Recorded as {result.run_id}.")


def _object(given: str) -> dict[str, Any]:
    text = sys.stdin.read() if given == "-" else given
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"--input is not JSON: {error}", hint="""For example --input '{"days": 30}'."""
        ) from None
    if not isinstance(value, dict):
        raise UsageError("--input must be a JSON object", hint="""For example --input '{"days": 30}'.""")
    return value


def _product(conn: psycopg.Connection[Any], product: str) -> ProductForm:
    """How the product writes its numbers, and the day its series reach: its horizon, else today in its zone."""
    row = conn.execute(
        "select p.locale, p.currency, p.timezone, h.as_of from batuta.products p "
        "left join batuta.horizons h using (product) where p.product = %s",
        (product,),
    ).fetchone()
    if row is None:
        raise UsageError(f"no product {product!r} is registered", hint="`batuta apply` registers products.")
    locale, currency, timezone, as_of = row
    return ProductForm(locale, currency, timezone, as_of or datetime.now(ZoneInfo(timezone)).date())


def _print(result: SkillResult, locale: str) -> None:
    """The narrative, then the output without it."""
    output: Mapping[str, Any] = result.output or {}
    for text in result.said(locale):
        click.echo(text)
    click.echo()
    for key, value in output.items():
        if key != "narrative":
            click.echo(f"{key}: {_short(value)}")
    click.echo()
    click.echo(f"run {result.run_id}, {len(result.facts)} facts, {result.metrics['latency_ms']} ms")


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} (see --json)" if value else "none"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
