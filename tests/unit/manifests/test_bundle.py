"""The bundle on disk: whole or not at all, and never silently changed."""

import hashlib
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
    assert json.loads(current.read_bytes())["digest"] == graph("EUR").digest
    assert not list(tmp_path.glob("bundle/.*"))


def test_a_missing_bundle_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no manifests are applied yet") as error:
        read_bundle(bundle_path(tmp_path))

    assert error.value.hint == "run batuta apply PATH"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"digest":"0","graph":{}}', b"\xff"])
def test_a_bundle_that_is_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "current.json"
    path.write_bytes(content)

    with pytest.raises(BundleError, match="is not what batuta apply wrote"):
        read_bundle(path)


def test_a_bundle_changed_by_hand_is_refused(tmp_path: Path) -> None:
    path = write_bundle(tmp_path, graph())
    path.write_bytes(path.read_bytes().replace(b"BRL", b"USD"))

    with pytest.raises(BundleError, match="is not what batuta apply wrote"):
        read_bundle(path)


def test_a_bundle_of_another_version_says_so(tmp_path: Path) -> None:
    content = b'{"unknown":1}'
    digest = hashlib.sha256(content).hexdigest()
    path = tmp_path / "current.json"
    path.write_bytes(b'{"digest":"%s","graph":%s}\n' % (digest.encode(), content))

    with pytest.raises(BundleError, match="another version of BATUTA"):
        read_bundle(path)
