"""Whatever people write: the compiler answers with a graph or with problems, the same for any order of files."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from batuta.manifests.bundle import read_bundle, write_bundle
from batuta.manifests.compiler import compile_manifests
from batuta.manifests.load import Document
from batuta.manifests.models import API_VERSION, FORMS
from batuta.manifests.problems import errors_in
from batuta.manifests.yaml_source import Source, read_yaml
from tests.support.manifest_catalog import small_catalog

CATALOG = small_catalog()
AGENTS = ("sigma", "vox", "helix", "shopify")
PRODUCTS = ("shop", "shop-two", "arcsat")
STEPS = (
    "ingest.shopify.orders",
    "ingest.shopify.nothing",
    "vector.embed",
    "sigma.kpi.review",
    "sigma.finance.reconcile",
    "vox.crm.playbook",
    "vox.campaign.draft",
    "helix.build.deploy",
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
ROLES = st.none() | st.lists(st.sampled_from(["kpi.read", "crm.read", "finance.read"]), unique=True)


def unique(values: tuple[str, ...], least: int = 0) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=4, unique=True)


agents = st.fixed_dictionaries(
    {"skills": unique(("kpi.review", "crm.playbook", "finance.reconcile", "build.deploy"), 1), "roles": ROLES}
)
products = st.fixed_dictionaries(
    {
        "datasets": unique(("orders", "crm", "telemetry", "nothing")),
        "kpis": unique(("LTV", "CAC", "LTVV")),
        "owners": unique(AGENTS, 1),
        "policies": unique(("pii-mask-basic", "none-such")),
    }
)
steps = st.fixed_dictionaries(
    {"use": st.sampled_from(STEPS)},
    optional={
        "name": st.sampled_from(["one", "two"]),
        "needs": unique((*STEPS, "one", "two")),
        "with": st.dictionaries(st.sampled_from(["threshold", "x"]), JSON, max_size=2),
    },
)
pipelines = st.fixed_dictionaries(
    {"steps": st.lists(steps, min_size=1, max_size=5)},
    optional={
        "products": unique(PRODUCTS, 1),
        "roles": ROLES,
        "triggers": st.lists(
            st.sampled_from([{"schedule": "0 6 * * *"}, {"event": "com.shopify.*"}, {"event": "com.none.x"}]),
            max_size=3,
        ),
        "outputs": st.lists(st.just({"type": "Report"}), max_size=2),
    },
)


def as_document(kind: str, name: str, spec: dict[str, Any], number: int) -> Document | None:
    value = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    try:
        return Document(FORMS[kind].model_validate(value), Source(f"{number}.yaml", {(): (1, 1)}, {}))
    except ValidationError:
        return None


@st.composite
def companies(draw: st.DrawFn) -> list[Document]:
    drafts = [
        *(("Agent", name, draw(agents)) for name in draw(unique(AGENTS))),
        *(("Product", name, draw(products)) for name in draw(unique(PRODUCTS, 1))),
        *(
            (
                "Pipeline",
                draw(st.sampled_from(["shop-a", "shop-two-a", "arcsat-b", "lonely"])),
                draw(pipelines),
            )
            for _ in range(draw(st.integers(0, 3)))
        ),
    ]
    documents = [as_document(kind, name, spec, number) for number, (kind, name, spec) in enumerate(drafts)]
    return [document for document in documents if document is not None]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(companies(), st.randoms(use_true_random=False))
def test_any_company_gives_a_graph_or_errors_whatever_the_order_of_its_files(
    company: list[Document], random: Any
) -> None:
    first = compile_manifests(company, CATALOG)
    shuffled = list(company)
    random.shuffle(shuffled)
    second = compile_manifests(shuffled, CATALOG)

    assert (first.graph is None) == bool(errors_in(first.problems))
    assert first.problems == second.problems
    assert (first.graph and first.graph.digest) == (second.graph and second.graph.digest)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(companies())
def test_in_a_compiled_pipeline_no_step_stands_before_what_it_needs(company: list[Document]) -> None:
    graph = compile_manifests(company, CATALOG).graph

    for pipeline in graph.pipelines if graph is not None else ():
        keys = [step.asset_key for step in pipeline.steps]
        for index, step in enumerate(pipeline.steps):
            assert not set(step.deps) & set(keys[index:])
            assert {dep for dep in step.deps if dep[0] == "ingest"} <= set(keys)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(companies())
def test_a_bundle_read_back_is_the_graph_that_was_written(
    tmp_path_factory: Any, company: list[Document]
) -> None:
    graph = compile_manifests(company, CATALOG).graph
    if graph is not None:
        home = tmp_path_factory.mktemp("home")

        assert read_bundle(write_bundle(home, graph)) == graph


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.text("[]{}:,-#&*!|>'\"%@`?<= ab\n\t", max_size=60))
def test_any_text_is_read_or_refused_and_never_raises(text: str) -> None:
    documents, problems = read_yaml(text.encode("utf-8", "surrogatepass"), "f.yaml")

    assert all(problem.message for problem in problems)
    assert all(document.value is not None for document in documents)
