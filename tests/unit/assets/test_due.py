"""What a clock makes due, in the product's own time zone."""

from datetime import UTC, date, datetime

import pytest

from batuta_assets.compat import fires_at
from sensors.due import Clock, DueRun, clocks, due_runs, horizons
from tests.support.score import company, pipeline, product

SIX = "0 6 * * *"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_products_of_one_pipeline_in_two_zones_have_two_clocks() -> None:
    graph = company(
        [product("arcsat"), product("nova", "America/New_York")],
        [pipeline("review", ["arcsat", "nova"], crons=[SIX])],
    )
    assert clocks(graph) == (Clock(SIX, "America/New_York"), Clock(SIX, "America/Sao_Paulo"))


def test_pipelines_of_one_cron_and_zone_share_a_clock() -> None:
    graph = company(
        [product("arcsat"), product("loja")],
        [pipeline("arcsat-review", ["arcsat"], crons=[SIX]), pipeline("loja-review", ["loja"], crons=[SIX])],
    )
    assert len(clocks(graph)) == 1
    assert due_runs(graph, at("2025-11-12T09:00"), fires_at) == (
        DueRun("arcsat-review", "arcsat", date(2025, 11, 12)),
        DueRun("loja-review", "loja", date(2025, 11, 12)),
    )


@pytest.mark.parametrize(
    ("timezone", "instant", "day"),
    [
        pytest.param("America/New_York", "2025-03-08T11:00", date(2025, 3, 8), id="new-york-winter"),
        pytest.param(
            "America/New_York", "2025-03-09T10:00", date(2025, 3, 9), id="new-york-first-day-of-summer"
        ),
        pytest.param(
            "America/New_York", "2025-11-02T11:00", date(2025, 11, 2), id="new-york-first-day-of-winter"
        ),
        pytest.param(
            "America/Sao_Paulo", "2025-03-09T09:00", date(2025, 3, 9), id="sao-paulo-has-no-summer-time"
        ),
        pytest.param(
            "Pacific/Auckland", "2025-11-11T17:00", date(2025, 11, 12), id="auckland-is-already-tomorrow"
        ),
    ],
)
def test_six_in_the_morning_is_six_in_the_products_zone(timezone: str, instant: str, day: date) -> None:
    graph = company([product("arcsat", timezone)], [pipeline("review", ["arcsat"], crons=[SIX])])
    assert due_runs(graph, at(instant), fires_at) == (DueRun("review", "arcsat", day),)


def test_an_hour_beside_the_clock_makes_nothing_due() -> None:
    graph = company([product("arcsat", "America/New_York")], [pipeline("review", ["arcsat"], crons=[SIX])])
    assert due_runs(graph, at("2025-03-09T11:00"), fires_at) == ()


def test_a_time_that_daylight_saving_skips_fires_when_the_scheduler_fires() -> None:
    graph = company(
        [product("arcsat", "America/New_York")], [pipeline("review", ["arcsat"], crons=["30 2 * * *"])]
    )
    assert due_runs(graph, at("2025-03-09T07:00"), fires_at)


def test_different_crons_due_at_one_instant_are_all_due() -> None:
    graph = company(
        [product("arcsat")],
        [pipeline("daily", ["arcsat"], crons=[SIX]), pipeline("hourly", ["arcsat"], crons=["0 * * * *"])],
    )
    assert [run.pipeline for run in due_runs(graph, at("2025-11-12T09:00"), fires_at)] == ["daily", "hourly"]
    assert [run.pipeline for run in due_runs(graph, at("2025-11-12T10:00"), fires_at)] == ["hourly"]


def test_a_clock_has_a_name_that_dagster_takes() -> None:
    names = [Clock("*/5 1-3,7 * * 1", "America/Argentina/Buenos_Aires").name, Clock(SIX, "Etc/GMT+3").name]
    assert all(name.replace("_", "").isalnum() for name in names)
    assert Clock(SIX, "Etc/GMT+3").name != Clock(SIX, "Etc/GMT-3").name


def test_a_products_horizon_is_its_latest_due_day() -> None:
    runs = (DueRun("a", "arcsat", date(2025, 11, 11)), DueRun("b", "arcsat", date(2025, 11, 12)))
    assert horizons(runs) == {"arcsat": date(2025, 11, 12)}
