"""A review in plain words: its KPIs in rows, its analyses in paragraphs; and all of it as a Markdown note."""

from __future__ import annotations

from collections.abc import Iterator

from batuta.facts import format_fact
from batuta.reports.ledger import plain_words
from batuta.reports.model import CAMPAIGN, KPI_REVIEW, PLAYBOOK, RECONCILE, Review, ReviewInputs
from batuta.reports.page import PageModel
from batuta.reports.words import words_of


def told(inputs: ReviewInputs) -> Iterator[tuple[str, list[str]]]:
    """What each analysis says, under its title; in the order of the page."""
    words, locale = words_of(inputs.product.locale), inputs.product.locale
    for skill, title in (
        (KPI_REVIEW, words["anomalies"]),
        (RECONCILE, words["reconcile"]),
        (PLAYBOOK, words["customers"]),
        (CAMPAIGN, words["campaign"]),
    ):
        analysis = inputs.analyses.get(skill)
        if analysis is None:
            continue
        texts = (
            [anomaly["explanation"]["text"] for anomaly in analysis.output["anomalies"]]
            if skill == KPI_REVIEW
            else list(analysis.narrative)
        )
        none = [words["anomalies_none"]] if skill == KPI_REVIEW else []
        yield title, [plain_words(text, analysis, locale) for text in texts] or none


def kpi_rows(model: PageModel) -> list[tuple[str, str, str]]:
    """Each KPI with its value and how it has moved."""
    locale, words = model.locale, model.words
    rows: list[tuple[str, str, str]] = []
    for series in model.inputs.series:
        value, change = model.own.get(f"{series.kpi}.value"), model.own.get(f"{series.kpi}.change")
        shown = format_fact(value, locale) if value else words["no_value"]
        moved = f"({model.change_text(series)} {words['week_before']})" if change and value else ""
        rows.append((series.title, shown, moved))
    return rows


def markdown(inputs: ReviewInputs, review: Review) -> str:
    """The review as a note, for a vault."""
    words, locale = words_of(inputs.product.locale), inputs.product.locale
    model = PageModel(inputs)
    notices = [f"- {notice.plain(locale)}" for notice in review.notices] or [words["nothing_to_note"]]
    said = [f"# {review.title}", "", *notices, "", f"## {words['kpis']}", "", "| | | |", "|---|---:|---|"]
    said += [f"| {name} | {value} | {moved} |" for name, value, moved in kpi_rows(model)]
    for title, paragraphs in told(inputs):
        said += ["", f"## {title}"]
        for paragraph in paragraphs:
            said += ["", paragraph]
    said += ["", "---", "", model.freshness]
    return "\n".join(said) + "\n"
