"""The user's own documents load unchanged and mean what the design says they mean."""

from pathlib import Path

from batuta.manifests.graph import CompiledGraph
from batuta.manifests.project import Checked, check_path
from tests.support.manifest_catalog import small_catalog

FOLDER = Path(__file__).parents[2] / "fixtures" / "user_forms"


def checked() -> Checked:
    return check_path(FOLDER, small_catalog())


def graph() -> CompiledGraph:
    compiled = checked().compilation.graph
    assert compiled is not None
    return compiled


def test_they_load_with_no_more_than_a_warning_for_each_skill_nobody_wrote() -> None:
    found = checked()

    assert [document.identity for document in found.documents] == [
        ("Agent", "helix"),
        ("Product", "arcsat"),
        ("Pipeline", "arcsat-daily-review"),
    ]
    assert [str(p).rsplit("/", 1)[1] for p in found.problems] == [
        (
            "company.yaml:5:12: warning: spec.skills[0]: helix.build.deploy is declared but not implemented;"
            " no pipeline can use it"
        ),
        (
            "company.yaml:5:26: warning: spec.skills[1]: helix.infra.scan is declared but not implemented;"
            " no pipeline can use it"
        ),
    ]


def test_a_short_skill_is_its_agents_and_schemas_come_with_the_agent() -> None:
    [agent] = graph().agents

    assert agent.declared == ("helix.build.deploy", "helix.infra.scan")
    assert agent.input_schema is not None
    assert agent.input_schema["required"] == ["repository"]
    assert (agent.resources.cpu, agent.resources.memory) == ("500m", "512Mi")


def test_a_product_without_additions_has_the_safe_defaults() -> None:
    [product] = graph().products

    assert (product.locale, product.currency, product.timezone) == ("pt-BR", "BRL", "America/Sao_Paulo")
    assert product.owners == ("vox", "sigma")
    assert all(product.datasets.values())


def test_the_pipeline_belongs_to_the_product_that_begins_its_name() -> None:
    [pipeline] = graph().pipelines

    assert pipeline.products == ("arcsat",)
    assert pipeline.family == "daily_review"
    assert [schedule.cron for schedule in pipeline.schedules] == ["0 6 * * *"]
    assert pipeline.wants_event("com.shopify.orders.created")
    assert not pipeline.wants_event("com.shopify.orders.updated")


def test_its_steps_become_assets_and_what_they_need_is_taken_in_without_being_asked() -> None:
    [pipeline] = graph().pipelines

    written = [step for step in pipeline.steps if not step.implicit]
    implicit = [step.use for step in pipeline.steps if step.implicit]

    assert [step.asset_key for step in written] == [
        ("ingest", "shopify_orders"),
        ("vector", "embed"),
        ("sigma", "finance_reconcile"),
        ("vox", "crm_playbook"),
    ]
    assert "ingest.shopify.refunds" in implicit
    assert written[2].deps == (
        ("ingest", "shopify_orders"),
        ("ingest", "shopify_refunds"),
        ("live", "live_orders"),
        ("live", "live_refunds"),
    )
    assert pipeline.report_key == ("reports", "daily_review")
    assert pipeline.report_deps == (
        ("vector", "embed"),
        ("sigma", "finance_reconcile"),
        ("vox", "crm_playbook"),
    )
