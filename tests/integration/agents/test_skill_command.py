"""`batuta skill`: what it prints, and how it ends."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from batuta_cli.main import main
from tests.support.agents_live import Live, order, transaction

Batuta = Callable[..., tuple[int, str, str]]


@pytest.fixture
def batuta(live: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Batuta:
    """Runs the command line on the live tables: (exit code, standard output, standard error)."""
    monkeypatch.setenv("BATUTA_DATABASE_URL", live.url)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["skill", *arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_a_run_prints_the_narrative_and_answers_the_skill_contract(live: Live, batuta: Batuta) -> None:
    live.insert("live_orders", [order(1)])
    live.insert("live_transactions", [transaction(1, "90")])
    asked = ("run", "sigma.finance.reconcile", "--product", "arcsat", "--as-of", "2025-11-12")

    code, out, _err = batuta(*asked)
    assert code == 0
    assert "1 pedido não confere; o valor em risco é de R$\N{NO-BREAK SPACE}10,00." in out
    assert "mismatches: 1 (see --json)" in out

    code, out, _err = batuta(*asked, "--json", "--input", '{"tolerance_cents": 1000}')
    answer = json.loads(out)
    assert (code, answer["status"], answer["output"]["mismatches"]) == (0, "ok", [])
    assert answer["output"]["reportId"].startswith("run_")
    assert answer["output"]["summary"].endswith(
        "Tudo confere, pedido a pedido, com tolerância de R$\N{NO-BREAK SPACE}10,00."
    )
    assert answer["metrics"]["latency_ms"] >= 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("sigma.finance.reconcil",), 2, "did you mean 'sigma.finance.reconcile'?"),
        (("sigma.finance.reconcile", "--input", "{"), 2, "--input is not JSON"),
        (("sigma.finance.reconcile", "--input", "[]"), 2, "--input must be a JSON object"),
        (
            ("sigma.finance.reconcile", "--input", '{"days": 0}'),
            2,
            "days: Input should be greater than or equal to 1",
        ),
        (("sigma.finance.reconcile", "--role", "orders.read"), 1, "lacks finance.read"),
    ],
)
def test_bad_usage_and_refusals_say_why(
    batuta: Batuta, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended, out, err = batuta("run", *arguments, "--product", "arcsat")
    assert (ended, out) == (code, "")
    assert said in err


def test_an_unknown_product_is_bad_usage(batuta: Batuta) -> None:
    code, _out, err = batuta("run", "sigma.kpi.review", "--product", "nope")
    assert code == 2
    assert "no product 'nope' is registered" in err


def test_the_list_names_every_skill_with_its_options() -> None:
    from batuta_cli.commands.skill import skill

    text = CliRunner().invoke(skill, ["list"]).output
    assert "vox.campaign.draft" in text
    assert "input tolerance_cents: Differences up to this are agreement. (default 0)" in text
    listed = json.loads(CliRunner().invoke(skill, ["list", "--json"]).output)
    assert [entry["name"] for entry in listed] == sorted(entry["name"] for entry in listed)
    assert all(entry["input"]["type"] == "object" for entry in listed)
