"""Ten files, each broken in its own way: every problem is found at once, with its place."""

from pathlib import Path

from batuta.manifests.project import check_path
from tests.support.manifest_catalog import small_catalog

FOLDER = Path(__file__).parents[2] / "fixtures" / "broken_manifests"


def shown(path: Path) -> list[str]:
    return [str(p).removeprefix(f"{FOLDER}/") for p in check_path(path, small_catalog()).problems]


def test_every_problem_of_ten_broken_manifests_is_reported_with_its_place() -> None:
    expected = (FOLDER / "expected.txt").read_text("utf-8").splitlines()

    assert shown(FOLDER) == expected
    assert len({line.split(":")[0] for line in expected}) == 10


def test_a_single_file_is_checked_within_its_project_and_only_its_own_problems_are_shown() -> None:
    expected = (FOLDER / "expected.txt").read_text("utf-8").splitlines()

    found = shown(FOLDER / "pipelines" / "09-unknown-skills.yaml")

    assert found == [line for line in expected if line.startswith("pipelines/09-")]


def test_no_message_repeats_a_secret_written_in_clear() -> None:
    secret = "not-a-real-secret-value"
    assert secret in (FOLDER / "products" / "04-clear-secret.yaml").read_text("utf-8")

    assert not [line for line in shown(FOLDER) if secret in line]
