"""The documentation page: complete in itself, about data, and silent of the machine it was made on."""

import json
from pathlib import Path

import pytest

from batuta_cli.stack.docs_site import DocsFailed, page

TEMPLATE = '<script>var n = ["MANIFEST.JSON INLINE DATA", "CATALOG.JSON INLINE DATA"]</script>'


def made(folder: Path, template: str = TEMPLATE) -> Path:
    model = {
        "description": "</script><b>",
        "compiled_path": "/home/somebody/target/m.sql",
        "build_path": None,
    }
    manifest = {
        "nodes": {"model.m": model},
        "macros": {"macro.x": {"description": "", "docs": {"show": True}}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    (folder / "catalog.json").write_text(json.dumps({"nodes": {}}), "utf-8")
    (folder / "index.html").write_text(template, "utf-8")
    return folder


def test_the_page_holds_what_it_shows_and_no_text_ends_its_script(tmp_path: Path) -> None:
    html = page(made(tmp_path))
    assert html.count("</script>") == 1
    manifest, catalog = json.loads(html.removeprefix("<script>var n = ").removesuffix("</script>"))
    assert manifest["nodes"]["model.m"]["description"] == "</script><b>"
    assert catalog == {"nodes": {}}


def test_macros_are_not_shown_and_paths_not_told(tmp_path: Path) -> None:
    html = page(made(tmp_path))
    assert '"docs":{"show":false}' in html
    assert "somebody" not in html


def test_a_page_of_another_dbt_without_a_place_for_the_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DocsFailed, match=r"no place for manifest\.json"):
        page(made(tmp_path, "<script></script>"))


def test_the_page_of_the_catalogue_lists_the_kpis_with_their_definitions(tmp_path: Path) -> None:
    folder = made(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    kpi: dict[str, object] = {
        "title": {"en": "Net sales"},
        "unit": "currency",
        "window": "1 day",
        "owner": "team:sigma",
    }
    kpi["definition"] = {"en": "Gross | less discounts."}
    manifest["nodes"]["model.m"]["config"] = {"meta": {"kpis": {"net_sales": kpi}}}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    told = "| net_sales | Net sales | currency | 1 day | team:sigma | Gross / less discounts. |"
    assert told in page(folder)
