"""The example company's review from its deliveries to the page, kept and written to the outbox."""

import email
import re
from datetime import UTC, date, datetime
from email import policy
from email.message import EmailMessage
from functools import partial

import html5lib
import pytest

from batuta.kpis import KpisNotBuilt
from batuta.manifests.graph import CompiledPipeline, CompiledProduct
from batuta.manifests.models import Output
from batuta.reports.publish import publish_daily_review
from batuta.settings import Settings
from batuta.warehouse.connection import connect
from batuta_agents.model import SkillRequest
from batuta_agents.runtime import run_skill
from tests.integration.conftest import Company
from tests.support.truth import expected_kpis, expected_mismatches

DAY = date(2025, 11, 12)
SKILLS = ("sigma.finance.reconcile", "sigma.kpi.review", "vox.crm.playbook", "vox.campaign.draft")
ROLES = ("finance.read", "orders.read", "kpi.read", "crm.read")
PRODUCT = CompiledProduct(
    name="arcsat", description="", locale="pt-BR", currency="BRL", timezone="America/Sao_Paulo", owners=(),
    kpis=("LTV", "CAC", "NPS", "leadTime"), datasets={}, policies=(), connectors=(),
)  # fmt: skip
PIPELINE = CompiledPipeline(
    name="arcsat-daily-review", family="daily_review", description="", products=("arcsat",), schedules=(), events=(),
    steps=(),
    outputs=(Output(type="Report", channel="email", to=("nicolas@example.com",)),), report_key=None, report_deps=(),
)  # fmt: skip


def clock() -> datetime:
    return datetime(2025, 11, 13, 9, tzinfo=UTC)


def brazilian(value: object) -> str:
    """An amount as it must read on the page."""
    return f"R$\N{NO-BREAK SPACE}{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")


def test_without_models_the_message_says_what_to_run(database_url: str, settings: Settings) -> None:
    with connect(database_url, "writer") as conn, pytest.raises(KpisNotBuilt) as raised:
        publish_daily_review(conn, settings, PIPELINE, PRODUCT, DAY, None, None, clock)
    assert "refresh_marts" in (raised.value.hint or "")


def test_the_example_company_gets_its_review(example: Company, example_url: str, settings: Settings) -> None:
    simulation = example.simulation
    request = SkillRequest(
        "arcsat", ROLES, DAY, "pipeline:arcsat-daily-review", "arcsat-daily-review", "run-1"
    )
    results = {skill: run_skill(skill, {}, request, partial(connect, example_url), clock) for skill in SKILLS}
    assert {result.status for result in results.values()} == {"ok"}

    output = results["sigma.finance.reconcile"].output
    assert output is not None
    found = {
        (row["kind"], int(row["order_id"]), round(100 * float(row["difference"])))
        for row in output["mismatches"]
    }
    assert found == expected_mismatches(simulation, "arcsat")

    with connect(example_url, "writer") as conn:
        first = publish_daily_review(conn, settings, PIPELINE, PRODUCT, DAY, "run-1", None, clock)
        again = publish_daily_review(conn, settings, PIPELINE, PRODUCT, DAY, "run-1", None, clock)
        kept = conn.execute("select count(*), min(path) from batuta.reports").fetchone()
    assert (first.delivery_state, first.delivered_now) == ("written", True)
    assert (again.id, again.digest, again.delivered_now) == (first.id, first.digest, False)
    assert kept == (1, str(first.path))
    assert first.path == settings.reports_dir / "arcsat" / "2025-11-12" / "daily_review.html"

    html = first.path.read_text(encoding="utf-8")
    html5lib.HTMLParser(strict=True).parse(html)
    truth = expected_kpis(simulation, "arcsat", DAY)
    assert brazilian(truth.ltv.value) in html
    assert brazilian(truth.cac.value) in html
    assert brazilian(truth.day.net_sales) in html
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(re.findall(r'\bid="([^"]+)"', html))
    assert not re.search(r"@example\.|\+55|h1:", html)

    (eml,) = settings.outbox_dir.iterdir()
    message = email.message_from_bytes(eml.read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    (attached,) = message.iter_attachments()
    assert attached.get_content() == html
