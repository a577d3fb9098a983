"""`batuta ingest` of captured deliveries: no file chooses how it is read, unless somebody vouches for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batuta.keys import create_keys
from batuta.manifests.bundle import write_bundle
from batuta.manifests.graph import CompiledGraph, CompiledProduct
from batuta.manifests.models import ConnectorBinding
from batuta.settings import get_settings
from batuta_cli.main import main
from sensors.connectors.pulling import FORM
from tests.support.vendor_deliveries import SHOPIFY_SECRET, shopify_order, signed_shopify


@pytest.fixture(autouse=True)
def installation(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATUTA_DATABASE_URL", database_url)
    monkeypatch.setenv("BATUTA_PROJECT", str(tmp_path))
    settings = get_settings()
    create_keys(settings.home)
    settings.secrets_dir.mkdir(parents=True)
    (settings.secrets_dir / "shop").write_bytes(SHOPIFY_SECRET)
    binding = ConnectorBinding.model_validate({"type": "shopify", "secretRefs": [{"file": "shop"}]})
    product = CompiledProduct(
        name="arcsat", description="", locale="pt-BR", currency="BRL", timezone="America/Sao_Paulo", owners=(),
        kpis=(), datasets={}, policies=(), connectors=(binding,),
    )  # fmt: skip
    write_bundle(settings.home, CompiledGraph(products=(product,)))


def ingested(capsys: pytest.CaptureFixture[str], path: Path, *arguments: str) -> tuple[int, dict[str, int]]:
    """Exit code and counts of `batuta ingest`."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["ingest", "shopify", str(path), "--product", "arcsat", "--json", *arguments])
    return int(str(ended.value.code or 0)), json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("name", [FORM, FORM.upper(), FORM.title()])
def test_a_captured_header_does_not_choose_how_the_delivery_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    headers, body = signed_shopify(shopify_order())
    line = {"headers": {**headers, name: "graphql"}, "body": body.decode()}
    path = tmp_path / "captured.jsonl"
    path.write_text(json.dumps(line) + "\n")

    code, counts = ingested(capsys, path)
    assert (code, counts["landed"], counts["quarantined"]) == (0, 0, 1)

    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["quarantine", "replay", "--all", "--json"])
    assert json.loads(capsys.readouterr().out)["quarantined"] == 1

    clean = {"headers": headers, "body": body.decode()}
    path.write_text(json.dumps(clean) + "\n")
    assert ingested(capsys, path) == (0, {"landed": 1, "duplicate": 0, "quarantined": 0, "filtered": 0})
