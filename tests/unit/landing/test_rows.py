"""Columns of a chunk are what PostgreSQL's own forms say, and no value can shift its neighbours."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import Transformer
from psycopg.pq import Format

from batuta.landing.rows import NULL, SEPARATOR, Lane, Packed, Row, columns, microseconds

LANE = Lane("arcsat", "com.example.made", "trial", "things", "batuta:contract:trial/1", b"d" * 16)
MOMENT = datetime(2025, 11, 12, 9, 30, 0, 123456, tzinfo=UTC)


def row(**values: object) -> Row:
    plain = Row(
        b"k" * 16, None, b"b" * 16, microseconds(MOMENT), microseconds(MOMENT), LANE, 0, "1", "trial", None, None,
        None, b"{}",
    )  # fmt: skip
    return plain._replace(**values)


def read(column: object) -> object:
    """What the database would read of a binary column."""
    assert isinstance(column, Packed)
    return Transformer().get_loader(column.oid, Format.BINARY).load(column.content)


def texts(column: object) -> list[str | None]:
    assert isinstance(column, Packed)
    return [None if text == NULL else text for text in column.content.decode().split(SEPARATOR)]


DIGEST = st.binary(min_size=16, max_size=16)
MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(st.lists(st.tuples(DIGEST, st.none() | DIGEST, MOMENTS, st.integers(0, 2**31 - 1)), min_size=1))
def test_arrays_read_back_as_they_were_packed(
    values: list[tuple[bytes, bytes | None, datetime, int]],
) -> None:
    packed = columns(
        [
            row(key=key, entity_version=version, time=microseconds(moment), dropped=dropped)
            for key, version, moment, dropped in values
        ]
    )
    assert read(packed["keys"]) == [key for key, *_ in values]
    assert read(packed["versions"]) == [version for _, version, *_ in values]
    assert read(packed["times"]) == [moment for *_, moment, _ in values]
    assert read(packed["dropped"]) == [dropped for *_, dropped in values]


@given(st.lists(st.tuples(st.text(min_size=1), st.none() | st.text(min_size=1)), min_size=1))
def test_no_text_shifts_its_neighbours(values: list[tuple[str, str | None]]) -> None:
    packed = columns([row(event_id=id, subject=subject) for id, subject in values])
    clean = [id.replace(SEPARATOR, "\ufffd") for id, _ in values]
    assert texts(packed["ids"]) == [None if text == NULL else text for text in clean]
    if any(subject is not None for _, subject in values):
        assert len(texts(packed["subjects"])) == len(values)
    else:
        assert packed["subjects"] is None


def test_every_row_names_its_lane() -> None:
    other = LANE._replace(dataset="others")
    packed = columns([row(), row(lane=other), row(), row(lane=other)])
    assert read(packed["lanes"]) == [1, 2, 1, 2]
    assert packed["datasets"] == ["things", "others"]


@given(st.lists(MOMENTS, min_size=2))
def test_microseconds_keep_every_digit_and_order(moments: list[datetime]) -> None:
    ordered = sorted(moments)
    for earlier, later in pairwise(ordered):
        assert microseconds(later) - microseconds(earlier) == (later - earlier) // timedelta(microseconds=1)
    assert microseconds(MOMENT.astimezone(timezone(timedelta(hours=-3)))) == microseconds(MOMENT)
