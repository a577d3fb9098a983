"""Publishes the daily review of a product: the page is kept every time, the mail goes out once a day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from batuta.manifests.graph import CompiledPipeline, CompiledProduct
from batuta.reports.delivery import Delivered, DeliveryState, Errand, deliver
from batuta.reports.gather import gather
from batuta.reports.mail import write_letter
from batuta.reports.model import ProductInfo
from batuta.reports.page import build_report
from batuta.reports.store import store_report
from batuta.reports.told import markdown
from batuta.settings import Settings

if TYPE_CHECKING:
    import psycopg

Publication: TypeAlias = Literal["none"] | DeliveryState


@dataclass(frozen=True, slots=True)
class PublishedReport:
    """A report that is kept, and how its mails stand.

    `delivery_state` is `none` where nobody is to get it, and the least settled state where there are several mails;
    `delivered_now` says whether this call sent or wrote any.
    """

    id: str
    path: Path
    digest: str
    delivery_state: Publication
    delivered_now: bool
    error: str | None
    title: str
    note: str
    """The review as Markdown, for who keeps notes."""
    health: Literal["good", "attention"]
    fact_count: int


def publish_daily_review(
    conn: psycopg.Connection[Any],
    settings: Settings,
    pipeline: CompiledPipeline,
    product: CompiledProduct,
    business_date: date,
    dagster_run_id: str | None,
    batch_to: int | None,
    clock: Callable[[], datetime],
) -> PublishedReport:
    """Build, keep and deliver the review of one product and day.

    Args:
        conn: An idle connection of the writer role, not in a transaction; work is committed step by step.
        settings: Folders, mail server, sender.
        pipeline: The pipeline whose report it is; its outputs say who gets it.
        product: The product and how its numbers are written.
        business_date: Last day looked at, in the product's zone.
        dagster_run_id: The run; its analyses are taken where it made them.
        batch_to: The batch the run was fixed to.
        clock: Aware UTC time.

    Raises:
        KpisNotBuilt: the KPI models have never been built.
        ReportNotWritten: the reports folder cannot be written.
    """
    info = ProductInfo(product.name, product.locale, product.currency, product.timezone, product.kpis)
    inputs = gather(
        conn,
        info,
        pipeline.name,
        pipeline.family,
        business_date,
        dagster_run_id=dagster_run_id,
        batch_to=batch_to,
    )
    review = build_report(inputs, settings.docs_address)
    report_id, path, digest = store_report(
        conn,
        settings.reports_dir,
        review.html,
        pipeline=pipeline.name,
        product=product.name,
        business_date=business_date,
        family=pipeline.family,
        dagster_run_id=dagster_run_id,
        batch_to=inputs.freshness.batch,
        at=clock(),
    )
    delivered: list[Delivered] = []
    for output in pipeline.outputs:
        if output.channel == "email" and output.to:
            recipients = tuple(str(address) for address in output.to)
            errand = Errand(pipeline.name, product.name, business_date, "email", recipients, report_id)
            delivered.append(deliver(conn, settings, errand, lambda: write_letter(inputs, review), clock))
    worst = min(delivered, key=lambda each: _ORDER.index(each.state), default=None)
    return PublishedReport(
        id=report_id,
        path=path,
        digest=digest,
        delivery_state=worst.state if worst else "none",
        delivered_now=any(each.now for each in delivered),
        error=next((each.error for each in delivered if each.error), None),
        title=review.title,
        note=markdown(inputs, review),
        health=review.health,
        fact_count=len(review.facts),
    )


_ORDER: tuple[DeliveryState, ...] = ("failed", "sending", "written", "sent")
