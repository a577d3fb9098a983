"""Notes as Obsidian reads them, and where their links lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors.connectors.obsidian.notes import Link, Places, read_note


def note(text: str) -> bytes:
    return text.encode()


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("answer: no", {"answer": ["no"]}),
        ("at: 1:30", {"at": ["1:30"]}),
        ("done: true", {"done": ["true"]}),
        ("list: [a, b]", {"list": ["a", "b"]}),
        ("link: [[Nota]]", {"link": ["[[Nota]]"]}),
        ('link: "[[Nota]]"', {"link": ["[[Nota]]"]}),
        ("day: 2026-03-02", {"day": ["2026-03-02"]}),
        ("empty:", {"empty": []}),
        ('{"json": [1, 2]}', {"json": ["1", "2"]}),
    ],
)
def test_frontmatter_is_yaml_1_2(yaml: str, expected: dict[str, list[str]]):
    found = read_note(note(f"---\n{yaml}\n---\nText"))
    assert dict(found.frontmatter) == expected
    assert found.text == "Text"
    assert found.frontmatter_error is None


@pytest.mark.parametrize(
    "yaml",
    ["a: 1\na: 2", "title: {{title}}", "a: [", "- x", "a: &x [1]\nb: *x", "x" * 70_000, "a: " + "[" * 500],
)
def test_a_note_with_broken_frontmatter_is_still_a_note(yaml: str):
    found = read_note(note(f"---\n{yaml}\n---\nText #tag"))
    assert found.frontmatter == {}
    assert found.frontmatter_error
    assert (found.text, found.tags) == ("Text #tag", ("tag",))


def test_frontmatter_stands_at_the_very_beginning():
    assert read_note(note("\n---\na: 1\n---\n")).frontmatter == {}
    assert read_note(b"\xef\xbb\xbf---\r\na: 1\r\n---\r\nText").frontmatter == {"a": ["1"]}
    assert read_note(note("---\n---\nText")).text == "Text"


def test_tags_are_words_after_a_hash_and_nothing_else():
    text = (
        "#projeto/loja #café #2026 #y2026 #🚀 a#b https://x.example/#c `#code` # heading\n"
        "```\n#fenced\n```\n%%#hidden%%\n(#nao) #Projeto/Loja"
    )
    assert read_note(note(text)).tags == ("projeto/loja", "café", "y2026", "🚀")
    assert read_note(note("---\ntags: [um, '#dois']\ntag: três quatro\n---\n#um")).tags == (
        "um",
        "dois",
        "três",
        "quatro",
    )


def test_links_are_taken_apart():
    text = (
        "[[Nota]] [[pasta/Nota#Título#Sub|outro]] [[#^bloco]] ![[foto.png|100]] [[a\\|b]]\n"
        "[texto](outra%20nota.md#T) ![](img.png) [fora](https://x.example) `[[code]]`"
    )
    assert read_note(note(text)).links == (
        Link("Nota"),
        Link("pasta/Nota", heading="Título#Sub", alias="outro"),
        Link("", block="bloco"),
        Link("foto.png", embed=True, alias="100"),
        Link("a", alias="b"),
        Link("outra nota.md", heading="T", alias="texto"),
        Link("img.png", embed=True),
    )


def test_links_lead_by_path_by_name_and_by_alias():
    places = Places(
        ["Nota.md", "sub/Nota.md", "sub/outra.md", "img/foto.png", "a/b/funda.md"],
        {"sub/outra.md": ["Apelido"]},
    )
    expected = {
        "nota": "Nota.md",
        "sub/Nota": "sub/Nota.md",
        "OUTRA": "sub/outra.md",
        "apelido": "sub/outra.md",
        "foto.png": "img/foto.png",
        "b/funda": "a/b/funda.md",
        "../Nota": "Nota.md",
        "": "sub/outra.md",
        "não há": None,
    }
    assert {target: places.resolve(target, "sub/outra.md") for target in expected} == expected


@given(st.binary(max_size=400))
def test_any_bytes_are_a_note(raw: bytes):
    read_note(raw)


@given(st.text(alphabet="[]()#|!^`~%-: \n\\ab/.", max_size=300))
def test_any_markup_is_a_note(text: str):
    found = read_note(note(f"---\n{text}\n---\n{text}"))
    assert all(tag and not tag.isdigit() for tag in found.tags)


@pytest.mark.parametrize("part", ["[[", "`", "```\n", "%%", "#a ", "[](", "---\n", "[a](b "])
def test_notes_made_to_be_slow_are_read(part: str):
    assert read_note(note(part * 20_000)) is not None
