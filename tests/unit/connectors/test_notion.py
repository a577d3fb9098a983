"""Notion: signals, the verification token, and pages read against a stand-in."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta.contracts.contract import Contracts
from batuta.landing.model import Delivery, Rejected
from examples.vendors.notion import DATA_SOURCE, TOKEN, Notion, paragraph
from examples.vendors.serving import Fault
from sensors.connectors import notion
from sensors.connectors.notion import pull
from sensors.connectors.protocol import Asked, BadSignature, Unsigned
from sensors.connectors.pulling import FORM, Account, SourceFailed, Tools, Unauthorized, Window
from tests.support.pulling import NOW, MemoryKnown, Pulled, TrialTime, pull_all, tools

HOUR = timedelta(hours=1)
PAGE = "00000000-0000-0000-0000-000000000001"


@pytest.fixture
def vendor() -> Iterator[Notion]:
    with Notion() as served:
        yield served


class Reader:
    """Polls one account as time passes."""

    def __init__(self, vendor: Notion, **settings: Any) -> None:
        given = {"apiUrl": vendor.url, "dataSources": [DATA_SOURCE], "search": False, "scanMinutes": 30}
        form = notion.Settings.model_validate(given | settings)
        self.account = Account("arcsat", "notion", "avila", form, {"token": TOKEN.encode()})
        self.time = TrialTime()
        self.known = MemoryKnown()
        self.position: Any = None

    def tools(self) -> Tools:
        return tools(known=self.known, time=self.time, limits=pull.limits)

    def poll(self, **options: Any) -> list[tuple[str, str]]:
        pulled: Pulled = pull_all(pull, self.account, self.tools(), self.position, **options)
        if "window" not in options:
            self.position = pulled.position
        self.last = pulled.candidates(notion)
        return [(c.event.type.rpartition(".")[2], c.event.id) for c in self.last]

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.poll()]


def test_a_page_is_told_of_once_for_each_content(vendor: Notion):
    reader = Reader(vendor)
    vendor.write(PAGE, NOW - HOUR, "Primeira")
    assert reader.kinds() == ["created"]
    assert reader.kinds() == []
    vendor.write(PAGE, NOW - HOUR, "Segunda")
    assert reader.kinds() == ["updated"]
    reader.time.advance(7200)
    vendor.write(PAGE, reader.time.clock(), "Segunda")
    assert reader.kinds() == []


def test_an_edit_within_the_minute_that_was_read_is_found(vendor: Notion):
    reader = Reader(vendor)
    vendor.write(PAGE, NOW + timedelta(seconds=5), "a")
    assert reader.kinds() == ["created"]
    vendor.write(PAGE, NOW + timedelta(seconds=50), "b")
    reader.time.advance(60)
    assert reader.kinds() == ["updated"]


def test_trash_is_deleted_and_not_found_is_unshared_and_both_can_come_back(vendor: Notion):
    reader = Reader(vendor)
    other = PAGE[:-1] + "2"
    vendor.write(PAGE, NOW - HOUR, "a")
    vendor.write(other, NOW - HOUR, "b")
    reader.poll()
    reader.time.advance(3600)
    vendor.trash(PAGE, reader.time.clock())
    vendor.unshared.add(other)
    gone = reader.poll()
    assert sorted(kind for kind, _ in gone) == ["deleted", "unshared"]
    reader.time.advance(3600)
    assert reader.kinds() == []
    vendor.pages[PAGE]["in_trash"] = False
    vendor.write(PAGE, reader.time.clock(), "a")
    back = reader.poll()
    assert [kind for kind, _ in back] == ["created"]
    reader.time.advance(3600)
    vendor.trash(PAGE, NOW)
    again = reader.poll()
    assert [kind for kind, _ in again] == ["deleted"]
    assert len({id for _, id in [*gone, *back, *again]}) == 4


def test_blocks_are_read_to_the_bottom_and_a_circle_of_them_ends(vendor: Notion):
    vendor.write(PAGE, NOW - HOUR, "")
    vendor.blocks[PAGE] = [paragraph(f"linha {n}", f"b{n}", children=n == 0) for n in range(150)]
    synced = {"object": "block", "id": "s", "type": "synced_block", "has_children": True}
    vendor.blocks["b0"] = [paragraph("unten"), synced | {"synced_block": {"synced_from": {"block_id": "b0"}}}]
    reader = Reader(vendor)
    reader.poll()
    [found] = reader.last
    lines = found.event.data["text"].split("\n")
    assert lines[:3] == ["linha 0", "unten", "linha 1"]
    assert len(lines) == 151
    assert found.event.data["blocks"] == 152


def test_a_synced_block_of_a_page_that_is_not_shared_costs_itself_alone(vendor: Notion):
    vendor.write(PAGE, NOW - HOUR, "")
    synced = {"object": "block", "id": "s", "type": "synced_block", "has_children": True}
    vendor.blocks[PAGE] = [
        paragraph("antes"),
        synced | {"synced_block": {"synced_from": {"block_id": "hidden"}}},
        paragraph("depois"),
    ]
    vendor.unshared.add("hidden")
    reader = Reader(vendor)
    assert reader.kinds() == ["created"]
    [found] = reader.last
    assert (found.event.data["text"], found.event.data["cut"]) == ("antes\ndepois", True)


def test_a_data_source_that_is_shared_no_more_is_named_and_holds_up_nothing(vendor: Notion):
    hidden = "99999999-0000-0000-0000-000000000000"
    reader = Reader(vendor, dataSources=[hidden, DATA_SOURCE])
    inside = PAGE[:-1] + "2"
    vendor.write(inside, NOW - HOUR, "b", source=hidden)
    assert reader.kinds() == ["created"]
    vendor.write(PAGE, NOW - HOUR, "a")
    vendor.unshared |= {hidden, inside}
    reader.time.advance(3600)
    told: list[str] = []

    def poll() -> None:
        for page in pull.poll(reader.account, reader.position, reader.tools()):
            reader.known.apply(page.items)
            told.extend(notion.parse(one).candidates[0].event.type for one in page.deliveries)

    with pytest.raises(SourceFailed, match=hidden):
        poll()
    assert told == ["com.notion.page.created", "com.notion.page.unshared"]


def test_properties_are_read_by_type_and_whole(vendor: Notion):
    relation = {"id": "rel", "type": "relation", "relation": [{"id": "a"}], "has_more": True}
    vendor.long_properties[PAGE, "rel"] = [
        {"type": "relation", "relation": {"id": str(n)}} for n in range(30)
    ]
    vendor.write(
        PAGE,
        NOW - HOUR,
        "x",
        Cliente={"id": "e", "type": "email", "email": "maria@example.com"},
        Valor={"id": "n", "type": "number", "number": 12.5},
        Prazo={"id": "d", "type": "date", "date": {"start": "2026-01-01", "end": None}},
        Feito={"id": "c", "type": "checkbox", "checkbox": True},
        Etiquetas={"id": "m", "type": "multi_select", "multi_select": [{"name": "a"}, {"name": "b"}]},
        Dono={"id": "p", "type": "people", "people": [{"object": "user", "id": "u1"}]},
        Ligados=relation,
    )
    reader = Reader(vendor)
    reader.poll()
    data = reader.last[0].event.data
    assert data["title"] == "Page 01"
    read = {p["name"]: {k: v for k, v in p.items() if k not in ("name", "type")} for p in data["properties"]}
    assert read == {
        "Cliente": {"email": "maria@example.com"},
        "Valor": {"number": 12.5},
        "Prazo": {"start": "2026-01-01", "end": None},
        "Feito": {"checked": True},
        "Etiquetas": {"options": ["a", "b"]},
        "Dono": {"people": ["u1"]},
        "Ligados": {"pages": [str(n) for n in range(30)]},
    }
    assert Contracts.load().for_type("com.notion.page.created").name == "notion.page"


def test_what_only_the_search_finds_is_read_too_and_nothing_twice(vendor: Notion):
    lone = PAGE[:-1] + "9"
    vendor.write(PAGE, NOW - HOUR, "a")
    vendor.write(lone, NOW - HOUR, "b", source=None)
    reader = Reader(vendor, search=True)
    assert sorted(reader.kinds()) == ["created", "created"]
    assert reader.kinds() == []


def test_many_pages_and_a_break_between_any_two(vendor: Notion):
    for number in range(250):
        vendor.write(f"00000000-0000-0000-0000-{number:012}", NOW - HOUR + timedelta(minutes=number % 7), "t")
    reader = Reader(vendor)
    ids = [id for _, id in reader.poll(pages_at_most=1)]
    ids += [id for _, id in reader.poll()]
    assert len(ids) == len(set(ids)) == 250


def test_a_window_gives_what_is_not_known(vendor: Notion):
    vendor.write(PAGE, NOW - 50 * HOUR, "alt")
    vendor.write(PAGE[:-1] + "2", NOW - 10 * HOUR, "neu")
    reader = Reader(vendor)
    window = Window(NOW - 60 * HOUR, NOW - 20 * HOUR)
    assert [kind for kind, _ in reader.poll(window=window)] == ["created"]
    assert reader.poll(window=window) == []
    assert reader.kinds() == ["created"]


def test_faults_are_waited_for_or_said(vendor: Notion):
    vendor.write(PAGE, NOW - HOUR, "a")
    reader = Reader(vendor)
    vendor.fail_next(Fault(429, {"retry-after": "17"}), Fault(529), Fault(torn=True))
    assert reader.kinds() == ["created"]
    assert max(reader.time.waits) >= 17
    vendor.circular = True
    with pytest.raises(SourceFailed, match="circle"):
        reader.poll()
    vendor.circular = False
    vendor.fail_next(Fault(401))
    with pytest.raises(Unauthorized):
        reader.poll()


def _delivery(body: bytes, **headers: str) -> Delivery:
    return Delivery("arcsat", "notion", None, headers, body, NOW)


def test_a_signal_wakes_and_brings_nothing_itself():
    parsed = notion.parse(_delivery(b'{"type": "page.content_updated", "entity": {"id": "x"}}'))
    assert (parsed.candidates, parsed.filtered, parsed.wakes) == ((), 1, True)


def test_signals_are_signed_with_the_verification_token():
    body = b'{"type":"page.created"}'
    digest = hmac.digest(b"secret_token", body, "sha256").hex()
    signed = Delivery("arcsat", "notion", None, {notion.SIGNATURE: f"sha256={digest}"}, body, NOW)
    notion.verify(signed, (b"old", b"secret_token"))
    with pytest.raises(BadSignature):
        notion.verify(signed, (b"another",))
    with pytest.raises(Unsigned):
        notion.verify(_delivery(body), (b"secret_token",))


def test_the_verification_token_is_learned_from_exactly_its_own_form():
    body = b'{"verification_token": "secret_abc"}'
    reply = notion.handshake(Asked("POST", {}, {}, body), {})
    assert reply is not None
    assert (reply.status, reply.learned) == (200, b"secret_abc")
    for other in (b"{}", b"[]", b"x", b'{"verification_token": "a", "type": "page.created"}'):
        assert notion.handshake(Asked("POST", {}, {}, other), {}) is None
    assert notion.handshake(Asked("POST", {}, {notion.SIGNATURE: "x"}, body), {}) is None
    assert notion.handshake(Asked("GET", {}, {}, body), {}) is None


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_rejected(body: bytes, pulled: bool):
    _read_or_rejected(_delivery(body, **({FORM: notion.CHANGE} if pulled else {})))


@given(
    st.fixed_dictionaries(
        {"change": st.sampled_from([*notion.CHANGES, "x", None, 3])},
        optional={
            "page": st.dictionaries(
                st.sampled_from(["id", "last_edited_time", "data_source"]), st.text() | st.none()
            ),
            "hash": st.text() | st.integers(-(2**63), 2**63),
            "times": st.integers(-9, 9) | st.text(),
        },
    )
)
def test_any_change_is_read_or_rejected(document: dict[str, Any]):
    _read_or_rejected(_delivery(orjson.dumps(document), **{FORM: notion.CHANGE}))


def _read_or_rejected(delivery: Delivery) -> None:
    try:
        parsed = notion.parse(delivery)
    except Rejected:
        return
    assert len(parsed.candidates) + parsed.filtered == 1
