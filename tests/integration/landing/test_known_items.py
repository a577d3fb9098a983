"""Known items: kept and forgotten per account, found by id and by folder, and unreadable without the keys."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batuta.keys import create_keys
from batuta.landing.items import ItemUnreadable, KnownItems
from batuta.landing.land import Landing
from batuta.landing.model import ItemMoves, KnownItem, PageSides
from batuta.warehouse.connection import Connection, connect
from tests.support.landing_trials import open_landing, parse


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, "writer") as connection:
        yield connection


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return open_landing(tmp_path)


def move(
    landing: Landing,
    conn: Connection,
    *keep: KnownItem,
    forget: tuple[str, ...] = (),
    product: str = "arcsat",
    account: str = "sul",
) -> None:
    moves = ItemMoves(product, "obsidian", account, keep, forget)
    landing.commit_page(conn, [], parse, PageSides(None, moves, None), way="poll")


def known(landing: Landing, conn: Connection, *, product: str = "arcsat", account: str = "sul") -> KnownItems:
    return KnownItems(conn, landing.keys, product, "obsidian", account)


NOTE = KnownItem("clientes/Ana Souza.md", "clientes", {"hash": "sha256:1", "size": 12}, "scan-1")


def test_an_item_comes_back_as_it_was_kept(conn: Connection, landing: Landing) -> None:
    move(landing, conn, NOTE)
    assert known(landing, conn).get([NOTE.id, "other.md"]) == {NOTE.id: NOTE}
    assert known(landing, conn).children("clientes") == (NOTE,)
    assert known(landing, conn).children("other") == ()
    assert known(landing, conn).get([]) == {}


def test_an_item_of_another_account_or_product_is_another_item(conn: Connection, landing: Landing) -> None:
    move(landing, conn, NOTE)
    move(landing, conn, NOTE, product="lojablock")
    assert known(landing, conn, account="norte").get([NOTE.id]) == {}
    move(landing, conn, forget=(NOTE.id,))
    assert list(known(landing, conn).all()) == []
    assert list(known(landing, conn, product="lojablock").all()) == [NOTE]


def test_what_a_database_holds_of_an_item_says_nothing(
    database_url: str, conn: Connection, landing: Landing
) -> None:
    move(landing, conn, NOTE)
    with psycopg.connect(database_url) as anything:
        row = anything.execute("select e::text from batuta.entities as e").fetchone()
    for clear in ("Ana Souza", "clientes", "sha256:1", "scan-1"):
        assert clear not in str(row)
        assert clear.encode().hex() not in str(row)


def test_a_reader_may_not_look_at_known_items(database_url: str) -> None:
    for role in ("reader", "auditor"):
        with (
            connect(database_url, role) as conn,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            conn.execute("select from batuta.entities")


def test_a_row_moved_to_another_account_does_not_open(
    database_url: str, conn: Connection, landing: Landing
) -> None:
    move(landing, conn, NOTE)
    with psycopg.connect(database_url) as anything:
        anything.execute("update batuta.entities set account = 'norte'")
    with pytest.raises(ItemUnreadable):
        list(known(landing, conn, account="norte").all())


def test_other_keys_find_nothing(conn: Connection, landing: Landing, tmp_path: Path) -> None:
    move(landing, conn, NOTE)
    others = KnownItems(conn, create_keys(tmp_path / "other"), "arcsat", "obsidian", "sul")
    assert others.get([NOTE.id]) == {}


def test_every_item_is_read_while_pages_are_committed_in_between(conn: Connection, landing: Landing) -> None:
    items = tuple(KnownItem(f"note-{n}", None, {"n": n}, None) for n in range(2500))
    move(landing, conn, *items)
    seen: list[str] = []
    for item in known(landing, conn).all():
        seen.append(item.id)
        if len(seen) % 800 == 0:
            move(landing, conn, KnownItem(item.id, "moved", {}, None))
    assert sorted(seen) == sorted(item.id for item in items)


IDS = ("a", "b", "c/d", "ç", "")
MOVES = st.tuples(
    st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from([None, *IDS]), st.integers(0, 3)), max_size=4),
    st.lists(st.sampled_from(IDS), max_size=2),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(MOVES, max_size=6))
def test_items_are_what_a_dictionary_would_hold(
    database_url: str, tmp_path: Path, steps: list[tuple[list[tuple[str, str | None, int]], list[str]]]
) -> None:
    landing = open_landing(tmp_path)
    model: dict[str, KnownItem] = {}
    with psycopg.connect(database_url) as owner:
        owner.execute("truncate batuta.entities")
    with connect(database_url, "writer") as conn:
        for kept, forgotten in steps:
            items = [KnownItem(id, parent, {"v": version}, str(version)) for id, parent, version in kept]
            move(landing, conn, *items, forget=tuple(forgotten))
            for id in forgotten:
                model.pop(id, None)
            model |= {item.id: item for item in items}
        assert {item.id: item for item in known(landing, conn).all()} == model
        for parent in IDS:
            children = tuple(sorted((i for i in model.values() if i.parent == parent), key=lambda i: i.id))
            assert known(landing, conn).children(parent) == children
