"""What is wrong with a contract, or between it and dbt, is said with file, line and field."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from batuta.manifests.problems import Position
from batuta.quality.contract import OPERATORS, Limit
from batuta.quality.draft import draft
from batuta.quality.drift import Built, BuiltColumn, drift
from batuta.quality.expectations import suite
from batuta.quality.reading import Read, contract_files, enforced, read_contract
from batuta_assets.quality.declared import declared
from tests.support.dbt import PROJECT, manifest

FOLDER = PROJECT / "dbt_project" / "contracts"
TEXT = (FOLDER / "fct_refunds.odcs.yaml").read_text("utf-8")
FILE = "contracts/fct_refunds.odcs.yaml"


def read(text: str = TEXT, file: str = FILE) -> Read:
    return read_contract(text.encode(), file)


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.fixture(scope="module")
def built() -> dict[str, Built]:
    return declared(manifest(), PROJECT / "dbt_project")


def test_the_shipped_contracts_are_sound_cover_every_mart_and_say_what_dbt_builds(
    built: dict[str, Built],
) -> None:
    found = [read_contract(file.read_bytes(), file.name) for file in contract_files(FOLDER)]
    assert [str(problem) for item in found for problem in item.problems] == []
    assert [str(problem) for problem in drift(found, built, complete=True)] == []


def test_the_example_companys_own_contract_is_sound(built: dict[str, Built]) -> None:
    files = contract_files(PROJECT / "examples" / "arcsat" / "contracts")
    found = [read_contract(file.read_bytes(), file.name) for file in files]
    assert found
    assert [str(problem) for item in found for problem in item.problems] == []
    assert [str(problem) for problem in drift(found, built, complete=False)] == []


def test_a_mart_without_a_contract_is_an_error_at_its_declaration(built: dict[str, Built]) -> None:
    found = [
        read_contract(f.read_bytes(), f.name) for f in contract_files(FOLDER) if "fct_refunds" not in f.name
    ]
    (problem,) = drift(found, built, complete=True)
    assert problem.position.file == "dbt_project/models/marts/_marts.yml"
    assert problem.position.line > 0
    assert "batuta_marts.fct_refunds has no data contract" in problem.message
    assert "batuta contracts draft fct_refunds" in problem.message


def changed(built: dict[str, Built], change: Callable[[Built], Built]) -> dict[str, Built]:
    return {**built, "batuta_marts.fct_refunds": change(built["batuta_marts.fct_refunds"])}


def retyped(relation: Built) -> Built:
    columns = tuple(replace(c, type="numeric(20,2)") if c.name == "returns" else c for c in relation.columns)
    return replace(relation, columns=columns)


def renamed(relation: Built) -> Built:
    columns = tuple(replace(c, name="return") if c.name == "returns" else c for c in relation.columns)
    return replace(relation, columns=columns)


def grown(relation: Built) -> Built:
    return replace(relation, columns=(*relation.columns, BuiltColumn("reason", "text", "Why.")))


@pytest.mark.parametrize(
    ("change", "field", "part", "said"),
    [
        (
            retyped,
            "schema[0].properties[6].physicalType",
            "numeric(18,4)",
            "returns is promised as numeric(18,4), dbt",
        ),
        (
            renamed,
            "schema[0].properties[6].name",
            "- name: returns",
            'no column "returns"; did you mean "return"?',
        ),
        (grown, "schema[0].properties", "properties:", "makes reason (text), which is not promised"),
        (
            lambda relation: replace(relation, key=("product", "order_id")),
            "schema[0].properties",
            "properties:",
            "the key is (product, refund_id), dbt",
        ),
        (
            lambda relation: replace(relation, not_null=frozenset({"returns"})),
            "schema[0].properties[6]",
            "- name: returns",
            "tests that returns is never NULL",
        ),
        (
            lambda relation: replace(relation, version=2),
            "version",
            'version: "1.0.0"',
            "promises another form than version 2 of the model",
        ),
    ],
)
def test_drift_names_the_file_the_line_and_the_field(
    built: dict[str, Built], change: Callable[[Built], Built], field: str, part: str, said: str
) -> None:
    found = [p for p in drift([read()], changed(built, change), complete=True) if p.position.file == FILE]
    assert said in " ".join(p.message for p in found)
    problem = next(p for p in found if said in p.message)
    assert problem.field == field
    assert problem.position.line >= line_of(TEXT, part.strip())


@pytest.mark.parametrize(
    ("before", "after", "field", "said"),
    [
        ('version: "1.0.0"', 'version: "one"', "version", "major.minor.patch"),
        ("status: active", "status: alive", "status", 'no status "alive"'),
        ("domain: refunds", "domian: refunds", "", "domian"),
        (
            "physicalType: boolean",
            "physicalType: bool",
            "schema[0].properties[9].physicalType",
            "bool is not a type",
        ),
        (
            "logicalType: boolean",
            "logicalType: string",
            "schema[0].properties[9].logicalType",
            "boolean is boolean",
        ),
        ("mustBe: 0", "mustBeNice: 0", "schema[0].quality[1]", "mustBeNice"),
        (
            "query: select count(*) from ${object} where is_booked and is_failed",
            "query: select max(returns) from ${object}",
            "schema[0].quality[1].query",
            "write it as `select count(*) from ${object} where",
        ),
        ("      noticeDays: 30\n", "", "customProperties", "what it costs to break it"),
        ("  - property: freshness", "  - property: beauty", "slaProperties", "how old the data may be"),
        (
            "purpose: 'Every refund",
            "purpose: 'FILL IN: Every refund",
            "description.purpose",
            "still to be said",
        ),
    ],
)
def test_a_contract_that_cannot_be_used_says_where_and_why(
    before: str, after: str, field: str, said: str
) -> None:
    assert before in TEXT
    text = TEXT.replace(before, after, 1)
    found = read(text)
    assert found.contract is None
    problem = next(p for p in found.problems if said in p.message)
    assert problem.field == field
    assert problem.position.line > 0


def test_a_draft_holds_all_that_dbt_knows_and_asks_for_the_rest(built: dict[str, Built]) -> None:
    text = draft(built["batuta_marts.kpi_daily"], "team:sigma")
    found = read_contract(text.encode(), "kpi_daily.odcs.yaml")
    assert {p.message.partition(":")[0] for p in found.problems} == {"still to be said"}
    said = read_contract(text.replace("FILL IN", "Said").encode(), "kpi_daily.odcs.yaml")
    assert said.problems == ()
    assert drift([said], built, complete=False) == ()
    assert said.contract is not None
    assert said.contract.key == ("product", "business_date", "kpi")


def test_two_contracts_of_one_name_and_version_are_refused(built: dict[str, Built]) -> None:
    found = drift([read(), read(file="contracts/other.odcs.yaml")], built, complete=False)
    assert "name fct_refunds in version 1.0.0 is also in" in " ".join(p.message for p in found)


def test_data_are_held_to_the_newest_version_that_stands() -> None:
    versions = [("1.9.0", "deprecated"), ("1.10.0", "active"), ("2.0.0", "draft")]
    contracts = [
        read(TEXT.replace('"1.0.0"', f'"{version}"').replace("status: active", f"status: {status}")).contract
        for version, status in versions
    ]
    (held,) = enforced([c for c in contracts if c is not None])
    assert held.version == "1.10.0"


def test_every_rule_becomes_one_expectation_of_its_own_name() -> None:
    for file in contract_files(FOLDER):
        contract = read_contract(file.read_bytes(), file.name).contract
        assert contract is not None
        names = [e["meta"]["rule"] for e in suite(contract)["expectations"]]
        assert names == ["shape", *(rule.name for rule in contract.rules)]


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_limit_holds_what_its_words_say(operator: str) -> None:
    bounds = (2.0, 4.0) if operator.endswith("Between") else (2.0,)
    held = [count for count in range(7) if Limit(operator, bounds).holds(count, 10)]
    assert (
        held
        == {
            "mustBe": [2],
            "mustNotBe": [0, 1, 3, 4, 5, 6],
            "mustBeGreaterThan": [3, 4, 5, 6],
            "mustBeGreaterOrEqualTo": [2, 3, 4, 5, 6],
            "mustBeLessThan": [0, 1],
            "mustBeLessOrEqualTo": [0, 1, 2],
            "mustBeBetween": [2, 3, 4],
            "mustNotBeBetween": [0, 1, 5, 6],
        }[operator]
    )


def test_a_share_is_taken_of_the_products_rows_and_of_none_it_is_nothing() -> None:
    assert Limit("mustBeLessThan", (5.0,), percent=True).holds(4, 100)
    assert not Limit("mustBeLessThan", (5.0,), percent=True).holds(5, 100)
    assert Limit("mustBeLessThan", (5.0,), percent=True).holds(0, 0)


def test_what_is_read_twice_is_the_same() -> None:
    assert read().contract == read().contract
    assert read().source.value_position(("version",)) == Position(FILE, line_of(TEXT, "version:"), 10)
