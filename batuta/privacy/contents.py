"""What the blob store keeps of a person: attachments of their mails, media of their messages.

Masks reach no content: a picture or a document may show anything. So whoever is forgotten takes along what came with
the mails and messages that speak of them, unless one that does not came with the very same content.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import psycopg
from psycopg import sql

from batuta.privacy.person import Person

CONNECTORS: Final = ("email", "whatsapp")
"""Whose events come with contents."""


class Contents(Protocol):
    """The part of the blob store that forgetting needs."""

    def delete(self, product: str, digest: str) -> None:
        """Keep a content no longer; nothing happens where it is not kept."""
        ...


def contents_of(conn: psycopg.Connection[Any], person: Person) -> list[str]:
    """Digests of the contents that are the person's alone, kept or not; in a fixed order (role: owner)."""
    if not person.words:
        return []
    speaks = sql.SQL(" or ").join(
        sql.SQL("strpos(text, {}) > 0").format(sql.Literal(word)) for word in person.words
    )
    query = sql.SQL(_CONTENTS).format(
        product=sql.Literal(person.product), connectors=sql.Literal(list(CONNECTORS)), speaks=speaks
    )
    return [digest for (digest,) in conn.execute(query)]


def delete_contents(conn: psycopg.Connection[Any], person: Person, store: Contents) -> int:
    """Delete the person's contents, before their words are replaced; how many were named.

    That cannot be rolled back, and doing it again changes nothing.

    Raises:
        BlobStoreFailed: the store does not answer.
    """
    found = contents_of(conn, person)
    for digest in found:
        store.delete(person.product, digest)
    return len(found)


# What was fetched of a WhatsApp message is an event of its own, which names the message and nobody.
_CONTENTS: Final = """
with told as materialized (
    select key, connector, subject, data::text as text from batuta.history
    where product = {product} and connector = any({connectors}) and strpos(data::text, 'sha256:') > 0
),
spoken as (select key, connector, subject, text from told where {speaks}),
theirs as (
    select key, text from spoken
    union
    select key, text from told
    where connector = 'whatsapp' and subject in (select subject from spoken where connector = 'whatsapp')
),
named as (select distinct found[1] as digest from theirs, regexp_matches(text, 'sha256:[0-9a-f]{{64}}', 'g') as found)
select digest from named
where not exists (
    select from told where key not in (select key from theirs) and strpos(told.text, named.digest) > 0
)
order by digest
"""
