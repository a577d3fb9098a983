"""A finding of `batuta doctor`."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw; a problem says how to mend it."""

    check: str
    verdict: Verdict
    message: str
    mend: str | None = None


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", message)


def note(check: str, message: str) -> Finding:
    """Nothing is wrong, but worth knowing; also for what could not be looked at."""
    return Finding(check, "note", message)


def problem(check: str, message: str, mend: str | None) -> Finding:
    """Something to mend."""
    return Finding(check, "problem", message, mend)
