"""The CDNOW sample (Hardie): real purchases, with figures others published. Not shipped; without it tests skip."""

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

TRAINING_END = date(1997, 9, 30)


@dataclass(frozen=True, slots=True)
class Purchase:
    number: int
    customer: int
    day: str
    pieces: int
    dollars: str

    @property
    def at(self) -> str:
        return f"{self.day}T12:00:00-05:00"


def read_purchases() -> list[Purchase]:
    """Every purchase of the sample, days in ISO form; skips the test where the sample is not there."""
    project = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("BATUTA_SHARED_DATA", project.parent / "shared" / "data"))
    path = folder / "cdnow" / "CDNOW_sample.txt"
    if not path.is_file():
        pytest.skip(
            f"the CDNOW sample is not at {path}; set BATUTA_SHARED_DATA to the folder that has cdnow/"
        )
    rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    return [
        Purchase(number, int(customer), date.fromisoformat(day).isoformat(), int(pieces), dollars)
        for number, (_, customer, day, pieces, dollars) in enumerate(rows, start=1)
    ]
