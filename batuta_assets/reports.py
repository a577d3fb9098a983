"""Reports as assets: the page of a product's day, published and delivered; the last step of a pipeline.

When it has succeeded, the pipeline's cursor moves to the run's batch: what came up to there is reported on.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg

from batuta.landing.cursors import move_cursor
from batuta.manifests.graph import CompiledAsset, CompiledGraph, CompiledProduct
from batuta.settings import Settings
from batuta_assets import compat
from batuta_assets.ingest import cursor_name, pipeline_cursor
from batuta_assets.order import step_tags
from batuta_assets.partitions import product_days
from batuta_assets.published import DefinitionOf, Published, record_published
from batuta_assets.runtime import Runtime
from batuta_assets.scope import Scope, fix_batch, scope_of
from sensors.jobs import shortened

DELIVERED = "delivered"


def report_asset(
    asset: CompiledAsset, graph: CompiledGraph, definition: DefinitionOf, exposure: str | None
) -> dg.AssetsDefinition:
    """The report of a family of pipelines (`daily_review`); `exposure` is its page in the data documentation.

    A backfill writes pages of days that are over: it mails nobody, and the pipeline's position stays where it is.
    """
    key = dg.AssetKey(asset.asset_key)

    @dg.asset(
        key=key,
        deps=[dg.AssetKey(dep) for dep in asset.deps],
        description=f"The report of {shortened(asset.pipelines)}: one page per product and day.",
        group_name="reports",
        owners=["team:sigma", "team:vox"],
        kinds={"python", "html"},
        partitions_def=product_days,
        op_tags=step_tags(asset, graph),
        metadata={
            "dagster/table_name": "batuta.reports",
            "pipelines": shortened(asset.pipelines),
            **({} if exposure is None else {"dbt_docs": dg.MetadataValue.url(exposure)}),
        },
        check_specs=[
            dg.AssetCheckSpec(
                DELIVERED, asset=key, description="The report has gone out to all who are to get it."
            )
        ],
    )
    def report(context: dg.AssetExecutionContext, runtime: Runtime) -> Iterator[Any]:
        from batuta.reports.publish import publish_daily_review

        scope = scope_of(context, graph)
        settings = runtime.settings()
        batch = fix_batch(context, runtime)
        again = compat.BACKFILL_ID_TAG in context.run.tags
        with runtime.connect("writer") as conn:
            published = publish_daily_review(
                conn,
                settings,
                scope.pipeline.model_copy(update={"outputs": ()}) if again else scope.pipeline,
                scope.product,
                scope.day,
                context.run.run_id,
                batch,
                runtime.now,
            )
            events = 0 if again else _advance(conn, scope, batch)
            if not again and published.delivery_state != "failed":
                digest = definition(scope.pipeline.name, scope.product.name)
                record_published(
                    conn, scope.pipeline.name, scope.product.name, Published(scope.day, batch, digest)
                )
                conn.commit()
        notes = put_into_vaults(scope.product, scope.pipeline.family, scope.day, published.note)
        yield dg.MaterializeResult(
            metadata={
                "report": dg.MetadataValue.path(str(published.path)),
                "open": dg.MetadataValue.url(published.path.as_uri()),
                "title": published.title,
                "health": published.health,
                "facts": published.fact_count,
                "delivery": published.delivery_state,
                "events_taken": events,
                "batch_to": batch,
                "vaults": "; ".join(notes) or "none",
                "preview": dg.MetadataValue.md(_preview(scope, settings)),
            },
            data_version=dg.DataVersion(published.digest),
        )
        yield dg.AssetCheckResult(
            check_name=DELIVERED,
            passed=published.delivery_state != "failed",
            severity=dg.AssetCheckSeverity.WARN,
            description=published.error or f"delivery: {published.delivery_state}",
        )

    return report


def put_into_vaults(product: CompiledProduct, family: str, day: date, note: str) -> list[str]:
    """Write a review into the product's Obsidian vaults that want it; where each went, or why it did not."""
    from sensors.connectors import obsidian
    from sensors.connectors.obsidian.export import VaultUnwritable, write_note

    said: list[str] = []
    for binding in product.connectors:
        if binding.type != obsidian.NAME:
            continue
        settings = obsidian.Settings.model_validate(binding.settings)
        if not settings.reports_folder:
            continue
        properties = {"product": product.name, "report": family, "day": day.isoformat()}
        name = f"{product.name} {family} {day.isoformat()}"
        try:
            vault = Path(settings.path).expanduser()
            said.append(str(write_note(vault, settings.reports_folder, name, note, properties)))
        except VaultUnwritable as error:
            said.append(f"not written: {error.message}; {error.hint}")
    return said


def _advance(conn: psycopg.Connection[Any], scope: Scope, batch: int) -> int:
    """Move the pipeline's cursor to the run's batch, never back; how many events lie between."""
    product = scope.product.name
    before = pipeline_cursor(conn, scope.pipeline.name, product)
    row = conn.execute(
        "select count(*) from batuta.events where product = %s and batch > %s and batch <= %s",
        (product, before, batch),
    ).fetchone()
    move_cursor(conn, cursor_name(scope.pipeline.name), max(before, batch), product)
    conn.commit()
    return int(row[0]) if row else 0


def _preview(scope: Scope, settings: Settings) -> str:
    recipients = sum(len(output.to) for output in scope.pipeline.outputs)
    way = "by SMTP" if settings.smtp_url else f"into `{settings.outbox_dir}`"
    steps = "\n".join(f"- `{step.use}`" for step in scope.pipeline.steps if not step.implicit)
    mail = f"Mail to {recipients} recipients, {way}."
    return f"**{scope.pipeline.name}**, {scope.product.name}, {scope.day}\n\n{mail}\n\n{steps}"
