"""Agents and products compiled: every name they use is looked up, every default filled in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batuta.manifests.catalog import AccountForm, Catalog
from batuta.manifests.form_errors import settings_problems
from batuta.manifests.graph import CompiledAgent, CompiledProduct
from batuta.manifests.load import Document
from batuta.manifests.models import Agent, ConnectorBinding, Product
from batuta.manifests.problems import FieldPath, Problem, closest, dotted, unknown
from batuta.policy.retention import is_retention

RESERVED_AGENTS = ("ingest", "vector", "reports", "registry", "platform")


@dataclass(frozen=True, slots=True)
class Names:
    """Names that manifests may refer to: those of manifests, readable or not, and those of the catalog."""

    agents: frozenset[str]
    products: frozenset[str]


def full_skill_name(agent: str, skill: str) -> str:
    """A skill as everybody but its agent calls it: `build.deploy` of helix is `helix.build.deploy`."""
    return skill if skill.startswith(f"{agent}.") else f"{agent}.{skill}"


def compile_agent(
    document: Document, manifest: Agent, catalog: Catalog
) -> tuple[CompiledAgent, tuple[Problem, ...]]:
    """An agent with its skills by full name, told apart by whether they are implemented."""
    name, spec = manifest.metadata.name, manifest.spec
    problems: list[Problem] = []
    if name in RESERVED_AGENTS or name in catalog.connectors:
        problems.append(
            document.problem(("metadata", "name"), f'"{name}" is taken by BATUTA; choose another name')
        )
    implemented: list[str] = []
    declared: list[str] = []
    for index, skill in enumerate(spec.skills):
        path: FieldPath = ("spec", "skills", index)
        full = full_skill_name(name, skill)
        info = catalog.skill(full)
        if full in (*implemented, *declared):
            problems.append(document.problem(path, f"{full} is written twice"))
        elif info is None:
            problems.append(_unimplemented(document, path, name, skill, catalog))
            declared.append(full)
        else:
            lacking = sorted(set(info.roles) - set(info.roles if spec.roles is None else spec.roles))
            if lacking:
                message = f"{full} needs the role {', '.join(lacking)}; add it to spec.roles"
                problems.append(document.problem(path, message))
            implemented.append(full)
    for skill in spec.prompts:
        if full_skill_name(name, skill) not in (*implemented, *declared):
            message = unknown("skill of this agent", skill, spec.skills)
            problems.append(document.problem(("spec", "prompts", skill), message))
    contracts = spec.contracts
    compiled = CompiledAgent(
        name=name,
        description=spec.description or "",
        skills=tuple(implemented),
        declared=tuple(declared),
        inputs=spec.inputs,
        outputs=spec.outputs,
        input_schema=_schema(document, contracts.input_schema_ref),
        output_schema=_schema(document, contracts.output_schema_ref),
        resources=spec.resources,
        roles=spec.roles,
        prompts={full_skill_name(name, skill): prompt for skill, prompt in spec.prompts.items()},
    )
    return compiled, tuple(problems)


def compile_product(
    document: Document, manifest: Product, catalog: Catalog, names: Names
) -> tuple[CompiledProduct, tuple[Problem, ...]]:
    """A product with the source assets behind its datasets."""
    spec = manifest.spec
    problems = [
        *_unknown_words(document, ("spec", "kpis"), "KPI", spec.kpis, catalog.kpis),
        *_unknown_words(document, ("spec", "owners"), "agent", spec.owners, names.agents),
        *_policy_problems(document, spec.policies, catalog.policies),
        *_source_problems(document, spec.datasets, spec.sources, catalog),
        *_connector_problems(document, manifest, catalog),
        *_slo_problems(document, manifest),
    ]
    datasets = {
        name: tuple(spec.sources.get(name, catalog.dataset_sources.get(name, ()))) for name in spec.datasets
    }
    for index, (name, sources) in enumerate(datasets.items()):
        if not sources:
            meant = closest(name, catalog.dataset_sources)
            remedy = f'did you mean "{meant}"? If not, name' if meant else "name"
            message = (
                f'nothing stands behind the dataset "{name}"; {remedy} its sources under spec.sources.{name}'
            )
            problems.append(document.warning(("spec", "datasets", index), message))
    compiled = CompiledProduct(
        name=manifest.metadata.name,
        description=spec.description or "",
        locale=spec.locale,
        currency=spec.currency,
        timezone=spec.timezone,
        gross_margin=spec.gross_margin,
        owners=spec.owners,
        kpis=spec.kpis,
        datasets=datasets,
        policies=spec.policies,
        connectors=spec.connectors,
        slos=spec.slos,
    )
    return compiled, tuple(problems)


def _unimplemented(document: Document, path: FieldPath, agent: str, skill: str, catalog: Catalog) -> Problem:
    owner = catalog.skill(skill)
    if owner is not None:
        return document.problem(path, f"{skill} is a skill of {owner.agent}, not of {agent}")
    own = [info.name.removeprefix(f"{agent}.") for info in catalog.skills if info.agent == agent]
    meant = closest(skill.removeprefix(f"{agent}."), own)
    suggestion = f'; did you mean "{meant}"?' if meant else ""
    full = full_skill_name(agent, skill)
    return document.warning(
        path, f"{full} is declared but not implemented; no pipeline can use it{suggestion}"
    )


def _unknown_words(
    document: Document,
    path: FieldPath,
    what: str,
    words: tuple[str, ...],
    known: tuple[str, ...] | frozenset[str],
) -> list[Problem]:
    return [
        document.problem((*path, index), unknown(what, word, known))
        for index, word in enumerate(words)
        if word not in known
    ]


def _policy_problems(document: Document, policies: tuple[str, ...], known: tuple[str, ...]) -> list[Problem]:
    """Retention policies carry their days in their name, so any number of days is known."""
    periods = tuple(policy for policy in policies if is_retention(policy))
    path: FieldPath = ("spec", "policies")
    problems = _unknown_words(document, path, "policy", policies, (*known, *periods))
    for policy in periods[1:]:
        message = f"{policy} and {periods[0]} both say how long events are kept; leave one"
        problems.append(document.problem((*path, policies.index(policy)), message))
    return problems


def _source_problems(
    document: Document, datasets: tuple[str, ...], mapped: Mapping[str, tuple[str, ...]], catalog: Catalog
) -> list[Problem]:
    known = catalog.sources()
    problems: list[Problem] = []
    for dataset, sources in mapped.items():
        path: FieldPath = ("spec", "sources", dataset)
        if dataset not in datasets:
            message = unknown("dataset", dataset, datasets, "add it to spec.datasets")
            problems.append(Problem(document.source.key_position(path), f"spec.sources.{dataset}", message))
        problems.extend(_unknown_words(document, path, "source", sources, known))
    return problems


def _connector_problems(document: Document, manifest: Product, catalog: Catalog) -> list[Problem]:
    problems: list[Problem] = []
    seen: dict[tuple[str, str | None], int] = {}
    for index, binding in enumerate(manifest.spec.connectors):
        path: FieldPath = ("spec", "connectors", index)
        if binding.type not in catalog.connectors:
            problems.append(
                document.problem((*path, "type"), unknown("connector", binding.type, catalog.connectors))
            )
        account = (binding.type, binding.account)
        if account in seen:
            name = " ".join(part for part in account if part)
            problems.append(
                document.problem(path, f"the same account ({name}) as spec.connectors[{seen[account]}]")
            )
        seen.setdefault(account, index)
        form = catalog.accounts.get(binding.type)
        pushed = True
        if form is not None:
            pushed, wrong = _account_problems(document, path, binding, form)
            problems.extend(wrong)
        if pushed and not binding.secret_refs and not binding.allow_unsigned:
            message = "no secretRefs: every delivery will be refused; add {env: NAME} or {file: NAME}"
            problems.append(document.warning(path, message))
    return problems


def _slo_problems(document: Document, manifest: Product) -> list[Problem]:
    """Promises of connectors that the product is not bound to."""
    bound = sorted({binding.type for binding in manifest.spec.connectors})
    return [
        Problem(
            document.source.key_position(("spec", "slos", name)),
            f"spec.slos.{name}",
            unknown("connector of this product", name, bound, "bind it under spec.connectors"),
        )
        for name in manifest.spec.slos
        if name not in bound
    ]


def _account_problems(
    document: Document, path: FieldPath, binding: ConnectorBinding, form: AccountForm
) -> tuple[bool, list[Problem]]:
    """Whether one account is sent deliveries, as far as its settings tell, and what is wrong with it."""
    settings, wrong = settings_problems(binding.settings, form.settings, document.source, (*path, "settings"))
    problems = list(wrong)
    if settings is not None:
        misnamed = form.misnamed(settings, binding.account, bool(binding.credentials))
        if misnamed is not None:
            at = (*path, "account") if binding.account is not None else path
            problems.append(document.problem(at, misnamed))
    place: FieldPath = (*path, "credentials")
    misspelt = list(_unknown_credentials(document, place, binding, form))
    problems += misspelt
    lacking = form.lacking(settings, frozenset(binding.credentials)) if settings is not None else None
    if lacking is not None and not misspelt:
        problems.append(document.problem(place if binding.credentials else path, lacking))
    elif form.pull and not form.push and form.credentials and not binding.credentials:
        names = ", ".join(form.credentials)
        message = f"no credentials: nothing will be fetched; name them under credentials: {names}"
        problems.append(document.warning(path, message))
    return form.push and settings is not None and form.pushed(settings), problems


def _unknown_credentials(
    document: Document, place: FieldPath, binding: ConnectorBinding, form: AccountForm
) -> Iterator[Problem]:
    for name in binding.credentials:
        if name not in form.credentials:
            message = (
                unknown(f"credential of {binding.type}", name, form.credentials)
                if form.credentials
                else f"{binding.type} takes no credentials"
            )
            at = document.source.key_position((*place, name))
            yield Problem(at, dotted((*place, name)), message)


def _schema(document: Document, ref: str | None) -> dict[str, Any] | None:
    schema = document.schemas.get(ref) if ref is not None else None
    return dict(schema) if schema is not None else None
