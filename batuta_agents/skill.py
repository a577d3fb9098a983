"""A skill: a typed function of its facts, `(request, context) -> output`, and what must be known of it to run it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Generic, TypeVar

from batuta_agents.context import SkillContext
from batuta_agents.forms import SkillInput, SkillOutput

_SOURCE_SUFFIXES = (".py", ".sql", ".toml")


I = TypeVar("I", bound=SkillInput)  # noqa: E741
O = TypeVar("O", bound=SkillOutput)  # noqa: E741


@dataclass(frozen=True)
class Skill(Generic[I, O]):
    """An implemented skill."""

    name: str
    input: type[I]
    output: type[O]
    needs: tuple[str, ...]
    roles: tuple[str, ...]
    function: Callable[[I, SkillContext], O]
    classes: tuple[str, ...] = ()

    @property
    def agent(self) -> str:
        """The agent that plays it."""
        return self.name.partition(".")[0]

    @property
    def description(self) -> str:
        """The first line of the function's documentation."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    @property
    def package(self) -> str:
        """The agent's package, where the skill's queries and narratives are."""
        return self.function.__module__.rpartition(".")[0]

    @cached_property
    def version(self) -> str:
        """Digest of everything of the agent that can change an output: code, queries, narratives."""
        digest = hashlib.sha256()
        for path, content in _sources(files(self.package), ""):
            digest.update(f"{path} {len(content)}\n".encode())
            digest.update(content)
        return "sha256:" + digest.hexdigest()

    def input_schema(self) -> Mapping[str, Any]:
        """JSON Schema of the input."""
        return self.input.model_json_schema()

    def output_schema(self) -> Mapping[str, Any]:
        """JSON Schema of the output."""
        return self.output.model_json_schema(mode="serialization")


def skill(
    name: str,
    *,
    input: type[I],
    output: type[O],
    needs: Sequence[str],
    roles: Sequence[str],
    classes: Sequence[str] = (),
) -> Callable[[Callable[[I, SkillContext], O]], Skill[I, O]]:
    """Make a skill of a function.

    Args:
        name: Full name; `sigma.finance.reconcile` lives in the module `batuta_agents.sigma.finance_reconcile`.
        input: Model of its options.
        output: Model of what it gives.
        needs: Relations its queries read (`live_orders`).
        roles: Roles a caller must all have.
        classes: What it finds, where it is a classifier (`context.classify`); its precision is followed.
    """

    def wrap(function: Callable[[I, SkillContext], O]) -> Skill[I, O]:
        return Skill(name, input, output, tuple(needs), tuple(roles), function, tuple(classes))

    return wrap


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found += _sources(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_SOURCE_SUFFIXES):
            found.append((prefix + entry.name, entry.read_bytes()))
    return found
