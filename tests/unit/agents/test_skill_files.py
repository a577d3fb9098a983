"""What ships with the agents holds together: manifests, skills, queries and narratives."""

import re
import subprocess
import sys
from importlib.resources import files
from typing import Any

import pytest
from ruamel.yaml import YAML

from batuta.facts import SLOT
from batuta_agents.catalog import catalog, manifests
from batuta_agents.discovery import AGENTS, UnknownSkill, all_skills, find_skill
from batuta_agents.narratives import load_narratives
from batuta_agents.queries import load_query
from batuta_agents.skill import Skill

SKILLS = all_skills()
LOCALES = ("pt-BR", "en")
EVENT_QUERIES = {
    "echo.fraud.screen": ("messages",),
    "sigma.finance.reconcile": ("reconcile_totals", "reconcile_events", "orders_with_payments"),
    "sigma.kpi.review": ("kpi_days", "kpi_events"),
    "vox.crm.playbook": ("segments", "segment_events"),
    "vox.campaign.draft": ("segments", "segment_events"),
}


def _module(skill: Skill[Any, Any]) -> str:
    return skill.function.__module__.rpartition(".")[2]


def test_every_skill_is_where_its_name_says_and_in_its_agents_manifest() -> None:
    declared = set()
    for manifest in manifests():
        document = YAML(typ="safe", pure=True).load(manifest.read_bytes())
        declared |= {f"{document['metadata']['name']}.{name}" for name in document["spec"]["skills"]}
    assert declared == {skill.name for skill in SKILLS}
    assert {skill.agent for skill in SKILLS} == set(AGENTS)
    for skill in SKILLS:
        agent, _, rest = skill.name.partition(".")
        assert skill.function.__module__ == f"batuta_agents.{agent}.{rest.replace('.', '_')}"


def test_the_catalog_has_descriptions_schemas_and_roles() -> None:
    for info in catalog():
        assert info.description.endswith(".")
        assert info.roles
        assert info.input_schema["additionalProperties"] is False
        assert "narrative" in info.output_schema["properties"]


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.name)
def test_a_skill_needs_exactly_the_relations_its_queries_read(skill: Skill[Any, Any]) -> None:
    queries = [load_query(skill.package, name) for name in EVENT_QUERIES[skill.name]]
    for query in queries:
        read = set(re.findall(r"batuta_(?:live|marts)\.(\w+)", query.sql))
        assert read == set(query.relations)
    assert {relation for query in queries for relation in query.relations} == set(skill.needs)


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.name)
def test_narratives_have_the_same_keys_and_slots_in_every_locale_and_no_digits(
    skill: Skill[Any, Any],
) -> None:
    said = {locale: load_narratives(skill.package, _module(skill), locale) for locale in LOCALES}
    assert [narratives.locale for narratives in said.values()] == list(LOCALES)
    # Reasons are recorded as text facts, so they may name their window.
    words = {
        locale: {
            key: template for key, template in narratives.templates.items() if not key.startswith("reason.")
        }
        for locale, narratives in said.items()
    }
    assert words["pt-BR"].keys() == words["en"].keys()
    for key, template in words["en"].items():
        forms = [_forms(template), _forms(words["pt-BR"][key])]
        assert forms[0].keys() == forms[1].keys()
        slots = [
            {tuple(SLOT.findall(_filled(text))) and _slots(text) for text in form.values()} for form in forms
        ]
        assert len(slots[0] | slots[1]) == 1, key
        for form in forms:
            for text in form.values():
                assert not re.search(r"\d|\{\{|\}\}", SLOT.sub("", _filled(text))), (key, text)


def _forms(template: Any) -> dict[str, str]:
    return {"": template} if isinstance(template, str) else dict(template)


def _filled(text: str) -> str:
    return text.replace("{facts}", "segment").replace("{label}", "label").replace("{offer}", "offer")


def _slots(text: str) -> frozenset[tuple[str, str]]:
    return frozenset(SLOT.findall(_filled(text)))


def test_a_version_names_the_code_queries_and_narratives() -> None:
    versions = {skill.name: skill.version for skill in SKILLS}
    assert versions == {skill.name: skill.version for skill in all_skills()}
    assert versions["sigma.kpi.review"] != versions["vox.crm.playbook"]


def test_an_unknown_skill_names_the_nearest() -> None:
    with pytest.raises(UnknownSkill, match=r"did you mean 'vox\.crm\.playbook'"):
        find_skill("vox.crm.playbok")


def test_importing_the_agents_imports_no_skill_and_nothing_heavy() -> None:
    code = "import sys, batuta_agents.discovery; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"psycopg", "babel", "numpy", "dagster", "batuta_agents.sigma.kpi_review"} & set(loaded)


def test_every_file_of_an_agent_is_used() -> None:
    for agent in AGENTS:
        package = f"batuta_agents.{agent}"
        there = {entry.name.removesuffix(".sql") for entry in files(package).joinpath("facts").iterdir()}
        used = {name for skill, names in EVENT_QUERIES.items() if skill.startswith(agent) for name in names}
        assert there == used
