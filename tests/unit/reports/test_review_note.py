"""The review as a note in a vault: said whole, put where the product wants it, and no news to the vault's own scan."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from batuta.manifests.graph import CompiledProduct
from batuta.manifests.models import ConnectorBinding
from batuta.reports.page import build_report
from batuta.reports.told import markdown
from batuta_assets.reports import put_into_vaults
from sensors.connectors.obsidian.export import is_ours
from tests.support.review import review_inputs

DAY = date(2025, 11, 12)


def product(*vaults: dict[str, Any]) -> CompiledProduct:
    bindings = tuple(
        ConnectorBinding(type="obsidian", account=f"v{n}", settings=v) for n, v in enumerate(vaults)
    )
    return CompiledProduct(
        name="arcsat",
        description="",
        locale="pt-BR",
        currency="BRL",
        timezone="America/Sao_Paulo",
        owners=("sigma",),
        kpis=(),
        datasets={},
        policies=(),
        connectors=bindings,
    )


def note() -> str:
    inputs = review_inputs()
    return markdown(inputs, build_report(inputs))


def test_the_note_says_what_the_mail_says():
    text = note()
    assert text.startswith("# arcsat")
    assert "## " in text
    assert "|---|---:|---|" in text
    assert "{{" not in text


def test_a_review_goes_into_the_vaults_that_want_it(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name / ".obsidian").mkdir(parents=True)
    said = put_into_vaults(
        product(
            {"path": str(tmp_path / "one"), "reportsFolder": "BATUTA"},
            {"path": str(tmp_path / "two")},
            {"path": str(tmp_path / "nowhere"), "reportsFolder": "BATUTA"},
        ),
        "daily-review",
        DAY,
        note(),
    )
    written = tmp_path / "one" / "BATUTA" / "arcsat daily-review 2025-11-12.md"
    assert said[0] == str(written)
    assert said[1].startswith("not written: ")
    assert is_ours(written.read_bytes())
    assert not list((tmp_path / "two").glob("**/*.md"))
