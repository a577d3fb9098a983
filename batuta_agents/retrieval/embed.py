"""`vector.embed`: bring the chunks of a product's texts up to a batch.

Work is proportional to what is new: a cursor per product and model remembers the last batch read, and an entity whose
text has not changed is not embedded again. Each page of events is one transaction with its cursor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from batuta.landing.cursors import get_cursor, move_cursor
from batuta.landing.reader import COLUMNS, LoggedEvent
from batuta_agents.retrieval.encoder import MODEL_DIGEST, Encoder, load_encoder
from batuta_agents.retrieval.texts import ROLES, Document, document_of, fold

if TYPE_CHECKING:
    import psycopg

CONSUMER: Final = "vector:" + hashlib.sha256(MODEL_DIGEST.encode()).hexdigest()[:12]
CHUNK_TOKENS: Final = 200
OVERLAP_TOKENS: Final = 40
_PAGE_EVENTS: Final = 2000
_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class EmbedResult:
    """What one call did: chunks written, texts embedded, texts found unchanged or empty, entities removed."""

    chunks: int
    texts: int
    skipped: int
    removed: int
    model_digest: str

    def __add__(self, other: EmbedResult) -> EmbedResult:
        return EmbedResult(
            self.chunks + other.chunks,
            self.texts + other.texts,
            self.skipped + other.skipped,
            self.removed + other.removed,
            self.model_digest,
        )


@dataclass(frozen=True, slots=True)
class _Known:
    """What is on record of an entity."""

    order: tuple[bool, datetime, bytes]
    text_digest: str | None
    model_digest: str


def embed_new(
    conn: psycopg.Connection[Any], product: str, batch_to: int, clock: Callable[[], datetime]
) -> EmbedResult:
    """Embed what came for a product after the cursor, up to and including `batch_to`.

    Args:
        conn: A connection of the writer role; each page is committed.
        product: Product name.
        batch_to: The last batch to read.
        clock: Aware UTC time, for the rows' creation time.

    Raises:
        ModelMissing: there is something to embed and the model is not installed.
    """
    result = EmbedResult(0, 0, 0, 0, MODEL_DIGEST)
    while True:
        conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{CONSUMER}:{product}",))
        position = int(get_cursor(conn, CONSUMER, product) or 0)
        page_to = _page_end(conn, product, position, batch_to)
        if page_to is None:
            if position < batch_to:
                move_cursor(conn, CONSUMER, batch_to, product)
            conn.commit()
            return result
        documents = _newest(document_of(event) for event in _page(conn, product, position, page_to))
        result += _embed_page(conn, product, documents, clock())
        move_cursor(conn, CONSUMER, page_to, product)
        conn.commit()


def _datasets() -> dict[str, list[str]]:
    return {"connectors": [name for name, _ in ROLES], "datasets": [dataset for _, dataset in ROLES]}


_OF_TEXTS: Final = """
product = %(product)s and batch > %(after)s and batch <= %(to)s
and (connector, dataset) in (select * from unnest(%(connectors)s::text[], %(datasets)s::text[]))
"""


def _page_end(conn: psycopg.Connection[Any], product: str, after: int, to: int) -> int | None:
    """The batch that ends the next page; None where there is nothing to read."""
    row = conn.execute(
        f"select max(batch) from (select batch from batuta.history where {_OF_TEXTS} order by batch limit %(limit)s) p",
        {"product": product, "after": after, "to": to, "limit": _PAGE_EVENTS, **_datasets()},
    ).fetchone()
    return row[0] if row else None


def _page(conn: psycopg.Connection[Any], product: str, after: int, to: int) -> Iterable[LoggedEvent]:
    from psycopg.rows import class_row

    with conn.cursor("texts", row_factory=class_row(LoggedEvent)) as cursor:
        cursor.execute(
            f"select {COLUMNS} from batuta.history where {_OF_TEXTS} order by batch, key",
            {"product": product, "after": after, "to": to, **_datasets()},
        )
        yield from cursor


def _newest(documents: Iterable[Document]) -> list[Document]:
    """One document per entity, its newest version."""
    newest: dict[tuple[str, str, str, str], Document] = {}
    for document in documents:
        known = newest.get(document.entity)
        if known is None or document.order > known.order:
            newest[document.entity] = document
    return [newest[entity] for entity in sorted(newest)]


def _embed_page(
    conn: psycopg.Connection[Any], product: str, documents: list[Document], at: datetime
) -> EmbedResult:
    known = _known(conn, product, documents)
    changed: list[Document] = []
    current: list[Document] = []
    for document in documents:
        before = known.get(document.entity)
        if before is not None and (before.order > document.order):
            continue
        current.append(document)
        if before is None or (before.text_digest, before.model_digest) != (
            text_digest(document),
            MODEL_DIGEST,
        ):
            changed.append(document)
    _delete_chunks(conn, product, [document for document in changed if document.entity in known])
    embeddable = [document for document in changed if text_digest(document) is not None]
    chunks = _insert_chunks(conn, product, embeddable, at) if embeddable else 0
    _remember(conn, product, current)
    removed = sum(document.removed and document.entity in known for document in changed)
    return EmbedResult(
        chunks, len(embeddable), len(documents) - len(embeddable) - removed, removed, MODEL_DIGEST
    )


def text_digest(document: Document) -> str | None:
    """Digest of what is embedded of a document; None where that is nothing."""
    if document.removed or not document.text:
        return None
    return "sha256:" + hashlib.sha256(document.text.encode()).hexdigest()


def _known(
    conn: psycopg.Connection[Any], product: str, documents: list[Document]
) -> dict[tuple[str, str, str, str], _Known]:
    rows = conn.execute(
        "select connector, dataset, source, subject, removed, version_at, event_id, text_digest, model_digest "
        "from batuta.documents where product = %s and (connector, dataset, source, subject) in "
        "(select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[]))",
        (product, *(list(column) for column in zip(*(d.entity for d in documents), strict=True))),
    ).fetchall()
    return {
        (connector, dataset, source, subject): _Known((removed, version_at, event_id.encode()), text, model)
        for connector, dataset, source, subject, removed, version_at, event_id, text, model in rows
    }


def _delete_chunks(conn: psycopg.Connection[Any], product: str, documents: list[Document]) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(
            "delete from batuta.chunks where product = %s and connector = %s and dataset = %s and event_source = %s "
            "and subject = %s",
            [(product, *document.entity) for document in documents],
        )


def _remember(conn: psycopg.Connection[Any], product: str, documents: list[Document]) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into batuta.documents (product, connector, dataset, source, subject, event_id, version_at, batch, "
            "removed, text_digest, model_digest) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
            "on conflict (product, connector, dataset, source, subject) do update set event_id = excluded.event_id, "
            "version_at = excluded.version_at, batch = excluded.batch, removed = excluded.removed, "
            "text_digest = excluded.text_digest, model_digest = excluded.model_digest",
            [
                (
                    product,
                    *d.entity,
                    d.event_id,
                    d.version_at,
                    d.batch,
                    d.removed,
                    text_digest(d),
                    MODEL_DIGEST,
                )
                for d in documents
            ],
        )


def chunks_of(document: Document, encoder: Encoder) -> list[str]:
    """The document's text in pieces that fit the model, each opened by the title."""
    if not document.body:
        return [document.title]
    pieces = encoder.windows(document.body, CHUNK_TOKENS, OVERLAP_TOKENS)
    return [f"{document.title}\n{piece}" if document.title else piece for piece in pieces]


def _insert_chunks(
    conn: psycopg.Connection[Any], product: str, documents: list[Document], at: datetime
) -> int:
    encoder = load_encoder()
    pieces = [
        (document, ordinal, text)
        for document in documents
        for ordinal, text in enumerate(chunks_of(document, encoder))
    ]
    vectors = encoder.encode([text for _document, _ordinal, text in pieces])
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into batuta.chunks (id, product, connector, dataset, subject, event_source, event_id, batch, "
            "ordinal, text, search, embedding, model_digest, roles, created_at) values (%s, %s, %s, %s, %s, %s, %s, "
            "%s, %s, %s, to_tsvector('portuguese', %s), %s::vector, %s, %s, %s)",
            [
                (
                    _chunk_id(product, document, ordinal),
                    product,
                    document.connector,
                    document.dataset,
                    document.subject,
                    document.source,
                    document.event_id,
                    document.batch,
                    ordinal,
                    text,
                    fold(text),
                    vector_literal(vector.tolist()),
                    MODEL_DIGEST,
                    list(document.roles),
                    at,
                )
                for (document, ordinal, text), vector in zip(pieces, vectors, strict=True)
            ],
        )
    return len(pieces)


def _chunk_id(product: str, document: Document, ordinal: int) -> bytes:
    parts = (product, *document.entity, str(ordinal))
    return hashlib.blake2b("\x00".join(parts).encode(), digest_size=_ID_BYTES).digest()


def vector_literal(vector: list[float]) -> str:
    """A vector as pgvector reads it."""
    return "[" + ",".join(f"{value:.8g}" for value in vector) + "]"
