"""YAML is read strictly: what a person could misread, a database could not keep, or a machine choke on is refused."""

import pytest

from batuta.manifests.yaml_source import MAX_FILE_BYTES, read_yaml


def problems(text: str | bytes) -> list[str]:
    content = text if isinstance(text, bytes) else text.encode()
    return [str(problem) for problem in read_yaml(content, "f.yaml")[1]]


def value(text: str) -> object:
    documents, wrong = read_yaml(text.encode(), "f.yaml")
    assert not wrong
    [document] = documents
    return document.value


def test_yaml_1_2_leaves_words_and_times_as_text() -> None:
    assert value("a: no\nb: 12:30\nc: 2025-11-12\nd: 012\ne: 0o14\nf: 1_000\ng: ~\nh: 1e3\ni: True") == {
        "a": "no",
        "b": "12:30",
        "c": "2025-11-12",
        "d": 12,
        "e": 12,
        "f": "1_000",
        "g": None,
        "h": 1000.0,
        "i": True,
    }


def test_every_document_of_a_file_is_read_and_empty_ones_are_passed_over() -> None:
    documents, wrong = read_yaml(b"a: 1\n---\n---\n# nothing\n---\nb: 2\n", "f.yaml")

    assert [document.value for document in documents] == [{"a": 1}, {"b": 2}]
    assert not wrong


def test_the_place_of_every_key_and_value_is_known() -> None:
    [document] = read_yaml(b"a:\n  - b: [1, 2]\n", "f.yaml")[0]

    assert str(document.source.value_position(("a", 0, "b", 1))) == "f.yaml:2:12"
    assert str(document.source.key_position(("a", 0, "b"))) == "f.yaml:2:5"
    assert str(document.source.value_position(("a", 0, "missing"))) == "f.yaml:2:5"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a: [1\nb: 2",
            "f.yaml:2:2: not YAML: while parsing a flow sequence, expected ',' or ']', but got ':'",
        ),
        ("a: 1\na: 2", "f.yaml:2:1: a: written twice; first on line 1"),
        ("a: {b: 1, b: 2}", "f.yaml:1:11: a.b: written twice; first on line 1"),
        (
            "a: !!python/object:os.system x",
            "a tag (tag:yaml.org,2002:python/object:os.system) is not allowed here",
        ),
        ("<<: {a: 1}", "f.yaml:1:1: YAML 1.2 has no merge key <<; write the fields out"),
        ("? [a]\n: b", "f.yaml:1:3: a field name is a text"),
        ("a: &x [*x]", "f.yaml:1:4: a[0]: an alias inside the value it stands for"),
        ("a: .inf", "f.yaml:1:4: a: not a number JSON knows"),
        ("a: 99999999999999999999", "f.yaml:1:4: a: a number too large to be exact; write it in quotes"),
        (
            'a: "\\0"',
            "f.yaml:1:4: a: a text with a character no database keeps (NUL or half a surrogate pair)",
        ),
        (
            'a: "\\ud83d"',
            "f.yaml:1:4: a: a text with a character no database keeps (NUL or half a surrogate pair)",
        ),
        ("a: \x01", "f.yaml:1:4: not YAML: special characters are not allowed"),
        ("a: *nowhere", "f.yaml:1:4: not YAML: found undefined alias 'nowhere'"),
        ("[" * 5000, "f.yaml:1:42: nested deeper than 40 levels"),
        ("a: " + "[" * 60 + "]" * 60, "f.yaml:1:44: nested deeper than 40 levels"),
    ],
)
def test_what_cannot_be_read_is_a_problem_with_a_place(text: str, expected: str) -> None:
    [found] = problems(text)

    assert expected in found


def test_bytes_that_are_not_utf_8_are_found_by_line_and_column() -> None:
    assert problems(b"a: 1\nb: \xe7a") == ["f.yaml:2:4: not UTF-8 (byte 0xe7); save the file as UTF-8"]


def test_a_byte_order_mark_is_no_problem() -> None:
    assert value("\ufeffa: 1") == {"a": 1}


def test_a_file_over_the_cap_is_refused_unread() -> None:
    assert problems(b"a" * (MAX_FILE_BYTES + 1)) == ["f.yaml: larger than 1024 KiB; split the file"]


def test_aliases_that_multiply_are_refused() -> None:
    more = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 8)]

    [found] = problems("\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]", *more]))

    assert "more than 50000 values once aliases are written out" in found


def test_documents_before_a_broken_one_are_still_read() -> None:
    documents, wrong = read_yaml(b"a: 1\n---\nb: [", "f.yaml")

    assert [document.value for document in documents] == [{"a": 1}]
    assert len(wrong) == 1
