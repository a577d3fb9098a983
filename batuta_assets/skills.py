"""Skills as assets.

One step per skill, run by the skill runtime with the roles the manifests give its agent.
"""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from batuta.manifests.catalog import SkillInfo
from batuta.manifests.graph import CompiledAgent, CompiledAsset, CompiledGraph, CompiledStep
from batuta.telemetry import new_trace_id
from batuta_assets.order import step_tags
from batuta_assets.partitions import product_days
from batuta_assets.runtime import Runtime
from batuta_assets.scope import fix_batch, scope_of


def skill_asset(asset: CompiledAsset, graph: CompiledGraph, skill: SkillInfo) -> dg.AssetsDefinition:
    """The analysis a skill makes of a product and a day."""

    @dg.asset(
        key=dg.AssetKey(asset.asset_key),
        deps=[dg.AssetKey(dep) for dep in asset.deps],
        description=skill.description or f"The skill {skill.name}.",
        group_name="agents",
        owners=[f"team:{skill.agent}"],
        kinds={"agent", "python"},
        partitions_def=product_days,
        op_tags=step_tags(asset, graph),
        metadata={
            "skill": skill.name,
            "reads": ", ".join(skill.needs),
            "roles": ", ".join(skill.roles) or "none",
            "output_schema": dg.MetadataValue.json(dict(skill.output_schema)),
        },
    )
    def analysis(context: dg.AssetExecutionContext, runtime: Runtime) -> dg.MaterializeResult[Any]:
        from batuta_agents.model import SkillRequest
        from batuta_agents.runtime import run_skill

        scope = scope_of(context, graph)
        step = scope.step(context.asset_key)
        batch = fix_batch(context, runtime)
        request = SkillRequest(
            product=scope.product.name,
            roles=roles_of(step, skill, graph.agent(skill.agent)),
            as_of=scope.day,
            caller=f"pipeline:{scope.pipeline.name}",
            pipeline=scope.pipeline.name,
            dagster_run_id=context.run.run_id,
            trace=new_trace_id(),
            locale=scope.product.locale,
            currency=scope.product.currency,
            timezone=scope.product.timezone,
        )
        result = run_skill(skill.name, step.input, request, runtime.connect, runtime.now)
        if result.status != "ok":
            raise dg.Failure(
                description=f"{skill.name} for {scope.product.name}: {result.status}: {result.error}",
                metadata={"skill_run": result.run_id},
                allow_retries=False,
            )
        return dg.MaterializeResult(
            metadata={
                "skill_run": result.run_id,
                "facts": len(result.facts),
                "preview": dg.MetadataValue.md(_preview(result.output or {})),
                "batch_to": batch,
                **result.metrics,
            },
            data_version=dg.DataVersion(result.output_digest) if result.output_digest else None,
        )

    return analysis


def roles_of(step: CompiledStep, skill: SkillInfo, agent: CompiledAgent | None) -> tuple[str, ...]:
    """The roles a step runs with.

    Those the step names, else its agent's; an agent without a manifest has its skill's.
    """
    if agent is None:
        return step.roles or skill.roles
    granted = agent.roles or skill.roles
    return tuple(role for role in step.roles if role in granted) if step.roles else granted


def skills_by_name(skills: tuple[SkillInfo, ...]) -> Mapping[str, SkillInfo]:
    """The implemented skills by full name."""
    return {skill.name: skill for skill in skills}


def _preview(output: Mapping[str, Any]) -> str:
    shown = {name: value for name, value in output.items() if name != "narrative"}
    rows = "\n".join(f"| {name} | {_short(value)} |" for name, value in shown.items())
    return f"| output | value |\n|---|---|\n{rows}"


def _short(value: Any) -> str:
    render: Callable[[Any], str] = lambda v: f"{len(v)} items" if isinstance(v, list | dict) else str(v)
    return render(value).replace("|", "\\|")[:200]
