"""One round of a connector: the accounts that are due are called, a few at a time, within a budget of time.

Nobody waits for a slow vendor: what has no time left is not begun and is first in the next round. No Dagster here.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final, TypeAlias

from batuta.errors import BatutaError
from sensors.liveness.verdict import account_name
from sensors.pull.accounts import BoundAccount

POLLED: Final = "polled"
AUDITED: Final = "audited"

WORKERS: Final = 4
LEAST_S: Final = 2.0
"""With less time than this left, no call is begun."""
OVERTIME_S: Final = 8.0
"""How long after the deadline a call that should have ended is waited for."""

Call: TypeAlias = Callable[[BoundAccount], str | None]
"""Calls one account; a sentence where it failed. A database that does not answer is raised as a BatutaError."""


@dataclass(frozen=True, slots=True)
class Task:
    """A call of an account that is due."""

    what: str
    bound: BoundAccount
    call: Call


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of a task; `problem` is a sentence without personal data, None where it went well."""

    what: str
    account: str
    problem: str | None


def take_round(
    tasks: Sequence[Task],
    *,
    deadline: float,
    monotonic: Callable[[], float] = time.monotonic,
    workers: int = WORKERS,
) -> tuple[Attempt, ...]:
    """Work through the tasks in their order, `workers` at a time, and say what became of those that were begun.

    Args:
        tasks: The most urgent first.
        deadline: Monotonic time after which nothing is begun; the calls know it too.
        monotonic: The clock of the deadline.
        workers: How many at a time.
    """
    if not tasks:
        return ()

    def begin(task: Task) -> Attempt | None:
        if monotonic() > deadline - LEAST_S:
            return None
        return Attempt(task.what, account_name(task.bound.key), task.call(task.bound))

    pool = ThreadPoolExecutor(max_workers=min(workers, len(tasks)), thread_name_prefix="ears")
    futures = [pool.submit(begin, task) for task in tasks]
    wait(futures, timeout=max(0.0, deadline - monotonic()) + OVERTIME_S)
    pool.shutdown(wait=False, cancel_futures=True)
    ended = (_ended(task, future) for task, future in zip(tasks, futures, strict=True))
    return tuple(attempt for attempt in ended if attempt is not None)


def failed(attempts: Iterable[Attempt]) -> tuple[str, ...]:
    """A sentence for each attempt that failed."""
    return tuple(f"{a.account} could not be {a.what}: {a.problem}" for a in attempts if a.problem is not None)


def all_failed(attempts: Sequence[Attempt]) -> bool:
    """Whether everything that was called failed; polls tell, where there are any, for an audit may have had no call."""
    telling = [a for a in attempts if a.what == POLLED] or attempts
    return bool(telling) and all(a.problem is not None for a in telling)


def _ended(task: Task, future: "Future[Attempt | None]") -> Attempt | None:
    name = account_name(task.bound.key)
    if future.cancelled():
        return None
    if not future.done():
        return Attempt(task.what, name, "it has not answered in time; it is called again when it is due")
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BatutaError):
        return Attempt(task.what, name, error.message)
    raise error
