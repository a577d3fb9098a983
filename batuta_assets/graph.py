"""The bridge.

Definitions from the compiled graph, the dbt manifest and the catalog of skills. Reads nothing itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import dagster as dg

from batuta.contracts.contract import Contracts
from batuta.errors import BatutaError
from batuta.events.types import datasets
from batuta.manifests.catalog import SkillInfo
from batuta.manifests.graph import CompiledAsset, CompiledGraph
from batuta.quality.contract import DataContract
from batuta.settings import get_settings
from batuta_assets.backfill import backfill_jobs
from batuta_assets.compat import fires_at
from batuta_assets.connector_checks import connector_checks
from batuta_assets.dbt import dbt_assets
from batuta_assets.dbt_manifest import DbtManifest
from batuta_assets.gates import structural_problem
from batuta_assets.ingest import ingest_asset
from batuta_assets.partitions import products
from batuta_assets.pipelines import due_schedules, hourly_refresh, pipeline_job, refresh_job
from batuta_assets.platform import (
    hourly_platform_refresh,
    measure_job,
    platform_assets,
    platform_digest,
    platform_sensor,
    refresh_platform_job,
)
from batuta_assets.predictions import prediction_asset, prediction_job, prediction_sensor
from batuta_assets.privacy import privacy_job, privacy_sensor
from batuta_assets.published import DefinitionOf, definition_of, unchanged
from batuta_assets.quality.checks import quality_job, quality_sensor, suite_checks, watch_checks
from batuta_assets.quality.holding import contract_sources, platform_contracts
from batuta_assets.quality.standing import contract_keys, marts_digest
from batuta_assets.reports import report_asset
from batuta_assets.retention import daily_retention, retention_job
from batuta_assets.runtime import Runtime, connector_to, warehouse_url
from batuta_assets.skills import skill_asset, skills_by_name
from batuta_assets.sources import source_specs
from batuta_assets.vector import vector_asset
from sensors.connector_sensor import connector_sensor
from sensors.ears import Ears
from sensors.factory import due_sensor, trigger_sensor
from sensors.jobs import pipeline_jobs


class UnknownSkill(BatutaError):
    """The bundle names a skill that the installed code does not have."""


@dataclass(frozen=True, slots=True)
class Score:
    """What definitions are made of."""

    graph: CompiledGraph
    manifest: DbtManifest
    skills: tuple[SkillInfo, ...]
    docs_url: str
    contracts: Contracts = field(default_factory=Contracts.load)
    """What may land; the shipped contracts unless an installation's own are given."""
    data_contracts: tuple[DataContract, ...] = ()
    """What marts and exports promise: those that the data are held to."""

    @property
    def models(self) -> str:
        """Digest of all that a refresh of the marts makes and holds to."""
        return marts_digest(self.manifest, self.data_contracts)

    def definition_of(self) -> DefinitionOf:
        """How what makes a report, apart from data, is digested."""
        return definition_of(self.graph, self.manifest.digest, self.skills)


def definitions(score: Score, runtime: Runtime | None = None) -> dg.Definitions:
    """The whole code location."""
    dbt = dbt_assets(score.manifest, score.graph, score.docs_url, score.data_contracts)
    refresh = refresh_job(dbt)
    jobs = [pipeline_job(job) for job in pipeline_jobs(score.graph)]
    privacy, prediction, retention = privacy_job(), prediction_job(), retention_job(score.graph)
    platform = platform_assets(score.manifest, score.graph, score.docs_url, score.data_contracts)
    measuring = measure_job()
    refresh_platform = refresh_platform_job(platform)
    promised = contract_keys(score.data_contracts, score.manifest)
    apart = {contract.name for contract in platform_contracts(score.data_contracts, score.manifest)}
    watching = watch_checks(score.data_contracts, promised, apart)
    quality = [*suite_checks(score.data_contracts, promised), *watching]
    looked_after = quality_job(quality)
    return dg.Definitions(
        assets=[
            *source_specs(score.graph, score.contracts),
            dbt,
            platform,
            prediction_asset(score.manifest),
            *_pipeline_assets(score),
        ],
        asset_checks=[*connector_checks(score.graph), *quality],
        jobs=[
            refresh,
            *jobs,
            *backfill_jobs(score.graph),
            privacy,
            prediction,
            retention,
            measuring,
            refresh_platform,
            looked_after,
        ],
        schedules=[
            *due_schedules(score.graph, refresh),
            hourly_refresh(refresh, score.models),
            hourly_platform_refresh(refresh_platform, platform_digest(score.manifest, score.data_contracts)),
            daily_retention(retention),
        ],
        sensors=[
            *_sensors(score, refresh, jobs),
            prediction_sensor(score.graph, refresh, prediction, get_settings),
            privacy_sensor(privacy),
            platform_sensor(score.graph, measuring),
            quality_sensor(
                looked_after,
                *(score.data_contracts, promised),
                platform=apart,
                watched=[key for definition in watching for key in definition.check_keys],
            ),
        ],
        resources={"runtime": runtime or Runtime()},
        executor=dg.in_process_executor,
    )


def _pipeline_assets(score: Score) -> Iterator[dg.AssetsDefinition]:
    relations = score.manifest.sources_of_relations("live")
    promised = contract_sources(score.data_contracts, score.manifest)
    skills = skills_by_name(score.skills)
    for asset in score.graph.assets:
        match asset.kind:
            case "ingest":
                yield ingest_asset(asset, score.graph, relations, promised)
            case "vector":
                yield vector_asset(asset, score.graph)
            case "skill":
                yield skill_asset(asset, score.graph, _skill(asset, skills))
            case "report":
                exposure = score.manifest.exposures.get(asset.asset_key[-1])
                page = None if exposure is None else f"{score.docs_url}/#!/exposure/{exposure}"
                yield report_asset(asset, score.graph, score.definition_of(), page)


def _skill(asset: CompiledAsset, skills: Any) -> SkillInfo:
    if asset.use not in skills:
        raise UnknownSkill(
            f"the bundle names the skill {asset.use}, which is not installed", hint="run batuta apply again"
        )
    return skills[asset.use]


def _sensors(score: Score, refresh: Any, jobs: Sequence[Any]) -> Iterator[dg.SensorDefinition]:
    graph = score.graph
    ears = Ears(graph, settings=get_settings, url=warehouse_url)
    for connector in datasets():
        yield connector_sensor(connector, ears, products=products)
    if any(pipeline.events for pipeline in graph.pipelines):
        yield trigger_sensor(
            graph,
            jobs,
            products=products,
            connect=connector_to("writer"),
            gate=structural_problem,
            refresh=refresh,
        )
    if any(pipeline.schedules for pipeline in graph.pipelines):
        yield due_sensor(
            graph,
            refresh,
            jobs,
            products=products,
            fires_at=fires_at,
            connect=connector_to("reader"),
            unchanged=partial(unchanged, definition=score.definition_of()),
        )
