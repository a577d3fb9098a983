"""What the console's pages show: read from the live views through the reader role, and put into a reader's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from batuta.facts import format_value
from batuta.kpis import KpiValue, ProductForm, current_kpis, leading, note_in, unit_in, window_in
from batuta.manifests.graph import CompiledGraph
from batuta.reports import charts
from batuta.reports.figures import kpi_chart
from batuta.reports.formats import moment, short_date
from batuta.reports.gather import kpi_series
from batuta.reports.lineage_words import model_page
from batuta.reports.model import KpiSeries, ProductInfo
from batuta.settings import Settings
from batuta.warehouse.connection import Connection
from batuta_gateway.console.accounts import AccountLine, read_accounts
from batuta_gateway.console.words import words_of
from sensors.pull.overview import AccountView

if TYPE_CHECKING:
    from jinja2 import Environment

SHOWN_PRODUCTS: Final = 12
"""Products whose figures the first page shows; of others it shows the names."""
SPARK_DAYS: Final = 30
TABLE_DAYS: Final = 30
SHOWN_REPORTS: Final = 10


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks: in which language, and where the other pages are."""

    locale: str
    docs: str
    dagster: str

    @classmethod
    def of(cls, settings: Settings, locale: str) -> Reader:
        """A reader of this installation's pages."""
        return cls(locale, settings.docs_address, f"http://127.0.0.1:{settings.dagster_port}")


@dataclass(frozen=True, slots=True)
class Report:
    """A stored report."""

    pipeline: str
    family: str
    day: date


class KpiLine:
    """One KPI of one product as a line of a table, a card or the head of a page."""

    def __init__(self, entry: KpiValue, series: KpiSeries | None, locale: str) -> None:
        self.entry = entry
        self.series = series
        self.locale = locale

    @property
    def title(self) -> str:
        """What it is called."""
        return self.entry.title(self.locale)

    @property
    def definition(self) -> str:
        """What it means."""
        return self.entry.definition(self.locale)

    @property
    def value(self) -> str:
        """The value with its unit; a dash where there is none."""
        return format_value(self.entry.value, self.entry.printed_unit, self.locale)

    @property
    def sample(self) -> str:
        """How many were counted."""
        return format_value(self.entry.sample_size, "count", self.locale)

    @property
    def unit(self) -> str:
        """What it is counted in."""
        return unit_in(self.entry, self.locale)

    @property
    def window(self) -> str:
        """How much time a value looks at."""
        return window_in(self.entry.window, self.locale)

    @property
    def note(self) -> str:
        """Its interval, and why there is no value or what to keep in mind."""
        return note_in(self.entry, self.locale)

    @property
    def spark(self) -> Markup:
        """A small line of its last days."""
        points = self.series.points[-SPARK_DAYS:] if self.series else ()
        return Markup(charts.sparkline(points, self.title))  # noqa: S704 - built and escaped there


class Page:
    """What every template asks for."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.locale = reader.locale
        self.words = words_of(reader.locale)

    @property
    def language(self) -> str:
        """`pt` or `en`, as it stands in addresses."""
        return self.locale.partition("-")[0]

    @property
    def other_language(self) -> str:
        """The language this page is not in."""
        return "en" if self.language == "pt" else "pt"

    @property
    def definitions(self) -> str:
        """Where the documentation defines all KPIs."""
        return model_page(self.reader.docs, "dim_kpis")

    def day(self, day: date) -> str:
        """A date in figures."""
        return short_date(day, self.locale)


class ProductPage(Page):
    """A product with its KPIs, reports and accounts."""

    def __init__(
        self,
        reader: Reader,
        product: ProductForm,
        values: Sequence[KpiValue],
        series: Sequence[KpiSeries] = (),
        reports: Sequence[Report] = (),
        led_by: Sequence[str] = (),
        accounts: Sequence[AccountView] = (),
    ) -> None:
        super().__init__(reader)
        self.product = product
        self.values = values
        self.reports = reports
        self.led_by = led_by
        self.accounts = [AccountLine(one, product.timezone, self.locale, self.words) for one in accounts]
        self._series = {one.kpi: one for one in series}

    @cached_property
    def lines(self) -> list[KpiLine]:
        """All KPIs, in the catalogue's order."""
        return [KpiLine(entry, self._series.get(entry.kpi), self.locale) for entry in self.values]

    @cached_property
    def leading(self) -> list[KpiLine]:
        """Those the product's manifest names, else those the catalogue calls headline."""
        by_name = {line.entry.kpi: line for line in self.lines}
        return leading(by_name, self.led_by, lambda line: line.entry.is_headline)

    @property
    def as_of(self) -> str:
        """The day the values are of, and how far the log reaches."""
        if not self.values:
            return self.words["no_figures"]
        newest = self.values[0]
        said = self.words["as_of"].format(day=self.day(newest.as_of))
        if newest.committed_at is None:
            return said
        at = moment(newest.committed_at, self.product.timezone, self.locale)
        return f"{said} · {self.words['fresh'].format(moment=at)}"


class ProductsPage(Page):
    """All products, the first of them with the figures they are led by."""

    def __init__(self, reader: Reader, shown: Sequence[ProductPage], others: Sequence[ProductForm]) -> None:
        super().__init__(reader)
        self.shown = shown
        self.others = others


class KpiPage(Page):
    """One KPI of one product: its value, what it means, its chart and its days."""

    def __init__(self, reader: Reader, product: ProductForm, line: KpiLine) -> None:
        super().__init__(reader)
        self.product = product
        self.line = line

    @cached_property
    def chart(self) -> Markup | None:
        """Its days as a picture."""
        drawn = kpi_chart(self.line.series, self.locale) if self.line.series else None
        return Markup(charts.svg(drawn)) if drawn else None  # noqa: S704 - drawn by us, its texts escaped

    @property
    def days(self) -> list[tuple[str, str]]:
        """(day, value), the newest first."""
        if self.line.series is None:
            return []
        newest = self.line.series.points[: -TABLE_DAYS - 1 : -1]
        unit = self.line.entry.printed_unit
        return [(self.day(p.day), format_value(p.value, unit, self.locale)) for p in newest]

    @property
    def events_command(self) -> str:
        """What lists the events behind the value."""
        entry = self.line.entry
        return f"batuta events list --product {entry.product} --kpi {entry.kpi} --as-of {entry.as_of}"


class MessagePage(Page):
    """A sentence instead of a page."""

    def __init__(self, reader: Reader, message: str) -> None:
        super().__init__(reader)
        self.message = self.words[message]


def read_products(
    conn: Connection, reader: Reader, known: Sequence[ProductForm], graph: CompiledGraph
) -> ProductsPage:
    """The first page.

    Raises:
        KpisNotBuilt: dbt has not run on this database.
    """
    shown = [
        ProductPage(reader, product, current_kpis(conn, product.name), led_by=_led_by(graph, product.name))
        for product in known[:SHOWN_PRODUCTS]
    ]
    return ProductsPage(reader, shown, known[SHOWN_PRODUCTS:])


def read_product(
    conn: Connection, reader: Reader, product: ProductForm, graph: CompiledGraph, settings: Settings
) -> ProductPage:
    """The page of a product.

    Raises:
        KpisNotBuilt: dbt has not run on this database.
    """
    values = current_kpis(conn, product.name)
    series = _series(conn, reader, product, values)
    reports = _reports(conn, product.name, graph)
    accounts = read_accounts(conn, graph, settings, product.name)
    return ProductPage(reader, product, values, series, reports, _led_by(graph, product.name), accounts)


def read_kpi(conn: Connection, reader: Reader, product: ProductForm, kpi: str) -> KpiPage | None:
    """The page of one KPI of a product; None where the product has no such KPI.

    Raises:
        KpisNotBuilt: dbt has not run on this database.
    """
    values = current_kpis(conn, product.name)
    entry = next((value for value in values if value.kpi == kpi), None)
    if entry is None:
        return None
    series = next((one for one in _series(conn, reader, product, values) if one.kpi == kpi), None)
    return KpiPage(reader, product, KpiLine(entry, series, reader.locale))


def render(template: str, page: Page) -> str:
    """A page as HTML."""
    return _templates().get_template(template).render(page=page, words=page.words)


def _series(
    conn: Connection, reader: Reader, product: ProductForm, values: Sequence[KpiValue]
) -> Sequence[KpiSeries]:
    if not values:
        return ()
    info = ProductInfo(product.name, reader.locale, product.currency, product.timezone)
    return kpi_series(conn, info, values[0].as_of)


def _led_by(graph: CompiledGraph, product: str) -> Sequence[str]:
    return next((one.kpis for one in graph.products if one.name == product), ())


def _reports(conn: Connection, product: str, graph: CompiledGraph) -> list[Report]:
    """The newest reports of pipelines there are; those of others have no address."""
    families = {pipeline.name: pipeline.family for pipeline in graph.pipelines}
    rows = conn.execute(
        "select distinct pipeline, business_date from batuta.reports where product = %s and pipeline = any(%s) "
        "order by business_date desc, pipeline limit %s",
        (product, list(families), SHOWN_REPORTS),
    ).fetchall()
    return [Report(pipeline, families[pipeline], day) for pipeline, day in rows]


@lru_cache(maxsize=1)
def _templates() -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    return Environment(
        # The pages look like the reports: they share the style sheet.
        loader=ChoiceLoader(
            [
                PackageLoader("batuta_gateway.console", "templates"),
                PackageLoader("batuta.reports", "templates"),
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
