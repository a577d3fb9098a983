"""`batuta connectors` and `batuta backfill`, as a person types them, against a vendor's stand-in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from batuta.keys import create_keys
from batuta.manifests.bundle import bundle_path, read_bundle, write_bundle
from batuta.manifests.graph import CompiledGraph, CompiledProduct
from batuta.manifests.models import ConnectorBinding, SecretRef
from batuta.settings import get_settings
from batuta.setup_windows import window_open
from batuta.warehouse.connection import connect
from batuta_cli.checkup.accounts import standing
from batuta_cli.main import main
from examples.vendors.notion import DATA_SOURCE, TOKEN, Notion
from examples.vendors.serving import Fault

Call = Callable[..., tuple[int, str, str]]
LAST_MONTH = datetime(2025, 11, 12, 12, tzinfo=UTC)


@pytest.fixture
def vendor() -> Iterator[Notion]:
    with Notion() as served:
        for number in range(3):
            page = f"00000000-0000-0000-0000-00000000000{number}"
            served.write(page, LAST_MONTH + timedelta(days=15 * number), f"Página {number}")
        yield served


@pytest.fixture(autouse=True)
def installation(database_url: str, vendor: Notion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATUTA_DATABASE_URL", database_url)
    monkeypatch.setenv("BATUTA_PROJECT", str(tmp_path))
    settings = get_settings()
    create_keys(settings.home)
    settings.secrets_dir.mkdir(parents=True)
    (settings.secrets_dir / "notion-token").write_text(TOKEN)
    bindings = [
        {
            "type": "notion",
            "account": "avila",
            "credentials": {"token": {"file": "notion-token"}},
            "settings": {"apiUrl": vendor.url, "dataSources": [DATA_SOURCE], "search": False},
        },
        {"type": "notion", "account": "lost", "credentials": {"token": {"file": "nowhere"}}},
        {"type": "events", "secretRefs": [{"file": "posting"}]},
    ]
    product = CompiledProduct(
        name="arcsat", description="", locale="pt-BR", currency="BRL", timezone="America/Sao_Paulo", owners=(),
        kpis=(), datasets={}, policies=(),
        connectors=tuple(ConnectorBinding.model_validate(binding) for binding in bindings),
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
        return int(str(ended.value.code or 0)), out, err

    return call


def views(batuta: Call) -> dict[str, dict[str, Any]]:
    """What `batuta connectors --json` says, by account."""
    code, out, _ = batuta("connectors", "--json")
    assert code == 0
    return {view["account"]: view for view in json.loads(out)}


def test_an_account_is_polled_and_shown(batuta: Call) -> None:
    before = views(batuta)
    assert before["avila"]["standing"] == "never fetched"
    assert before["lost"]["standing"] == "failing"
    assert "nowhere cannot be read" in before["lost"]["problem"]
    assert before[""]["standing"] == "refused"
    (get_settings().secrets_dir / "posting").write_text("whsec_made-up")
    assert views(batuta)[""]["standing"] == "only sends"

    code, out, _ = batuta("connectors", "poll", "arcsat", "notion", "avila", "--json")
    assert (code, json.loads(out)["landed"], json.loads(out)["problem"]) == (0, 3, None)

    after = views(batuta)["avila"]
    assert (after["standing"], after["counted"], after["missing"]) == ("well", 3, 0)
    code, out, _ = batuta("connectors")
    assert code == 0
    assert "arcsat notion avila   well" in out
    assert "the source handed over 3, all accounted for" in out


def test_an_account_that_is_being_polled_is_said_not_to_be_fetched_here(
    batuta: Call, database_url: str
) -> None:
    with connect(database_url, "writer") as daemon:
        daemon.execute("select pg_advisory_lock(hashtextextended('batuta arcsat poll:notion:avila', 0))")
        code, out, err = batuta("connectors", "poll", "arcsat", "notion", "avila")
    assert (code, out) == (1, "arcsat notion avila   not fetched here\n")
    assert "another process is fetching the same now" in err


def test_a_failing_account_says_why_and_the_command_fails(batuta: Call, vendor: Notion) -> None:
    vendor.fail_next(Fault(401))
    code, out, err = batuta("connectors", "poll", "arcsat", "notion", "avila")

    assert code == 1
    assert "127.0.0.1 refuses the credentials (401)" in err + out
    assert views(batuta)["avila"]["standing"] == "failing"
    assert batuta("connectors", "poll", "arcsat", "notion", "avila")[0] == 0
    assert views(batuta)["avila"]["standing"] == "well"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("arcsat", "notion", "lost"), 1, "nowhere cannot be read"),
        (("arcsat", "notion", "other"), 2, "has no account other of notion; there are: avila, lost"),
        (("arcsat", "events"), 2, "events only sends"),
        (("arcsat", "notio"), 2, 'no connector "notio"'),
        (("arcsa", "notion"), 2, "no product arcsa is applied; there are: arcsat"),
    ],
)
def test_what_cannot_be_polled_is_told(
    batuta: Call, arguments: tuple[str, ...], code: int, words: str
) -> None:
    for command in (("connectors", "poll"), ("connectors", "audit")):
        found, _, err = batuta(*command, *arguments)
        assert (found, words in err) == (code, True), err


def test_one_account_without_its_credential_keeps_no_other_from_being_polled(batuta: Call) -> None:
    code, out, err = batuta("connectors", "poll", "arcsat", "notion")

    assert code == 1
    assert "arcsat notion avila   landed 3" in out
    assert "arcsat notion lost   left out" in out
    assert "credentials.token: secret file" in err
    assert views(batuta)["avila"]["standing"] == "well"


def test_an_account_is_polled_while_its_webhook_secret_is_missing(batuta: Call) -> None:
    settings = get_settings()
    graph = read_bundle(bundle_path(settings.home))
    [product] = graph.products
    bound = product.connectors[0].model_copy(update={"secret_refs": (SecretRef(file="not-yet"),)})
    changed = product.model_copy(update={"connectors": (bound, *product.connectors[1:])})
    write_bundle(settings.home, graph.model_copy(update={"products": (changed,)}))

    assert batuta("connectors", "poll", "arcsat", "notion", "avila")[0] == 0
    view = views(batuta)["avila"]
    assert view["standing"] == "well"
    assert "deliveries are refused: Product arcsat: spec.connectors[0].secretRefs[0]" in view["refuses"]
    assert "not-yet cannot be read" in batuta("connectors")[1]


def test_the_doctor_names_the_accounts_that_fail_or_are_refused(batuta: Call, database_url: str) -> None:
    said = {f"{finding.verdict} {finding.message}" for finding in standing(get_settings(), database_url)}

    assert len(said) == 2
    assert any(words.startswith("problem arcsat notion lost: Product arcsat") for words in said)
    assert any(words.startswith("problem arcsat events: deliveries are refused") for words in said)


def test_before_anything_is_applied_the_doctor_finds_nothing_wrong(database_url: str) -> None:
    bundle_path(get_settings().home).unlink()

    assert [finding.verdict for finding in standing(get_settings(), database_url)] == ["note"]


def test_a_backfill_fetches_the_months_that_are_missing_and_no_other(batuta: Call, database_url: str) -> None:
    days = ("--product", "arcsat", "--account", "avila", "--from", "2025-11-13", "--to", "2025-12-31")
    code, out, err = batuta("backfill", "notion", *days, "--json")
    assert code == 0
    assert "1 of 2 months done" in err
    first = json.loads(out.splitlines()[-1])
    code, out, _ = batuta("backfill", "notion", *days, "--json")
    second = json.loads(out.splitlines()[-1])

    assert (first["landed"], first["months"], first["done"]) == (2, 2, True)
    assert (second["landed"], second["duplicate"], second["done"]) == (0, 0, True)
    with connect(database_url, "reader") as conn:
        windows = conn.execute(
            "select distinct window_start, window_end from batuta.completeness where way = 'backfill' order by 1"
        ).fetchall()
    assert windows[0] == (
        datetime(2025, 11, 13, 3, tzinfo=UTC),
        datetime(2025, 12, 1, 3, tzinfo=UTC),
    )

    assert batuta("connectors", "poll", "arcsat", "notion", "avila")[0] == 0
    code, out, _ = batuta("backfill", "notion", *days, "--again", "--json")
    assert (json.loads(out.splitlines()[-1])["landed"], code) == (0, 0)


def test_a_backfill_that_fails_goes_on_at_the_next_call(batuta: Call, vendor: Notion) -> None:
    days = ("--product", "arcsat", "--account", "avila", "--from", "2025-11-01", "--to", "2025-12-31")
    vendor.fail_next(Fault(405))
    code, out, err = batuta("backfill", "notion", *days)
    assert (code, "127.0.0.1 answers 405" in err) == (1, True)

    code, out, _ = batuta("backfill", "notion", *days)
    assert (code, "landed 3" in out) == (0, True)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (("2025-12-01", "2025-11-01"), "--to 2025-11-01 is before --from 2025-12-01"),
        (("yesterday", "2025-11-01"), '"yesterday" is no day'),
        (("2999-01-01", "2999-01-31"), "these days are still to come"),
    ],
)
def test_days_that_make_no_span_are_refused(batuta: Call, days: tuple[str, str], words: str) -> None:
    code, _, err = batuta(
        *("backfill", "notion", "--product", "arcsat", "--account", "avila"),
        "--from",
        days[0],
        "--to",
        days[1],
    )

    assert (code, words in err) == (2, True), err


def test_a_connector_that_gives_nothing_of_the_past_is_not_backfilled(batuta: Call) -> None:
    days = ("--from", "2025-11-01", "--to", "2025-11-30")
    code, _, err = batuta("backfill", "whatsapp", "--product", "arcsat", *days)
    assert (code, "whatsapp gives nothing of the past" in err) == (2, True), err


def test_a_window_is_opened_for_an_account_that_is_there(batuta: Call) -> None:
    home = get_settings().home
    code, out, _ = batuta("connectors", "window", "arcsat", "notion", "avila", "--minutes", "5", "--json")

    assert code == 0
    assert window_open(home, "arcsat", "notion", "avila", datetime.now(UTC))
    assert not window_open(
        home, "arcsat", "notion", "avila", datetime.fromisoformat(json.loads(out)["until"])
    )
    code, _, err = batuta("connectors", "window", "arcsat", "notion")
    assert (code, "there are: avila, lost" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("arcsat", "events"), "no window is needed; connectors that do: notion"),
        (("nope", "notion"), "no product nope is applied; there are: arcsat"),
    ],
)
def test_a_window_that_nothing_would_come_through_is_refused(
    batuta: Call, arguments: tuple[str, ...], words: str
) -> None:
    code, _, err = batuta("connectors", "window", *arguments)
    assert (code, words in err) == (2, True), err
