"""The bundle on disk: whole or not at all, and never silently changed."""

import json
from pathlib import Path

import pytest

from batuta.manifests.bundle import BundleError, bundle_path, read_bundle, write_bundle
from batuta.manifests.graph import CompiledGraph, CompiledProduct


def graph(currency: str = "BRL") -> CompiledGraph:
    shop = CompiledProduct(
        name="shop",
        description="",
        locale="pt-BR",
        currency=currency,
        timezone="America/Sao_Paulo",
        owners=("vox",),
        kpis=("LTV",),
        datasets={"orders": ("shopify/orders",)},
        policies=(),
        connectors=(),
    )
    return CompiledGraph(products=(shop,))


def test_the_newest_bundle_is_in_force_and_older_ones_stay(tmp_path: Path) -> None:
    write_bundle(tmp_path, graph())
    current = write_bundle(tmp_path, graph("EUR"))

    assert current == bundle_path(tmp_path)
    assert read_bundle(current) == graph("EUR")
    assert read_bundle(current.with_name(f"{graph().digest}.json")) == graph()
    assert not list(tmp_path.glob("bundle/.*"))


def test_a_missing_bundle_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no manifests are applied yet") as error:
        read_bundle(bundle_path(tmp_path))

    assert error.value.hint == "run batuta apply PATH"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"graph": {"x": 1}, "digest": "0"}', b"\xff"])
def test_a_bundle_that_cannot_be_read_is_a_clear_error(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "current.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(BundleError, match="cannot be read"):
        read_bundle(path)


def test_a_bundle_changed_by_hand_is_refused(tmp_path: Path) -> None:
    path = write_bundle(tmp_path, graph())
    envelope = json.loads(path.read_text("utf-8"))
    envelope["graph"]["products"][0]["currency"] = "USD"
    path.write_text(json.dumps(envelope), "utf-8")

    with pytest.raises(BundleError, match="is not what batuta apply wrote"):
        read_bundle(path)
