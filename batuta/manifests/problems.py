"""Problems found in manifests, each with the place where its author can mend it."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

FieldPath = tuple[str | int, ...]
Severity = Literal["error", "warning"]

_SHORT = 5  # letters; in so short a word one slip leaves little in common


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file; line 0 stands for the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """The place as editors and terminals know it."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong, or (a warning) that will not do what it seems to."""

    position: Position
    field: str
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        """The problem on one line."""
        words = [str(self.position)]
        if self.severity == "warning":
            words.append("warning")
        if self.field:
            words.append(self.field)
        return ": ".join([*words, self.message])


def errors_in(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems that are errors."""
    return tuple(problem for problem in problems if problem.severity == "error")


def dotted(path: FieldPath) -> str:
    """A field path as people write it: `spec.steps[2].use`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` was probably meant to be."""
    by_lower = {candidate.lower(): candidate for candidate in sorted(candidates, reverse=True)}
    cutoff = 0.6 if len(word) <= _SHORT else 0.75
    matches = difflib.get_close_matches(word.lower(), sorted(by_lower), n=1, cutoff=cutoff)
    return by_lower[matches[0]] if matches else None


def unknown(what: str, word: str, candidates: Sequence[str] | Iterable[str], remedy: str = "") -> str:
    """A sentence on an unknown name, with a suggestion or else with what to do."""
    names = tuple(candidates)
    meant = closest(word, names)
    if meant is not None:
        return f'no {what} "{word}"; did you mean "{meant}"?'
    if remedy:
        return f'no {what} "{word}"; {remedy}'
    known = ", ".join(sorted(names))
    return f'no {what} "{word}"; known: {known}' if known and len(known) <= 200 else f'no {what} "{word}"'
