"""`batuta ingest`, `events`, `quarantine` and `cursors`, as a person types them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batuta.keys import create_keys
from batuta.landing.cursors import move_cursor
from batuta.manifests.bundle import write_bundle
from batuta.manifests.graph import CompiledGraph, CompiledProduct
from batuta.manifests.models import ConnectorBinding
from batuta.settings import get_settings
from batuta.warehouse.connection import connect
from batuta_cli.main import main

Call = Callable[..., tuple[int, str, str]]
SECRET = b"shared secret"
ORDER: dict[str, Any] = {
    "id": 1,
    "created_at": "2025-11-12T08:00:00-03:00",
    "updated_at": "2025-11-12T08:00:00-03:00",
    "processed_at": "2025-11-12T08:00:00-03:00",
    "financial_status": "paid",
    "currency": "BRL",
    "total_price": "10.00",
    "email": "ana@exemplo.com",
    "line_items": [],
}


@pytest.fixture(autouse=True)
def installation(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATUTA_DATABASE_URL", database_url)
    monkeypatch.setenv("BATUTA_PROJECT", str(tmp_path))
    settings = get_settings()
    create_keys(settings.home)
    settings.secrets_dir.mkdir(parents=True)
    (settings.secrets_dir / "arcsat-shopify").write_bytes(SECRET)
    binding = ConnectorBinding.model_validate({"type": "shopify", "secretRefs": [{"file": "arcsat-shopify"}]})
    product = CompiledProduct(
        name="arcsat", description="", locale="pt-BR", currency="BRL", timezone="America/Sao_Paulo", owners=(),
        kpis=(), datasets={}, policies=(), connectors=(binding,),
    )  # fmt: skip
    write_bundle(settings.home, CompiledGraph(products=(product,)))


@pytest.fixture
def batuta(capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(ended.value.code or 0), out, err

    return call


def shopify(number: int, *, secret: bytes = SECRET, **changes: Any) -> str:
    body = json.dumps(ORDER | {"id": number} | changes)
    signature = base64.b64encode(hmac.digest(secret, body.encode(), hashlib.sha256)).decode()
    headers = {
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Shop-Domain": "arcsat-demo.myshopify.com",
        "X-Shopify-Webhook-Id": f"w-{number}",
        "X-Shopify-Triggered-At": "2025-11-12T11:00:00Z",
        "X-Shopify-Hmac-Sha256": signature,
    }
    return json.dumps({"headers": headers, "body": body})


def write(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "captured.jsonl"
    path.write_text("\n".join(lines))
    return str(path)


def test_signed_deliveries_land_and_the_last_line_has_the_counts(batuta: Call, tmp_path: Path) -> None:
    path = write(
        tmp_path, shopify(1), shopify(2), shopify(1), shopify(3, secret=b"other"), shopify(4, total_price=5)
    )
    code, out, _ = batuta("ingest", "shopify", path, "--product", "arcsat", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1]) == {"landed": 2, "duplicate": 1, "quarantined": 2, "filtered": 0}
    code, out, _ = batuta("quarantine", "list", "--json")
    assert sorted(item["reason_code"] for item in json.loads(out)) == ["contract", "signature"]
    code, out, _ = batuta("events", "list", "--json", "--type", "com.shopify.*")
    assert sorted(json.loads(line)["id"] for line in out.splitlines()) == ["w-1", "w-2"]
    assert "ana@exemplo.com" not in out
    code, out, _ = batuta("events", "show", "w-1")
    assert json.loads(out)["data"]["total_price"] == "10.00"


def test_a_line_that_is_no_delivery_fails_at_the_end_and_loses_nothing(batuta: Call, tmp_path: Path) -> None:
    path = write(tmp_path, shopify(1), "{}", shopify(2))
    code, out, err = batuta("ingest", "shopify", path, "--product", "arcsat")
    assert code == 1
    assert f"{path}:2: headers must be an object of texts" in err
    assert out.startswith("landed 2")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ingest", "shopfy", "PATH", "--product", "arcsat"], 2, 'no connector "shopfy"'),
        (["ingest", "shopify", "PATH"], 2, "Missing option '--product'"),
        (["ingest", "shopify", "no-such-file", "--product", "arcsat"], 2, "no-such-file is not there"),
        (["ingest", "shopify", "PATH", "--product", "nobody"], 1, "no product nobody is applied"),
        (["ingest", "shopify", "PATH", "--product", "nobody", "--trusted"], 1, "there are: arcsat"),
        (["ingest", "github", "PATH", "--product", "arcsat"], 1, "has no connector github"),
        (["events", "show", "nothing"], 1, "no event has the id nothing"),
        (["events", "list", "--run", "nothing"], 1, "no events are recorded for run nothing"),
        (["quarantine", "show", "nothing"], 1, "nothing in quarantine has the id"),
        (["quarantine", "replay"], 2, "name the ids to replay"),
        (["cursors", "rewind", "nobody", "--to", "1"], 1, "there is no cursor nobody"),
        (["cursors", "rewind", "nobody", "--to", "x"], 2, "is no number and no JSON"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(
    batuta: Call,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    path = write(tmp_path, shopify(1))
    got, _, err = batuta(*[path if argument == "PATH" else argument for argument in arguments])
    assert (got, message in err) == (code, True), err


def test_missing_keys_are_told(batuta: Call, tmp_path: Path) -> None:
    (get_settings().home / "keys" / "master.json").unlink()
    code, _, err = batuta("ingest", "shopify", write(tmp_path, shopify(1)), "--product", "arcsat")
    assert code == 1
    assert "there are no master keys" in err


def test_an_unreachable_database_is_told(
    batuta: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATUTA_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:9/none")
    code, _, err = batuta("ingest", "shopify", write(tmp_path, shopify(1)), "--product", "arcsat")
    assert code == 1
    assert "cannot reach the database 127.0.0.1:9/none" in err
    assert "secret" not in err


def test_what_was_held_for_its_signature_must_prove_it_to_be_replayed(batuta: Call, tmp_path: Path) -> None:
    batuta("ingest", "shopify", write(tmp_path, shopify(1, secret=b"new secret")), "--product", "arcsat")
    code, out, _ = batuta("quarantine", "replay", "--all", "--json")
    assert (code, json.loads(out)["quarantined"]) == (1, 1)
    (get_settings().secrets_dir / "arcsat-shopify").write_bytes(b"new secret")
    code, out, _ = batuta("quarantine", "replay", "--all", "--json")
    assert (code, json.loads(out)["landed"]) == (0, 1)


def test_a_replay_that_fails_again_says_why(batuta: Call, tmp_path: Path) -> None:
    batuta("ingest", "shopify", write(tmp_path, shopify(1, total_price="1,5")), "--product", "arcsat")
    why = "contract: total_price does not have the form ^-?[0-9]{1,14}(\\.[0-9]{1,4})?$"
    _, out, _ = batuta("quarantine", "list")
    assert why in out
    code, out, err = batuta("quarantine", "replay", "--all")
    assert (code, "quarantined 1" in out, why in err) == (1, True, True)
    _, out, _ = batuta("quarantine", "replay", "--all", "--json")
    assert [item["field"] for item in json.loads(out)["held"]] == ["total_price"]


def test_the_list_of_quarantine_names_the_field(batuta: Call, tmp_path: Path) -> None:
    line = {
        "headers": {"x-github-event": "pull_request", "x-github-delivery": "1"},
        "body": json.dumps({"action": "opened", "repository": {"full_name": "a/b"}}),
    }
    batuta("ingest", "github", write(tmp_path, json.dumps(line)), "--product", "arcsat", "--trusted")
    assert "identity: pull_request.number: is missing or no whole number" in batuta("quarantine", "list")[1]


def test_content_of_quarantine_is_shown_on_request_only(batuta: Call, tmp_path: Path) -> None:
    batuta("ingest", "shopify", write(tmp_path, shopify(1, total_price=5)), "--product", "arcsat")
    _, out, _ = batuta("quarantine", "list", "--json")
    quarantine_id = json.loads(out)[0]["id"]
    _, out, _ = batuta("quarantine", "show", quarantine_id)
    assert "ana@exemplo.com" not in out
    _, out, _ = batuta("quarantine", "show", quarantine_id, "--reveal")
    assert "ana@exemplo.com" in out
    _, out, _ = batuta("quarantine", "discard", quarantine_id)
    assert "discarded 1" in out


def test_cursors_are_listed_and_set_back(batuta: Call, database_url: str) -> None:
    with connect(database_url, "writer") as conn:
        move_cursor(conn, "pipeline:arcsat-daily-review", 42, "arcsat")
        conn.commit()
    code, out, _ = batuta(
        "cursors", "rewind", "pipeline:arcsat-daily-review", "--product", "arcsat", "--to", "7"
    )
    assert (code, out) == (0, "pipeline:arcsat-daily-review: 42 -> 7\n")
    _, out, _ = batuta("cursors", "list", "--json")
    assert json.loads(out)[0]["position"] == 7


def test_a_backfill_leaves_out_what_webhooks_brought(batuta: Call, tmp_path: Path) -> None:
    batuta("ingest", "shopify", write(tmp_path, shopify(1)), "--product", "arcsat")
    again = json.loads(shopify(1))
    again["headers"]["X-Shopify-Webhook-Id"] = "another"
    path = write(tmp_path, json.dumps(again))
    _, out, _ = batuta("ingest", "shopify", path, "--product", "arcsat", "--way", "backfill", "--json")
    assert json.loads(out)["duplicate"] == 1
