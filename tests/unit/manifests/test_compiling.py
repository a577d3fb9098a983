"""What manifests say about each other: products of pipelines, order, needs, roles, inputs, reports."""

from typing import Any

import pytest

from batuta.manifests.compiler import Compilation, compile_manifests
from batuta.manifests.load import Document
from batuta.manifests.models import API_VERSION, FORMS
from batuta.manifests.yaml_source import Source
from tests.support.manifest_catalog import small_catalog


def document(kind: str, name: str, **spec: Any) -> Document:
    value = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    return Document(FORMS[kind].model_validate(value), Source(f"{kind} {name}", {}, {}))


def product(name: str = "shop", **spec: Any) -> Document:
    return document("Product", name, **({"datasets": ["orders"], "kpis": ["LTV"], "owners": ["vox"]} | spec))


def pipeline(name: str, *steps: str | dict[str, Any], **spec: Any) -> Document:
    return document("Pipeline", name, steps=[{"use": s} if isinstance(s, str) else s for s in steps], **spec)


def compiled(*documents: Document) -> Compilation:
    return compile_manifests(documents, small_catalog())


def messages(*documents: Document) -> list[str]:
    return [f"{problem.field}: {problem.message}" for problem in compiled(*documents).problems]


def test_the_product_with_the_longest_name_that_begins_the_pipelines_name_owns_it() -> None:
    documents = [product("shop"), product("shop-two"), pipeline("shop-two-review", "sigma.kpi.review")]

    graph = compiled(*documents).graph

    assert graph is not None
    assert graph.pipelines[0].products == ("shop-two",)
    assert graph.pipelines[0].family == "review"


def test_a_product_owns_whole_words_of_a_pipelines_name_only() -> None:
    assert messages(product("shop"), pipeline("shopping-review", "sigma.kpi.review")) == [
        "metadata.name: no product begins this name (products: shop); begin it with one, or add spec.products"
    ]


def test_a_pipeline_may_name_its_products() -> None:
    named = pipeline("weekly", "sigma.kpi.review", products=["two", "shop"])

    graph = compiled(product("shop"), product("two"), named).graph

    assert graph is not None
    assert graph.pipelines[0].products == ("shop", "two")
    assert graph.pipelines[0].family == "weekly"


def test_steps_against_the_graph_are_an_error_that_names_the_pair() -> None:
    assert messages(product(), pipeline("shop-a", "vox.crm.playbook", "ingest.shopify.orders")) == [
        "spec.steps[0].use: vox.crm.playbook runs after ingest.shopify.orders (spec.steps[1]); move it below"
    ]


def test_needs_add_edges_and_order_follows_them_through_other_steps() -> None:
    steps = (
        {"use": "vox.crm.playbook", "name": "playbook", "needs": ["sigma.kpi.review"]},
        "sigma.kpi.review",
        {"use": "vox.campaign.draft", "needs": ["playbook"]},
    )

    assert messages(product(), pipeline("shop-a", *steps)) == [
        "spec.steps[0].use: vox.crm.playbook runs after sigma.kpi.review (spec.steps[1]); move it below"
    ]
    graph = compiled(product(), pipeline("shop-a", steps[1], steps[0], steps[2])).graph
    assert graph is not None
    assert ("vox", "crm_playbook") in graph.pipelines[0].steps[-1].deps


def test_needs_in_a_circle_are_an_error() -> None:
    steps = (
        {"use": "vox.crm.playbook", "needs": ["vox.campaign.draft"]},
        {"use": "vox.campaign.draft", "needs": ["vox.crm.playbook"]},
    )

    assert messages(product(), pipeline("shop-a", *steps)) == [
        "spec.steps[0].needs: a circle: vox.crm.playbook needs vox.campaign.draft needs vox.crm.playbook"
    ]


def test_a_step_that_needs_itself_through_the_graph_is_a_circle() -> None:
    steps = ({"use": "ingest.shopify.orders", "needs": ["vox.crm.playbook"]}, "vox.crm.playbook")

    [message] = messages(product(), pipeline("shop-a", *steps))

    assert message.startswith("spec.steps[0].needs: a circle: ")


def test_pipelines_that_need_opposite_things_of_shared_assets_are_an_error() -> None:
    one = pipeline("shop-a", "vox.crm.playbook", {"use": "vox.campaign.draft", "needs": ["vox.crm.playbook"]})
    two = pipeline(
        "shop-b", "vox.campaign.draft", {"use": "vox.crm.playbook", "needs": ["vox.campaign.draft"]}
    )

    [message] = messages(product(), one, two)

    assert message.startswith(
        "spec.steps: the needs of the pipelines shop-a, shop-b together go in a circle: "
    )


def test_two_pipelines_do_not_write_the_same_report() -> None:
    report = [{"type": "Report"}]
    one = pipeline("shop-review", "sigma.kpi.review", outputs=report)
    two = pipeline("review", "sigma.kpi.review", outputs=report, products=["shop"])

    assert messages(product(), one, two) == [
        "metadata.name: gives the report review of shop, as does review; rename one"
    ]


def test_pipelines_of_two_products_share_the_assets_of_a_family() -> None:
    report = [{"type": "Report"}]
    graph = compiled(
        product("shop"),
        product("two"),
        pipeline("shop-review", "sigma.kpi.review", "vox.crm.playbook", outputs=report),
        pipeline("two-review", "sigma.kpi.review", outputs=report),
    ).graph

    assert graph is not None
    [asset] = [asset for asset in graph.assets if asset.kind == "report"]
    assert asset.pipelines == ("shop-review", "two-review")
    assert asset.deps == (("sigma", "kpi_review"), ("vox", "crm_playbook"))


def test_a_report_of_nothing_is_an_error() -> None:
    assert messages(product(), pipeline("shop-a", "ingest.shopify.orders", outputs=[{"type": "Report"}])) == [
        "spec.outputs: a Report needs a step that has something to report"
    ]


@pytest.mark.parametrize(
    ("agent_roles", "pipeline_roles", "expected"),
    [
        (None, None, ("kpi.read",)),
        (["kpi.read", "finance.read"], None, ("finance.read", "kpi.read")),
        (["kpi.read", "finance.read"], ["kpi.read"], ("kpi.read",)),
        (None, ["kpi.read", "x"], ("kpi.read", "x")),
    ],
)
def test_a_step_runs_with_the_roles_that_agent_and_pipeline_both_give(
    agent_roles: list[str] | None, pipeline_roles: list[str] | None, expected: tuple[str, ...]
) -> None:
    sigma = document("Agent", "sigma", skills=["kpi.review"], roles=agent_roles)

    graph = compiled(product(), sigma, pipeline("shop-a", "sigma.kpi.review", roles=pipeline_roles)).graph

    assert graph is not None
    assert graph.pipelines[0].steps[-1].roles == expected


def test_a_role_that_is_lacking_is_an_error_before_anything_runs() -> None:
    sigma = document("Agent", "sigma", skills=["kpi.review"], roles=["finance.read"])

    assert messages(product(), sigma, pipeline("shop-a", "sigma.kpi.review", roles=["kpi.read"])) == [
        "spec.skills[0]: sigma.kpi.review needs the role kpi.read; add it to spec.roles",
        "spec.steps[0].use: needs the role kpi.read; grant it in spec.roles and in the Agent sigma",
    ]


def test_the_input_of_a_step_is_checked_against_the_skill() -> None:
    good = {"use": "sigma.kpi.review", "with": {"threshold": 2.5}}
    bad = {"use": "sigma.kpi.review", "with": {"threshold": "high"}}

    assert messages(product(), pipeline("shop-a", good)) == []
    assert messages(product(), pipeline("shop-a", bad)) == [
        "spec.steps[0].with.threshold: does not fit sigma.kpi.review: 'high' is not of type 'number'"
    ]


def test_an_unimplemented_skill_is_an_error_where_a_pipeline_uses_it() -> None:
    helix = document("Agent", "helix", skills=["build.deploy"])

    found = messages(product(), helix, pipeline("shop-a", "helix.build.deploy"))

    assert (
        found[1]
        == "spec.steps[0].use: the Agent helix declares helix.build.deploy, but nothing implements it"
    )


def test_two_documents_of_one_kind_and_name_are_an_error_at_the_second() -> None:
    assert messages(product(), product()) == [
        "metadata.name: the Product shop is already written in Product shop; rename or remove one"
    ]


def test_an_agent_cannot_take_a_name_that_the_graph_uses() -> None:
    assert 'metadata.name: "shopify" is taken by BATUTA; choose another name' in messages(
        document("Agent", "shopify", skills=["x.y"])
    )


def test_triggers_take_a_type_or_a_family_and_refuse_what_never_comes() -> None:
    events = ["com.shopify.*", "com.github.release.published", "com.github.*", "com.shopify.carts.created"]
    triggers = [{"event": event} for event in events]

    [message] = messages(product(), pipeline("shop-a", "sigma.kpi.review", triggers=triggers))

    assert message.startswith('spec.triggers[3].event: no event type "com.shopify.carts.created"')


def test_a_connector_without_secrets_is_a_warning() -> None:
    [problem] = compiled(product(connectors=[{"type": "shopify"}])).problems

    assert problem.severity == "warning"


def test_a_retention_policy_may_name_any_number_of_days_but_there_is_one() -> None:
    graph = compiled(product(policies=["pii-mask-basic", "retention-30d"])).graph
    assert graph is not None
    assert graph.products[0].policies == ("pii-mask-basic", "retention-30d")
    assert messages(product(policies=["retention-30d", "retention-90d"])) == [
        "spec.policies[1]: retention-90d and retention-30d both say how long events are kept; leave one"
    ]
    (unknown,) = messages(product(policies=["retention-0d"]))
    assert unknown.startswith('spec.policies[0]: no policy "retention-0d"')
