"""The compiled plan: it agrees with JSON Schema on what is allowed, and keeps exactly what the contract names."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from batuta.contracts.plan import ContractViolation, Plan, is_date, is_date_time, write_program
from batuta.contracts.profile import read_profile
from batuta.keys import create_keys
from batuta.privacy.masking import Masker

NAMES = ("a", "b", "c")
TYPES = ("string", "integer", "number", "boolean", "null")
CHECKER = FormatChecker(formats=())


@CHECKER.checks("date")
def _date(value: object) -> bool:
    try:
        return not isinstance(value, str) or bool(
            len(value) == 10 and value.isascii() and date.fromisoformat(value)
        )
    except ValueError:
        return False


@st.composite
def scalars(draw: st.DrawFn) -> dict[str, Any]:
    types = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True))
    schema: dict[str, Any] = {"type": types if len(types) > 1 else types[0]}
    if "string" in types:
        if draw(st.booleans()):
            schema["minLength"] = draw(st.integers(0, 3))
            schema["maxLength"] = draw(st.integers(0, 5))
        schema |= draw(
            st.sampled_from([{}, {}, {"pattern": "^[0-9]+$"}, {"pattern": "a"}, {"format": "date"}])
        )
    if {"integer", "number"} & set(types):
        limits = st.sampled_from(
            [{}, {"minimum": 0}, {"maximum": 3}, {"exclusiveMinimum": 0}, {"exclusiveMaximum": 2.5}]
        )
        schema |= draw(limits)
    return schema


VALUES = st.lists(
    st.one_of(st.sampled_from(["x", "12"]), st.integers(0, 2), st.booleans(), st.none()),
    min_size=1,
    max_size=3,
)


def schemas(depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    leaf = st.one_of(
        scalars(), VALUES.map(lambda v: {"enum": v}), st.sampled_from([{"const": "x"}, {"const": None}])
    )
    if depth == 0:
        return leaf
    inner = schemas(depth - 1)
    arrays = st.builds(
        lambda item, limits, null: {"type": ["array", "null"] if null else "array", "items": item} | limits,
        inner,
        st.sampled_from([{}, {"minItems": 1}, {"maxItems": 1}]),
        st.booleans(),
    )
    return st.one_of(leaf, arrays, objects(inner))


@st.composite
def objects(
    draw: st.DrawFn, inner: st.SearchStrategy[dict[str, Any]], types: Any = ("object",)
) -> dict[str, Any]:
    properties = draw(st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=3))
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    schema["required"] = draw(st.lists(st.sampled_from(sorted(properties)), unique=True))
    others = draw(st.one_of(st.just(None), st.just(None), st.just(False), inner))
    if others is not None:
        schema["additionalProperties"] = others
    return schema


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 4),
    st.sampled_from([0.0, 1.0, 2.5, -1.5, 1e300]),
    st.sampled_from(["", "x", "12", "ab", "2025-11-12", "2025-02-30", "çãõé"]),
)
DATA = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from((*NAMES, "other")), inner, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def instances(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    """A value that mostly fits a schema."""
    if draw(st.integers(0, 9)) == 0:
        return draw(DATA)
    if "enum" in schema or "const" in schema:
        return draw(st.sampled_from(schema.get("enum", [schema.get("const")])))
    types = schema["type"]
    kind = draw(st.sampled_from(types)) if isinstance(types, list) else types
    if kind == "object":
        present = [n for n in schema["properties"] if n in schema["required"] or draw(st.booleans())]
        value = {name: draw(instances(schema["properties"][name])) for name in present}
        if draw(st.booleans()):
            others = schema.get("additionalProperties", True)
            value["other"] = draw(instances(others)) if isinstance(others, dict) else draw(LEAVES)
        return value
    if kind == "array":
        return draw(st.lists(instances(schema["items"]), max_size=2))
    return draw(LEAVES)


CASES = objects(schemas()).flatmap(lambda schema: st.tuples(st.just(schema), instances(schema)))


@pytest.fixture(scope="module")
def masker(tmp_path_factory: pytest.TempPathFactory) -> Masker:
    return Masker("arcsat", create_keys(tmp_path_factory.mktemp("home")))


def plan_of(schema: dict[str, Any], masker: Masker, rules: dict[str, str] | None = None) -> Plan:
    root, problems = read_profile(schema)
    assert root is not None, problems
    return write_program(root, "test", rules or {}).bind(masker)


def kept(schema: dict[str, Any], value: Any) -> Any:
    """What the contract names of a valid value, by plain recursion."""
    if isinstance(value, dict):
        properties, others = schema["properties"], schema.get("additionalProperties", True)
        result = {name: kept(properties[name], value[name]) for name in properties if name in value}
        if isinstance(others, dict):
            result |= {name: kept(others, v) for name, v in value.items() if name not in properties}
        return result
    if isinstance(value, list):
        return [kept(schema["items"], item) for item in value]
    return value


@settings(max_examples=200)
@given(CASES)
def test_the_plan_allows_what_json_schema_allows_and_keeps_what_the_contract_names(
    masker: Masker, case: tuple[dict[str, Any], Any]
) -> None:
    schema, value = case
    valid = Draft202012Validator(schema, format_checker=CHECKER).is_valid(value)
    too_large = "1e+300" in repr(value)
    try:
        masked, tally = plan_of(schema, masker).apply(value)
    except ContractViolation:
        assert not valid or too_large
        return
    assert valid
    assert masked == kept(schema, value)
    assert (tally.dropped == 0) == (masked == value)


def contract(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def test_a_violation_names_the_place_and_not_the_value(masker: Masker) -> None:
    line = contract(price={"type": "string", "pattern": "^[0-9]+$"})
    plan = plan_of(contract(lines={"type": "array", "items": line}), masker)
    with pytest.raises(ContractViolation) as caught:
        plan.apply({"lines": [{"price": "1"}, {"price": "secret"}]})
    assert caught.value.field_path == "lines[].price"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "code does not have the form ^[A-Z]{3}$"),
        ({"description": "By ISO 4217."}, "code does not have the form ^[A-Z]{3}$ (By ISO 4217)"),
        ({"examples": ["BRL"]}, "code does not have the form ^[A-Z]{3}$ (as BRL)"),
    ],
)
def test_a_text_of_another_form_is_told_the_form_and_what_the_contract_says_of_it(
    masker: Masker, said: dict[str, Any], expected: str
) -> None:
    form = {"type": "string", "pattern": "^[A-Z]{3}$"} | said
    plan = plan_of({"type": "object", "properties": {"code": form}}, masker)
    with pytest.raises(ContractViolation) as found:
        plan.apply({"code": "real"})
    assert str(found.value) == expected


def test_a_whole_number_written_with_a_point_is_kept_as_an_integer(masker: Masker) -> None:
    masked, _ = plan_of(contract(n={"type": "integer"}), masker).apply({"n": 9.0})
    assert masked["n"] == 9
    assert isinstance(masked["n"], int)


def test_an_id_too_large_to_be_exact_is_refused_rather_than_rounded(masker: Masker) -> None:
    with pytest.raises(ContractViolation, match="too large"):
        plan_of(contract(n={"type": "integer"}), masker).apply({"n": 18446744073709551616.0})


def test_a_final_dollar_means_the_very_end(masker: Masker) -> None:
    with pytest.raises(ContractViolation):
        plan_of(contract(n={"type": "string", "pattern": "^[0-9]+$"}), masker).apply({"n": "12\n"})


def email(rule: str) -> dict[str, Any]:
    return {"type": ["string", "null"], "x-batuta": {"personal": "email", "rule": rule}}


def test_each_rule_does_what_it_says(masker: Masker) -> None:
    schema = contract(h=email("hash"), t=email("token"), m=email("mask"), d=email("drop"))
    masked, tally = plan_of(schema, masker).apply(dict.fromkeys("htmd", " Ana@Exemplo.com "))
    assert masked["h"].startswith("h1:")
    assert masked["t"].startswith("[[EMAIL:k1:")
    assert list(tally.tokens) == [masked["t"]]
    assert masked["m"] == "[[EMAIL]]"
    assert "d" not in masked
    assert tally.dropped == 1


def test_a_blank_value_is_no_person(masker: Masker) -> None:
    masked, _ = plan_of(contract(h=email("hash"), t=email("token"), m=email("mask")), masker).apply(
        {"h": " ", "t": "", "m": None}
    )
    assert masked == {"h": None, "t": None, "m": None}


def test_a_policy_may_change_a_rule_and_drop_any_field(masker: Masker) -> None:
    schema = contract(a=email("hash"), b=email("hash"), c={"type": "string"})
    plan = plan_of(schema, masker, {"a": "mask", "b": "keep", "c": "drop"})
    masked, _ = plan.apply({"a": "x@y.io", "b": "x@y.io", "c": "z"})
    assert masked == {"a": "[[EMAIL]]", "b": "x@y.io"}


def test_an_object_of_personal_data_is_dropped_unread(masker: Masker) -> None:
    address = {"x-batuta": {"personal": "address", "rule": "drop"}}
    masked, tally = plan_of(contract(address=address), masker).apply({"address": {"street": 1}})
    assert masked == {}
    assert tally.dropped == 1


def test_names_from_a_contract_never_become_code(masker: Masker) -> None:
    name = "x'] = 1; raise SystemExit #\n"
    masked, _ = plan_of(contract(**{name: {"type": "string"}}), masker).apply({name: "v"})
    assert masked == {name: "v"}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("2025-11-12T11:00:00Z", True),
        ("2025-11-12T11:00:00.5-03:00", True),
        ("2025-02-30T11:00:00Z", False),
        ("2025-11-12 11:00:00Z", False),
        ("2025-11-12T11:00:00", False),
        ("", False),
    ],
)
def test_date_times_are_rfc_3339(text: str, fits: bool) -> None:
    assert is_date_time(text) is fits


@pytest.mark.parametrize(
    ("text", "fits"),
    [("2025-11-12", True), ("2025-02-30", False), ("20251112", False), ("2025-W01-1", False)],
)
def test_dates_are_dates(text: str, fits: bool) -> None:
    assert is_date(text) is fits


def test_the_code_of_a_contract_can_be_read(tmp_path: Path, masker: Masker) -> None:
    root, _ = read_profile(contract(score={"type": "integer", "minimum": 0}))
    assert root is not None
    assert "score must be" not in write_program(root, "survey", {}).source
    assert "'must be at least 0'" in write_program(root, "survey", {}).source
