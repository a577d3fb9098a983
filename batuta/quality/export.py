"""Exports a data domain under its contract: its columns, types and order, in Parquet, CSV or JSON lines.

What is written was held to the contract in the same snapshot of the data; data that break it are not written. Read as
reader, so that only what is masked can leave. The file appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final, Literal, Protocol, TypeAlias

import psycopg

from batuta.errors import BatutaError, UsageError
from batuta.quality.check import Outcome, check, reading
from batuta.quality.contract import ENFORCED, PRODUCT, DataContract, Field, version_key
from batuta.quality.rules import identifier, literal

Format: TypeAlias = Literal["parquet", "csv", "jsonl"]
FORMATS: Final[Mapping[str, Format]] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
CHUNK_ROWS: Final = 10_000


class NotExported(BatutaError):
    """The data break the contract they were to be exported under, or are not there."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    contract: DataContract
    path: Path
    rows: int
    size_bytes: int
    sha256: str


def choose(contracts: Sequence[DataContract], domain: str, version: str) -> DataContract:
    """The contract of a domain (or of that name) in a version; `1` or `1.2` stand for the newest of these.

    Raises:
        UsageError: there is no such domain or version; the hint has those there are.
    """
    offered = [c for c in contracts if c.status in ENFORCED]
    of_domain = [c for c in offered if domain in {c.domain, c.name}]
    if not of_domain:
        known = ", ".join(sorted({c.domain for c in offered}))
        raise UsageError(f'no data domain "{domain}"', hint=f"domains: {known}")
    wanted = version.removeprefix("v")
    fitting = [c for c in of_domain if c.version == wanted or c.version.startswith(f"{wanted}.")]
    if not fitting:
        known = ", ".join(c.version for c in sorted(of_domain, key=lambda c: version_key(c.version)))
        raise UsageError(
            f"the domain {domain} has no contract in version {version}", hint=f"versions: {known}"
        )
    return max(fitting, key=lambda c: version_key(c.version))


def format_of(path: Path, named: str | None) -> Format:
    """The format that is named, else the one the file's ending stands for.

    Raises:
        UsageError: neither says which.
    """
    found = FORMATS.get(f".{named}") if named else FORMATS.get(path.suffix.lower())
    if found is None:
        raise UsageError(
            f"{path.name} does not say in which format to write",
            hint="End its name in .parquet, .csv or .jsonl, or give --format.",
        )
    return found


def export(
    conn: psycopg.Connection[Any],
    contract: DataContract,
    path: Path,
    *,
    product: str | None = None,
    format: Format,
    progress: Callable[[int, int], None],
) -> Exported:
    """Write the rows of a domain in the order of its key.

    Args:
        conn: Idle.
        contract: What is promised of them.
        path: The file; replaced if it is there.
        product: Only this product's rows.
        format: How they are written.
        progress: Told of rows written and rows in all, after each chunk.

    Raises:
        NotExported: the data break the contract; nothing is written.
        UsageError: a product is named that has no rows, or the rows belong to no product.
    """
    if product is not None and not contract.by_product:
        raise UsageError(f"the domain {contract.domain} speaks of the whole company; leave out --product")
    with reading(conn):
        found = check(conn, contract, None if product is None else [product])
        _refuse(found)
        if product is not None and not found.rows.get(product):
            products = [name for (name,) in conn.execute(_products(contract))]
            raise UsageError(
                f'"{product}" has no rows in {contract.domain}',
                hint=f"products: {', '.join(products) or 'none'}",
            )
        total = sum(found.rows.values())
        with (
            _written_whole(path) as stream,
            _writer(format, contract, stream) as write,
            conn.cursor("export") as rows,
        ):
            rows.itersize = CHUNK_ROWS
            rows.execute(_query(contract, product))
            done = 0
            while chunk := rows.fetchmany(CHUNK_ROWS):
                write(chunk)
                done += len(chunk)
                progress(done, total)
    return Exported(contract, path, done, path.stat().st_size, _sha256(path))


def _refuse(found: Outcome) -> None:
    contract = found.contract
    if found.problem is not None:
        raise NotExported(
            f"{contract.domain} cannot be exported: {found.problem}",
            hint="Refresh the marts (the job refresh_marts), or mend the contract: `batuta contracts check`.",
        )
    if found.errors:
        said = "\n".join(
            f"  {b.product or 'all'}: {b.text}"
            + (
                f" First: {', '.join(f'{k} {v}' for k, v in b.evidence[0].key.items())}."
                if b.evidence
                else ""
            )
            for b in found.errors
        )
        raise NotExported(
            f"the data break the contract {contract.reference} and are not exported:\n{said}",
            hint="Mend the data, or export one sound product with --product; `batuta contracts status` shows more.",
        )


def _query(contract: DataContract, product: str | None) -> bytes:
    columns = ", ".join(identifier(field.name) for field in contract.fields)
    narrowed = f" where {identifier(PRODUCT)} = {literal(product)}" if product is not None else ""
    ordered = ", ".join(map(identifier, contract.key))
    return f"select {columns} from {contract.relation}{narrowed} order by {ordered}".encode()


def _products(contract: DataContract) -> bytes:
    return f"select distinct {identifier(PRODUCT)} from {contract.relation} order by 1".encode()


@contextmanager
def _written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` that takes its place at the end, and is gone where something failed."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as stream:
            yield stream
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


class _Write(Protocol):
    """Writes a chunk of rows."""

    def __call__(self, rows: Sequence[Sequence[Any]], /) -> object: ...


@contextmanager
def _writer(format: Format, contract: DataContract, stream: IO[bytes]) -> Iterator[_Write]:
    match format:
        case "parquet":
            with _parquet(contract, stream) as write:
                yield write
        case "csv":
            yield _csv(contract, stream)
        case "jsonl":
            yield _jsonl(contract, stream)


def arrow_schema(contract: DataContract) -> Any:
    """The contract's columns as an Arrow schema: exact decimals, days, moments in UTC; contract and version beside."""
    import pyarrow as pa

    fields = [
        pa.field(
            field.name,
            _arrow_type(field),
            nullable=not field.required,
            metadata={
                k: v for k, v in {"description": field.description, "unit": field.unit or ""}.items() if v
            },
        )
        for field in contract.fields
    ]
    about = {
        "contract": contract.name,
        "contract.version": contract.version,
        "contract.domain": contract.domain,
        "contract.grain": contract.grain,
    }
    return pa.schema(fields, metadata=about)


@contextmanager
def _parquet(contract: DataContract, stream: IO[bytes]) -> Iterator[_Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = arrow_schema(contract)
    with pq.ParquetWriter(stream, schema, compression="zstd") as file:

        def write(rows: Sequence[Sequence[Any]]) -> None:
            columns = [
                pa.array([_arrow_value(row[place]) for row in rows], type=field.type)
                for place, field in enumerate(schema)
            ]
            file.write_table(pa.Table.from_arrays(columns, schema=schema))

        yield write


def _arrow_type(field: Field) -> Any:
    import pyarrow as pa

    base = field.physical_type.partition("(")[0].removesuffix("[]").strip()
    digits = re.findall(r"\d+", field.physical_type)
    simple: dict[str, Any] = {
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp with time zone": pa.timestamp("us", tz="UTC"),
        "timestamp without time zone": pa.timestamp("us"),
        "smallint": pa.int16(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "double precision": pa.float64(),
        "bytea": pa.binary(),
    }
    if base == "numeric":
        precision, scale = (int(digits[0]), int(digits[1]) if len(digits) > 1 else 0) if digits else (38, 9)
        found = pa.decimal128(precision, scale)
    else:
        found = simple.get(base, pa.string())
    return pa.list_(found) if field.physical_type.endswith("[]") else found


def _arrow_value(value: Any) -> Any:
    return _json_text(value) if isinstance(value, dict) else value


def _csv(contract: DataContract, stream: IO[bytes]) -> _Write:
    """RFC 4180 in UTF-8 with a header; NULL is an empty field, an empty text is `""`."""
    header = ",".join(_csv_field(field.name) for field in contract.fields)
    stream.write(f"{header}\r\n".encode())

    def write(rows: Sequence[Sequence[Any]]) -> None:
        lines = "".join(",".join(map(_csv_field, row)) + "\r\n" for row in rows)
        stream.write(lines.encode())

    return write


def _csv_field(value: Any) -> str:
    if value is None:
        return ""
    text = _text(value)
    if text == "" or any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _jsonl(contract: DataContract, stream: IO[bytes]) -> _Write:
    """One object a line; decimals are numbers with all their digits, moments ISO 8601 in UTC."""
    names = [_json_text(field.name) for field in contract.fields]

    def write(rows: Sequence[Sequence[Any]]) -> None:
        for row in rows:
            parts = ",".join(f"{name}:{_json_text(value)}" for name, value in zip(names, row, strict=True))
            stream.write(f"{{{parts}}}\n".encode())

    return write


def _json_text(value: Any) -> str:
    import orjson

    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime | date):
        return f'"{_text(value)}"'
    return orjson.dumps(value, default=str).decode()


def _text(value: Any) -> str:
    """A value as text that every reader takes alike."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return _json_text(value) if isinstance(value, dict | list) else str(value)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
