"""The benches of the measures on a small scale: that they measure what they say, not how fast it is."""

from __future__ import annotations

from datetime import date

import orjson
import pytest

from batuta.settings import Settings, get_settings
from batuta_cli.bench import freshness, growth, review
from batuta_cli.bench.days import Shop, day_of

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

DOCUMENT = {"bench", "value", "unit", "peers", "ratios", "runs", "spread", "budget", "meets"}


@pytest.fixture
def own(database_server: str) -> Settings:
    settings = get_settings()
    return Settings(project=settings.project, home=settings.home, database_url=database_server)


def test_a_day_is_the_same_every_time_and_no_two_days_share_an_order() -> None:
    shop = Shop("bench", "bench.myshopify.com")
    first, again, second = (list(day_of(shop, date(2025, 1, day), 20)) for day in (6, 6, 7))
    assert first == again
    assert len(first) == 20 + 20 + 2
    created = [
        {orjson.loads(d.body)["id"] for d in day if d.headers["x-shopify-topic"] == "orders/create"}
        for day in (first, second)
    ]
    assert not created[0] & created[1]
    edited = {orjson.loads(d.body)["id"] for d in second if d.headers["x-shopify-topic"] == "orders/updated"}
    assert edited <= created[0]


def test_every_order_is_counted_by_the_live_view_and_by_the_plain_one(own: Settings) -> None:
    found = freshness.run(own, lambda _: None, events=3, sizes=("small",))
    assert found.keys() >= DOCUMENT
    assert found["sizes"]["small"]["events_before"] > 500
    assert found["sizes"]["small"]["readings"] >= 3
    assert found["peers"]["plain_view"] > 0


def test_a_day_and_an_event_are_landed_refreshed_and_read_at_every_size(own: Settings) -> None:
    found = growth.run(own, lambda _: None, scale=0.01, runs=1, warm_up=False)
    assert found.keys() >= DOCUMENT
    assert set(found["days"]) == {"1"}
    assert set(found["products"]) == {"1", "10"}
    assert set(found["products"]["10"]) == {
        "whole_s",
        "landing_s",
        "refresh_s",
        "models_s",
        "tests_s",
        "contracts_s",
        "live_read_s",
    }


@pytest.mark.e2e
def test_refresh_and_review_run_as_in_production_and_dbt_beside_them(own: Settings) -> None:
    found = review.run(own, lambda _: None, scale="small", runs=1, warm_up=False)
    assert found.keys() >= DOCUMENT
    assert found["runs_s"].keys() == {"refresh_marts", "arcsat-daily-review"}
    assert found["peers"]["dbt_build"] > 0
