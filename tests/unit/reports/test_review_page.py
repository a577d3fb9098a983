"""The page: every number linked to its fact, formatted for its readers, safe, the same each time."""

import re
from dataclasses import replace
from decimal import Decimal
from xml.etree import ElementTree as ET

import html5lib
import pytest

from batuta.reports.figures import review_charts
from batuta.reports.model import Freshness, ReviewInputs
from batuta.reports.page import build_report
from tests.support.review import DAY, PRODUCT, reconcile, review_inputs, series

NBSP = "\N{NO-BREAK SPACE}"


SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def page_html() -> str:
    return build_report(review_inputs()).html


def parsed(html: str) -> ET.Element:
    """The page, strictly: not one parse error."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return parser.parse(html)


def text_of(html: str) -> str:
    return " ".join("".join(parsed(html).itertext()).split())


def test_the_page_is_valid_html_without_a_single_parse_error() -> None:
    for locale in ("pt-BR", "en-US"):
        parsed(build_report(review_inputs(product=replace(PRODUCT, locale=locale))).html)


def test_ids_are_unique_and_every_link_within_the_page_leads_somewhere(page_html: str) -> None:
    page = parsed(page_html)
    ids = [element.get("id") for element in page.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    targets = {link.get("href", "").removeprefix("#") for link in page.iter("a")}
    assert targets <= set(ids)


def test_every_number_in_cards_and_tables_is_linked_to_its_fact(page_html: str) -> None:
    page = parsed(page_html)
    for section in page.iter("section"):
        if section.get("id") in {"facts", "summary"}:
            continue
        for cell in section.iter("td"):
            if "num" in (cell.get("class") or ""):
                assert cell.find(".//a[@class='fact']") is not None or "".join(cell.itertext()) == "·"
        for value in section.iterfind(".//p[@class='value']"):
            assert value.find("a") is not None


def test_money_and_shares_are_written_as_in_brazil(page_html: str) -> None:
    assert f"R${NBSP}1.234,56" in page_html
    assert f"R${NBSP}1.234.567,89" in page_html
    assert f"+37,2{NBSP}%" in page_html
    assert "+0,3 p.p." in page_html
    assert "23.815" in page_html
    assert "12/11/2025, 23:54" in page_html
    assert "quarta-feira, 12 de novembro de 2025" in page_html


def test_the_same_page_in_english() -> None:
    html = build_report(review_inputs(product=replace(PRODUCT, locale="en-US"))).html
    assert "Daily review" in html
    assert "R$1,234.56" in html
    assert "Wednesday, November 12, 2025" in html


def test_the_same_inputs_give_the_same_bytes(page_html: str) -> None:
    assert build_report(review_inputs()).html == page_html


def test_the_page_needs_nothing_from_elsewhere(page_html: str) -> None:
    assert "<script" not in page_html
    assert not re.search(r'(src|href)="(?!#)', page_html)
    assert "@import" not in page_html
    assert not re.search(r"url\((?!#)", page_html)


def test_what_came_from_outside_is_escaped() -> None:
    hostile = {"sigma.finance.reconcile": reconcile('<script>alert("x")</script>')}
    html = build_report(review_inputs(analyses=hostile)).html
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_the_appendix_tells_where_a_number_comes_from(page_html: str) -> None:
    page = parsed(page_html)
    row = page.find(".//tr[@id='fact-reconcile.value_at_risk']")
    assert row is not None
    told = " ".join("".join(row.itertext()).split())
    for piece in (
        "value_at_risk",
        "1.234,56",
        "live_orders",
        "orders of the window",
        "1 linha",
        "2 eventos",
        "evento-um",
        "lote 9",
        "abababababab",
    ):
        assert piece in told


def test_a_computed_number_links_to_what_it_was_computed_from(page_html: str) -> None:
    page = parsed(page_html)
    row = page.find(".//tr[@id='fact-reconcile.mismatch.1.difference']")
    assert row is not None
    assert {link.get("href") for link in row.iter("a")} == {
        "#fact-reconcile.mismatch.1.expected",
        "#fact-reconcile.mismatch.1.found",
    }


def test_charts_say_in_words_what_they_show(page_html: str) -> None:
    page = parsed(page_html)
    figures = list(page.iter("figure"))
    assert len(figures) == len(review_charts(review_inputs())) == 3
    for figure in figures:
        drawn = figure.find(f"{SVG}svg")
        assert drawn is not None
        assert drawn.get("role") == "img"
        assert (drawn.findtext(f"{SVG}title") or "").strip()
        assert (drawn.findtext(f"{SVG}desc") or "").strip()


def test_a_kpi_that_a_product_is_led_by_has_a_chart_of_its_own() -> None:
    own = series("payback", "number", [str(n) for n in range(9)])
    quiet = series("repeat_rate", "percent", [str(n) for n in range(9)])
    inputs = review_inputs(series=(own, quiet), product=replace(PRODUCT, kpis=("payback",)))

    assert [(chart.name, chart.kpis, chart.title) for chart in review_charts(inputs)] == [
        ("kpi-payback", ("payback",), own.title)
    ]
    page = parsed(build_report(inputs).html)
    assert [figure.get("id") for figure in page.iter("figure")] == ["chart-kpi-payback"]
    assert any((link.get("href") or "").endswith(".chart.kpi-payback") for link in page.iter("a"))


def test_a_kpi_without_value_says_why_and_is_noted() -> None:
    empty = series("LTV", "money:BRL", [None] * 9, reason="no gross margin declared")
    review = build_report(review_inputs(series=(empty,)))
    assert "margem bruta não declarada" in review.html
    assert [notice.plain("pt-BR") for notice in review.notices if notice.anchor == "kpis"] == [
        "Título de LTV sem valor"
    ]


def test_a_day_without_anything_to_note_is_good() -> None:
    review = build_report(review_inputs(analyses={}, held=(), series=review_inputs().series[:2]))
    assert review.health == "good"
    assert "Nada que peça atenção hoje." in review.html
    assert "Esta análise não foi feita nesta execução." in review.html


@pytest.mark.parametrize(("direction", "verdict"), [("up", "worse"), ("down", "better")])
def test_a_fall_is_judged_by_what_is_wanted(direction: str, verdict: str) -> None:
    falling = series("CAC", "money:BRL", ["100.00"] * 8 + ["80.00"], direction=direction)
    html = build_report(review_inputs(product=replace(PRODUCT, kpis=("CAC",)), series=(falling,))).html
    assert f'class="change {verdict}"' in html
    assert f"-20,0{NBSP}%" in html


def test_a_product_without_any_data_gets_a_page_that_says_so() -> None:
    nothing = ReviewInputs(PRODUCT, "p", "daily_review", DAY, (), {}, (), (), Freshness(None, None))
    assert "Ainda não há dados deste produto." in text_of(build_report(nothing).html)


def test_it_says_that_no_model_wrote_the_words(page_html: str) -> None:
    assert "Nenhum modelo de linguagem escreveu esta página" in text_of(page_html)


def test_a_change_from_zero_is_given_in_units() -> None:
    from_zero = series("orders", "money:BRL", ["0"] * 8 + ["80.00"])
    review = build_report(review_inputs(product=replace(PRODUCT, kpis=("orders",)), series=(from_zero,)))
    assert next(fact.value for fact in review.facts if fact.name == "orders.change") == Decimal("80.00")
