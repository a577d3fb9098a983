"""When the push channels of each account were last looked at, and what came of it. No Dagster here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from sensors.liveness.channels import AUDIT_EVERY
from sensors.pull.accounts import AccountState, BoundAccount, Key

AGAIN_AFTER: Final = timedelta(minutes=10)
"""When an audit that failed is tried again."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The last audit of an account, and the last that succeeded."""

    tried_at: datetime
    done_at: datetime | None


def audits_due(
    bounds: Iterable[BoundAccount],
    audits: Mapping[Key, Audit],
    states: Mapping[Key, AccountState],
    now: datetime,
) -> tuple[BoundAccount, ...]:
    """The accounts whose push channels are to be looked at now, the longest unseen first.

    An account that is gone, or that the vendor wants left alone, is not asked for.
    """

    def is_left_alone(bound: BoundAccount) -> bool:
        state = states.get(bound.key)
        if state is None or state.binding_digest != bound.digest:
            return False
        return state.stopped_at is not None or (state.paused_until is not None and state.paused_until > now)

    def is_due(bound: BoundAccount) -> bool:
        last = audits.get(bound.key)
        if last is None:
            return True
        return now >= last.tried_at + (AUDIT_EVERY if last.done_at == last.tried_at else AGAIN_AFTER)

    found = [bound for bound in bounds if not is_left_alone(bound) and is_due(bound)]
    return tuple(sorted(found, key=lambda bound: (_tried(audits.get(bound.key)), bound.key)))


def read_audits(conn: psycopg.Connection[Any], connector: str) -> dict[Key, Audit]:
    """The last audit of every account that ever was audited."""
    return {
        (product, connector, consumer.split(":", 2)[2]): _audit(position)
        for consumer, product, position in conn.execute(_READ, (f"audit:{connector}:",))
    }


def note_audit(conn: psycopg.Connection[Any], key: Key, now: datetime, *, done: bool) -> None:
    """Keep that an account was audited, in the caller's transaction."""
    product, connector, account = key
    at = now.isoformat()
    position = {"tried_at": at, "done_at": at} if done else {"tried_at": at}
    conn.execute(_NOTE, (f"audit:{connector}:{account}", product, Jsonb(position)))


def _audit(position: Mapping[str, Any]) -> Audit:
    done_at = position.get("done_at")
    return Audit(
        datetime.fromisoformat(position["tried_at"]), datetime.fromisoformat(done_at) if done_at else None
    )


def _tried(audit: Audit | None) -> float:
    return 0.0 if audit is None else audit.tried_at.timestamp()


_READ: Final = "select consumer, product, position from batuta.cursors where starts_with(consumer, %s)"

# A failed audit leaves standing when the last good one was.
_NOTE: Final = """
insert into batuta.cursors as c (consumer, product, position, updated_at) values (%s, %s, %s, clock_timestamp())
on conflict (consumer, product) do update set
    position = c.position || excluded.position, updated_at = excluded.updated_at
"""
