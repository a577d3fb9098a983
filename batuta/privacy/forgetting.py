"""Forgetting a person: vault rows are deleted, pseudonyms replaced wherever they stand.

The replacement is random and kept nowhere, so nothing leads from it to the person, and every count stays what it was.
If the person comes back they are somebody new. A digest that proves that something landed is no copy of it and stays.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from batuta.errors import BatutaError
from batuta.keys import KeyRing
from batuta.landing.items import KnownItems, seal_moves, write_moves
from batuta.landing.model import Delivery, ItemMoves
from batuta.landing.quarantine import unseal
from batuta.privacy.contents import Contents, delete_contents
from batuta.privacy.masking import HASH_VERSION
from batuta.privacy.person import TOKEN, Ear, Person
from batuta.privacy.replacing import replace_everywhere, standing

_RANDOM_BYTES: Final = 16
# What a shop writes about a person into an order, and where they live: not needed for any figure.
_OF_THE_ORDER: Final = ("note", "billing_address", "shipping_address")


class StillThere(BatutaError):
    """What was to be forgotten stands somewhere still."""


def forget_person(
    conn: psycopg.Connection[Any],
    person: Person,
    keys: KeyRing,
    folders: Sequence[Path],
    held: Sequence[str],
    store: Contents,
) -> dict[str, int]:
    """Forget a person, in the caller's transaction (role: owner); what was changed, by place.

    Files of reports and mails are changed at once, and contents deleted: that cannot be rolled back, and doing it
    again changes nothing.

    Args:
        conn: A connection within a transaction.
        person: Whom to forget.
        keys: The keys of this installation.
        folders: Where reports and mails lie.
        held: Rows of quarantine that speak of them (`quarantined`).
        store: Where attachments and media are kept.

    Raises:
        BlobStoreFailed: the store does not answer.
        StillThere: a table holds a word of theirs after all was replaced.
    """
    words = {word: _instead_of(word) for word in person.words}
    counts = {
        "orders stripped": _strip_orders(conn, person),
        "quarantine": empty_quarantined(conn, held),
        "contents": delete_contents(conn, person, store),
        "known items": _drop_known_items(conn, person, keys),
        "vault": conn.execute(
            "delete from batuta.vault where product = %s and token = any(%s)",
            (person.product, sorted(person.tokens)),
        ).rowcount,
        "texts to embed anew": _drop_chunks(conn, person),
    }
    counts |= replace_everywhere(conn, words)
    counts["files"] = replace_in_files(folders, words)
    left = standing(conn, person.words)
    if left:
        raise StillThere(
            f"what was to be forgotten stands in {', '.join(sorted(left))} still",
            hint="Somebody wrote there at the same time; it is tried again.",
        )
    return {place: count for place, count in counts.items() if count}


def replace_in_files(folders: Iterable[Path], words: Mapping[str, str]) -> int:
    """Replace words in the files of folders; mails that hold one in another encoding are deleted. How many files."""
    changed = 0
    for path in files_of(folders):
        content = path.read_bytes()
        fresh = content
        for old, new in words.items():
            fresh = fresh.replace(old.encode(), new.encode())
        if path.suffix == ".eml" and _mail_has(fresh, words):
            path.unlink()
        elif fresh != content:
            draft = path.with_name(f".{path.name}.new")
            draft.write_bytes(fresh)
            draft.chmod(path.stat().st_mode & 0o777)
            draft.replace(path)
        else:
            continue
        changed += 1
    return changed


def speaks_of(path: Path, words: Sequence[str]) -> bool:
    """Whether any of the words stands in a file."""
    content = path.read_bytes()
    return any(word.encode() in content for word in words)


def files_of(folders: Iterable[Path]) -> list[Path]:
    """Every file below these folders; those that are not there have none."""
    return [path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file()]


def _mail_has(content: bytes, words: Mapping[str, str]) -> bool:
    for part in message_from_bytes(content, policy=default).walk():
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes) and any(word.encode() in payload for word in words):
            return True
    return False


def _instead_of(word: str) -> str:
    """A random pseudonym or token of the same form."""
    random = base64.urlsafe_b64encode(secrets.token_bytes(_RANDOM_BYTES)).rstrip(b"=").decode("ascii")
    token = TOKEN.fullmatch(word)
    return f"[[{token[1]}:{token[2]}:{random}]]" if token is not None else f"{HASH_VERSION}:{random}"


def _events_with(person: Person) -> sql.Composable:
    found = sql.SQL(" or ").join(
        sql.SQL("strpos(data::text, {}) > 0").format(sql.Literal(word)) for word in person.words
    )
    return sql.SQL("product = {} and ({})").format(
        sql.Literal(person.product), found if person.words else sql.SQL("false")
    )


def _strip_orders(conn: psycopg.Connection[Any], person: Person) -> int:
    blank = sql.SQL(
        "data || (select coalesce(jsonb_object_agg(name, 'null'::jsonb), '{{}}') from unnest({}::text[]) as name"
    ).format(sql.Literal(list(_OF_THE_ORDER))) + sql.SQL(" where data ? name)")
    statement = sql.SQL("update {} set data = {} where connector = 'shopify' and dataset = 'orders' and {}")
    return sum(
        conn.execute(statement.format(sql.Identifier("batuta", table), blank, _events_with(person))).rowcount
        for table in ("events", "kept_events")
    )


def _drop_chunks(conn: psycopg.Connection[Any], person: Person) -> int:
    """Texts that speak of the person are embedded anew, from the start of the log; all others stay as they are."""
    words = [f"%{word}%" for word in person.words]
    gone = conn.execute(
        """
        delete from batuta.chunks
        where product = %(product)s
            and (text like any(%(words)s) or subject like any(%(words)s) or event_id like any(%(words)s))
        returning connector, dataset, event_source, subject
        """,
        {"product": person.product, "words": words},
    ).fetchall()
    if gone:
        conn.execute(
            """
            update batuta.documents set text_digest = null
            where product = %s and (connector, dataset, source, subject) in
                (select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[]))
            """,
            (person.product, *(list(column) for column in zip(*set(gone), strict=True))),
        )
        conn.execute(
            "delete from batuta.cursors where product = %s and consumer like 'vector:%%'", (person.product,)
        )
    return len(gone)


def quarantined(
    conn: psycopg.Connection[Any],
    product: str,
    keys: KeyRing,
    speaks_of: Callable[[Delivery], bool],
    connector: str | None = None,
) -> list[str]:
    """Ids of what a product has in quarantine, in whatever state, for which `speaks_of` says so.

    Opens every delivery, and ends the transaction after each, so it goes before one that is to be whole.
    """
    rows = conn.execute(
        """
        select id::text from batuta.quarantine
        where product = %s and payload <> '' and (%s::text is null or connector = %s)
        """,
        (product, connector, connector),
    ).fetchall()
    ids = [identity for (identity,) in rows]
    return [entry.id for entry, delivery in unseal(conn, ids, keys) if speaks_of(delivery)]


def empty_quarantined(conn: psycopg.Connection[Any], ids: Sequence[str]) -> int:
    """Delete the contents of these rows; reason and times stay, as proof."""
    return conn.execute(
        "update batuta.quarantine set payload = '', state = case state when 'replayed' then state else 'discarded' end "
        "where id::text = any(%s)",
        (list(ids),),
    ).rowcount


def _drop_known_items(conn: psycopg.Connection[Any], person: Person, keys: KeyRing) -> int:
    """Known items that name the person are forgotten; a scan that sees them again takes them for new."""
    ear = Ear(person, keys)
    accounts = conn.execute(
        "select distinct connector, account from batuta.entities where product = %s", (person.product,)
    ).fetchall()
    dropped = 0
    for connector, account in accounts:
        known = KnownItems(conn, keys, person.product, connector, account)
        heard = tuple(
            item.id for item in known.all() if ear.hears([item.id, item.parent or "", dict(item.state)])
        )
        if heard:
            moves = ItemMoves(person.product, connector, account, keep=(), forget=heard)
            with conn.cursor() as cursor:
                write_moves(cursor, seal_moves(moves, keys))
        dropped += len(heard)
    return dropped
