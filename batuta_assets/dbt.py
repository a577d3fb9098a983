"""dbt's models as assets and its tests as checks, built by one step.

Made of the manifest alone: the `dagster-dbt` package would do it too, but importing it takes longer than
importing Dagster, in every run and in the code server. Models are `[layer, name]`; sources keep the key of
their connector.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import dagster as dg
import psycopg
from psycopg import sql

from batuta.landing.reader import last_batch
from batuta.manifests.graph import CompiledGraph
from batuta.quality.contract import DataContract
from batuta_assets.column_lineage import ModelLineage, read_lineage
from batuta_assets.compat import fires_at
from batuta_assets.dbt_manifest import DataTest, DbtManifest, Model
from batuta_assets.dbt_refresh import models_in, refresh
from batuta_assets.dbt_run import NodeResult, build
from batuta_assets.gates import (
    REFRESHED,
    hold_models,
    models_of,
    raise_horizons,
    record_refresh,
    record_structure,
    refreshed_batch,
)
from batuta_assets.locations import locations
from batuta_assets.published import data_versions
from batuta_assets.quality.holding import hold, product_contracts
from batuta_assets.quality.standing import (
    CONTRACT,
    check_of,
    contract_keys,
    contract_result,
    contract_spec,
    due_contracts,
    marts_digest,
)
from batuta_assets.runtime import Runtime
from batuta_assets.sources import freshness
from sensors import run_tags
from sensors.due import DueRun, clocks, due_runs, horizons

DEFAULT_OWNERS: Final = ("team:sigma",)
LAYERS: Final[Mapping[str, str]] = {
    "staging": "Typed columns over the event log, one view per source.",
    "intermediate": "The latest state of each entity, by version.",
    "marts": "KPIs and facts under contract, as of the last refresh.",
    "live": "The same as of the last committed event.",
}
FRESH_WITHIN: Final = timedelta(hours=25)
"""Tables of a company with a daily clock are refreshed by then, with an hour for the refresh itself."""
COUNTED_BYTES: Final = 8 * 1024 * 1024
"""Tables up to this size are counted; a count reads all of a table."""
SHOWN_PRODUCTS: Final = 50


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows a table has."""

    rows: int
    exact: bool


def dbt_assets(
    manifest: DbtManifest, graph: CompiledGraph, docs_url: str, contracts: Sequence[DataContract] = ()
) -> dg.AssetsDefinition:
    """Every model, test and contract of the project that is not about the platform, as one step that can be subset."""
    models = models_in(manifest, "marts")
    keys = {unique_id: dg.AssetKey(model.key) for unique_id, model in models.items()}
    own = product_contracts(contracts, manifest)
    told = [test for test in manifest.tests.values() if test.model in models]
    checks = {dg.AssetCheckKey(keys[t.model], check_name(t)): t for t in told}
    promised = contract_keys(own, manifest)
    digest = marts_digest(manifest, contracts)
    fresh = table_freshness(graph)

    @dg.multi_asset(
        name="dbt_build",
        specs=[model_spec(model, manifest, docs_url, fresh) for model in models.values()],
        check_specs=[
            *(check_spec(test, keys) for test in told),
            *(
                contract_spec(contract, promised[contract.name])
                for contract in own
                if contract.name in promised
            ),
        ],
        can_subset=True,
    )
    def dbt_build(context: dg.AssetExecutionContext, runtime: Runtime) -> Iterator[Any]:
        wanted = {m for m, key in keys.items() if key in context.selected_asset_keys}
        tests = {t.unique_id: t for key, t in checks.items() if key in context.selected_asset_check_keys}
        everything = wanted == set(keys)
        due_at = context.run.tags.get(run_tags.DUE_AT)
        due = due_runs(graph, datetime.fromisoformat(due_at), fires_at) if due_at else ()
        with runtime.connect("writer") as lock:
            hold_models(lock)
            raise_horizons(lock, horizons(due))
            batch = last_batch(lock)
            changed = data_versions(lock, refreshed_batch(lock), batch)
            anew = everything and models_of(lock, REFRESHED) not in {None, manifest.digest}
            lock.commit()
            found, url = locations(runtime.settings()), runtime.database_url()
            results = (
                refresh(lock, found, url, manifest, "marts", anew=anew, log=context.log.info)
                if everything
                else build(found, url, select=_selection(manifest, wanted, tests), log=context.log.info)
            )
            failed = sorted(manifest.node_name(r.unique_id) for r in results if not r.ok)
            stale = {keys[r.unique_id] for r in results if not r.ok and r.unique_id in keys}
            asked = due_contracts(
                own,
                promised,
                context.selected_asset_keys - stale,
                context.selected_asset_check_keys,
                everything=everything,
            )
            try:
                outcomes = hold(
                    runtime.connect,
                    asked,
                    batch=batch,
                    now=runtime.now(),
                    run_id=context.run.run_id,
                    manifest=manifest,
                    in_force=contracts if everything else None,
                )
            except psycopg.Error as error:
                outcomes = []
                failed.append(f"the check of data contracts ({' '.join(str(error).split())})")
            if everything or failed:
                record_structure(lock, failed, context.run.run_id)
            if everything and not failed:
                record_refresh(lock, batch, digest, manifest.digest)
            lock.commit()
        built = [r for r in results if r.ok and r.unique_id in wanted]
        yield from materialized(runtime, manifest, built, batch, changed)
        seen = {result.unique_id: result for result in results}
        for test in (t for u, t in tests.items() if u in seen):
            yield check_result(test, keys[test.model], seen[test.unique_id])
        for outcome in outcomes:
            if (key := promised.get(outcome.contract.name)) is not None:
                check = check_of(outcome.contract, key, CONTRACT)
                if check in context.selected_asset_check_keys:
                    yield contract_result(outcome, check)
        missing = sorted(manifest.node_name(u) for u in wanted | set(tests) if u not in seen)
        if failed or missing:
            raise dg.Failure(description=failure_text(failed, missing, due, due_at), allow_retries=False)

    return dbt_build


def made_by(step: dg.AssetsDefinition) -> dg.AssetSelection:
    """What a step makes and checks itself; the slow checks of others on its assets have jobs of their own."""
    return dg.AssetSelection.assets(*step.keys).without_checks() | dg.AssetSelection.checks(*step.check_keys)


def table_freshness(graph: CompiledGraph) -> dg.FreshnessPolicy | None:
    """How old a table may be: a day and an hour, where some pipeline's clock has all refreshed every day.

    Without such a clock tables are refreshed when something lands, and are as fresh as the log whatever their age.
    """
    daily = any(clock.cron.split()[2:] == ["*", "*", "*"] for clock in clocks(graph))
    return freshness(FRESH_WITHIN) if daily else None


def materialized(
    runtime: Runtime,
    manifest: DbtManifest,
    built: Sequence[NodeResult],
    batch: int,
    changed: Mapping[str, int],
) -> Iterator[dg.MaterializeResult[Any]]:
    """What Dagster is told of the models that were built: rows, lineage, and the products whose data changed."""
    with runtime.connect("reader") as reader:
        counts = row_counts(reader, [manifest.models[r.unique_id] for r in built])
    lineage = read_lineage(manifest.path)
    for result in built:
        model = manifest.models[result.unique_id]
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey(model.key),
            data_version=dg.DataVersion(f"{model.digest}-{batch}"),
            metadata={
                **model_metadata(result, batch, changed),
                **table_metadata(counts.get(model.relation), lineage.get(model.unique_id), manifest),
            },
        )


def model_spec(
    model: Model, manifest: DbtManifest, docs_url: str, fresh: dg.FreshnessPolicy | None = None
) -> dg.AssetSpec:
    """The asset of a model, with its lineage to the connectors' source assets; `fresh` is for tables."""
    deps = [key for unique_id in model.depends_on if (key := manifest.asset_key(unique_id)) is not None]
    columns = [
        dg.TableColumn(name=c.name, type=c.type or "unknown", description=c.description or None)
        for c in model.columns
    ]
    return dg.AssetSpec(
        key=dg.AssetKey(model.key),
        deps=[dg.AssetKey(key) for key in dict.fromkeys(deps)],
        description=model.description or f"{LAYERS.get(model.layer, model.layer)} ({model.path})",
        group_name=model.layer,
        owners=list(model.owners or DEFAULT_OWNERS),
        kinds={"dbt", "postgres", "view" if model.materialized == "view" else "table"},
        code_version=model.digest,
        freshness_policy=None if model.materialized == "view" else fresh,
        metadata={
            "dagster/table_name": model.relation,
            "dbt_docs": dg.MetadataValue.url(f"{docs_url}/#!/model/{model.unique_id}"),
            "dbt_model": model.path,
            **({"dagster/column_schema": dg.TableSchema(columns=columns)} if columns else {}),
        },
    )


def check_name(test: DataTest) -> str:
    """The test's name in the letters that Dagster takes."""
    return re.sub(r"[^A-Za-z0-9_]", "_", test.name)


def check_spec(test: DataTest, keys: Mapping[str, dg.AssetKey]) -> dg.AssetCheckSpec:
    """The check of a test; structural ones (severity error) block."""
    return dg.AssetCheckSpec(
        name=check_name(test),
        asset=keys[test.model],
        description=test.description or f"dbt test {test.name}",
        additional_deps=[keys[other] for other in test.others],
        blocking=test.severity == "error",
        metadata={"dbt_test": test.unique_id, "severity": test.severity},
    )


def check_result(test: DataTest, key: dg.AssetKey, result: NodeResult) -> dg.AssetCheckResult:
    """What a test found; a test that did not get to run has not passed."""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=check_name(test),
        passed=result.status == "pass",
        severity=dg.AssetCheckSeverity.WARN if test.severity == "warn" else dg.AssetCheckSeverity.ERROR,
        description=result.message or None,
        metadata={"failures": result.failures, "status": result.status, "seconds": result.seconds},
    )


def failure_text(
    failed: Sequence[str], missing: Sequence[str], due: Sequence[DueRun], due_at: str | None
) -> str:
    """Say what failed, and what is not launched because of it."""
    said = [f"dbt failed on {', '.join(failed)}."] if failed else []
    if missing:
        said.append(f"No result for {', '.join(missing)}.")
    if due:
        said.append(f"Not launched, though due at {due_at}:")
        said.extend(f"  {run.pipeline} for {run.product}" for run in due)
    return "\n".join(said)


def row_counts(conn: psycopg.Connection[Any], models: Sequence[Model]) -> dict[str, RowCount]:
    """Rows of the tables among these models, by relation: small ones are counted, large ones known by statistics."""
    tables = [model.relation for model in models if model.materialized != "view"]
    sized = conn.execute(
        """
        select c.oid::regclass::text, pg_relation_size(c.oid), greatest(s.n_live_tup, c.reltuples::bigint, 0)
        from unnest(%s::text[]) as wanted (name)
        inner join pg_class as c on c.oid = to_regclass(wanted.name)
        left join pg_stat_user_tables as s on s.relid = c.oid
        """,
        (tables,),
    ).fetchall()
    found = {name: RowCount(rows, exact=False) for name, size, rows in sized if size > COUNTED_BYTES}
    for name in (name for name, size, _ in sized if size <= COUNTED_BYTES):
        row = conn.execute(sql.SQL("select count(*) from {}").format(_relation(name))).fetchone()
        found[name] = RowCount(int(row[0]) if row else 0, exact=True)
    conn.commit()
    return found


def table_metadata(
    rows: RowCount | None, lineage: ModelLineage | None, manifest: DbtManifest
) -> dict[str, Any]:
    """What Dagster shows of a table: its rows, and what each of its columns is made of."""
    found: dict[str, Any] = {}
    if rows is not None:
        found = {"dagster/row_count": rows.rows, "row_count_is": "exact" if rows.exact else "estimated"}
    if lineage:
        found["dagster/column_lineage"] = dg.TableColumnLineage(
            {
                column: [
                    dg.TableColumnDep(asset_key=dg.AssetKey(key), column_name=name)
                    for unique_id, name in origins
                    if (key := manifest.asset_key(unique_id)) is not None
                ]
                for column, origins in lineage.items()
            }
        )
    return found


def _relation(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))


def model_metadata(
    result: NodeResult, batch: int, changed: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """What a materialization says of the build of a model, and of the products whose data changed since the last."""
    rows = {} if result.rows is None else {"rows_written": result.rows}
    said: dict[str, Any] = {"batch_to": batch, "seconds": result.seconds, **rows}
    if changed is not None:
        first = dict(sorted(changed.items())[:SHOWN_PRODUCTS])
        said |= {"products_changed": len(changed), "data_versions": dg.MetadataValue.json(first)}
    return said


def _selection(manifest: DbtManifest, models: set[str], tests: Mapping[str, DataTest]) -> list[str]:
    names = [manifest.models[unique_id].name for unique_id in sorted(models)]
    return names + sorted(test.name for test in tests.values() if test.model not in models)
