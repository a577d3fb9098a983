"""What would tell who a person is never leaves preparation in clear, and stays equal where it was equal."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batuta.events.event import Event
from batuta.keys import create_keys
from batuta.landing.model import Candidate, Delivery, HashedAttribute, Parse, Parsed
from batuta.landing.prepare import Preparation, Prepared
from batuta.landing.rows import Row
from batuta.policy.decision import DefaultPolicy
from tests.support.landing_trials import CONTRACTS, answer, parse

NOW = datetime(2025, 11, 12, tzinfo=UTC)


@pytest.fixture
def preparation(tmp_path: Path) -> Preparation:
    return Preparation(CONTRACTS, DefaultPolicy(), create_keys(tmp_path))


def reading(*hashed: HashedAttribute, connector: str = "trial", **attributes: str) -> Parse:
    def read(delivery: Delivery) -> Parsed:
        candidate = parse(delivery).candidates[0]
        event: Event = candidate.event._replace(**attributes)
        changed: Candidate = candidate._replace(
            event=event, connector=connector, entity=event.id, hashed=frozenset(hashed)
        )
        return Parsed((changed,), "surveys")

    return read


def row(prepared: Prepared) -> Row:
    """The one row."""
    assert prepared.held is None
    return prepared.rows[0]


def test_hashed_attributes_are_equal_where_they_were_and_nowhere_in_clear(preparation: Preparation) -> None:
    read = reading("id", "subject", id="wamid.HBgNNTUxMQ==", subject="5511987654321")
    first, again = (row(preparation.prepare(answer(n), read)) for n in (1, 2))
    assert first.event_id == again.event_id
    assert first.subject == again.subject
    assert first.event_id.startswith("h1:")
    assert str(first.subject).startswith("h1:")
    assert first.source == "trial"
    for clear in ("wamid", "5511987654321"):
        assert clear not in repr(first)


def test_a_hash_belongs_to_its_connector_and_product(preparation: Preparation) -> None:
    read = reading("id", id="42")
    other = reading("id", id="42", connector="other")
    hashes = {
        row(preparation.prepare(answer(1), read)).event_id,
        row(preparation.prepare(answer(1), other)).event_id,
        row(preparation.prepare(answer(1, product="lojablock"), read)).event_id,
    }
    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("https://graph.example.com/users/ana@example.com", "https://graph.example.com/"),
        ("imap://ana@imap.example.com/INBOX", "imap://"),
        ("file:///home/ana/vault", "file:///"),
        ("mailto:ana@example.com", ""),
        ("/users/ana", ""),
    ],
)
def test_of_a_source_scheme_and_host_are_kept(preparation: Preparation, source: str, kept: str) -> None:
    stored = row(preparation.prepare(answer(1), reading("source", source=source))).source
    assert re.fullmatch(re.escape(kept) + "h1:[A-Za-z0-9_-]{22}", stored)


@pytest.mark.parametrize("source", ["https://graph.example.com/", "https://graph.example.com"])
def test_a_source_that_names_a_host_only_stays(preparation: Preparation, source: str) -> None:
    assert row(preparation.prepare(answer(1), reading("source", source=source))).source == source


def test_the_second_key_of_a_hashed_candidate_cannot_be_guessed(preparation: Preparation) -> None:
    plain = preparation.prepare(answer(1), reading(id="5511987654321")).rows[0]
    hashed = preparation.prepare(answer(1), reading("id", id="5511987654321")).rows[0]
    assert plain.entity_version != hashed.entity_version


def test_a_blank_id_that_should_be_hashed_is_held(preparation: Preparation) -> None:
    held = preparation.prepare(answer(1), reading("id", id=" ")).held
    assert held is not None
    assert held.rejection.code == "identity"
