"""Requests of persons, carried out by Dagster."""

from __future__ import annotations

import dagster as dg
import pytest

from batuta.settings import Settings
from batuta.warehouse.connection import connect
from batuta_assets.privacy import privacy_job, privacy_sensor
from batuta_assets.runtime import Runtime
from sensors.run_tags import refresh_tags
from tests.support.privacy_house import LEAVES, House


@pytest.fixture
def house(database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("BATUTA_DATABASE_URL", database_url)
    settings.home.mkdir(parents=True, exist_ok=True)
    here = House(database_url, settings.home)
    here.fill()
    return here


def look(house: House) -> list[dg.RunRequest]:
    sensor = privacy_sensor(privacy_job(), lambda: connect(house.url, "writer"))
    with dg.build_sensor_context() as context:
        return list(sensor.evaluate_tick(context).run_requests or [])


def test_a_request_asks_for_a_run_and_the_run_carries_it_out(house: House) -> None:
    assert look(house) == []
    house.ask("customers/redact", LEAVES)
    (first,), (second,) = look(house), look(house)
    assert first.run_key == second.run_key, "one request is one run"
    job = privacy_job()
    assert refresh_tags().items() <= job.tags.items(), "no refresh runs beside it"
    assert job.execute_in_process(resources={"runtime": Runtime()}).success
    assert look(house) == []
    word = house.pseudonyms(LEAVES)[0]
    assert house.query("select count(*) from batuta.events where strpos(data::text, %s) > 0", word) == [(0,)]


def test_a_run_that_cannot_do_it_fails_and_is_asked_for_again(house: House) -> None:
    house.ask("customers/data_request", LEAVES)
    (first,) = look(house)
    (house.home / "privacy").write_text("a file where a folder should be")
    ended = privacy_job().execute_in_process(resources={"runtime": Runtime()}, raise_on_error=False)
    assert not ended.success
    (again,) = look(house)
    assert again.run_key != first.run_key
