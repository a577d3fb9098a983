"""The accounts there are to fetch from, and how each of them stands: when it was tried, what is wrong, when it is due.

Which accounts there are is the applied bundle's business; the table `batuta.accounts` remembers what became of them.
An account is fetched from where its connector fetches and the manifest names the credentials for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.rows import class_row
from pydantic import ValidationError

from batuta.errors import BatutaError
from batuta.manifests.graph import CompiledGraph, CompiledProduct, content_digest
from batuta.manifests.models import ConnectorBinding, SecretRef
from batuta.platform.connector_hours import Reached, count_reached
from batuta.secrets import FoundSecrets, find_secrets, resolve_secret, store_secret
from batuta.settings import Settings
from sensors.connectors import CONNECTORS, fetches, is_sent_to
from sensors.connectors.protocol import Connector
from sensors.connectors.pulling import Account, ConnectorSettings, SourceFailed

FIRST_BACK_OFF_S: Final = 30
LONGEST_BACK_OFF_S: Final = 3600

Key: TypeAlias = tuple[str, str, str]
"""Product, connector, and the account's name, "" without one: as in the database."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class BoundAccount:
    """An account with all that its fetching needs, and the digest of what the manifest says of it."""

    account: Account
    binding: ConnectorBinding
    timezone: str
    settings: Settings = field(repr=False)

    @property
    def key(self) -> Key:
        """As it is called in the database."""
        return self.account.product, self.account.connector, self.account.name or ""

    @property
    def digest(self) -> str:
        """Changes when the manifest binds the account otherwise."""
        return content_digest(self.binding.model_dump(mode="json", by_alias=True))

    def keep_secret(self, name: str, value: bytes) -> None:
        """Put a credential that the vendor has renewed where the manifest refers to.

        Raises:
            SourceFailed: the manifest names no such credential.
            SecretMissing: it cannot be written there.
        """
        ref: SecretRef | None = self.binding.credentials.get(name)
        if ref is None:
            raise SourceFailed(
                f"the vendor gave a credential {name}, for which the manifest has no place",
                hint=f"Add it under credentials: {name}: {{file: NAME}}, and apply.",
            )
        store_secret(ref, value, self.settings, where=f"{self.key[0]}/{self.key[1]}: credentials.{name}")


@dataclass(frozen=True, slots=True)
class Unready:
    """An account that cannot be fetched from, or be sent to, as things are; and what to do."""

    key: Key
    problem: str
    hint: str | None

    @property
    def sentence(self) -> str:
        """Both, on one line."""
        return BatutaError(self.problem, hint=self.hint).sentence


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the applied bundle has to fetch from; and of what is sent to, whose deliveries are refused.

    Deliveries are refused where a secret that the manifest names is missing: with all of them gone every one, with one
    of two those that are signed with it. Fetching needs none of them.
    """

    ready: tuple[BoundAccount, ...]
    unready: tuple[Unready, ...]
    refusing: tuple[Unready, ...] = ()

    def of(self, connector: str) -> Accounts:
        """Those of one connector."""
        return Accounts(
            tuple(bound for bound in self.ready if bound.key[1] == connector),
            tuple(unready for unready in self.unready if unready.key[1] == connector),
            tuple(refusing for refusing in self.refusing if refusing.key[1] == connector),
        )


@dataclass(frozen=True, slots=True)
class AccountState:
    """How an account stands; times are aware, UTC."""

    product: str
    connector: str
    account: str
    binding_digest: str | None = None
    last_attempt_at: datetime | None = None
    last_success_at: datetime | None = None
    next_due_at: datetime | None = None
    failures: int = 0
    problem: str | None = None
    paused_until: datetime | None = None
    stopped_at: datetime | None = None
    stopped_reason: str | None = None
    woken: bool = False
    """There is news: a wake-up came since the last poll began."""

    @property
    def key(self) -> Key:
        """As in the database."""
        return self.product, self.connector, self.account


def accounts(
    graph: CompiledGraph, settings: Settings, connectors: Mapping[str, Connector] = CONNECTORS
) -> Accounts:
    """Every account of the graph that is to be fetched from, in the order of the manifests.

    A credential that is missing, or a setting that no longer fits, makes one account unready and leaves the others.
    """
    ready: list[BoundAccount] = []
    unready: list[Unready] = []
    refusing: list[Unready] = []
    for product in graph.products:
        for index, binding in enumerate(product.connectors):
            connector = connectors.get(binding.type)
            if connector is None:
                continue
            where = f"Product {product.name}: spec.connectors[{index}]"
            key = (product.name, binding.type, binding.account or "")
            secrets = find_secrets(binding.secret_refs, settings, where=f"{where}.secretRefs")
            if secrets.missing and is_sent_to(binding, connector):
                refusing.append(_refusing(key, secrets))
            if not _is_fetched(binding, connector):
                continue
            try:
                account = _account(product, where, binding, connector, settings, secrets)
            except BatutaError as error:
                unready.append(Unready(key, error.message, error.hint))
            else:
                ready.append(BoundAccount(account, binding, product.timezone, settings))
    return Accounts(tuple(ready), tuple(unready), tuple(refusing))


def is_due(bound: BoundAccount, state: AccountState | None, now: datetime) -> bool:
    """Whether an account is to be polled now.

    One the vendor wants left alone is never; one that fails waits for its turn even if it is woken; one that is gone
    waits for another binding.
    """
    if state is None or state.binding_digest != bound.digest:
        return True
    if state.stopped_at is not None or (state.paused_until is not None and state.paused_until > now):
        return False
    if state.next_due_at is None or state.next_due_at <= now:
        return True
    return state.woken and state.failures == 0


def due(
    bounds: Iterable[BoundAccount], states: Mapping[Key, AccountState], now: datetime
) -> tuple[BoundAccount, ...]:
    """The accounts to poll now: those that are woken first, then the least recently tried first."""

    def turn(bound: BoundAccount) -> tuple[bool, datetime, Key]:
        state = states.get(bound.key)
        if state is None:
            return True, _EPOCH, bound.key
        return not state.woken, state.last_attempt_at or _EPOCH, bound.key

    return tuple(sorted((b for b in bounds if is_due(b, states.get(b.key), now)), key=turn))


def back_off_s(failures: int) -> int:
    """Seconds to the next try after so many failures in a row: 30, 60, 120, ... an hour."""
    return min(LONGEST_BACK_OFF_S, FIRST_BACK_OFF_S * 2 ** (max(failures, 1) - 1)) if failures < 20 else 3600


def read_states(conn: psycopg.Connection[Any], connector: str | None = None) -> dict[Key, AccountState]:
    """How every account stands that was ever tried or woken (role: reader or writer)."""
    with conn.cursor(row_factory=class_row(AccountState)) as cursor:
        rows = cursor.execute(_STATES, {"connector": connector}).fetchall()
    return {row.key: row for row in rows}


def begin_attempt(conn: psycopg.Connection[Any], bound: BoundAccount, now: datetime) -> None:
    """Note that an account is being polled: its turn is taken, its wake-ups so far are heard. Commits."""
    with conn.transaction():
        conn.execute(_BEGIN, _values(bound) | {"now": now})
        conn.execute(_HEARD, _values(bound))


def note_success(
    conn: psycopg.Connection[Any], bound: BoundAccount, now: datetime, *, next_due_at: datetime
) -> None:
    """Note that an account was polled; what was wrong is forgotten. Commits."""
    with conn.transaction():
        conn.execute(_SUCCESS, _values(bound) | {"now": now, "next_due_at": next_due_at})
        count_reached(conn, [Reached(*bound.key[:2], now, polls=1)])


def note_failure(conn: psycopg.Connection[Any], bound: BoundAccount, now: datetime, problem: str) -> None:
    """Note what went wrong, and back off. Commits."""
    with conn.transaction():
        failures = conn.execute(_FAILURES, _values(bound)).fetchone()
        count = 1 + (failures[0] if failures is not None else 0)
        conn.execute(
            _FAILURE,
            _values(bound)
            | {
                "problem": problem,
                "failures": count,
                "next_due_at": now + timedelta(seconds=back_off_s(count)),
            },
        )
        count_reached(conn, [Reached(*bound.key[:2], now, polls=1, polls_failed=1)])


def note_pause(conn: psycopg.Connection[Any], bound: BoundAccount, until: datetime, problem: str) -> None:
    """Note that the vendor wants to be left alone; that is no failure. Commits."""
    with conn.transaction():
        conn.execute(_PAUSE, _values(bound) | {"until": until, "problem": problem})


def note_gone(conn: psycopg.Connection[Any], bound: BoundAccount, now: datetime, reason: str) -> None:
    """Note that the account is no more; it is left alone until the manifest binds it otherwise. Commits."""
    with conn.transaction():
        conn.execute(_GONE, _values(bound) | {"now": now, "reason": reason})


def resume(conn: psycopg.Connection[Any], key: Key) -> None:
    """Forget that an account was stopped, paused or failing: somebody has mended it. Commits."""
    with conn.transaction():
        conn.execute(_RESUME, dict(zip(("product", "connector", "account"), key, strict=True)))


def wake(conn: psycopg.Connection[Any], key: Key) -> None:
    """Say that an account has news, in the caller's transaction."""
    conn.execute(_WAKE, dict(zip(("product", "connector", "account"), key, strict=True)))


def read_settings(connector: Connector, binding: ConnectorBinding, where: str) -> ConnectorSettings:
    """The settings of a binding in the connector's own form; `where` names the binding in messages.

    Raises:
        SourceFailed: they do not fit, which `batuta validate` would have said.
    """
    try:
        return connector.SETTINGS.model_validate(binding.settings)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field_name = ".".join(map(str, first["loc"]))
        raise SourceFailed(
            f"{where}.settings.{field_name}: {first['msg']}",
            hint="Correct the manifest; `batuta validate` shows the place; then `batuta apply`.",
        ) from None


def _is_fetched(binding: ConnectorBinding, connector: Connector) -> bool:
    return fetches(connector.NAME) and bool(binding.credentials or not connector.CREDENTIALS)


def _refusing(key: Key, secrets: FoundSecrets) -> Unready:
    first = secrets.missing[0]
    which = "deliveries signed with one of its secrets" if secrets.values else "deliveries"
    return Unready(key, f"{which} are refused: {first.message}", first.hint)


def _account(
    product: CompiledProduct,
    where: str,
    binding: ConnectorBinding,
    connector: Connector,
    settings: Settings,
    secrets: FoundSecrets,
) -> Account:
    credentials = {
        name: resolve_secret(ref, settings, where=f"{where}.credentials.{name}")
        for name, ref in binding.credentials.items()
    }
    return Account(
        product=product.name,
        connector=binding.type,
        name=binding.account,
        settings=read_settings(connector, binding, where),
        credentials=credentials,
        secrets=secrets.values,
        lacks=secrets.missing[0].sentence if secrets.missing else None,
        public_url=settings.public_url,
    )


def _values(bound: BoundAccount) -> dict[str, Any]:
    product, connector, account = bound.key
    return {"product": product, "connector": connector, "account": account, "digest": bound.digest}


_STATES: Final = """
select
    product, connector, account, a.binding_digest, a.last_attempt_at, a.last_success_at, a.next_due_at,
    coalesce(a.failures, 0) as failures, a.problem, a.paused_until, a.stopped_at, a.stopped_reason,
    w.at is not null and (w.taken_at is null or w.taken_at < w.at) as woken
from batuta.accounts as a full join batuta.wakeups as w using (product, connector, account)
where %(connector)s::text is null or connector = %(connector)s
"""
# Another binding begins anew: what was wrong with the old one says nothing of it.
_BEGIN: Final = """
insert into batuta.accounts as a (product, connector, account, binding_digest, last_attempt_at, next_due_at)
values (%(product)s, %(connector)s, %(account)s, %(digest)s, %(now)s, %(now)s)
on conflict (product, connector, account) do update set
    binding_digest = excluded.binding_digest,
    last_attempt_at = excluded.last_attempt_at,
    next_due_at = coalesce(a.next_due_at, excluded.next_due_at),
    failures = case when a.binding_digest = excluded.binding_digest then a.failures else 0 end,
    problem = case when a.binding_digest = excluded.binding_digest then a.problem end,
    paused_until = case when a.binding_digest = excluded.binding_digest then a.paused_until end,
    stopped_at = case when a.binding_digest = excluded.binding_digest then a.stopped_at end,
    stopped_reason = case when a.binding_digest = excluded.binding_digest then a.stopped_reason end
"""
_HEARD: Final = """
update batuta.wakeups set taken_at = clock_timestamp()
where product = %(product)s and connector = %(connector)s and account = %(account)s
"""
_UPDATE: Final = """
update batuta.accounts set {what}
where product = %(product)s and connector = %(connector)s and account = %(account)s
"""
_SUCCESS: Final = _UPDATE.format(
    what="last_success_at = %(now)s, next_due_at = %(next_due_at)s, failures = 0, problem = null, "
    "paused_until = null, stopped_at = null, stopped_reason = null"
)
_FAILURES: Final = """
select failures from batuta.accounts
where product = %(product)s and connector = %(connector)s and account = %(account)s for update
"""
_FAILURE: Final = _UPDATE.format(
    what="failures = %(failures)s, problem = %(problem)s, next_due_at = %(next_due_at)s"
)
_PAUSE: Final = """
insert into batuta.accounts (product, connector, account, binding_digest, paused_until, problem, next_due_at)
values (%(product)s, %(connector)s, %(account)s, %(digest)s, %(until)s, %(problem)s, %(until)s)
on conflict (product, connector, account) do update set
    paused_until = excluded.paused_until, problem = excluded.problem, next_due_at = excluded.next_due_at
"""
_GONE: Final = _UPDATE.format(what="stopped_at = %(now)s, stopped_reason = %(reason)s, problem = %(reason)s")
_RESUME: Final = _UPDATE.format(
    what="failures = 0, problem = null, paused_until = null, stopped_at = null, stopped_reason = null, "
    "next_due_at = null"
)
_WAKE: Final = """
insert into batuta.wakeups (product, connector, account, at)
values (%(product)s, %(connector)s, %(account)s, clock_timestamp())
on conflict (product, connector, account) do update set at = excluded.at
"""
