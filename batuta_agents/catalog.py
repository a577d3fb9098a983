"""The list of implemented skills, as the manifest compiler and the registry want it."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

from batuta.manifests.catalog import SkillInfo
from batuta_agents.discovery import AGENTS, all_skills


def catalog() -> tuple[SkillInfo, ...]:
    """Every skill that ships, sorted by name."""
    return tuple(
        SkillInfo(
            name=skill.name,
            agent=skill.agent,
            needs=skill.needs,
            kinds=("python", "sql"),
            description=skill.description,
            input_schema=skill.input_schema(),
            output_schema=skill.output_schema(),
            roles=skill.roles,
            version=skill.version,
            classes=skill.classes,
        )
        for skill in all_skills()
    )


def manifests() -> tuple[Traversable, ...]:
    """The Agent manifests that ship, one per agent."""
    return tuple(files(f"batuta_agents.{agent}").joinpath("agent.yaml") for agent in AGENTS)
