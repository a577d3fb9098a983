"""A number and what it counts."""

from batuta.counting import counted


def test_one_is_not_several() -> None:
    assert counted(1, "call") == "1 call"
    assert [counted(n, "call") for n in (0, 2, 1200)] == ["0 calls", "2 calls", "1,200 calls"]
