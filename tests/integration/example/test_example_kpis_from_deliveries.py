"""Every KPI is what pandas makes of the raw deliveries, to the cent, however these are shuffled, cut and repeated."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from batuta.landing.model import Delivery
from batuta.warehouse.connection import connect
from examples.arcsat.generate import Manifest, generate
from tests.integration.conftest import Refreshed
from tests.support import database as databases
from tests.support.example import KEYS, LANDED_AT, LAST_DAY, land_file, open_landing
from tests.support.kpis_dbt import TABLES, KpiWarehouse
from tests.support.told_pandas import Told, read
from tests.support.truth_pandas import Values, days, kpis

# The first test waits for all landings and refreshes.
pytestmark = pytest.mark.timeout(900)

SEEDS = 3, 11, 58
PRODUCTS = "arcsat", "lojablock"
GROSS_MARGIN = Decimal("0.3525")
LIVE, RECORDED = "batuta_live.live_kpi_daily", "batuta_marts.kpi_daily"

Stored = dict[str, dict[date, Values]]


@dataclass(frozen=True, slots=True)
class Companies:
    """The generated companies, told by product, and what became of them in the database, by relation."""

    told: dict[str, Told]
    stored: dict[str, Stored]


def product_of(name: str, seed: int) -> str:
    """The companies stand side by side in one database."""
    return f"{name}-{seed}"


def _read(folder: Path, name: str) -> Told:
    def lines(vendor: str) -> list[bytes]:
        return (folder / f"{name}.{vendor}.jsonl").read_bytes().split(b"\n")[:-1]

    vendors = "shopify", "github", "events"
    return read((vendor, KEYS.get(f"{name}-{vendor}", b""), lines(vendor)) for vendor in vendors)


def _part(number: int, seed: int) -> Callable[[Iterable[Delivery]], Iterable[Delivery]]:
    """One of two parts of shuffled deliveries; the second one brings back some of the first, some of them twice."""

    def arranged(found: Iterable[Delivery]) -> Iterable[Delivery]:
        rng = Random(seed)
        shuffled = [replace(delivery, product=product_of(delivery.product, seed)) for delivery in found]
        rng.shuffle(shuffled)
        cut = rng.randrange(len(shuffled) // 4, 3 * len(shuffled) // 4)
        if number == 0:
            return shuffled[:cut]
        again = shuffled[cut:] + rng.choices(shuffled, k=len(shuffled) // 12)
        rng.shuffle(again)
        return again

    return arranged


def _register(url: str) -> None:
    with connect(url, "writer") as conn:
        for product in (product_of(name, seed) for seed in SEEDS for name in PRODUCTS):
            conn.execute(
                "insert into batuta.products (product, currency, timezone, locale, applied_at, gross_margin) "
                "values (%s, 'BRL', 'America/Sao_Paulo', 'pt-BR', %s, %s)",
                (product, LANDED_AT, GROSS_MARGIN),
            )
            conn.execute("insert into batuta.horizons (product, as_of) values (%s, %s)", (product, LAST_DAY))


def _stored(url: str, relation: str) -> Stored:
    found: Stored = {}
    with connect(url, "reader") as conn:
        # What is predicted is held against published parameters (test_cdnow.py), and nothing is predicted here.
        query = f"select product, business_date, kpi, value, low, high from {relation} where kpi <> 'predicted_LTV'"
        rows = conn.execute(query.encode())
        for product, day, kpi, value, low, high in rows.fetchall():
            values = found.setdefault(product, {}).setdefault(day, {})
            values[kpi] = value
            if kpi == "NPS":
                values |= {"NPS low": low, "NPS high": high}
    return found


@pytest.fixture(scope="module")
def companies(
    database_server: str, refreshed: Refreshed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Companies]:
    """Three companies of two products each, landed in two parts with a refresh after each."""
    folder = tmp_path_factory.mktemp("companies")
    manifests: dict[int, Manifest] = {
        seed: generate(folder / str(seed), KEYS, seed, "small") for seed in SEEDS
    }
    told = {product_of(name, seed): _read(folder / str(seed), name) for seed in SEEDS for name in PRODUCTS}
    with databases.database(database_server, refreshed.template) as url:
        _register(url)
        warehouse = KpiWarehouse(url, refreshed.target)
        landing = open_landing(folder)

        def arrive(number: int) -> None:
            for seed, manifest in manifests.items():
                for file in manifest.files:
                    land_file(url, landing, folder / str(seed), file, _part(number, seed))

        arrive(0)
        warehouse.refresh(*TABLES)
        arrive(1)
        live = _stored(url, LIVE)
        warehouse.refresh(*TABLES)
        yield Companies(told, {LIVE: live, RECORDED: _stored(url, RECORDED)})


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("relation", [LIVE, RECORDED])
def test_every_kpi_is_what_the_raw_deliveries_say(
    companies: Companies, relation: str, name: str, seed: int
) -> None:
    product = product_of(name, seed)
    told, stored = companies.told[product], companies.stored[relation][product]
    series = days(told, LAST_DAY)
    assert sorted(stored) == series
    for day in (series[0], series[3], *series[-1::-13]):
        assert {"day": day, **stored[day]} == {"day": day, **kpis(told, day, GROSS_MARGIN)}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_companies_put_every_kpi_to_the_test(companies: Companies, seed: int) -> None:
    last = companies.stored[RECORDED][product_of("arcsat", seed)][LAST_DAY]
    assert [kpi for kpi, value in last.items() if value is None] == []
    assert companies.stored[LIVE] == companies.stored[RECORDED]
