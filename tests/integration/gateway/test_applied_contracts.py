"""Contracts that a project brings come into force with `batuta apply`, also for a gateway that runs."""

import json
from pathlib import Path

import pytest

from batuta.contracts.applied import apply_contracts, contracts_in_force
from batuta.contracts.contract import NoContract
from batuta.manifests.bundle import write_bundle
from tests.support.gateway_server import company, gateway_settings, running
from tests.support.vendor_deliveries import EVENTS_TOKEN, cloud_event

CONTRACT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["amount"],
    "properties": {"amount": {"type": "string"}},
}


def _project(folder: Path, version: int) -> Path:
    target = folder / "schemas" / "events" / "com.example.deal.won" / f"{version}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(CONTRACT))
    return folder


def test_a_projects_contract_is_in_force_only_once_applied(tmp_path: Path):
    project, home = _project(tmp_path / "project", 1), tmp_path / "home"
    with pytest.raises(NoContract):
        contracts_in_force(home).get("com.example.deal.won")
    assert apply_contracts(project, home) == {"com.example.deal.won/1": "created"}
    assert apply_contracts(project, home) == {"com.example.deal.won/1": "unchanged"}
    assert contracts_in_force(home).for_type("com.example.deal.won").version == "1"


def test_a_later_version_is_added_and_the_earlier_one_stays(tmp_path: Path):
    home = tmp_path / "home"
    apply_contracts(_project(tmp_path / "project", 1), home)
    apply_contracts(_project(tmp_path / "project", 2), home)
    contracts = contracts_in_force(home)
    assert contracts.get("com.example.deal.won").version == "2"
    assert contracts.get("com.example.deal.won", "1").version == "1"


def test_a_running_gateway_takes_up_what_is_applied(database_url: str, tmp_path: Path):
    settings = gateway_settings(tmp_path / "home", database_url)
    event = cloud_event("deal-1", type="com.example.deal.won", data={"amount": "10.00"})
    headers = {
        "authorization": f"Bearer {EVENTS_TOKEN.decode()}",
        "content-type": "application/cloudevents+json",
    }
    with running(settings) as gateway:
        assert gateway.http.post("/events", headers=headers, json=event).status_code == 422
        apply_contracts(_project(tmp_path / "project", 1), settings.home)
        write_bundle(settings.home, company())
        assert gateway.http.post("/events", headers=headers, json=event).json()["landed"] == 1
