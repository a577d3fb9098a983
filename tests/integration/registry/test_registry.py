"""Applying manifests to a real database: versions, history, removal, products and the bundle."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from batuta.manifests.bundle import bundle_path, read_bundle
from batuta.manifests.load import Document
from batuta.manifests.models import API_VERSION, FORMS
from batuta.manifests.yaml_source import Source
from batuta.registry import Applied, NotRegistered, Refused, apply, history, registered
from batuta.warehouse.connection import connect
from tests.support.manifest_catalog import small_catalog

NOW = datetime(2025, 11, 12, 9, tzinfo=UTC)
SCHEMA = {"type": "object"}


def document(kind: str, name: str, spec: dict[str, Any], schemas: dict[str, Any] | None = None) -> Document:
    value = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    return Document(FORMS[kind].model_validate(value), Source("company.yaml", {}, {}), schemas or {})


def product(name: str = "shop", **spec: Any) -> Document:
    return document("Product", name, {"datasets": ["orders"], "kpis": ["LTV"], "owners": ["vox"]} | spec)


def pipeline(name: str = "shop-review", skill: str = "sigma.kpi.review") -> Document:
    return document("Pipeline", name, {"steps": [{"use": skill}], "outputs": [{"type": "Report"}]})


def agent() -> Document:
    contracts = {"inputSchemaRef": "schemas/in.json"}
    spec = {"skills": ["build.deploy"], "contracts": contracts}
    return document("Agent", "helix", spec, {"schemas/in.json": SCHEMA})


def apply_to(url: str, home: Path, *documents: Document, prune: bool = False) -> Applied:
    with connect(url, "owner") as connection:
        return apply(connection, documents, small_catalog(), home=home, now=NOW, prune=prune)


def changes(applied: Applied) -> list[str]:
    return [
        f"{change.action} {change.kind} {change.name} {change.version}"
        for change in applied.changes
        if change.kind != "Skill" and change.action != "unchanged"
    ]


def test_what_is_new_or_different_gets_a_version_and_the_rest_stays(
    database_url: str, tmp_path: Path
) -> None:
    first = apply_to(database_url, tmp_path, agent(), product(), pipeline())
    again = apply_to(database_url, tmp_path, agent(), product(), pipeline())
    third = apply_to(database_url, tmp_path, agent(), product(currency="EUR"), pipeline())

    assert changes(first) == [
        "created Agent helix 1",
        "created Product shop 1",
        "created Pipeline shop-review 1",
        "created Schema schemas/in.json 1",
    ]
    assert changes(again) == []
    assert again.graph.digest == first.graph.digest
    assert changes(third) == ["updated Product shop 2"]
    with connect(database_url, "reader") as connection:
        versions = history(connection, "Product", "shop")
    assert [(entry.version, entry.document["spec"]["currency"]) for entry in versions] == [
        (2, "EUR"),
        (1, "BRL"),
    ]


def test_skills_of_the_installed_code_are_registered_with_their_schemas(
    database_url: str, tmp_path: Path
) -> None:
    apply_to(database_url, tmp_path, product())

    with connect(database_url, "reader") as connection:
        skills = {entry.name: entry.document for entry in registered(connection, "Skill")}
    assert skills["sigma.kpi.review"]["input_schema"]["properties"] == {"threshold": {"type": "number"}}


def test_products_are_written_for_the_kpi_models(database_url: str, tmp_path: Path) -> None:
    apply_to(database_url, tmp_path, product(), product("two", currency="EUR", timezone="Europe/Lisbon"))

    with connect(database_url, "reader") as connection:
        rows = connection.execute(
            "select product, currency, timezone, locale, applied_at from batuta.products order by 1"
        ).fetchall()
    assert rows == [
        ("shop", "BRL", "America/Sao_Paulo", "pt-BR", NOW),
        ("two", "EUR", "Europe/Lisbon", "pt-BR", NOW),
    ]


def test_what_is_not_mentioned_stays_until_it_is_pruned(database_url: str, tmp_path: Path) -> None:
    apply_to(database_url, tmp_path, agent(), product(), product("two"), pipeline())

    kept = apply_to(database_url, tmp_path, product("two"))
    pruned = apply_to(database_url, tmp_path, product("two"), prune=True)
    back = apply_to(database_url, tmp_path, product())

    assert changes(kept) == []
    assert [product.name for product in kept.graph.products] == ["shop", "two"]
    assert kept.graph.agents[0].input_schema == SCHEMA
    assert changes(pruned) == [
        "removed Agent helix 1",
        "removed Product shop 1",
        "removed Pipeline shop-review 1",
        "removed Schema schemas/in.json 1",
    ]
    assert [product.name for product in pruned.graph.products] == ["two"]
    assert changes(back) == ["created Product shop 2"]
    with connect(database_url, "reader") as connection:
        assert [entry.name for entry in registered(connection, "Product")] == ["shop", "two"]
        rows = connection.execute("select product from batuta.products order by 1").fetchall()
    assert rows == [("shop",), ("two",)]


def test_the_bundle_in_force_is_what_is_registered(database_url: str, tmp_path: Path) -> None:
    applied = apply_to(database_url, tmp_path, product(), pipeline())

    assert read_bundle(bundle_path(tmp_path)) == applied.graph


def test_manifests_that_break_what_is_registered_are_refused_and_change_nothing(
    database_url: str, tmp_path: Path
) -> None:
    before = apply_to(database_url, tmp_path, product(), pipeline())
    clash = document(
        "Pipeline",
        "review",
        {"products": ["shop"], "steps": [{"use": "vox.crm.playbook"}], "outputs": [{"type": "Report"}]},
    )

    with pytest.raises(Refused, match=r"registry \(Pipeline shop-review\).*gives the report review of shop"):
        apply_to(database_url, tmp_path, product(currency="EUR"), clash)

    with connect(database_url, "reader") as connection:
        assert [entry.version for entry in history(connection, "Product", "shop")] == [1]
    assert read_bundle(bundle_path(tmp_path)) == before.graph


def test_a_bundle_that_cannot_be_written_leaves_the_registry_as_it_was(
    database_url: str, tmp_path: Path
) -> None:
    home = tmp_path / "file"
    home.write_text("in the way")

    with pytest.raises(Exception, match="cannot write the bundle"):
        apply_to(database_url, home, product())

    with connect(database_url, "reader") as connection:
        assert registered(connection) == []


def test_what_was_never_registered_has_no_history(database_url: str) -> None:
    with connect(database_url, "reader") as connection, pytest.raises(NotRegistered, match="Agent nobody"):
        history(connection, "Agent", "nobody")
