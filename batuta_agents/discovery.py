"""Find skills by name: `sigma.finance.reconcile` is in the module `batuta_agents.sigma.finance_reconcile`."""

from __future__ import annotations

import difflib
import pkgutil
from importlib import import_module
from typing import Any, Final

from batuta.errors import UsageError
from batuta_agents.skill import Skill

AGENTS: Final = ("echo", "sigma", "vox")


class UnknownSkill(UsageError):
    """No implemented skill has this name."""


def all_skills() -> tuple[Skill[Any, Any], ...]:
    """Every skill that ships, sorted by name; imports the modules of all agents."""
    found: list[Skill[Any, Any]] = []
    for agent in AGENTS:
        package = import_module(f"batuta_agents.{agent}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            found += [
                value for value in vars(import_module(module.name)).values() if isinstance(value, Skill)
            ]
    return tuple(sorted(found, key=lambda skill: skill.name))


def find_skill(name: str) -> Skill[Any, Any]:
    """The skill of this full name.

    Raises:
        UnknownSkill: with the nearest name there is.
    """
    skills = {skill.name: skill for skill in all_skills()}
    if name in skills:
        return skills[name]
    near = difflib.get_close_matches(name, skills, n=1)
    raise UnknownSkill(
        f"no skill {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
        hint="`batuta skill list` shows what there is.",
    )
