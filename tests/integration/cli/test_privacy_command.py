"""`batuta privacy`, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batuta.settings import Settings
from batuta.warehouse.connection import connect
from batuta_cli.main import COMMANDS, LazyGroup
from tests.support.privacy_house import LEAVES, House

NOT_THERE = "nobody@example.com"


@pytest.fixture
def house(database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("BATUTA_DATABASE_URL", database_url)
    settings.home.mkdir(parents=True, exist_ok=True)
    here = House(database_url, settings.home)
    here.fill()
    return here


def call(*arguments: str, input: str | None = None) -> Result:
    group = LazyGroup("batuta")
    assert "privacy" in COMMANDS
    return CliRunner().invoke(group, ["privacy", *arguments], input=input)


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


def test_requests_are_listed_carried_out_and_shown_as_done(house: House) -> None:
    assert "No request is open" in call("requests", "list").output
    house.ask("customers/redact", LEAVES)
    house.ask("customers/data_request", LEAVES)
    listed = document(call("requests", "list", "--json"))
    assert {(request["kind"], request["state"]) for request in listed} == {
        ("forget_person", "open"),
        ("disclose_person", "open"),
    }
    ran = call("requests", "run")
    assert ran.exit_code == 0, ran.output
    assert ran.output.count("[done]") == 2
    assert "No request is open" in call("requests", "list").output
    assert len(document(call("requests", "list", "--all", "--json"))) == 2


def test_a_person_is_forgotten_by_hand(house: House) -> None:
    words = house.pseudonyms(LEAVES)[:3]
    counts = document(call("forget", "--product", "arcsat", "--json", input="email cliente1@example.com\n\n"))
    assert counts["batuta.events"] >= 4
    left = house.query("select count(*) from batuta.events where strpos(data::text, %s) > 0", words[1])
    assert left == [(0,)]
    with connect(house.url, "auditor") as conn:
        rows = conn.execute("select kind, state, counts from batuta.privacy_requests").fetchall()
    assert [(kind, state) for kind, state, _ in rows] == [("forget_person", "done")]
    again = call("forget", "--product", "arcsat", input="email cliente1@example.com")
    assert "Nothing was held of them." in again.output


@pytest.mark.parametrize("input", ["", "maria@example.com", "name Maria", "email "])
def test_input_that_names_nobody_is_refused_with_a_sentence(house: House, input: str) -> None:
    result = call("forget", "--product", "arcsat", input=input)
    assert result.exit_code != 0
    assert "maria" not in str(result.exception)


def test_a_request_that_fails_fails_the_command(house: House, tmp_path: Path) -> None:
    house.ask("customers/data_request", LEAVES)
    (house.home / "privacy").write_text("a file where a folder should be")
    result = call("requests", "run")
    assert result.exit_code == 1
    assert "[open]" in result.output
