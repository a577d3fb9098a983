"""Requests of persons and shops, carried out on a warehouse that was filled through the real landing path."""

from __future__ import annotations

import base64
import secrets
import shutil
import stat
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from batuta.blob_store import BlobMissing
from batuta.blobs import canonical_json, digest_of, put_blob
from batuta.landing.model import Delivery, ItemMoves, KnownItem, PageSides
from batuta.privacy.requests import has_expired_disclosures, requests, take_up
from batuta.warehouse.connection import connect
from examples.vendors import shopify_data as data
from examples.vendors import whatsapp as meta
from sensors.connectors import email, shopify, whatsapp
from sensors.connectors.pulling import FORM
from tests.support.kpis_dbt import KpiWarehouse
from tests.support.privacy_house import LEAVES, NOW, SHOP, STAYS, House, mail

OUTLET = "arcsat-outlet.myshopify.com"
ORDERS = ("--select", "+fct_orders")


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> House:
    home = tmp_path / "home"
    home.mkdir()
    here = House(database_url, home)
    here.fill()
    return here


def everything_in(url: str) -> bytes:
    """A full dump of a database, as pg_dump of its server writes it, else as its tables' text."""
    program = shutil.which("pg_dump")
    if program is not None:
        done = subprocess.run([program, url], capture_output=True, check=False)
        if done.returncode == 0:
            return done.stdout
    with connect(url, "owner") as conn:
        tables = conn.execute(
            """
            select format('%I.%I', nspname, relname) from pg_class
            join pg_namespace on relnamespace = pg_namespace.oid
            where relkind in ('r', 'p', 'm') and (nspname like 'batuta%' or nspname = '_timescaledb_internal')
                and relname not like 'bgw%'
            """
        ).fetchall()
        text = [
            str(row[0])
            for (table,) in tables
            for row in conn.execute(f"select whole::text from only {table} as whole".encode())
        ]
        blobs = [bytes(row[0]) for row in conn.execute("select content from batuta.blobs")]
    return "\n".join(text).encode() + b"\n".join(blobs)


def counts_of(house: House) -> list[tuple[Any, ...]]:
    return house.query(
        """
        select count(*), count(distinct data #>> '{customer,id}'), count(distinct data ->> 'email'),
            sum((data ->> 'total_price')::numeric)
        from batuta.events where dataset = 'orders'
        """
    ) + house.query(
        "select product, count(*), count(distinct customer_key) from batuta_marts.fct_orders group by 1"
    )


def leave_traces(house: House) -> None:
    """A pseudonym wherever one may end up: records in records, facts, texts, files, quarantine, known items, vault."""
    word = house.pseudonyms(LEAVES)[0]
    with connect(house.url, "owner") as conn:
        inner = put_blob(conn, canonical_json({"rows": [[word, "12.50"]]}), "application/json", NOW)
        record = put_blob(conn, canonical_json({"queries": {"rows": inner}}), "application/json", NOW)
        other = put_blob(conn, canonical_json({"rows": [["nobody", 1]]}), "application/json", NOW)
        page = put_blob(conn, f"<p>{word}</p>".encode(), "text/html", NOW)
        conn.execute(
            """
            insert into batuta.skill_runs (id, skill, skill_version, product, as_of, caller, roles, locale, currency,
                timezone, status, facts_digest, record_digest, input_digest, latency_ms, started_at, finished_at)
            values ('r1', 'vox.crm.playbook', '1', 'arcsat', '2026-03-01', 'test', '{}', 'pt-BR', 'BRL',
                'America/Sao_Paulo', 'ok', %s, %s, %s, 1, now(), now())
            """,
            (inner, record, other),
        )
        conn.execute(
            """
            insert into batuta.facts (id, skill_run, name, value, unit, as_of, lineage)
            values ('f1', 'r1', 'best_customer', to_jsonb(%s::text), 'text', '2026-03-01',
                jsonb_build_object('rows', %s::text))
            """,
            (word, inner),
        )
        path = house.home / "reports" / "arcsat" / "page.html"
        path.parent.mkdir(parents=True)
        path.write_text(f"<p>{word}</p>")
        conn.execute(
            "insert into batuta.reports values ('rep', 'p', 'arcsat', '2026-03-01', null, %s, %s, 1, now())",
            (page, str(path)),
        )
        conn.execute(
            """
            insert into batuta.documents
            values ('arcsat', 'shopify', 'orders', 's', 'gid', 'e', now(), 1, false, 'd', 'm')
            """
        )
        conn.execute(
            """
            insert into batuta.chunks values (%s, 'arcsat', 'shopify', 'orders', 'gid', 's', 'e', 1, 0, %s,
                to_tsvector('portuguese', %s), array_fill(0.1, array[384])::vector, 'm', '{}', now())
            """,
            (secrets.token_bytes(16), f"Comprou {word}", f"Comprou {word}"),
        )
        conn.execute(
            "insert into batuta.cursors "
            "values ('vector:abc', 'arcsat', '5', now()), ('vector:abc', 'other', '5', now())"
        )
    mail = house.home / "outbox" / "arcsat-2026-03-01-x.eml"
    mail.parent.mkdir()
    encoded = base64.b64encode(f"<p>{word}</p>".encode()).decode()
    mail.write_text(f"Subject: x\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\n{encoded}\n")
    _hold_and_know(house)


def _hold_and_know(house: House) -> None:
    """Deliveries of two customers in quarantine, two notes that name them, and tokens of their addresses."""
    with connect(house.url, "writer") as conn:
        held = [
            house.landing.prepare(
                house.delivery("orders/create", data.order(number, NOW) | {"currency": "real"}), shopify.parse
            )
            for number in (LEAVES, STAYS)
        ]
        house.landing.commit(conn, held, way="webhook")
        keep = tuple(
            KnownItem(f"note-{n}.md", None, {"title": f"Falar com cliente{n}@example.com"}, None)
            for n in (LEAVES, STAYS)
        )
        sides = PageSides(None, ItemMoves("arcsat", "obsidian", "", keep=keep, forget=()), None)
        house.landing.commit_page(conn, [], shopify.parse, sides, way="poll")
        for number in (LEAVES, STAYS):
            token = _token(house, number)
            conn.execute(
                "insert into batuta.vault values (%s, %s, %s, %s, %s, %s, now())",
                (token.token, token.product, token.kind, token.key_id, token.nonce, token.ciphertext),
            )


def _token(house: House, number: int) -> Any:
    from batuta.privacy.masking import Tally

    tally = Tally()
    house.masker.rule("email", "token")(f"cliente{number}@example.com", tally)
    return next(iter(tally.tokens.values()))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where dbt writes; shared, so that it reads the project once."""
    return tmp_path_factory.mktemp("target")


def test_a_forgotten_person_stands_nowhere_and_every_count_stays(house: House, target: Path) -> None:
    leave_traces(house)
    warehouse = KpiWarehouse(house.url, target)
    warehouse.refresh(*ORDERS)
    house.ask("customers/redact", LEAVES, orders_to_redact=[data.order(LEAVES, NOW)["id"]])
    gone, kept = house.pseudonyms(LEAVES), house.pseudonyms(STAYS)
    before, dump = counts_of(house), everything_in(house.url)
    assert all(word.encode() in dump for word in gone), "the test would prove nothing"
    assert _token(house, LEAVES).token.encode() in dump

    (request,) = house.carry_out()

    assert (request.state, request.problem, request.attempts) == ("done", None, 1)
    after = everything_in(house.url)
    assert not [word for word in [*gone, _token(house, LEAVES).token] if word.encode() in after]
    assert all(word.encode() in after for word in [*kept, _token(house, STAYS).token])
    files = [path.read_bytes() for path in house.home.rglob("*") if path.is_file()]
    assert not [word for word in gone for content in files if word.encode() in content]
    assert not list((house.home / "outbox").glob("*")), "a mail that holds the person in base64 is deleted"
    assert counts_of(house) == before
    warehouse.refresh("--full-refresh", *ORDERS)
    assert counts_of(house) == before, "what is built anew counts the same"
    assert request.counts is not None
    assert {"batuta.events", "batuta.blobs", "vault", "quarantine", "known items", "files"} <= (
        request.counts.keys()
    )


def test_records_that_change_keep_their_digests_true(house: House) -> None:
    leave_traces(house)
    house.ask("customers/redact", LEAVES)
    house.carry_out()
    blobs = {
        digest: bytes(content) for digest, content in house.query("select digest, content from batuta.blobs")
    }
    assert all(digest_of(content) == digest for digest, content in blobs.items())
    ((facts, record, other),) = house.query(
        "select facts_digest, record_digest, input_digest from batuta.skill_runs"
    )
    assert orjson.loads(blobs[record])["queries"]["rows"] == facts
    assert {facts, record, other} < set(blobs)
    assert len(blobs) == 4, "nothing is left of what was there before"
    ((lineage, page),) = house.query("select lineage ->> 'rows', digest from batuta.facts, batuta.reports")
    assert (lineage, page in blobs) == (facts, True)


def test_only_what_speaks_of_the_person_is_dropped(house: House) -> None:
    leave_traces(house)
    house.ask("customers/redact", LEAVES)
    house.carry_out()
    assert sorted(house.query("select state, payload = '' from batuta.quarantine")) == [
        ("discarded", True),
        ("held", False),
    ]
    assert house.query("select count(*) from batuta.entities") == [(1,)]
    assert house.query("select count(*) from batuta.vault") == [(1,)]
    assert house.query("select text_digest from batuta.documents") == [(None,)]
    assert house.query("select product from batuta.cursors where consumer = 'vector:abc'") == [("other",)]
    assert house.query("select count(*) from batuta.chunks") == [(0,)]


def land_contents(house: House, people: dict[str, int]) -> dict[str, str]:
    """A mail with an attachment and a picture over WhatsApp from each of `people`; digests of what is kept, by name."""
    deliveries = [
        (mail(place, number, name.encode()), email) for place, (name, number) in enumerate(people.items(), 1)
    ]
    for place, (name, number) in enumerate(people.items(), 1):
        phone = str(data.customer(number, NOW)["phone"]).removeprefix("+")
        message = meta.media_message(place, b"photo " + name.encode(), NOW, phone=phone)
        deliveries.append((Delivery("arcsat", "whatsapp", None, {}, meta.delivery(message), NOW), whatsapp))
    with connect(house.url, "writer") as conn:
        for delivery, connector in deliveries:
            house.landing.commit(conn, [house.landing.prepare(delivery, connector.parse)], way="poll")
    contents = [content for name in people for content in (name.encode(), b"photo " + name.encode())]
    return {content.decode(): house.store.put("arcsat", content, "text/plain") for content in contents}


def test_what_came_with_the_persons_mails_and_messages_goes_and_what_others_sent_too_stays(
    house: House,
) -> None:
    kept = land_contents(house, {"theirs": LEAVES, "shared": LEAVES, "others": STAYS})
    with connect(house.url, "writer") as conn:
        same = mail(9, STAYS, b"shared")
        house.landing.commit(conn, [house.landing.prepare(same, email.parse)], way="poll")
        # What the poll of media tells once a picture is kept: it names the message and nobody.
        [(source, subject, medium)] = house.query(
            "select source, subject, data -> 'media' from batuta.events "
            "where connector = 'whatsapp' and data #>> '{media,hash}' = %s",
            kept["photo theirs"],
        )
        told = {"message": subject, "source": source, "media": medium["id"], "hash": medium["hash"]}
        headers = {FORM: whatsapp.STORED}
        body = orjson.dumps(told | {"verified": True, "missing": None})
        stored = Delivery("arcsat", "whatsapp", None, headers, body, NOW)
        house.landing.commit(conn, [house.landing.prepare(stored, whatsapp.parse)], way="poll")
    with connect(house.url, "owner") as conn:
        # As retention moves what the log lets go of and something still rests on.
        conn.execute(
            "with moved as (delete from batuta.events where connector = 'email' and data::text like %s returning *) "
            "insert into batuta.kept_events select * from moved",
            (f"%{kept['theirs']}%",),
        )
    house.ask("customers/redact", LEAVES)
    (request,) = house.carry_out()
    assert (request.state, request.problem) == ("done", None)

    def there(name: str) -> bool:
        try:
            return house.store.get("arcsat", kept[name]).content == name.encode()
        except BlobMissing:
            return False

    assert {name: there(name) for name in kept} == {
        "theirs": False,
        "photo theirs": False,
        "shared": True,
        "photo shared": False,
        "others": True,
        "photo others": True,
    }


def test_what_a_shop_wrote_about_the_person_goes_too(house: House) -> None:
    house.ask("customers/redact", LEAVES)
    house.carry_out()
    rows = house.query(
        "select data -> 'note', data -> 'billing_address' from batuta.events where dataset = 'orders' order by id"
    )
    assert sorted(row == (None, None) for row in rows) == [False] * 3 + [True] * 3


def test_who_was_merged_with_a_person_is_that_person(house: House) -> None:
    """Merged twice, in a row; another merge came to nothing."""
    before, long_before, other = 21, 22, 23
    ids = {number: data.customer(number, NOW)["id"] for number in (LEAVES, STAYS, before, long_before, other)}
    for number in (before, long_before):
        house.land("orders/create", data.order(number, NOW - timedelta(days=30)))
    house.land("customers/merge", data.merged(ids[before], ids[long_before]))
    house.land("customers/merge", data.merged(ids[LEAVES], ids[before]))
    house.land("customers/merge", data.merged(ids[LEAVES], ids[STAYS], status="failed"))
    house.ask("customers/redact", LEAVES)
    (done,) = house.carry_out()
    assert done.state == "done"
    dump = everything_in(house.url)
    for number in (LEAVES, before, long_before):
        assert house.pseudonyms(number)[0].encode() not in dump
        assert house.pseudonyms(number)[-1].encode() not in dump
    assert house.pseudonyms(STAYS)[0].encode() in dump
    statuses = house.query(
        "select data ->> 'status' from batuta.events where dataset = 'customer_merges' order by 1"
    )
    assert statuses == [("completed",), ("completed",), ("failed",)]


def test_a_request_is_carried_out_once_and_the_person_may_come_back_as_another(house: House) -> None:
    house.ask("customers/redact", LEAVES)
    assert len(house.carry_out()) == 1
    assert house.carry_out() == []
    house.land("orders/create", data.order(LEAVES, NOW) | {"id": 99, "admin_graphql_api_id": None})
    people = house.query(
        "select count(distinct data #>> '{customer,id}') from batuta.events where dataset = 'orders'"
    )
    assert people == [(3,)]
    with connect(house.url, "reader") as conn:
        (done,) = requests(conn, everything=True)
    assert (done.kind, done.due_at - done.received_at) == ("forget_person", timedelta(days=30))
    assert house.query("select length(digest) from batuta.privacy_requests") == [(16,)]


def test_a_failure_half_way_changes_nothing_and_is_tried_again(house: House) -> None:
    house.ask("customers/redact", LEAVES)
    words = house.pseudonyms(LEAVES)
    with connect(house.url, "owner") as conn:
        conn.execute(
            "create function batuta.refuse() returns trigger language plpgsql as "
            "$$ begin raise exception 'no'; end $$"
        )
        conn.execute(
            "create trigger refuse before update on batuta.privacy_requests for each row "
            "when (new.state = 'done') execute function batuta.refuse()"
        )
    (failed,) = house.carry_out()
    assert (failed.state, failed.attempts) == ("open", 1)
    assert failed.problem
    assert words[0].encode() in everything_in(house.url)
    with connect(house.url, "owner") as conn:
        conn.execute("drop trigger refuse on batuta.privacy_requests")
    (done,) = house.carry_out()
    assert (done.state, done.attempts, done.problem) == ("done", 2, None)
    assert words[0].encode() not in everything_in(house.url)


def test_what_is_held_of_a_person_is_told_in_a_file_for_its_owner_alone(house: House) -> None:
    leave_traces(house)
    house.ask("customers/data_request", LEAVES, orders_requested=[], data_request={"id": 7})
    (request,) = house.carry_out()
    path = house.home / "privacy" / f"{request.name}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = orjson.loads(path.read_bytes())
    assert "in clear" in document["notice"]
    assert list(document["vault"].values()) == ["cliente1@example.com"]
    (held,) = document["quarantine"]
    assert "cliente1@example.com" in held["body"]
    orders = [row for row in document["tables"]["batuta.events"] if row["dataset"] == "orders"]
    assert len(orders) == 3
    assert "cliente2" not in path.read_text()
    assert not set(house.pseudonyms(STAYS)) & set(document["pseudonyms"])


def test_what_was_told_is_kept_until_it_can_have_been_fetched_and_no_longer(house: House) -> None:
    house.ask("customers/data_request", LEAVES)
    house.ask("customers/data_request", STAYS)
    house.ask("customers/redact", LEAVES)
    assert {request.state for request in house.carry_out()} == {"done"}
    assert len(list((house.home / "privacy").iterdir())) == 2, (
        "who asked for both is told before they are forgotten"
    )
    house.ask("customers/redact", STAYS)
    house.carry_out(days_later=8)
    assert len(list((house.home / "privacy").iterdir())) == 1, "a week later it goes with the person"
    with connect(house.url, "reader") as conn:
        assert not has_expired_disclosures(conn, house.home, NOW + timedelta(days=29))
        assert has_expired_disclosures(conn, house.home, NOW + timedelta(days=31))
    house.carry_out(days_later=31)
    assert not list((house.home / "privacy").iterdir())


def test_nobody_is_forgotten_before_they_are_told_what_they_asked_for(house: House) -> None:
    (house.home / "privacy").write_text("a file where a folder should be")
    house.ask("customers/redact", LEAVES)
    house.ask("customers/data_request", LEAVES)
    assert {request.state for request in house.carry_out()} == {"open"}
    (house.home / "privacy").unlink()
    assert {request.state for request in house.carry_out()} == {"done"}
    (path,) = (house.home / "privacy").iterdir()
    assert house.pseudonyms(LEAVES)[1] in path.read_text()


def test_a_shop_that_left_is_deleted_and_its_sister_stays(house: House, target: Path) -> None:
    leave_traces(house)
    house.land("orders/create", data.order(7, NOW), shop=OUTLET)
    house.land("orders/create", data.order(8, NOW), product="lojablock")
    with connect(house.url, "owner") as conn:
        conn.execute(
            "insert into batuta.cursors values (%s, 'arcsat', '{}', now()), (%s, 'arcsat', '{}', now())",
            (f"poll:shopify:{SHOP}", f"poll:shopify:{OUTLET}"),
        )
    KpiWarehouse(house.url, target).refresh(*ORDERS)
    house.land("shop/redact", {"shop_id": 1, "shop_domain": SHOP})
    (request,) = house.carry_out()
    assert (request.state, request.kind) == ("done", "forget_shop")
    sources = house.query("select product, source, count(*) from batuta.events group by 1, 2 order by 1")
    assert sources == [("arcsat", f"https://{OUTLET}", 1), ("lojablock", f"https://{SHOP}", 1)]
    assert house.query("select count(*) from batuta_intermediate.int_orders") == [(2,)]
    assert house.query("select product from batuta_marts.fct_orders") == [("lojablock",)]
    for table in ("skill_runs", "facts", "reports", "blobs"):
        assert house.query(f"select count(*) from batuta.{table}") == [(0,)]
    assert not list((house.home / "reports").rglob("*.html"))
    assert house.query("select consumer from batuta.cursors where consumer like 'poll:%%'") == [
        (f"poll:shopify:{OUTLET}",)
    ]
    assert house.query("select count(*) from batuta.quarantine where payload <> ''") == [(0,)]


def test_requests_are_taken_up_once(house: House) -> None:
    house.ask("customers/redact", LEAVES)
    house.ask("customers/data_request", STAYS)
    with connect(house.url, "writer") as conn:
        assert (take_up(conn), take_up(conn)) == (2, 0)
        assert {request.kind for request in requests(conn)} == {"forget_person", "disclose_person"}
        assert requests(conn, product="another") == []


def test_an_unreadable_quarantine_keeps_the_request_open_with_a_sentence(house: House) -> None:
    leave_traces(house)
    house.ask("customers/redact", LEAVES)
    with connect(house.url, "owner") as conn:
        conn.execute("update batuta.quarantine set nonce = %s", (b"0" * 12,))
    (request,) = house.carry_out()
    assert request.state == "open"
    assert "does not open" in (request.problem or "")


def test_the_log_of_another_product_is_another_persons(house: House) -> None:
    house.land("orders/create", data.order(LEAVES, NOW), product="lojablock")
    before = house.query("select data from batuta.events where product = 'lojablock'")
    house.ask("customers/redact", LEAVES)
    house.carry_out()
    assert house.query("select data from batuta.events where product = 'lojablock'") == before
