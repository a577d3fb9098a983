"""The skills over the real models: what they say of the example company is what was lived there."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batuta.facts import events_of_fact, format_fact, render
from batuta.kpis import current_kpis
from batuta.landing.reader import last_batch
from batuta.warehouse.connection import connect
from batuta_agents.model import SkillRequest, SkillResult
from batuta_agents.retrieval.embed import embed_new
from batuta_agents.runtime import run_skill
from batuta_cli.main import LazyGroup
from examples.arcsat.generate import Simulation
from tests.integration.conftest import Company as Example
from tests.support import database as databases
from tests.support.example import LANDED_AT, LAST_DAY, clock
from tests.support.truth import counts_as_sale, customer_key, daily_net_sales, day_of, expected_kpis

PRODUCT = "arcsat"
ROLES = ("crm.read", "finance.read", "kpi.read", "orders.read")
MISMATCH_KINDS = {
    "paid_amount_differs": "captured_differs_from_total",
    "paid_without_transaction": "paid_without_transaction",
    "refund_exceeds_captured": "refund_exceeds_captured",
}


@dataclass(frozen=True)
class Company:
    """The landed example company and the truth it was made from."""

    url: str
    simulation: Simulation

    def run(self, skill: str, input: dict[str, Any] | None = None, as_of: date = LAST_DAY) -> SkillResult:
        request = SkillRequest(product=PRODUCT, roles=ROLES, as_of=as_of, caller="test")
        result = run_skill(skill, input or {}, request, partial(connect, self.url), clock)
        assert result.status == "ok", result.error
        return result

    def events(self, result: SkillResult, fact: str) -> tuple[list[str], bool | None]:
        """Types of the events behind a fact, all of which must be in the log."""
        with connect(self.url, "reader") as conn:
            found = events_of_fact(conn, result.facts[fact].id)
        assert not any(event.expired for event in found.events)
        return [str(event.type) for event in found.events], found.unchanged


@pytest.fixture(scope="module")
def company(database_server: str, example: Example) -> Iterator[Company]:
    with databases.database(database_server, example.template) as url:
        yield Company(url, example.simulation)


def _unrefunded(order: Any) -> int:
    """What failed refunds of an order did not pay back, in cents."""
    refunds = [t for refund in order.refunds for t in refund.transactions]
    failed = [t.amount_cents for t in refunds if t.status in ("failure", "error")]
    paid_back = sum(t.amount_cents for t in refunds if t.status == "success")
    return max(sum(failed) - paid_back, 0)


def test_reconciliation_finds_the_planted_mismatches_the_failed_refunds_and_nothing_else(
    company: Company,
) -> None:
    lived = company.simulation.products[PRODUCT]
    expected = {(str(m.order_id), MISMATCH_KINDS[m.kind]) for m in lived.mismatches}
    expected |= {
        (str(order.id), "refund_recorded_but_not_moved")
        for order in lived.orders
        if not order.test and _unrefunded(order) > 0
    }

    result = company.run("sigma.finance.reconcile")

    assert result.output is not None
    assert {(m["order_id"], m["kind"]) for m in result.output["mismatches"]} == expected
    planted = {str(m.order_id): m for m in lived.mismatches}
    for mismatch in result.output["mismatches"]:
        events, unchanged = company.events(result, f"{mismatch['facts']}.difference")
        assert any(type.startswith("com.shopify.orders.") for type in events)
        assert unchanged is True
        if mismatch["order_id"] in planted:
            truth = planted[mismatch["order_id"]]
            found = [truth.expected_cents, truth.actual_cents]
            assert [Decimal(mismatch["expected"]) * 100, Decimal(mismatch["found"]) * 100] == found
    assert result.output["agreeing"] == result.output["checked"] - len({order for order, _kind in expected})


def test_the_playbook_counts_every_customer_once_and_every_sale(company: Company) -> None:
    lived = company.simulation.products[PRODUCT]
    orders: dict[Any, list[Any]] = defaultdict(list)
    for order in lived.orders:
        if counts_as_sale(order) and customer_key(order) is not None:
            orders[customer_key(order)].append(order)
    bought = {key: [o for o in placed if o.state.cancelled_at is None] for key, placed in orders.items()}
    champions = sum(
        len(placed) >= 5 and (LAST_DAY - max(day_of(o.processed_at) for o in placed)).days <= 30
        for placed in bought.values()
    )

    output = company.run("vox.crm.playbook").output

    assert output is not None
    assert output["customers"] == len(orders) == sum(play["customers"] for play in output["segments"])
    sizes = {play["segment"]: play["customers"] for play in output["segments"]}
    assert sizes.get("champions", 0) == champions
    total = sum(daily_net_sales(lived).values())
    assert Decimal(output["net_sales"]) + Decimal(output["unidentified_net_sales"]) == total


def test_the_review_gives_the_kpis_that_were_lived_and_each_leads_to_its_events(company: Company) -> None:
    truth = expected_kpis(company.simulation, PRODUCT, LAST_DAY)
    before = expected_kpis(company.simulation, PRODUCT, LAST_DAY - timedelta(days=7))

    result = company.run("sigma.kpi.review")

    assert result.output is not None
    readings = {reading["kpi"]: reading for reading in result.output["kpis"]}
    for kpi, expected, earlier in (
        ("LTV", truth.ltv, before.ltv),
        ("CAC", truth.cac, before.cac),
        ("NPS", truth.nps, before.nps),
        ("leadTime", truth.lead_time, before.lead_time),
    ):
        assert Decimal(readings[kpi]["value"]) == expected.value
        assert Decimal(readings[kpi]["changes"][1]["previous"]) == earlier.value
    assert len(company.events(result, "kpi.orders.value")[0]) == int(readings["orders"]["value"])
    for kpi, type in (
        ("LTV", "com.shopify.orders."),
        ("CAC", "com.batuta.spend.recorded"),
        ("NPS", "com.batuta.survey.answered"),
        ("leadTime", "com.github.release."),
        ("net_sales", "com.shopify.orders."),
    ):
        assert any(found.startswith(type) for found in company.events(result, f"kpi.{kpi}.value")[0])


def test_every_narrative_of_every_skill_can_be_printed_in_both_languages(company: Company) -> None:
    for skill in ("sigma.finance.reconcile", "sigma.kpi.review", "vox.crm.playbook", "vox.campaign.draft"):
        result = company.run(skill)
        assert result.output is not None
        for paragraph in result.output["narrative"]:
            assert "{{" not in render(paragraph["text"], result.facts, "pt-BR")
        assert all(format_fact(fact, "en") for fact in result.facts.values())
        assert company.run(skill).output_digest == result.output_digest


def test_an_earlier_day_is_seen_without_what_came_after(company: Company) -> None:
    as_of = date(2025, 9, 30)
    output = company.run("vox.crm.playbook", as_of=as_of).output

    assert output is not None
    sales = daily_net_sales(company.simulation.products[PRODUCT])
    total = sum(amount for day, amount in sales.items() if day <= as_of)
    assert Decimal(output["net_sales"]) + Decimal(output["unidentified_net_sales"]) == total


def test_the_companys_texts_are_embedded_once(company: Company) -> None:
    pytest.importorskip("tokenizers")
    with connect(company.url, "writer") as conn:
        newest = last_batch(conn)
        conn.commit()
        first = embed_new(conn, PRODUCT, newest, lambda: LANDED_AT)
        again = embed_new(conn, PRODUCT, newest, lambda: LANDED_AT)
        leaks = conn.execute(
            "select count(*) from batuta.chunks where text ~ '[[:alnum:]]@[[:alnum:]]'"
        ).fetchone()
    assert first.chunks >= first.texts > 20
    assert (again.chunks, again.texts) == (0, 0)
    assert leaks == (0,)


def list_events(*arguments: str) -> Result:
    return CliRunner().invoke(LazyGroup("batuta"), ["events", "list", "--limit", "100000", *arguments])


def behind(*arguments: str) -> set[str]:
    shown = list_events("--json", *arguments)
    assert shown.exit_code == 0, shown.output
    return {json.loads(line)["id"] for line in shown.stdout.splitlines()}


def test_every_kpis_value_on_a_page_leads_to_its_events(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATUTA_DATABASE_URL", company.url)
    with connect(company.url, "reader") as conn:
        valued = [kpi.kpi for kpi in current_kpis(conn, PRODUCT, LAST_DAY) if kpi.value]
    page = f"arcsat-daily-review.{PRODUCT}.{LAST_DAY}"
    for kpi in valued:
        found = behind("--fact", f"{page}.{kpi}.value")
        assert found, f"nothing is behind {kpi}"
        assert found == behind("--product", PRODUCT, "--kpi", kpi, "--as-of", LAST_DAY.isoformat())
    assert {"LTV", "CAC", "NPS", "leadTime", "orders"} <= set(valued)

    # An order edited later is one order with one newest event.
    lived = company.simulation.products[PRODUCT].orders
    sold = [o for o in lived if counts_as_sale(o) and day_of(o.processed_at) == LAST_DAY]
    assert len(behind("--fact", f"{page}.orders.value")) == len(sold) > 0
    week = f"{page}.orders.earlier", f"{page}.orders.change"
    earlier, change = (behind("--fact", fact) for fact in week)
    assert change == earlier | behind("--fact", f"{page}.orders.value")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--fact", f"review.{PRODUCT}.2025-11-12.intake.shopify"), "no fact"),
        (("--fact", f"review.{PRODUCT}.2025-11-12.orderz.value"), "no KPI is called orderz"),
        (("--fact", "review.nobody.2025-11-12.orders.value"), "no product is called nobody"),
        (("--fact", f"review.{PRODUCT}.2025-13-12.orders.value"), "no fact"),
        (("--kpi", "orders", "--as-of", "2025-11-12"), "--kpi, --as-of and --product go together"),
        (("--kpi", "orders", "--product", PRODUCT), "--kpi, --as-of and --product go together"),
        (
            ("--kpi", "orders", "--run", "x", "--product", PRODUCT, "--as-of", "2025-11-12"),
            "do not go together",
        ),
    ],
)
def test_what_leads_to_no_events_is_said(
    company: Company, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.setenv("BATUTA_DATABASE_URL", company.url)
    shown = list_events(*arguments)
    assert shown.exit_code != 0
    assert told in f"{shown.output}{shown.exception}"
