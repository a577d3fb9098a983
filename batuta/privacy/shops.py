"""Forgetting a shop: everything that came from it is deleted, and what was worked out from it.

Keyed digests of what landed stay, so that a late delivery does not come in again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from batuta.keys import KeyRing
from batuta.landing.model import Delivery
from batuta.privacy.forgetting import empty_quarantined, files_of, quarantined
from batuta.privacy.person import TOKEN
from batuta.privacy.replacing import text_tables


def forget_shop(
    conn: psycopg.Connection[Any], product: str, source: str, folders: Sequence[Path], held: Sequence[str]
) -> dict[str, int]:
    """Delete everything of a shop, in the caller's transaction (role: owner); what was deleted, by place.

    What was worked out from it goes too: the product's analyses and reports. Marts are to be built anew.

    Args:
        conn: A connection within a transaction.
        product: Whose shop it is.
        source: The shop, as events name it.
        folders: Where reports and mails lie.
        held: Rows of quarantine that are of the shop (`quarantined_of_shop`).
    """
    domain = source.removeprefix("https://")
    tokens = _tokens_of_shop(conn, product, source)
    counts: dict[str, int] = {}
    for table in text_tables(conn):
        columns = {column for column, _ in table.columns}
        origin = {"event_source", "source"} & columns
        if "product" in columns and origin and table.label != "batuta.privacy_requests":
            statement = sql.SQL("delete from {} where product = %s and {} = %s").format(
                table.identifier, sql.Identifier(min(origin))
            )
            counts[table.label] = conn.execute(statement, (product, source)).rowcount
    counts["quarantine"] = empty_quarantined(conn, held)
    counts |= _delete_analyses(conn, product)
    counts["batuta.vault"] = _delete_unused_tokens(conn, product, tokens)
    counts["marts emptied"] = _empty_marts(conn, product)
    counts["positions"] = _delete_positions(conn, product, domain)
    counts["files"] = sum(_delete_files(folder, product) for folder in folders)
    return {place: count for place, count in counts.items() if count}


def quarantined_of_shop(conn: psycopg.Connection[Any], product: str, source: str, keys: KeyRing) -> list[str]:
    """Ids of the shop's deliveries in quarantine."""
    domain = source.removeprefix("https://")

    def is_of_shop(delivery: Delivery) -> bool:
        named = delivery.headers.get("x-shopify-shop-domain") or delivery.headers.get("shopify-shop-domain")
        return named is not None and named.strip().lower() == domain

    return quarantined(conn, product, keys, is_of_shop, "shopify")


def _tokens_of_shop(conn: psycopg.Connection[Any], product: str, source: str) -> list[str]:
    rows = conn.execute(
        "select data::text from batuta.history where product = %s and source = %s and strpos(data::text, '[[') > 0",
        (product, source),
    )
    return sorted({match[0] for (text,) in rows for match in TOKEN.finditer(text)})


def _delete_unused_tokens(conn: psycopg.Connection[Any], product: str, tokens: list[str]) -> int:
    return conn.execute(
        """
        delete from batuta.vault
        where product = %(product)s and token = any(%(tokens)s) and not exists (
            select 1 from batuta.history
            where history.product = %(product)s and strpos(history.data::text, vault.token) > 0
        )
        """,
        {"product": product, "tokens": tokens},
    ).rowcount


def _delete_analyses(conn: psycopg.Connection[Any], product: str) -> dict[str, int]:
    """The product's skill runs with their facts, its reports, and the records nothing else refers to."""
    owned = (
        "select unnest(array[input_digest, facts_digest, record_digest, output_digest]) as digest "
        "from batuta.skill_runs where product {0} %(product)s "
        "union select digest from batuta.reports where product {0} %(product)s"
    )
    wanted = {"product": product}
    ours = _closure(conn, conn.execute(owned.format("="), wanted).fetchall())
    others = _closure(conn, conn.execute(owned.format("<>"), wanted).fetchall())
    counts: dict[str, int] = {}
    for table in ("report_deliveries", "reports", "skill_runs"):
        statement = sql.SQL("delete from {} where product = %s").format(sql.Identifier("batuta", table))
        counts[f"batuta.{table}"] = conn.execute(statement, (product,)).rowcount
    # A break stays, so that its gate does; the rows it shows go.
    shown = "update batuta.contract_breaks set evidence = '[]' where product = %s and evidence <> '[]'"
    if cleared := conn.execute(shown, (product,)).rowcount:
        counts["batuta.contract_breaks"] = cleared
    counts["batuta.blobs"] = conn.execute(
        "delete from batuta.blobs where digest = any(%s)", (sorted(ours - others),)
    ).rowcount
    return counts


def _closure(conn: psycopg.Connection[Any], rows: Iterable[tuple[Any, ...]]) -> set[str]:
    """These records and all that they name by digest, directly or not."""
    found: set[str] = set()
    pending = {digest for (digest,) in rows if digest is not None}
    while pending:
        found |= pending
        named = conn.execute(
            """
            select distinct named[1] from batuta.blobs,
                regexp_matches(encode(content, 'escape'), '(sha256:[0-9a-f]{64})', 'g') as named
            where digest = any(%s) and media_type = 'application/json'
            """,
            (sorted(pending),),
        )
        pending = {digest for (digest,) in named} - found
    return found


def _empty_marts(conn: psycopg.Connection[Any], product: str) -> int:
    """Rows that have no source of their own are made of others: the product's go, and the next refresh makes them anew.

    What makes them begins at the beginning: a model that reads on from where it was would never see these rows again.
    """
    emptied, models = 0, list[str]()
    for table in text_tables(conn):
        columns = {column for column, _ in table.columns}
        derived = table.schema == "batuta_intermediate" and "event_source" not in columns
        if "product" in columns and (table.schema == "batuta_marts" or derived):
            statement = sql.SQL("delete from {} where product = %s").format(table.identifier)
            emptied += conn.execute(statement, (product,)).rowcount
            models.append(table.name)
    if models:
        conn.execute(
            "update batuta_intermediate.int_log_position set read_to = 0, done = 0 where model = any(%s)",
            (models,),
        )
    conn.execute(
        "update batuta.cursors set position = jsonb_set(position, '{batch}', '0') where consumer = 'refresh_marts'"
    )
    return emptied


def _delete_positions(conn: psycopg.Connection[Any], product: str, domain: str) -> int:
    names = {domain, domain.removesuffix(".myshopify.com")}
    found = [
        consumer
        for (consumer,) in conn.execute(
            "select consumer from batuta.cursors where product = %s and consumer ~ '^(poll|backfill):shopify:'",
            (product,),
        )
        if set(consumer.lower().split(":")) & names
    ]
    return conn.execute(
        "delete from batuta.cursors where product = %s and consumer = any(%s)", (product, found)
    ).rowcount


def _delete_files(folder: Path, product: str) -> int:
    """The product's pages (in a folder of its name) and mails (their names begin with it and a day)."""
    mail = re.compile(rf"{re.escape(product)}-\d{{4}}-\d\d-\d\d-.*\.eml")
    doomed = [
        path
        for path in files_of([folder])
        if mail.fullmatch(path.name) or path.relative_to(folder).parts[0] == product
    ]
    for path in doomed:
        path.unlink()
    return len(doomed)
