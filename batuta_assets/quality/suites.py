"""Runs the suites of contracts with Great Expectations: a second reading of the data, with evidence and a page.

The library takes seconds to import, so it is imported when a suite runs and nowhere else; it keeps nothing of its own,
calls nobody, and draws no progress bars. A suite that raises, reads nothing or skips an expectation has failed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from batuta.quality.check import COMPANY, SHOWN_ROWS, Broken, Evidence, Outcome
from batuta.quality.contract import PRODUCT, DataContract
from batuta.quality.expectations import SHAPE, index_columns, suite
from batuta.warehouse.connection import conninfo

INDEX: Final = "index.html"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a suite found.

    Attributes:
        outcome: The same form the quick rules give; `problem` where the suite could not be trusted.
        expectations: How many there are.
        failed: The names of the rules whose expectation was not met.
        page: The page of the Data Docs.
    """

    outcome: Outcome
    expectations: int
    failed: tuple[str, ...]
    page: Path | None


@contextmanager
def suites(url: str, pages: Path) -> Iterator[Suites]:
    """Ready to run suites on a warehouse, as reader; pages are written below `pages`, a folder for each contract."""
    before = {name: os.environ.get(name) for name in _QUIET}
    os.environ.update(_QUIET)
    try:
        yield Suites(url, pages)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dataclass(frozen=True, slots=True)
class Suites:
    """Runs one suite after the other; each in a context of its own, which remembers nothing."""

    url: str
    pages: Path

    def run(self, contract: DataContract) -> Verdict:
        """Hold a relation to its contract; whatever goes wrong is said in the verdict, never passed over."""
        expected = suite(contract)["expectations"]
        try:
            result, page = self._validate(contract)
            outcome, failed = _outcome(contract, result, expected)
        except Exception as error:  # noqa: BLE001 a library's failure of any kind is a failed check
            said = " ".join(str(error).split())[:500]
            problem = f"the suite of {contract.reference} could not be run: {type(error).__name__}: {said}"
            return Verdict(Outcome(contract, {}, problem=problem), len(expected), (), None)
        return Verdict(outcome, len(expected), failed, page)

    def _validate(self, contract: DataContract) -> tuple[Any, Path]:
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        context: Any = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        folder = self.pages / contract.name
        fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(fresh, ignore_errors=True)
        context.add_data_docs_site(contract.name, _site(fresh))
        schema, _, table = contract.relation.partition(".")
        source = context.data_sources.add_postgres("warehouse", connection_string=_address(self.url, schema))
        try:
            asset = source.add_table_asset(contract.name, table_name=table)
            batch = asset.add_batch_definition_whole_table("all")
            expectations = context.suites.add(gx.ExpectationSuite(**suite(contract)))
            definition = context.validation_definitions.add(
                gx.ValidationDefinition(name=contract.name, data=batch, suite=expectations)
            )
            result = definition.run(
                result_format={
                    "result_format": "COMPLETE",
                    "unexpected_index_column_names": index_columns(contract),
                    "partial_unexpected_count": SHOWN_ROWS,
                }
            )
            context.build_data_docs(site_names=[contract.name])
        finally:
            source.get_execution_engine().close()
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
        return result, folder / INDEX


_QUIET: Final[Mapping[str, str]] = {"GX_ANALYTICS_ENABLED": "False", "TQDM_DISABLE": "1"}


def _address(url: str, schema: str) -> str:
    """The warehouse as SQLAlchemy knows it, through psycopg 3, as reader, tables found in a schema."""
    from urllib.parse import quote

    from psycopg.conninfo import conninfo_to_dict

    given = {k: str(v) for k, v in conninfo_to_dict(conninfo(url, "reader")).items() if v is not None}
    given["options"] += f" -c search_path={schema}"
    user, password = given.pop("user", ""), given.pop("password", "")
    host, port = given.pop("host", ""), given.pop("port", "5432")
    name = given.pop("dbname", "")
    login = f"{quote(user, safe='')}{f':{quote(password, safe=chr(0))}' if password else ''}@" if user else ""
    place = f"{host}:{port}" if not host.startswith("/") else ""
    if not place:
        given |= {"host": host, "port": port}
    query = "&".join(f"{k}={quote(v, safe='')}" for k, v in given.items())
    return f"postgresql+psycopg://{login}{place}/{quote(name, safe='')}?{query}"


def _site(folder: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }


def _outcome(
    contract: DataContract, result: Any, expected: Sequence[Mapping[str, Any]]
) -> tuple[Outcome, tuple[str, ...]]:
    """The verdict of a suite in the form of the quick rules."""
    rules = {rule.name: rule for rule in contract.rules}
    answered: dict[str, Any] = {}
    problems: list[str] = []
    broken: list[Broken] = []
    for item in result.results:
        name = (item.expectation_config.meta or {}).get("rule", "?")
        answered[name] = item
        raised = _raised(item.exception_info)
        if raised is not None:
            problems.append(f"{name}: {raised}")
        elif not item.success and name == SHAPE:
            problems.append(f"{name}: {contract.relation} has not all columns that are promised")
        elif not item.success:
            broken += _broken(contract, rules[name], item.result)
    silent = [e["meta"]["rule"] for e in expected if e["meta"]["rule"] not in answered]
    if silent:
        problems.append(f"no answer for {', '.join(silent)}")
    failed = tuple(name for name, item in answered.items() if not item.success)
    rows = {b.product: b.rows for b in broken}
    return Outcome(contract, rows, tuple(broken), "; ".join(problems) or None), failed


def _broken(contract: DataContract, rule: Any, found: Mapping[str, Any]) -> Iterator[Broken]:
    """What an expectation that was not met says of each product."""
    rows = found.get("unexpected_index_list") or (found.get("details") or {}).get("unexpected_rows") or []
    total = int(found.get("element_count") or 0)
    by_product: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_product.setdefault(str(row.get(PRODUCT) or COMPANY), []).append(row)
    if not by_product:
        by_product[COMPANY] = []
    for product, own in by_product.items():
        count = int(own[0]["counted"]) if own and "counted" in own[0] else len(own)
        evidence = tuple(_evidence(contract, rule, row) for row in own[:SHOWN_ROWS] if "counted" not in row)
        yield Broken(rule, product, count, total, evidence)


def _evidence(contract: DataContract, rule: Any, row: Mapping[str, Any]) -> Evidence:
    shown = {
        c: str(row[c]) for c in (*((PRODUCT,) if contract.by_product else ()), *contract.key) if c in row
    }
    events = ((str(row["event_source"]), str(row["event_id"])),) if row.get("event_id") else ()
    value = str(row[rule.columns[0]]) if len(rule.columns) == 1 and rule.columns[0] in row else None
    return Evidence(shown, value, events)


def _raised(info: Any) -> str | None:
    """The message of an exception that the library has put away in a result."""
    if not isinstance(info, Mapping) or not info:
        return None
    if "raised_exception" in info:
        return str(info.get("exception_message") or "it raised") if info["raised_exception"] else None
    messages = (_raised(part) for part in info.values() if isinstance(part, Mapping))
    return next((message for message in messages if message), None)
