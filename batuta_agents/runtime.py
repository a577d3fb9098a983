"""Run a skill: authorize, validate, gather facts, run, ground, validate, record. One runtime for Dagster and HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from batuta_agents.model import Connect, SkillRequest, SkillResult


def run_skill(
    name: str,
    input: Mapping[str, Any],
    request: SkillRequest,
    connect: Connect,
    clock: Callable[[], datetime],
) -> SkillResult:
    """Run a skill once and record it, whatever comes of it.

    Args:
        name: Full name (`sigma.finance.reconcile`).
        input: The skill's input object; `{}` takes all defaults.
        request: Product, day, caller and effective roles.
        connect: Opens reader and writer connections.
        clock: Aware UTC time.

    Returns:
        The result; its `status` says whether the run was denied, invalid, failed or ok.

    Raises:
        BatutaError: no such skill, or the warehouse cannot be reached.
    """
    raise NotImplementedError
