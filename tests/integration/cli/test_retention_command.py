"""What the log lets go of, as a person calls for it and asks after it; events here came through the landing path."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batuta.blob_store import BlobMissing, BlobStoreFailed
from batuta.manifests.bundle import write_bundle
from batuta.retention.contents import release
from batuta.warehouse.connection import connect, database_name
from batuta_assets.retention import retention_job
from batuta_assets.runtime import Runtime
from batuta_cli.main import LazyGroup
from examples.vendors import shopify_data as data
from sensors.connectors import email, shopify
from sensors.run_tags import refresh_tags
from tests.integration.conftest import Refreshed
from tests.support import database as databases
from tests.support.kpis_dbt import TABLES, KpiWarehouse
from tests.support.privacy_house import LEAVES, NOW, STAYS, House, mail
from tests.support.score import company, pipeline, product

# The house received everything in March 2026.
SHORT = product("arcsat").model_copy(update={"policies": ("pii-mask-basic", "retention-7d")})
GRAPH = company([SHORT, product("other")], [pipeline("arcsat-review", ["arcsat"])])
ORDERS = "select id from batuta.{} where dataset = 'orders' order by id"


@pytest.fixture(scope="module")
def lived(
    database_server: str, refreshed: Refreshed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """Six orders, one of them edited, received long ago and read by the models: database to copy, and home."""
    home = tmp_path_factory.mktemp("house")
    write_bundle(home, GRAPH)
    with databases.database(database_server, refreshed.template) as url:
        here = House(url, home)
        here.fill()
        here.land("orders/updated", data.order(LEAVES, NOW, lines=1) | {"admin_graphql_api_id": None})
        KpiWarehouse(url, refreshed.target).refresh(*TABLES)
        name = database_name(url)
        databases.close(database_server, name)
        yield name, home


@pytest.fixture
def house(
    database_server: str, lived: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    """The house, for one test."""
    template, home = lived
    own = tmp_path / "own"
    shutil.copytree(home, own)
    with databases.database(database_server, template) as url:
        monkeypatch.setenv("BATUTA_DATABASE_URL", url)
        monkeypatch.setenv("BATUTA_HOME", str(own))
        yield House(url, own)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(LazyGroup("batuta"), list(arguments))


def events(house: House, table: str) -> set[str]:
    return {id for (id,) in house.query(ORDERS.format(table))}


def test_it_says_what_would_go_then_lets_it_go_and_what_went_is_said_to_have_expired(house: House) -> None:
    before = events(house, "events")
    planned = json.loads(call("retention", "--json").stdout)
    assert (planned["applied"], events(house, "events")) == (False, before)
    assert "rows would go. Do it: batuta retention --apply" in call("retention").output

    applied = json.loads(call("retention", "--apply", "--json").stdout)
    assert [step | {"waits_for": None} for step in planned["steps"]] == applied["steps"]
    (step,) = applied["steps"]
    assert (step["product"], step["policy"], step["place"]) == ("arcsat", "retention-7d", "log")
    kept = events(house, "kept_events")
    (gone,) = before - kept
    assert (len(kept), events(house, "events")) == (6, set())
    assert "Nothing is to go." in call("retention").output

    shown = call("events", "show", gone)
    assert shown.exit_code == 1
    assert f"the event {gone} expired by policy" in str(shown.exception)
    assert json.loads(call("events", "show", min(kept)).stdout)["id"] == min(kept)
    unknown = call("events", "show", "never-came")
    assert "no event has the id never-came" in str(unknown.exception)


def test_a_runs_events_that_went_are_listed_as_expired(house: House) -> None:
    ids = sorted(events(house, "events"))
    house.query(
        "insert into batuta.trigger_windows "
        "values ('w', 'arcsat-review', 'arcsat', 0, 99, 7, 'launched', now(), 'run-1') returning 1"
    )
    house.query(
        "insert into batuta.trigger_events (digest, batch, product, source, id, type) "
        "select 'w', batch, product, source, id, type from batuta.events where dataset = 'orders' returning 1"
    )
    call("retention", "--apply")
    (gone,) = set(ids) - events(house, "kept_events")
    listed = [
        json.loads(line) for line in call("events", "list", "--run", "run-1", "--json").stdout.splitlines()
    ]
    assert sorted(event["id"] for event in listed) == ids
    assert [event["id"] for event in listed if event.get("expired")] == [gone]
    assert "expired by policy" in call("events", "list", "--run", "run-1").output


def test_a_delivery_that_comes_again_after_its_event_went_is_a_duplicate(house: House) -> None:
    before = events(house, "events")
    call("retention", "--apply")
    (gone,) = before - events(house, "kept_events")
    again = house.delivery("orders/create", data.order(LEAVES, NOW, lines=1))
    again = replace(again, headers={**again.headers, "x-shopify-webhook-id": gone})
    with connect(house.url, "writer") as conn:
        (outcome,) = house.landing.commit(conn, [house.landing.prepare(again, shopify.parse)], way="webhook")
    assert outcome.state == "duplicate"
    assert events(house, "events") == set()


def test_a_person_is_forgotten_in_what_was_kept_too(house: House) -> None:
    call("retention", "--apply")
    word = house.pseudonyms(LEAVES)[0]
    standing = "select count(*) from batuta.kept_events where strpos(data::text, %s) > 0"
    assert house.query(standing, word) == [(3,)]
    noted = "select count(*) from batuta.kept_events where strpos(data::text, %s) > 0 and data ->> 'note' is not null"
    house.ask("customers/redact", LEAVES)
    assert [request.state for request in house.carry_out()] == ["done"]
    assert house.query(standing, word) == [(0,)]
    assert house.query(noted, word) == [(0,)]
    assert len(events(house, "kept_events")) == 6


def test_a_shop_is_forgotten_in_what_was_kept_too(house: House) -> None:
    call("retention", "--apply")
    house.land("shop/redact", {"shop_id": 1, "shop_domain": "arcsat-demo.myshopify.com"})
    assert [request.state for request in house.carry_out()] == ["done"]
    assert house.query("select count(*) from batuta.history where dataset = 'orders'") == [(0,)]


def test_the_job_does_the_same_and_never_beside_a_refresh(house: House) -> None:
    job = retention_job(GRAPH)
    assert refresh_tags().items() <= job.tags.items()
    assert job.execute_in_process(resources={"runtime": Runtime()}).success
    assert (len(events(house, "kept_events")), events(house, "events")) == (6, set())


def test_attachments_go_with_the_last_mail_that_has_them(house: House) -> None:
    digests = {
        name: house.store.put("arcsat", name.encode(), "text/plain") for name in ("gone", "shared", "other")
    }
    mails = [
        mail(1, LEAVES, b"gone"),
        mail(2, LEAVES, b"shared"),
        mail(3, STAYS, b"shared", received_at=datetime.now(UTC)),
    ]
    with connect(house.url, "writer") as conn:
        house.landing.commit(conn, [house.landing.prepare(one, email.parse) for one in mails], way="poll")
    # As a refresh of the models would, which takes longer.
    house.query("update batuta_intermediate.int_log_position set read_to = 1000 returning 1")
    planned = json.loads(call("retention", "--json").stdout)["steps"]
    applied = json.loads(call("retention", "--apply", "--json").stdout)["steps"]
    (step,) = (step for step in applied if step["place"] == "contents")
    assert (step["product"], step["policy"]) == ("arcsat", "retention-7d")
    assert (step["found"], step["kept"], step["removed"]) == (2, 1, 1)
    assert step in planned
    with pytest.raises(BlobMissing):
        house.store.get("arcsat", digests["gone"])
    assert house.store.get("arcsat", digests["shared"]).content == b"shared"
    assert house.store.get("arcsat", digests["other"]).content == b"other"
    assert house.query("select count(*) from batuta.contents_let_go") == [(0,)]


def test_a_store_that_does_not_answer_is_asked_again_the_next_time(house: House) -> None:
    class Silent:
        def delete(self, product: str, digest: str) -> None:
            raise BlobStoreFailed("the store does not answer")

    digest = house.store.put("arcsat", b"gone", "text/plain")
    house.query(
        "insert into batuta.contents_let_go values ('arcsat', %s, 'retention-7d') returning 1", digest
    )
    with connect(house.url, "owner") as conn:
        with pytest.raises(BlobStoreFailed):
            release(conn, Silent())
        assert house.store.get("arcsat", digest).content == b"gone"
        assert release(conn, house.store) == [("arcsat", "retention-7d", 1, 1)]
        assert release(conn, house.store) == []
    with pytest.raises(BlobMissing):
        house.store.get("arcsat", digest)


def test_a_product_that_is_not_there_is_refused(house: House) -> None:
    refused = call("retention", "--product", "nobody")
    assert refused.exit_code != 0
    assert 'no product "nobody"' in str(refused.exception)
