"""Run a skill: authorize, validate, gather facts, run, ground, validate, record. One runtime for Dagster and HTTP."""

from __future__ import annotations

import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic import BaseModel, ValidationError

from batuta.blobs import canonical_json
from batuta.errors import BatutaError
from batuta.facts import ground
from batuta.telemetry import get_logger
from batuta.warehouse.connection import DatabaseUnreachable
from batuta_agents.context import SkillContext
from batuta_agents.discovery import find_skill
from batuta_agents.forms import Paragraph, SkillInput
from batuta_agents.model import Connect, SkillRequest, SkillResult
from batuta_agents.narratives import load_narratives
from batuta_agents.recording import Ending, Run, latency_ms, record
from batuta_agents.skill import Skill

if TYPE_CHECKING:
    import psycopg

_STATEMENT_TIMEOUT: Final = "60s"
_REFRESH_HINT: Final = "Refresh the marts first (job refresh_marts)."


class NoFacts(BatutaError):
    """The facts a skill needs cannot be read."""


class NotRecorded(DatabaseUnreachable):
    """A run could not be written down, so it does not count."""


def new_run_id() -> str:
    """A fresh run id."""
    return f"run_{uuid.uuid4().hex}"


def run_skill(
    name: str,
    input: Mapping[str, Any],
    request: SkillRequest,
    connect: Connect,
    clock: Callable[[], datetime],
    new_id: Callable[[], str] = new_run_id,
) -> SkillResult:
    """Run a skill once and record it, whatever comes of it.

    Args:
        name: Full name (`sigma.finance.reconcile`).
        input: The skill's input object; `{}` takes all defaults.
        request: Product, day, caller and effective roles.
        connect: Opens reader and writer connections.
        clock: Aware UTC time.
        new_id: Makes the run's id.

    Returns:
        The result; its `status` says whether the run was denied, invalid, failed or ok.

    Raises:
        BatutaError: no such skill, or the warehouse cannot be reached.
    """
    run = Run(new_id(), find_skill(name), request, clock())
    ending = _end(run, input, connect, clock)
    output_digest = _record(run, ending, connect)
    context = ending.context
    return SkillResult(
        status=ending.status,
        run_id=run.id,
        skill=name,
        output=None if ending.output is None else orjson.loads(ending.output),
        facts={} if context is None or ending.status != "ok" else context.recorded,
        metrics={"latency_ms": latency_ms(run, ending)},
        output_digest=output_digest,
        error=ending.error,
    )


def _record(run: Run, ending: Ending, connect: Connect) -> str | None:
    import psycopg

    try:
        with connect("writer") as conn:
            return record(conn, run, ending)
    except psycopg.Error as error:
        reason = error.diag.message_primary or type(error).__name__
        raise NotRecorded(
            f"{run.skill.name} ended {ending.status} but could not be recorded: {reason}",
            hint="Nothing was kept of the run; mend the database (`batuta doctor`) and run it again.",
        ) from error


def _end(run: Run, input: Mapping[str, Any], connect: Connect, clock: Callable[[], datetime]) -> Ending:
    skill = run.skill
    missing = sorted(set(skill.roles) - set(run.request.roles))
    if missing:
        needed, lacking = ", ".join(skill.roles), ", ".join(missing)
        error = f"{skill.name} needs the roles {needed}; {run.request.caller} lacks {lacking}"
        return Ending("denied", clock(), error)
    try:
        options: SkillInput = skill.input.model_validate_json(orjson.dumps(dict(input)))
    except (ValidationError, TypeError) as error:
        return Ending("invalid", clock(), f"input of {skill.name}: {_problems(error)}")
    given = options.model_dump(mode="json")
    try:
        with connect("reader") as conn:
            context = _open_context(run, conn)
            output = _play(skill, options, context)
    except BatutaError as error:
        return Ending("failed", clock(), error.message, given)
    except Exception as error:  # noqa: BLE001 - whatever a skill raises is recorded, never shown as a traceback
        return Ending("failed", clock(), _explain(run, error), given)
    return Ending("ok", clock(), None, given, context, output)


def _open_context(run: Run, conn: psycopg.Connection[Any]) -> SkillContext:
    """Begin the run's one snapshot and find how far the log reaches in it."""
    conn.execute("set transaction isolation level repeatable read, read only")
    conn.execute(f"set local statement_timeout = '{_STATEMENT_TIMEOUT}'")
    request = run.request
    known = conn.execute("select 1 from batuta.products where product = %s", (request.product,)).fetchone()
    if known is None:
        raise NoFacts(
            f"no product {request.product!r} is registered", hint="`batuta apply` registers products."
        )
    row = conn.execute("select coalesce(max(batch), 0) from batuta.batches").fetchone()
    module = run.skill.function.__module__.rpartition(".")[2]
    return SkillContext(
        request=request,
        batch_to=int(row[0]) if row else 0,
        started_at=run.started_at,
        narratives=load_narratives(run.skill.package, module, request.locale),
        _conn=conn,
        _package=run.skill.package,
        _run_id=run.id,
        model_calls=run.model_calls,
    )


def _play(skill: Skill[Any, Any], options: SkillInput, context: SkillContext) -> bytes:
    """Run the function, hold its words against its facts and its output against its model."""
    output = skill.function(options, context)
    for paragraph in _paragraphs(output):
        ground(paragraph.text, context.recorded)
    content = canonical_json(output.model_dump(mode="json"))
    skill.output.model_validate_json(content)
    return content


def _paragraphs(value: Any) -> Iterator[Paragraph]:
    if isinstance(value, Paragraph):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _paragraphs(getattr(value, name))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _paragraphs(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _paragraphs(item)


def _problems(error: ValidationError | TypeError) -> str:
    """Every problem of an input with its place, without repeating what was sent."""
    if not isinstance(error, ValidationError):
        return "not a JSON object"
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'input'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )


def _explain(run: Run, error: Exception) -> str:
    """One sentence for what went wrong; the log has the place, never the data."""
    import psycopg.errors

    if isinstance(error, (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)):
        return (
            f"the facts of {run.skill.name} are not there yet: {error.diag.message_primary}. {_REFRESH_HINT}"
        )
    if isinstance(error, psycopg.errors.QueryCanceled):
        return f"the facts of {run.skill.name} took longer than {_STATEMENT_TIMEOUT} to read"
    if isinstance(error, psycopg.Error):
        return f"the facts of {run.skill.name} cannot be read: {error.diag.message_primary or type(error).__name__}"
    if isinstance(error, ValidationError):
        return f"the output of {run.skill.name} does not fit its model: {_problems(error)}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    get_logger(__name__).error(
        "skill failed",
        skill=run.skill.name,
        run=run.id,
        kind=type(error).__name__,
        file=place.filename,
        line=place.lineno,
    )
    return f"{run.skill.name} failed with {type(error).__name__}; the log has the place (run {run.id})"
