"""`POST /skill/execute`: run one skill now, for this machine's user.

Roles asked for in the context are not granted by asking: what runs is what the caller has, cut down to what
was asked.
"""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from batuta.manifests.graph import CompiledProduct
from batuta.telemetry import get_logger
from batuta.warehouse.connection import Connection, DatabaseUnreachable
from batuta.warehouse.embedded import ServerFailed
from batuta_gateway.answers import Refusal, answer, unavailable
from batuta_gateway.deliveries import headers_of
from batuta_gateway.gateway import Gateway, gateway_of, trace_of
from batuta_gateway.local import local_token, require_loopback, require_token

_log = get_logger(__name__)

CALLER: Final = "local"
_REFUSED: Final = {"denied": (403, "denied"), "invalid": (422, "invalid_input"), "failed": (500, "failed")}

Word = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]


class _Call(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class CallContext(_Call):
    """For which product and with which roles a skill is asked to run."""

    product: Word
    roles: tuple[Word, ...] = Field(default=(), max_length=100)
    trace_id: Word | None = None
    as_of: date | None = None


class SkillCall(_Call):
    """The body of a call."""

    skill: Word
    input: dict[str, Any] = Field(default_factory=dict)
    context: CallContext


async def execute(request: Request) -> Response:
    """Run the skill and give its output, or say why not."""
    gateway = gateway_of(request)
    require_loopback(request)
    require_token(request, local_token(gateway.settings.secrets_dir))
    call = _read_call(
        headers_of(request.headers.raw).get("content-type", ""), await gateway.bodies.read(request)
    )
    product = gateway.entrance.doors().graph.product(call.context.product)
    if product is None:
        raise Refusal(404, "unknown_product", "no product of this name is applied")
    return await asyncio.to_thread(_run, gateway, call, product, call.context.trace_id or trace_of(request))


def _read_call(content_type: str, body: bytes) -> SkillCall:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "unsupported_media_type", "send Content-Type: application/json")
    try:
        return SkillCall.model_validate_json(body)
    except ValidationError as error:
        problems = [
            {"field": ".".join(str(part) for part in problem["loc"]) or "body", "message": problem["msg"]}
            for problem in error.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise Refusal(
            400, "malformed", "the call cannot be read; see problems", details={"problems": problems}
        ) from None


def _run(gateway: Gateway, call: SkillCall, product: CompiledProduct, trace: str) -> Response:
    from batuta_agents.discovery import UnknownSkill
    from batuta_agents.model import SkillRequest
    from batuta_agents.runtime import run_skill

    try:
        as_of = call.context.as_of or _latest_day(gateway, product)
        wanted = SkillRequest(
            product=product.name,
            roles=_effective_roles(call.context.roles),
            as_of=as_of,
            caller=CALLER,
            trace=trace,
            locale=product.locale,
            currency=product.currency,
            timezone=product.timezone,
        )
        result = run_skill(call.skill, call.input, wanted, partial(_connect, gateway), gateway.clock)
    except UnknownSkill as error:
        raise Refusal(404, "unknown_skill", error.message) from None
    except (DatabaseUnreachable, ServerFailed) as error:
        _log.error("skill not run", reason=error.message, hint=error.hint)
        raise unavailable("the database does not answer") from None
    if result.status == "ok":
        return answer(result.to_contract(product.locale) | {"runId": result.run_id})
    head: dict[str, Any] = {"runId": result.run_id, "metrics": dict(result.metrics)}
    status, code = _REFUSED[result.status]
    raise Refusal(status, code, result.error or "the skill gave no reason", details=head)


def _effective_roles(asked: tuple[str, ...]) -> tuple[str, ...]:
    """Whoever holds the local token is the operator and has every role; only those asked for are used."""
    return tuple(dict.fromkeys(asked))


def _connect(gateway: Gateway, role: Any) -> Connection:
    return gateway.connect(role)


def _latest_day(gateway: Gateway, product: CompiledProduct) -> date:
    """The day the product's series reach to; without one, today in the product's zone."""
    with gateway.connect("reader") as conn:
        row = conn.execute("select as_of from batuta.horizons where product = %s", (product.name,)).fetchone()
    now: datetime = gateway.clock()
    return row[0] if row else now.astimezone(ZoneInfo(product.timezone)).date()
