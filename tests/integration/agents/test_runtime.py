"""Every run ends in one of four ways, is recorded, and gives the same for the same facts."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial, wraps

import orjson
import psycopg
import pytest

from batuta.blobs import digest_of, get_blob
from batuta.errors import BatutaError
from batuta.events.event import event_key
from batuta.facts import events_of_fact
from batuta.skill_records import load_analysis
from batuta.warehouse.connection import connect
from batuta_agents.context import SkillContext
from batuta_agents.discovery import find_skill
from batuta_agents.model import SkillRequest
from batuta_agents.runtime import run_skill
from batuta_agents.sigma.finance_reconcile import ReconcileInput, ReconcileReport
from tests.support.agents_live import AS_OF, PRODUCT, Live, order, transaction

SKILL = "sigma.finance.reconcile"


def _recorded(live: Live, run_id: str) -> tuple:
    with live.connect("auditor") as conn:
        row = conn.execute(
            "select status, error, input_digest, facts_digest, record_digest, output_digest, batch_to, roles "
            "from batuta.skill_runs where id = %s",
            (run_id,),
        ).fetchone()
    assert row is not None
    return row


def test_a_caller_without_the_roles_is_denied_on_record(live: Live) -> None:
    result = live.run(SKILL, roles=("orders.read",))

    assert (result.status, result.output, dict(result.facts)) == ("denied", None, {})
    assert result.error == (
        "sigma.finance.reconcile needs the roles finance.read, orders.read; test lacks finance.read"
    )
    assert _recorded(live, result.run_id)[:3] == ("denied", result.error, None)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"days": 0}, "days: Input should be greater than or equal to 1"),
        ({"days": "ninety"}, "days: Input should be a valid integer"),
        ({"dais": 90}, "dais: Extra inputs are not permitted"),
        ({"days": 0, "limit": 0}, "limit: Input should be greater than or equal to 1"),
    ],
)
def test_a_bad_input_is_refused_with_every_problem_and_without_its_values(
    live: Live, given: dict, problem: str
) -> None:
    result = live.run(SKILL, given)

    assert result.status == "invalid"
    assert problem in str(result.error)
    assert "ninety" not in str(result.error)
    assert _recorded(live, result.run_id)[2] is None


def test_a_misspelt_skill_is_answered_with_the_nearest_name(live: Live) -> None:
    with pytest.raises(BatutaError, match=r"did you mean 'sigma.finance.reconcile'"):
        live.run("sigma.finance.reconcil")


def test_an_unknown_product_and_missing_views_fail_with_a_sentence(live: Live, database_url: str) -> None:
    assert live.run(SKILL, product="nope").error == "no product 'nope' is registered"

    with psycopg.connect(database_url) as conn:
        conn.execute(
            "insert into batuta.products values ('arcsat', 'BRL', 'America/Sao_Paulo', 'pt-BR', now())"
        )
    request = SkillRequest(product=PRODUCT, roles=("finance.read", "orders.read"), as_of=AS_OF, caller="test")
    result = run_skill(SKILL, {}, request, partial(connect, database_url), lambda: datetime.now(UTC))

    assert result.status == "failed"
    assert "Refresh the marts first" in str(result.error)


def test_the_same_facts_give_the_same_digests_and_everything_is_kept(live: Live) -> None:
    live.insert("live_orders", [order(1), order(2)])
    live.insert("live_transactions", [transaction(1)])

    first, second = live.run(SKILL), live.run(SKILL)

    assert first.run_id != second.run_id
    assert first.output_digest == second.output_digest
    one, two = _recorded(live, first.run_id), _recorded(live, second.run_id)
    assert one == two
    assert one[6] == 42
    with live.connect("auditor") as conn:
        record = orjson.loads(get_blob(conn, one[4]) or b"")
        digests = [record["narratives"]["digest"], one[2], one[3], one[5]]
        digests += [query[part] for query in record["queries"] for part in ("sql", "rows")]
        contents = {digest: get_blob(conn, digest) for digest in digests}
    assert all(content is not None and digest_of(content) == digest for digest, content in contents.items())
    assert {query["name"] for query in record["queries"]} == {"orders_with_payments", "reconcile_totals"}
    assert record["skill_version"].startswith("sha256:")


def test_the_latest_analysis_of_a_day_is_the_one_loaded(live: Live) -> None:
    live.insert("live_orders", [order(1)])
    live.run(SKILL)
    latest = live.run(SKILL, clock=lambda: datetime(2025, 11, 14, tzinfo=UTC))
    live.run(SKILL, {"days": -1})

    with live.connect("writer") as conn:
        analysis = load_analysis(conn, SKILL, PRODUCT, AS_OF)
        assert load_analysis(conn, SKILL, "other", AS_OF) is None

    assert analysis is not None
    assert analysis.run_id == latest.run_id
    assert analysis.output_digest == latest.output_digest
    assert analysis.facts == latest.facts


def test_events_still_in_the_log_are_told_from_those_retention_removed(live: Live) -> None:
    live.insert("live_orders", [order(1)])
    with psycopg.connect(live.url) as conn:
        conn.execute(
            "insert into batuta.decisions values (%s, 'arcsat', 't', 'p', '', 'c', '', true, '{}', now()) "
            "on conflict do nothing",
            (bytes(16),),
        )
        conn.execute(
            "insert into batuta.events (received_at, batch, key, product, source, id, type, time, connector, dataset, "
            "dataschema, data, decision) values (now(), 1, %s, 'arcsat', 'shop', 'order-1', 't', now(), 'shopify', "
            "'orders', 'c', '{}', %s)",
            (event_key("arcsat", "shop", "order-1"), bytes(16)),
        )
        conn.execute(
            "insert into batuta.inbox (key, batch, received_at) values (%s, 1, now())",
            (event_key("arcsat", "shop", "order-1"),),
        )
    result = live.run(SKILL)

    with live.connect("reader") as conn:
        found = events_of_fact(conn, result.facts["order.1.paid_without_transaction.expected"].id)
        with pytest.raises(BatutaError, match="no fact"):
            events_of_fact(conn, "nope")

    assert [(event.id, event.type, event.expired) for event in found.events] == [("order-1", "t", False)]


def test_a_run_that_cannot_be_recorded_is_an_error_that_says_so(live: Live) -> None:
    with psycopg.connect(live.url, autocommit=True) as conn:
        conn.execute("revoke insert on batuta.skill_runs from batuta_writer")
        try:
            with pytest.raises(BatutaError, match="ended ok but could not be recorded: permission denied"):
                live.run(SKILL)
        finally:
            conn.execute("grant insert on batuta.skill_runs to batuta_writer")
        assert conn.execute("select count(*) from batuta.skill_runs").fetchone() == (0,)


def test_what_models_used_is_kept_by_model_also_of_a_run_that_fails(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asks_twice_and_breaks(request: ReconcileInput, context: SkillContext) -> ReconcileReport:
        context.used_model("maker:large", input_tokens=900, output_tokens=80)
        context.used_model("maker:large", input_tokens=100, output_tokens=20)
        context.used_model("maker:small", input_tokens=7, output_tokens=1)
        raise BatutaError("the answer does not fit")

    shipped = find_skill(SKILL)
    asking = replace(shipped, function=wraps(shipped.function)(asks_twice_and_breaks))
    monkeypatch.setattr("batuta_agents.runtime.find_skill", lambda _name: asking)
    result = live.run(SKILL)
    assert result.status == "failed"
    with live.connect("reader") as conn:
        used = conn.execute(
            "select model, calls, input_tokens, output_tokens from batuta.model_usage where skill_run = %s "
            "order by model",
            (result.run_id,),
        ).fetchall()
    assert used == [("maker:large", 2, 1000, 100), ("maker:small", 1, 7, 1)]
