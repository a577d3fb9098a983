"""With a real daemon: what a poll brings is a version of its source asset and starts the pipeline that waits for it."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from batuta.settings import get_settings
from batuta.warehouse.connection import connect
from batuta_assets.gates import record_structure
from examples.vendors.github import GitHub
from tests.support import database as databases
from tests.support.daemon import Running, running, wait_for
from tests.support.listening import bound, repository, write_secrets
from tests.support.score import pipeline

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ISSUES = dg.AssetKey(["github", "issues"])


@pytest.fixture(scope="module")
def vendor() -> Iterator[GitHub]:
    with GitHub() as served:
        yield served


@pytest.fixture(scope="module")
def stack(
    vendor: GitHub, database_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    waiting = pipeline("arcsat-review", ["arcsat"], events=["com.github.issues.*"])
    graph = bound({"arcsat": [repository(vendor, pollSeconds=10)]}, [waiting])
    with databases.database(database_server, template_database) as url:
        settings = get_settings().model_copy(
            update={
                "home": home,
                "secrets_dir": home / "secrets",
                "reports_dir": home / "reports",
                "outbox_dir": home / "outbox",
                "database_url": url,
            }
        )
        write_secrets(settings)
        with connect(url, "writer") as conn:
            record_structure(conn, [], "none")
        with running(settings, url, graph) as found:
            yield found


def test_a_poll_brings_an_event_and_the_pipeline_that_waits_for_it_is_launched(
    vendor: GitHub, stack: Running
) -> None:
    def polled() -> bool:
        return any("/issues" in path for _, path, _ in vendor.requests)

    wait_for("the first poll", polled, 240)
    vendor.issue(7, datetime.now(UTC))

    def launched() -> dg.DagsterRun | None:
        return next((r for r in stack.runs("arcsat_review") if "batuta/trigger" in r.tags), None)

    run = wait_for("a run that the event triggers", launched, 240)
    assert run.tags["batuta/product"] == "arcsat"

    def reported() -> dg.AssetMaterialization | None:
        event = stack.instance.get_latest_materialization_event(ISSUES)
        return event.asset_materialization if event is not None else None

    version = wait_for("a version of the source asset", reported, 240)
    assert version.partition == "arcsat"
    assert stack.instance.get_dynamic_partitions("product") == ["arcsat"]


def test_how_the_checks_stand_is_known_without_a_run(stack: Running) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(["github", "accounts"]), "polling")

    def said() -> bool:
        found = stack.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
        return key in found and found[key].event is not None

    wait_for("an evaluation of `polling`", said, 240)
