"""A set-up window is open for its account and its time, and for nothing else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from batuta.errors import BatutaError
from batuta.setup_windows import FILE, close_window, open_window, window_open

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
UNTIL = NOW + timedelta(minutes=10)


def test_a_window_is_open_for_its_account_until_its_end(tmp_path: Path) -> None:
    open_window(tmp_path, "arcsat", "notion", None, now=NOW, until=UNTIL)

    assert window_open(tmp_path, "arcsat", "notion", None, NOW)
    assert not window_open(tmp_path, "arcsat", "notion", None, UNTIL)
    assert not window_open(tmp_path, "arcsat", "notion", "other", NOW)
    assert not window_open(tmp_path, "lojablock", "notion", None, NOW)


def test_a_window_closes_alone(tmp_path: Path) -> None:
    for account in ("a", "b"):
        open_window(tmp_path, "arcsat", "notion", account, now=NOW, until=UNTIL)
    close_window(tmp_path, "arcsat", "notion", "a")

    assert not window_open(tmp_path, "arcsat", "notion", "a", NOW)
    assert window_open(tmp_path, "arcsat", "notion", "b", NOW)


def test_what_is_over_is_swept_away(tmp_path: Path) -> None:
    open_window(tmp_path, "arcsat", "notion", "old", now=NOW, until=UNTIL)
    open_window(tmp_path, "arcsat", "notion", "new", now=UNTIL, until=UNTIL + timedelta(minutes=1))

    assert "old" not in (tmp_path / FILE).read_text()


@pytest.mark.parametrize(
    "content", ["", "[1]", '{"arcsat/notion/": 5}', '{"arcsat/notion/": "2099-01-01T00:00:00"}', "\udcff"]
)
def test_a_file_that_cannot_be_read_opens_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content, errors="surrogateescape")

    assert not window_open(tmp_path, "arcsat", "notion", None, NOW)


def test_a_home_that_takes_nothing_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BatutaError, match="cannot be written"):
        open_window(tmp_path / "file", "arcsat", "notion", None, now=NOW, until=UNTIL)
