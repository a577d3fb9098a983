"""Write down a skill run: every part by content, so that it can be replayed and each number followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from batuta.blobs import JSON_MEDIA_TYPE, canonical_json, put_blob
from batuta.facts import encode_value
from batuta.skill_records import RunStatus
from batuta_agents.context import SkillContext
from batuta_agents.model import ModelCall, SkillRequest
from batuta_agents.queries import RowSet, plain
from batuta_agents.skill import Skill

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True, slots=True)
class Run:
    """One execution from its start: what was asked of which skill, by whom."""

    id: str
    skill: Skill[Any, Any]
    request: SkillRequest
    started_at: datetime
    model_calls: list[ModelCall] = field(default_factory=list[ModelCall])
    """What models used so far."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended; `input` only where it was valid, `context` only where facts were gathered."""

    status: RunStatus
    finished_at: datetime
    error: str | None = None
    input: Mapping[str, Any] | None = None
    context: SkillContext | None = None
    output: bytes | None = None


def latency_ms(run: Run, ending: Ending) -> int:
    """Wall time of a run."""
    return round((ending.finished_at - run.started_at).total_seconds() * 1000)


def record(conn: psycopg.Connection[Any], run: Run, ending: Ending) -> str | None:
    """Record a run with its facts (role: writer), in one transaction; returns the output's digest."""
    at = ending.finished_at
    input_digest = None
    if ending.input is not None:
        input_digest = put_blob(conn, canonical_json(ending.input), JSON_MEDIA_TYPE, at)
    facts_digest = record_digest = output_digest = None
    if ending.context is not None and ending.status == "ok":
        facts_digest = put_blob(conn, canonical_json(_facts_json(ending.context)), JSON_MEDIA_TYPE, at)
        record_digest = put_blob(
            conn, canonical_json(_replay_json(conn, run, ending.context, at)), JSON_MEDIA_TYPE, at
        )
    if ending.output is not None:
        output_digest = put_blob(conn, ending.output, JSON_MEDIA_TYPE, at)
    request = run.request
    conn.execute(
        "insert into batuta.skill_runs (id, skill, skill_version, product, as_of, pipeline, dagster_run_id, trace, "
        "caller, roles, locale, currency, timezone, status, error, input_digest, facts_digest, record_digest, "
        "output_digest, batch_to, latency_ms, started_at, finished_at) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            run.id,
            run.skill.name,
            run.skill.version,
            request.product,
            request.as_of,
            request.pipeline,
            request.dagster_run_id,
            request.trace,
            request.caller,
            list(request.roles),
            request.locale,
            request.currency,
            request.timezone,
            ending.status,
            ending.error,
            input_digest,
            facts_digest,
            record_digest,
            output_digest,
            None if ending.context is None else ending.context.batch_to,
            latency_ms(run, ending),
            run.started_at,
            at,
        ),
    )
    _record_model_usage(conn, run)
    if ending.context is not None and ending.status == "ok":
        _record_facts(conn, run, ending.context)
        _record_classifications(conn, run, ending.context, at)
    conn.commit()
    return output_digest


def _record_facts(conn: psycopg.Connection[Any], run: Run, context: SkillContext) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into batuta.lineage_records (digest, kind, content) values (%s, %s, %s) "
            "on conflict (digest) do nothing",
            [(record.digest, record.kind, record.content) for record in context.records.values()],
        )
        statement = "copy batuta.facts (id, skill_run, name, value, unit, as_of, lineage) from stdin"
        with cursor.copy(statement) as copy:
            for fact in context.recorded.values():
                value = orjson.dumps(encode_value(fact.value)).decode()
                lineage = orjson.dumps(dict(fact.lineage)).decode()
                copy.write_row((fact.id, run.id, fact.name, value, fact.unit, fact.as_of, lineage))


def _record_model_usage(conn: psycopg.Connection[Any], run: Run) -> None:
    used: dict[str, tuple[int, int, int]] = {}
    for call in run.model_calls:
        calls, taken, given = used.get(call.model, (0, 0, 0))
        used[call.model] = (calls + 1, taken + call.input_tokens, given + call.output_tokens)
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into batuta.model_usage (skill_run, model, calls, input_tokens, output_tokens) "
            "values (%s, %s, %s, %s, %s)",
            [(run.id, model, *counts) for model, counts in sorted(used.items())],
        )


def _record_classifications(
    conn: psycopg.Connection[Any], run: Run, context: SkillContext, at: datetime
) -> None:
    """Keep the verdicts that differ from the classifier's last one on the same item."""
    if not context.classifications:
        return
    verdicts = sorted(context.classifications.values(), key=lambda verdict: verdict.item)
    conn.execute(
        _CLASSIFICATIONS,
        {
            "product": run.request.product,
            "classifier": run.skill.name,
            "version": run.skill.version,
            "run": run.id,
            "at": at,
            "items": [verdict.item for verdict in verdicts],
            "classes": [verdict.label for verdict in verdicts],
            "scores": [verdict.score for verdict in verdicts],
        },
    )


_CLASSIFICATIONS: Final = """
insert into batuta.classifications (product, classifier, version, item, class, score, classified_at, skill_run)
select %(product)s, %(classifier)s, %(version)s, verdict.item, verdict.class, verdict.score, %(at)s, %(run)s
from unnest(%(items)s::text[], %(classes)s::text[], %(scores)s::numeric[]) as verdict (item, class, score)
left join lateral (
    select known.class, known.version
    from batuta.classifications as known
    where
        known.product = %(product)s and known.classifier = %(classifier)s and known.item = verdict.item
    order by known.classified_at desc
    limit 1
) as last on true
where (last.class, last.version) is distinct from (verdict.class, %(version)s)
on conflict (product, classifier, item, classified_at) do nothing
"""


def _facts_json(context: SkillContext) -> list[dict[str, Any]]:
    """The facts without ids of the run, so that equal facts have an equal digest."""
    return [
        {
            "name": fact.name,
            "value": encode_value(fact.value),
            "unit": fact.unit,
            "as_of": fact.as_of.isoformat(),
        }
        for fact in sorted(context.recorded.values(), key=lambda fact: fact.name)
    ]


def _replay_json(
    conn: psycopg.Connection[Any], run: Run, context: SkillContext, at: datetime
) -> dict[str, Any]:
    """Everything that went into the output: a replay needs this and nothing else."""
    request = run.request
    narratives = context.narratives
    return {
        "skill": run.skill.name,
        "skill_version": run.skill.version,
        "request": {
            "product": request.product,
            "as_of": request.as_of.isoformat(),
            "roles": sorted(request.roles),
            "locale": request.locale,
            "currency": request.currency,
            "timezone": request.timezone,
        },
        "seed": request.seed,
        "started_at": run.started_at.isoformat(),
        "batch_to": context.batch_to,
        "model": None,
        "narratives": {
            "name": narratives.name,
            "digest": put_blob(conn, narratives.content, "application/toml", at),
        },
        "queries": [_query_json(conn, rows, at) for rows in context.row_sets],
    }


def _query_json(conn: psycopg.Connection[Any], rows: RowSet, at: datetime) -> dict[str, Any]:
    return {
        "name": rows.query.name,
        "sql": put_blob(conn, rows.query.sql.encode(), "application/sql", at),
        "parameters": plain(dict(rows.parameters)),
        "rows": put_blob(conn, rows.content, JSON_MEDIA_TYPE, at),
    }
