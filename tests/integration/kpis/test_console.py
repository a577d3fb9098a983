"""The console over the real models: what a person sees of the KPIs in a browser, in either language."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from starlette.testclient import TestClient

from batuta.facts import format_value
from batuta.kpis import KpiValue, current_kpis
from batuta.manifests.graph import CompiledGraph
from batuta.warehouse.connection import connect
from batuta_gateway.app import create_app
from batuta_gateway.console.accounts import AccountLine
from batuta_gateway.console.views import SHOWN_PRODUCTS
from batuta_gateway.console.words import words_of
from sensors.pull.overview import AccountView
from tests.support.gateway_server import (
    Running,
    binding,
    daily_review,
    gateway_settings,
    install,
    product,
    running,
)
from tests.support.kpis_dbt import KpiWarehouse
from tests.support.kpis_events import line, order, record

NAME = "aaa-vitrine"
DAY = "2024-05-01"
SHOP = "vitrine.myshopify.com"
REGISTER = (
    "insert into batuta.products (product, currency, timezone, locale, applied_at) "
    "values (%s, 'BRL', 'America/Sao_Paulo', 'pt-BR', now()) on conflict do nothing"
)
MOMENT = datetime(2024, 5, 1, 12, tzinfo=UTC)
ELSEWHERE = [{"host": "evil.example.com"}, {"x-forwarded-for": "10.0.0.1"}]
PAGES = ["/console", f"/console/{NAME}", f"/console/{NAME}/net_sales"]


@pytest.fixture(scope="module")
def shop(kpi_warehouse: KpiWarehouse) -> dict[str, KpiValue]:
    """A product with a sale on two days; its KPIs."""
    with connect(kpi_warehouse.url, "writer") as conn:
        conn.execute(REGISTER, (NAME,))
        for number, day in enumerate(("2024-04-30", DAY), start=1):
            at = f"{day}T12:00:00+00:00"
            record(conn, NAME, [order(number, at, line(1, "1234.56"))])
    with connect(kpi_warehouse.url, "reader") as conn:
        return {value.kpi: value for value in current_kpis(conn, NAME)}


@pytest.fixture(scope="module")
def console(
    kpi_warehouse: KpiWarehouse, shop: dict[str, KpiValue], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    settings = gateway_settings(tmp_path_factory.mktemp("console"), kpi_warehouse.url)
    led = product(NAME, binding("shopify", "nowhere", account=SHOP), binding("whatsapp")).model_copy(
        update={"kpis": ("net_sales", "LTV")}
    )
    with running(settings, graph=CompiledGraph(products=(led,), pipelines=(daily_review(NAME),))) as started:
        yield started


def shown(answered: httpx.Response) -> str:
    assert answered.status_code == 200, answered.text
    assert answered.headers["content-security-policy"].startswith("default-src 'none'")
    return html.unescape(answered.text)


@pytest.mark.parametrize(("language", "locale"), [("pt", "pt-BR"), ("en", "en")])
def test_a_product_shows_every_kpi_as_the_catalogue_defines_it(
    console: Running, shop: dict[str, KpiValue], language: str, locale: str
) -> None:
    page = shown(console.http.get(f"/console/{NAME}", params={"lang": language}))
    assert f'<html lang="{locale}">' in page
    for value in shop.values():
        assert value.title(locale) in page
        assert value.definition(locale) in page
        if value.value is not None:
            assert format_value(value.value, value.printed_unit, locale) in page
    assert shop["net_sales"].value is not None
    assert format_value(shop["net_sales"].value, "money:BRL", "pt-BR") == "R$\N{NO-BREAK SPACE}1.234,56"


def test_a_kpi_shows_its_chart_its_days_and_how_to_find_its_events(
    console: Running, shop: dict[str, KpiValue]
) -> None:
    page = shown(console.http.get(f"/console/{NAME}/net_sales?lang=en"))
    assert '<svg viewBox="' in page
    assert page.count("R$1,234.56") >= 3, "the value and its two days"
    assert f"batuta events list --product {NAME} --kpi net_sales --as-of {DAY}" in page
    assert all(word in page for word in (shop["net_sales"].owner, shop["net_sales"].basis, "product, day"))
    assert "/#!/model/model.batuta.dim_kpis.v1" in page


def test_a_kpi_without_a_value_says_why(console: Running) -> None:
    page = shown(console.http.get(f"/console/{NAME}/CAC?lang=pt"))
    assert "sem valor" in page
    assert "nenhum gasto registrado" in page
    assert "<svg viewBox" not in page


def test_products_lead_with_the_kpis_their_manifest_names(
    console: Running, shop: dict[str, KpiValue]
) -> None:
    page = shown(console.http.get("/console?lang=en"))
    mine = page.partition(f'href="/console/{NAME}?')[2].partition("<section>")[0]
    assert 0 < mine.index(shop["net_sales"].title_en) < mine.index(shop["LTV"].title_en)
    assert shop["orders"].title_en not in mine


def test_of_many_products_the_rest_are_named(console: Running) -> None:
    with connect(console.database_url, "writer") as conn:
        for number in range(SHOWN_PRODUCTS + 1):
            conn.execute(REGISTER, (f"0-vitrine-{number:02}",))
    try:
        page = shown(console.http.get("/console?lang=en"))
        assert page.count("<h2>") == SHOWN_PRODUCTS + 1
        assert f'<li><a href="/console/{NAME}?lang=en">' in page
        assert "no figures yet" in shown(console.http.get("/console/0-vitrine-00?lang=en"))
    finally:
        console.query("delete from batuta.products where product like '0-vitrine-%%' returning 1")


def test_the_browser_s_language_is_taken_and_another_can_be_chosen(console: Running) -> None:
    for accepted, heading in {
        "pt-BR,pt;q=0.9,en;q=0.8": "Produtos",
        "de,en-GB;q=0.7": "Products",
        "de": "Products",
    }.items():
        assert f"<h1>{heading}</h1>" in shown(
            console.http.get("/console", headers={"accept-language": accepted})
        )
    chosen = console.http.get("/console?lang=pt", headers={"accept-language": "en"})
    assert "<h1>Produtos</h1>" in shown(chosen)
    assert "<h1>Products</h1>" in shown(console.http.get("/console?lang=xx"))


def test_reports_of_pipelines_that_exist_are_linked(console: Running) -> None:
    put = (
        "insert into batuta.reports (id, pipeline, product, business_date, digest, path, created_at) "
        "values (%s, %s, %s, %s, 'sha256:1', '', now()) returning id"
    )
    console.query("insert into batuta.blobs values ('sha256:1', 'text/html', 'x', now()) returning digest")
    for pipeline in (f"{NAME}-daily-review", "vitrine-gone"):
        console.query(put, f"report-{pipeline}", pipeline, NAME, DAY)
    page = shown(console.http.get(f"/console/{NAME}?lang=en"))
    assert f'href="/reports/{NAME}/daily_review/{DAY}"' in page
    assert "vitrine-gone" not in page


def test_a_product_shows_how_its_accounts_stand_and_what_is_wrong(console: Running) -> None:
    page = shown(console.http.get(f"/console/{NAME}?lang=pt"))
    accounts = page.partition("<h2>Contas</h2>")[2]
    assert f"shopify {SHOP}" in accounts
    assert "/assets/shopify/accounts?view=checks" in accounts
    assert "entregas recusadas" in accounts
    assert "deliveries are refused: Product" in accounts
    assert "nowhere cannot be read" in accounts
    assert "só envia" in accounts
    one = AccountView(NAME, "notion", "avila", fetched=True, last_success_at=MOMENT, counted=1288, missing=3)
    line_of_it = AccountLine(one, "America/Sao_Paulo", "pt-BR", words_of("pt-BR"))
    assert (line_of_it.standing, line_of_it.counted, line_of_it.missing) == ("em ordem", "1.288", "3")
    assert "09:00" in line_of_it.fetched


@pytest.mark.parametrize("address", ["/console/nobody", f"/console/{NAME}/nothing", "/console/nobody/LTV"])
def test_what_is_not_there_is_said_in_a_page(console: Running, address: str) -> None:
    answered = console.http.get(address, headers={"accept-language": "pt"})
    assert answered.status_code == 404
    assert "Não há nada neste endereço." in answered.text


@pytest.mark.parametrize("address", PAGES)
def test_it_is_for_this_machine_alone(console: Running, address: str) -> None:
    assert console.http.get(address, follow_redirects=True).status_code == 200
    assert [console.http.get(address, headers=headers).status_code for headers in ELSEWHERE] == [404, 404]
    app = create_app(console.settings)
    with TestClient(app, base_url="http://localhost", client=("192.0.2.7", 5000)) as far:
        assert far.get(address).status_code == 404


def test_before_the_first_refresh_and_without_a_database_it_says_so(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = gateway_settings(tmp_path_factory.mktemp("new"), database_url)
    install(settings)
    with TestClient(create_app(settings), base_url="http://localhost", client=("127.0.0.1", 5000)) as http:
        assert "No product is registered" in http.get("/console").text
        with connect(database_url, "writer") as conn:
            conn.execute(REGISTER, (NAME,))
        for address in PAGES:
            answered = http.get(address)
            assert answered.status_code == 503
            assert "have not been built yet" in answered.text
    nowhere = settings.model_copy(update={"database_url": "postgresql://batuta@127.0.0.1:1/batuta"})
    with TestClient(create_app(nowhere), base_url="http://localhost", client=("127.0.0.1", 5000)) as http:
        answered = http.get("/console?lang=pt")
        assert answered.status_code == 503
        assert "O banco de dados não responde" in answered.text
