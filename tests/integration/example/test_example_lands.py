"""What the generator says of its deliveries is what the landing path makes of them."""

from pathlib import Path

import pytest

from batuta.landing.model import LandingCounts
from batuta.warehouse.connection import connect
from examples.arcsat.generate import generate
from tests.support.example import KEYS, land_example

CLEAR_TEXT = ("@example.", "+55", "90000-", "90000")


@pytest.mark.parametrize("seed", [7, 21])
def test_every_delivery_lands_repeats_or_is_quarantined_as_the_manifest_says(
    seed: int, database_url: str, tmp_path: Path
) -> None:
    manifest = generate(tmp_path / "deliveries", KEYS, seed=seed, scale="small")
    expected = {
        f.path: LandingCounts(f.landed, f.duplicate, f.quarantined, f.filtered) for f in manifest.files
    }
    assert land_example(database_url, tmp_path / "home", tmp_path / "deliveries", manifest) == expected


def test_landing_everything_again_adds_nothing(database_url: str, tmp_path: Path) -> None:
    manifest = generate(tmp_path / "deliveries", KEYS, scale="small")
    land_example(database_url, tmp_path / "home", tmp_path / "deliveries", manifest)
    again = land_example(database_url, tmp_path / "home", tmp_path / "deliveries", manifest)
    for file in manifest.files:
        assert again[file.path] == LandingCounts(
            0, file.landed + file.duplicate, file.quarantined, file.filtered
        )
    with connect(database_url, "reader") as connection:
        stored = connection.execute("select count(*) from batuta.events").fetchone()
    assert stored == (sum(file.landed for file in manifest.files),)


def test_no_personal_data_of_the_example_is_in_clear_in_the_event_log(
    database_url: str, tmp_path: Path
) -> None:
    manifest = generate(tmp_path / "deliveries", KEYS, scale="small")
    land_example(database_url, tmp_path / "home", tmp_path / "deliveries", manifest)
    with connect(database_url, "reader") as connection:
        for text in CLEAR_TEXT:
            found = connection.execute(
                "select dataset, type, data::text from batuta.events where strpos(data::text, %s) > 0 limit 1",
                (text,),
            ).fetchone()
            assert found is None
        masked = connection.execute(
            "select count(*) from batuta.events where data ->> 'comment' like '%%[[CPF:%%'"
        ).fetchone()
    assert masked is not None
    assert masked[0] > 0
