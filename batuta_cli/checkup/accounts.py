"""Checks of the accounts at vendors: each is fetched from, and what is sent for it can be verified."""

import psycopg

from batuta.counting import counted
from batuta.errors import BatutaError
from batuta.manifests.bundle import bundle_path, read_bundle
from batuta.settings import Settings
from batuta.warehouse.connection import connect
from batuta_cli.checkup.finding import Finding, note, ok, problem
from sensors.pull.overview import AccountView, overview

MEND = "Mend it; `batuta connectors` shows how the account stands, `batuta connectors poll` tries it at once."


def standing(settings: Settings, url: str | None) -> list[Finding]:
    """No account fails, or has its deliveries refused."""
    bundle = bundle_path(settings.home)
    if not bundle.exists():
        return [note("connectors", "no manifests are applied yet; `batuta apply PATH` does it")]
    if url is None:
        return [note("connectors", "cannot be looked at while the database does not run")]
    try:
        graph = read_bundle(bundle)
        with connect(url, "reader") as conn:
            views = overview(conn, graph, settings)
    except psycopg.Error as error:
        return [note("connectors", f"cannot be looked at: {type(error).__name__}")]
    except BatutaError as error:
        return [problem("connectors", error.message, error.hint)]
    wrong = [found for view in views for found in _wrong(view)]
    return wrong or [ok("connectors", f"nothing is wrong with {counted(len(views), 'account')}")]


def _wrong(view: AccountView) -> list[Finding]:
    name = " ".join(filter(None, (view.product, view.connector, view.account)))
    said = [view.refuses]
    if view.standing == "failing":
        said.append(view.problem)
    return [problem("connectors", f"{name}: {words}", MEND) for words in said if words is not None]
