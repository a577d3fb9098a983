"""Pipelines compiled: steps to assets with their dependencies, in an order that agrees with the graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry

from batuta.manifests.catalog import Catalog, SkillInfo
from batuta.manifests.graph import (
    AssetKey,
    CompiledAgent,
    CompiledPipeline,
    CompiledSchedule,
    CompiledStep,
    StepKind,
)
from batuta.manifests.load import Document
from batuta.manifests.models import Pipeline, PipelineSpec
from batuta.manifests.problems import FieldPath, Problem, unknown
from batuta.manifests.references import Names

VECTOR_EMBED = "vector.embed"


@dataclass(frozen=True, slots=True)
class World:
    """What a pipeline may refer to."""

    catalog: Catalog
    names: Names
    agents: Mapping[str, CompiledAgent]


@dataclass(slots=True)
class _Draft:
    """A written step while its pipeline is being compiled."""

    use: str
    kind: StepKind
    asset_key: AssetKey
    deps: set[AssetKey]
    input: dict[str, Any] = field(default_factory=dict[str, Any])
    roles: tuple[str, ...] = ()


def compile_pipeline(
    document: Document, manifest: Pipeline, world: World
) -> tuple[CompiledPipeline | None, tuple[Problem, ...]]:
    """A pipeline with its steps resolved; None when a step or the product cannot be."""
    spec, name = manifest.spec, manifest.metadata.name
    problems = _trigger_problems(document, spec, world.catalog)
    products, homeless = _products(document, manifest, world.names)
    problems += homeless
    drafts: dict[int, _Draft] = {}
    for index, step in enumerate(spec.steps):
        draft, wrong = _draft(document, index, spec, world)
        problems += wrong
        first = next((i for i, other in drafts.items() if draft and other.asset_key == draft.asset_key), None)
        if draft is not None and first is not None:
            problems.append(
                document.problem(("spec", "steps", index, "use"), f"{step.use} is also spec.steps[{first}]")
            )
        elif draft is not None:
            drafts[index] = draft
    problems += _add_needs(document, spec, drafts)
    circles = _circle_problems(document, spec, drafts)
    problems += circles or _order_problems(document, drafts)
    family = family_of(name, world.names.products)
    report = any(output.type == "Report" for output in spec.outputs)
    report_deps = tuple(draft.asset_key for draft in drafts.values() if draft.kind != "ingest")
    if report and not report_deps and not problems:
        problems.append(
            document.problem(("spec", "outputs"), "a Report needs a step that has something to report")
        )
    if any(problem.severity == "error" for problem in problems):
        return None, tuple(problems)
    compiled = CompiledPipeline(
        name=name,
        family=family,
        description=spec.description or "",
        products=products,
        schedules=tuple(
            CompiledSchedule(cron=cron)
            for cron in dict.fromkeys(trigger.schedule for trigger in spec.triggers)
            if cron is not None
        ),
        events=tuple(
            event for event in dict.fromkeys(trigger.event for trigger in spec.triggers) if event is not None
        ),
        steps=_steps(list(drafts.values()), world.catalog),
        outputs=spec.outputs,
        report_key=("reports", family) if report else None,
        report_deps=report_deps if report else (),
        slos=spec.slos,
    )
    return compiled, tuple(problems)


def family_of(pipeline: str, products: frozenset[str]) -> str:
    """The pipeline's name without its product: pipelines of one family share their report asset."""
    product = _owner(pipeline, products)
    rest = pipeline.removeprefix(product).strip("-") if product else pipeline
    return (rest or pipeline).replace("-", "_")


def _owner(pipeline: str, products: frozenset[str]) -> str | None:
    owners = [name for name in products if pipeline == name or pipeline.startswith(f"{name}-")]
    return max(owners, key=len, default=None)


def _products(document: Document, manifest: Pipeline, names: Names) -> tuple[tuple[str, ...], list[Problem]]:
    if manifest.spec.products is not None:
        return tuple(sorted(manifest.spec.products)), [
            document.problem(("spec", "products", index), unknown("product", product, names.products))
            for index, product in enumerate(manifest.spec.products)
            if product not in names.products
        ]
    owner = _owner(manifest.metadata.name, names.products)
    if owner is not None:
        return (owner,), []
    known = ", ".join(sorted(names.products)[:10]) or "none yet"
    message = f"no product begins this name (products: {known}); begin it with one, or add spec.products"
    return (), [document.problem(("metadata", "name"), message)]


def _trigger_problems(document: Document, spec: PipelineSpec, catalog: Catalog) -> list[Problem]:
    return [
        document.problem(
            ("spec", "triggers", index, "event"),
            unknown("event type", trigger.event, catalog.event_types, "no connector or contract brings it"),
        )
        for index, trigger in enumerate(spec.triggers)
        if trigger.event is not None and not _event_can_come(trigger.event, catalog.event_types)
    ]


def _event_can_come(wanted: str, types: Sequence[str]) -> bool:
    prefix = wanted[:-1] if wanted.endswith(".*") else None
    for known in types:
        family = known[:-1] if known.endswith(".*") else None
        if wanted == known or (family is not None and wanted.startswith(family)):
            return True
        if prefix is not None and known.startswith(prefix):
            return True
    return False


def _draft(
    document: Document, index: int, spec: PipelineSpec, world: World
) -> tuple[_Draft | None, list[Problem]]:
    step = spec.steps[index]
    use: FieldPath = ("spec", "steps", index, "use")
    built_in, _, rest = step.use.partition(".")
    if built_in in ("ingest", "vector"):
        draft = _ingest(rest, world.catalog) if built_in == "ingest" else _vector(step.use, world.catalog)
        if draft is None:
            known = [f"ingest.{source.replace('/', '.')}" for source in world.catalog.sources()]
            return None, [document.problem(use, unknown("step", step.use, [*known, VECTOR_EMBED]))]
        if step.input:
            return draft, [document.problem(("spec", "steps", index, "with"), f"{step.use} takes no input")]
        return draft, []
    skill = world.catalog.skill(step.use)
    if skill is None:
        return None, [document.problem(use, _no_such_skill(step.use, world))]
    agent = world.agents.get(skill.agent)
    if agent is not None and skill.name not in agent.skills:
        return None, [
            document.problem(
                use, f"the Agent {agent.name} does not list this skill; add it to its spec.skills"
            )
        ]
    problems = _input_problems(document, index, step.input, skill)
    problems += [
        document.problem(use, f'the skill needs the relation "{need}", which the dbt project does not have')
        for need in skill.needs
        if world.catalog.relation(need) is None
    ]
    granted = _granted(skill, agent, spec)
    lacking = sorted(set(skill.roles) - granted)
    if lacking:
        message = (
            f"needs the role {', '.join(lacking)}; grant it in spec.roles and in the Agent {skill.agent}"
        )
        problems.append(document.problem(use, message))
    return _skill_draft(skill, step.input, tuple(sorted(granted)), world.catalog), problems


def _no_such_skill(use: str, world: World) -> str:
    for agent in world.agents.values():
        if use in agent.declared:
            return f"the Agent {agent.name} declares {use}, but nothing implements it"
    names = [skill.name for skill in world.catalog.skills]
    for name in names:
        if name.endswith(f".{use}"):
            return f'no skill "{use}"; did you mean "{name}"?'
    return unknown("skill", use, [*names, VECTOR_EMBED])


def _granted(skill: SkillInfo, agent: CompiledAgent | None, spec: PipelineSpec) -> set[str]:
    limits = [set(roles) for roles in (agent.roles if agent else None, spec.roles) if roles is not None]
    return set.intersection(*limits) if limits else set(skill.roles)


def _input_problems(document: Document, index: int, value: dict[str, Any], skill: SkillInfo) -> list[Problem]:
    if not skill.input_schema:
        return []
    validator = Draft202012Validator(dict(skill.input_schema), registry=Registry())
    base: FieldPath = ("spec", "steps", index, "with")
    return [
        document.problem((*base, *error.absolute_path), f"does not fit {skill.name}: {error.message[:300]}")
        for error in validator.iter_errors(value)
    ]


def _ingest_key(source: str) -> AssetKey:
    return "ingest", source.replace("/", "_")


def _ingest(rest: str, catalog: Catalog) -> _Draft | None:
    connector, _, dataset = rest.partition(".")
    if dataset not in catalog.connectors.get(connector, ()):
        return None
    return _ingest_draft(f"{connector}/{dataset}")


def _ingest_draft(source: str) -> _Draft:
    connector, dataset = source.split("/")
    return _Draft(f"ingest.{connector}.{dataset}", "ingest", _ingest_key(source), {(connector, dataset)})


def _vector(use: str, catalog: Catalog) -> _Draft | None:
    if use != VECTOR_EMBED:
        return None
    known = catalog.sources()
    return _Draft(
        use, "vector", ("vector", "embed"), {_ingest_key(s) for s in catalog.text_sources if s in known}
    )


def _skill_draft(skill: SkillInfo, value: dict[str, Any], roles: tuple[str, ...], catalog: Catalog) -> _Draft:
    known = catalog.sources()
    deps: set[AssetKey] = set()
    for relation in filter(None, map(catalog.relation, skill.needs)):
        deps.add(relation.asset_key)
        deps.update(_ingest_key(source) for source in relation.sources if source in known)
    rest = skill.name.removeprefix(f"{skill.agent}.").replace(".", "_")
    return _Draft(skill.name, "skill", (skill.agent, rest), deps, value, roles)


def _add_needs(document: Document, spec: PipelineSpec, drafts: Mapping[int, _Draft]) -> list[Problem]:
    problems: list[Problem] = []
    by_word: dict[str, int] = {step.use: index for index, step in enumerate(spec.steps)}
    for index, step in enumerate(spec.steps):
        if step.name is not None and by_word.setdefault(step.name, index) != index:
            message = f'spec.steps[{by_word[step.name]}] has the name "{step.name}" too'
            problems.append(document.problem(("spec", "steps", index, "name"), message))
    for index, step in enumerate(spec.steps):
        for position, word in enumerate(step.needs):
            needed = by_word.get(word)
            if needed is None:
                message = unknown("step", word, by_word)
                problems.append(document.problem(("spec", "steps", index, "needs", position), message))
            elif index in drafts and needed in drafts:
                drafts[index].deps.add(drafts[needed].asset_key)
    return problems


def _circle_problems(document: Document, spec: PipelineSpec, drafts: Mapping[int, _Draft]) -> list[Problem]:
    by_key = {draft.asset_key: index for index, draft in drafts.items()}
    edges = {
        index: sorted(by_key[key] for key in draft.deps if key in by_key) for index, draft in drafts.items()
    }
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        circle: list[int] = list(reversed(error.args[1]))
        index = next(index for index in circle if spec.steps[index].needs)
        words = " needs ".join(spec.steps[step].use for step in circle)
        return [document.problem(("spec", "steps", index, "needs"), f"a circle: {words}")]
    return []


def _order_problems(document: Document, drafts: Mapping[int, _Draft]) -> list[Problem]:
    """Each pair of steps that stands the other way round than the graph runs."""
    by_key = {draft.asset_key: draft for draft in drafts.values()}
    problems: list[Problem] = []
    for index, draft in drafts.items():
        above = _all_above(draft, by_key)
        for later, other in drafts.items():
            if later > index and other.asset_key in above:
                message = f"{draft.use} runs after {other.use} (spec.steps[{later}]); move it below"
                problems.append(document.problem(("spec", "steps", index, "use"), message))
    return problems


def _all_above(draft: _Draft, by_key: Mapping[AssetKey, _Draft]) -> set[AssetKey]:
    above: set[AssetKey] = set()
    waiting = list(draft.deps)
    while waiting:
        key = waiting.pop()
        if key not in above:
            above.add(key)
            waiting.extend(by_key[key].deps if key in by_key else ())
    return above


def _steps(drafts: Sequence[_Draft], catalog: Catalog) -> tuple[CompiledStep, ...]:
    """Written steps in their order, after the ingest steps that they need and nobody wrote."""
    written = {draft.asset_key for draft in drafts}
    needed = {key for draft in drafts for key in draft.deps} - written
    implicit = [
        _ingest_draft(source) for source in sorted(catalog.sources()) if _ingest_key(source) in needed
    ]
    return tuple(
        [_compiled(draft, implicit=True) for draft in implicit]
        + [_compiled(draft, implicit=False) for draft in drafts]
    )


def _compiled(draft: _Draft, *, implicit: bool) -> CompiledStep:
    return CompiledStep(
        use=draft.use,
        kind=draft.kind,
        asset_key=draft.asset_key,
        deps=tuple(sorted(draft.deps)),
        input=draft.input,
        roles=draft.roles,
        implicit=implicit,
    )
