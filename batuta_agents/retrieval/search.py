"""Search a product's texts by meaning and by word in one statement, with product and roles in the filter itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from batuta_agents.retrieval.embed import vector_literal
from batuta_agents.retrieval.encoder import MODEL_DIGEST, load_encoder
from batuta_agents.retrieval.texts import fold

if TYPE_CHECKING:
    import psycopg

_CANDIDATES: Final = 50
# The usual constant of reciprocal rank fusion: ranks weigh 1 / (60 + rank).
_RRF: Final = 60

_SEARCH: Final = """
with near as materialized (
    select id, embedding <=> %(vector)s::vector as distance
    from batuta.chunks
    where product = %(product)s and roles && %(roles)s::text[] and model_digest = %(model)s
    order by embedding <=> %(vector)s::vector
    limit %(candidates)s
),

by_meaning as (
    select id, row_number() over (order by distance, id) as place
    from near
),

matching as materialized (
    select c.id, ts_rank_cd(c.search, query.words) as weight
    from batuta.chunks as c
    cross join websearch_to_tsquery('portuguese', %(words)s) as query (words)
    where c.product = %(product)s and c.roles && %(roles)s::text[] and c.search @@ query.words
    order by weight desc, c.id
    limit %(candidates)s
),

by_word as (
    select id, row_number() over (order by weight desc, id) as place
    from matching
),

fused as (
    select id, sum(1.0 / (%(rrf)s + place)) as score
    from (select * from by_meaning union all select * from by_word) as legs
    group by id
    order by score desc, id
    limit %(k)s
)

select
    c.connector, c.dataset, c.subject, c.event_source, c.event_id, c.ordinal, c.text, f.score::float8,
    encode(c.id, 'hex')
from fused as f
inner join batuta.chunks as c using (id)
order by f.score desc, f.id
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found, with the event it came from."""

    connector: str
    dataset: str
    subject: str
    event_source: str
    event_id: str
    ordinal: int
    text: str
    score: float
    chunk: str


def search(
    conn: psycopg.Connection[Any], product: str, roles: Sequence[str], query: str, k: int = 10
) -> list[Hit]:
    """The `k` chunks nearest to a query among those the roles may read, best first.

    Args:
        conn: A connection of the reader role, in a transaction.
        product: Only this product's texts.
        roles: Roles of the reader; a chunk needs one of them.
        query: Words or a sentence.
        k: How many.
    """
    vector = load_encoder().encode([query])[0]
    conn.execute("set local hnsw.iterative_scan = 'relaxed_order'")
    rows = conn.execute(
        _SEARCH,
        {
            "product": product,
            "roles": list(roles),
            "vector": vector_literal(vector.tolist()),
            "words": fold(query),
            "model": MODEL_DIGEST,
            "candidates": max(_CANDIDATES, k),
            "rrf": _RRF,
            "k": k,
        },
    ).fetchall()
    return [Hit(*row) for row in rows]
