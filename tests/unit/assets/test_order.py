"""What the first analysis needs runs first, whatever the assets are called; what all need runs before them."""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from batuta.manifests.graph import CompiledAsset, CompiledGraph
from batuta_assets.order import PRIORITY_TAG, step_tags


def asset(kind: str, name: str, *deps: str) -> CompiledAsset:
    return CompiledAsset(
        asset_key=("x", name),
        kind=cast("Any", kind),
        use=name,
        deps=tuple(("x", dep) for dep in deps),
        pipelines=("p",),
    )


def order(*assets: CompiledAsset) -> list[str]:
    """The names in the order of their priorities."""
    graph = CompiledGraph(assets=assets)
    return [a.use for a in sorted(assets, key=lambda a: -int(step_tags(a, graph)[PRIORITY_TAG]))]


def test_the_analysis_that_needs_least_comes_first_with_what_it_needs() -> None:
    assert order(
        asset("ingest", "ads"),
        asset("ingest", "orders"),
        asset("ingest", "refunds"),
        asset("vector", "embed", "ads"),
        asset("skill", "review", "ads", "orders", "refunds"),
        asset("skill", "reconcile", "orders", "refunds", "not_ours"),
        asset("report", "page", "review", "reconcile", "embed"),
    ) == ["orders", "refunds", "reconcile", "ads", "review", "embed", "page"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["ingest", "skill", "report"]), st.sets(st.integers(0, 9))), max_size=10
    )
)
def test_nothing_is_asked_for_before_what_it_needs(made: list[tuple[str, set[int]]]) -> None:
    assets = [
        asset(kind, f"{number:02}", *(f"{dep:02}" for dep in sorted(deps) if dep < number))
        for number, (kind, deps) in enumerate(made)
    ]
    places = {name: place for place, name in enumerate(order(*assets))}
    assert sorted(places) == sorted(a.use for a in assets)
    for found in assets:
        assert all(places[dep[1]] < places[found.use] for dep in found.deps)
