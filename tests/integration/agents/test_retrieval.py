"""Embeddings: what is new is embedded once, what is gone is gone, and only who may finds it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from batuta.events.event import event_key
from batuta.warehouse.connection import connect
from batuta_agents.retrieval import encoder
from batuta_agents.retrieval.embed import CONSUMER, EmbedResult, embed_new
from batuta_agents.retrieval.search import search
from tests.support import database as databases

NOW = datetime(2025, 11, 12, 12, tzinfo=UTC)
SHOP = "arcsat-demo.myshopify.com"
REPOSITORY = "github.com/avila-inc/arcsat"

pytestmark = pytest.mark.skipif(
    encoder.importlib.util.find_spec(encoder.PACKAGE) is None, reason="the embedding model is not installed"
)


class Log:
    """Writes events straight into the log."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.batch = 0

    def land(self, *events: tuple[str, str, str, str, str, dict[str, Any], int]) -> int:
        """One batch of (connector, dataset, type, source, subject, data, minutes after noon)."""
        self.batch += 1
        with psycopg.connect(self.url) as conn:
            conn.execute(
                "insert into batuta.decisions values (%s, '', '', '', '', '', '', true, '{}', now()) "
                "on conflict do nothing",
                (bytes(16),),
            )
            conn.execute("insert into batuta.batches values (%s, now(), 'file', 1)", (self.batch,))
            for number, (connector, dataset, type, source, subject, data, minutes) in enumerate(events):
                id = f"{self.batch}-{number}"
                conn.execute(
                    "insert into batuta.events (received_at, batch, key, product, source, id, type, subject, time, "
                    "connector, dataset, dataschema, data, decision) "
                    "values (%s, %s, %s, 'arcsat', %s, %s, %s, %s, %s, %s, %s, '', %s, %s)",
                    (
                        *(NOW, self.batch, event_key("arcsat", source, id), source, id, type, subject),
                        *(NOW + timedelta(minutes=minutes), connector, dataset, Jsonb(data), bytes(16)),
                    ),
                )
        return self.batch

    def product(
        self, number: int, title: str, body: str = "", minutes: int = 0, what: str = "updated"
    ) -> Any:
        data = {
            "title": title,
            "body_html": body,
            "updated_at": (NOW + timedelta(minutes=minutes)).isoformat(),
        }
        kind = f"com.shopify.products.{what}"
        return ("shopify", "products", kind, SHOP, f"gid://shopify/Product/{number}", data, minutes)

    def embed(self, batch_to: int | None = None) -> EmbedResult:
        with connect(self.url, "writer") as conn:
            return embed_new(conn, "arcsat", self.batch if batch_to is None else batch_to, lambda: NOW)

    def texts(self) -> list[str]:
        with psycopg.connect(self.url) as conn:
            return [
                text for (text,) in conn.execute("select text from batuta.chunks order by subject, ordinal")
            ]

    def find(self, query: str, *roles: str, product: str = "arcsat") -> list[str]:
        with connect(self.url, "reader") as conn:
            return [hit.text for hit in search(conn, product, roles, query)]


@pytest.fixture(scope="module")
def log_url(database_server: str, template_database: str):
    with databases.database(database_server, template_database) as url:
        yield url


@pytest.fixture
def log(log_url: str) -> Log:
    with psycopg.connect(log_url) as conn:
        conn.execute(
            "truncate batuta.chunks, batuta.documents, batuta.events, batuta.batches, batuta.cursors cascade"
        )
    return Log(log_url)


def _counts(result: EmbedResult) -> tuple[int, int, int, int]:
    return result.chunks, result.texts, result.skipped, result.removed


def test_only_what_is_new_or_changed_is_embedded(log: Log) -> None:
    log.land(log.product(1, "Antena"), log.product(2, "Cabo"))
    assert _counts(log.embed()) == (2, 2, 0, 0)
    assert _counts(log.embed()) == (0, 0, 0, 0)

    log.land(log.product(1, "Antena", minutes=1), log.product(2, "Cabo coaxial", minutes=1))
    assert _counts(log.embed()) == (1, 1, 1, 0)
    assert log.texts() == ["Antena", "Cabo coaxial"]


def test_an_older_version_that_comes_late_changes_nothing_and_a_removal_is_final(log: Log) -> None:
    log.land(log.product(1, "Antena nova", minutes=5), log.product(2, "Cabo"))
    log.embed()
    log.land(log.product(1, "Antena velha", minutes=1))
    log.land(log.product(2, "", minutes=2, what="deleted"))

    assert _counts(log.embed()) == (0, 0, 1, 1)
    assert log.texts() == ["Antena nova"]

    log.land(log.product(2, "Cabo de volta", minutes=9))
    assert _counts(log.embed()) == (0, 0, 1, 0)
    assert log.texts() == ["Antena nova"]


def test_it_stops_at_the_batch_it_was_given(log: Log) -> None:
    first = log.land(log.product(1, "Antena"))
    log.land(log.product(2, "Cabo"))

    log.embed(first)
    assert log.texts() == ["Antena"]
    with psycopg.connect(log.url) as conn:
        rows = conn.execute("select consumer, product, position from batuta.cursors").fetchall()
    assert rows == [(CONSUMER, "arcsat", first)]
    log.embed()
    assert log.texts() == ["Antena", "Cabo"]


def test_texts_come_from_every_dataset_and_roles_decide_who_finds_them(log: Log) -> None:
    github = {"title": "Fix token refresh", "body": "Refreshes the access token before it expires."}
    log.land(
        log.product(1, "Antena", "<p>Recepção de <b>satélite</b> &amp; rádio</p><script>x()</script>"),
        (
            "github",
            "pull_requests",
            "com.github.pull_request.closed",
            REPOSITORY,
            "7",
            {"pull_request": github},
            0,
        ),
        (
            "github",
            "issues",
            "com.github.issues.opened",
            REPOSITORY,
            "7",
            {"issue": {"title": "Login fails"}},
            0,
        ),
        (
            "github",
            "releases",
            "com.github.release.published",
            REPOSITORY,
            "1",
            {"release": {"tag_name": "v1.2"}},
            0,
        ),
        (
            "events",
            "surveys",
            "com.batuta.survey.answered",
            "forms",
            "nps",
            {"comment": "A entrega atrasou"},
            0,
        ),
        (
            "events",
            "surveys",
            "com.batuta.survey.answered",
            "forms",
            "nps",
            {"comment": "Emissão de nota ótima"},
            0,
        ),
        ("events", "surveys", "com.batuta.survey.answered", "forms", "nps", {"comment": None}, 0),
    )
    assert _counts(log.embed()) == (6, 6, 1, 0)
    assert "Antena\nRecepção de satélite & rádio" in log.texts()

    assert log.find("emissao", "crm.read")[0] == "Emissão de nota ótima"
    assert log.find("ENTREGAS", "crm.read")[0] == "A entrega atrasou"
    assert log.find("access token renewal", "engineering.read")[0].startswith("Fix token refresh")
    assert "A entrega atrasou" not in log.find("entrega", "engineering.read")
    assert log.find("entrega") == []
    assert log.find("entrega", "crm.read", product="lojablock") == []


def test_a_long_text_is_cut_into_chunks_that_all_carry_the_title(log: Log) -> None:
    body = " ".join(f"frase {n} sobre antenas e cabos." for n in range(120))
    log.land(log.product(1, "Manual", f"<p>{body}</p>"))

    result = log.embed()

    texts = log.texts()
    assert result.chunks == len(texts) > 3
    assert all(text.startswith("Manual\n") for text in texts)
    assert "frase 119 sobre antenas e cabos." in texts[-1]
    log.land(log.product(1, "Manual", "<p>curto</p>", minutes=1))
    log.embed()
    assert log.texts() == ["Manual\ncurto"]


def test_without_the_model_it_says_how_to_install_it(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "PACKAGE", "no_such_package")
    encoder.load_encoder.cache_clear()
    log.land(log.product(1, "Antena"))

    with pytest.raises(encoder.ModelMissing) as caught:
        log.embed()

    assert "make setup" in str(caught.value.hint)
    monkeypatch.undo()
    assert _counts(log.embed()) == (1, 1, 0, 0)
