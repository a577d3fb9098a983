"""Facts in words: formats by unit and locale, and no number without a fact."""

from datetime import date
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta.facts import (
    Fact,
    FactValue,
    UngroundedText,
    decode_value,
    encode_value,
    events_digest,
    format_value,
    ground,
    parts,
    render,
)

DAY = date(2025, 11, 12)
NBSP = "\N{NO-BREAK SPACE}"


def _facts(**values: tuple[FactValue, str]) -> dict[str, Fact]:
    return {name: Fact(f"run.{name}", name, value, unit, DAY) for name, (value, unit) in values.items()}


@pytest.mark.parametrize(
    ("value", "unit", "style", "portuguese", "english"),
    [
        (Decimal("1234.56"), "money:BRL", None, f"R${NBSP}1.234,56", "R$1,234.56"),
        (Decimal(-3), "money:BRL", "abs", f"R${NBSP}3,00", "R$3.00"),
        (Decimal(3), "money:BRL", "signed", f"+R${NBSP}3,00", "+R$3.00"),
        (Decimal("12.345"), "percent", None, f"12,3{NBSP}%", "12.3%"),
        (Decimal("-12.3"), "percent", "signed", f"-12,3{NBSP}%", "-12.3%"),
        (12345, "count", None, "12.345", "12,345"),
        (Decimal("26.54"), "hours", None, "26,5 h", "26.5 hr"),
        (1, "days", None, f"1{NBSP}dia", f"1{NBSP}day"),
        (Decimal("12.5"), "days", None, f"12,5{NBSP}dias", f"12.5{NBSP}days"),
        (DAY, "date", None, "12/11/2025", "Nov 12, 2025"),
        (Decimal("41.67"), "points", None, "41,67", "41.67"),
        ("açaí 2", "text", None, "açaí 2", "açaí 2"),
        (None, "money:BRL", None, "—", "—"),
    ],
)
def test_a_value_reads_as_people_of_the_locale_write_it(
    value: FactValue, unit: str, style: str | None, portuguese: str, english: str
) -> None:
    assert format_value(value, unit, "pt-BR", style) == portuguese
    assert format_value(value, unit, "en", style) == english


def test_words_are_escaped_and_values_linked() -> None:
    facts = _facts(name=("<b>", "text"), orders=(2, "count"))
    page = render(
        "{{fact:name}} & {{fact:orders}}",
        facts,
        "pt-BR",
        link=lambda fact, text: f"[{fact.id}|{text}]",
        escape=lambda text: text.replace("&", "&amp;").replace("<", "&lt;"),
    )
    assert page == "[run.name|&lt;b>] &amp; [run.orders|2]"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("vendemos 12 pedidos", "not a recorded fact"),
        ("vendemos ١٢ pedidos", "not a recorded fact"),
        ("{{fact:missing}}", "not recorded: missing"),
        ("{{ fact:orders }}", "malformed slot"),
        ("{{fact:orders|round}}", "malformed slot"),
        ("{{fact:orders}", "malformed slot"),
    ],
)
def test_a_text_without_facts_behind_it_is_refused(text: str, problem: str) -> None:
    facts = _facts(orders=(2, "count"))
    with pytest.raises(UngroundedText, match=problem):
        ground(text, facts)
    with pytest.raises(UngroundedText):
        parts(text, facts, "pt-BR")


@given(
    st.one_of(
        st.tuples(st.decimals(allow_nan=False, allow_infinity=False, places=4), st.just("money:BRL")),
        st.tuples(st.integers(), st.just("count")),
        st.tuples(st.dates(), st.just("date")),
        st.tuples(st.text(), st.just("text")),
        st.tuples(st.none(), st.sampled_from(["count", "date", "percent"])),
    )
)
def test_a_value_survives_its_json_form(recorded: tuple[FactValue, str]) -> None:
    value, unit = recorded
    assert decode_value(encode_value(value), unit) == value


@given(st.lists(st.tuples(st.text("ab /"), st.text("ab1"))), st.randoms())
def test_a_set_of_events_has_one_digest_however_it_is_listed(
    refs: list[tuple[str, str]], random: Random
) -> None:
    shuffled = list(refs)
    random.shuffle(shuffled)
    assert events_digest(shuffled) == events_digest(refs)
