"""A number and what it counts, in a sentence."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 account`, `2 accounts`: for nouns that take an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
