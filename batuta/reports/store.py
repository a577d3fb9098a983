"""Where finished pages are kept: a file per product, day and family for people, a blob and a row for the record."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from batuta.blobs import digest_of, put_blob
from batuta.errors import BatutaError

if TYPE_CHECKING:
    import psycopg

HTML: Final = "text/html; charset=utf-8"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class ReportNotWritten(BatutaError):
    """The page could not be put into the reports folder."""


def report_path(folder: Path, product: str, business_date: date, family: str) -> Path:
    """Where the page of a product's day is."""
    for name in (product, family):
        if not _NAME.fullmatch(name):
            raise ReportNotWritten(
                f"{name!r} is no name for a folder", hint="Use letters, digits, dots and dashes."
            )
    return folder / product / business_date.isoformat() / f"{family}.html"


def store_report(
    conn: psycopg.Connection[Any],
    folder: Path,
    html: str,
    *,
    pipeline: str,
    product: str,
    business_date: date,
    family: str,
    dagster_run_id: str | None,
    batch_to: int | None,
    at: datetime,
) -> tuple[str, Path, str]:
    """Keep a page: file, blob and row. The same page of the same day is kept once.

    Returns:
        Id, path and digest of the report.

    Raises:
        ReportNotWritten: the folder cannot be written.
    """
    content = html.encode()
    digest = digest_of(content)
    identity = "\0".join((pipeline, product, business_date.isoformat(), digest))
    report_id = "rep_" + hashlib.sha256(identity.encode()).hexdigest()[:24]
    path = report_path(folder, product, business_date, family)
    with conn.transaction():
        put_blob(conn, content, HTML, at)
        conn.execute(
            "insert into batuta.reports "
            "(id, pipeline, product, business_date, dagster_run_id, digest, path, batch_to, created_at) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (id) do nothing",
            (report_id, pipeline, product, business_date, dagster_run_id, digest, str(path), batch_to, at),
        )
        write_whole(path, content)
    return report_id, path, digest


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that others see whole or not at all.

    Raises:
        ReportNotWritten: no right, no space.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        half_done = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            half_done.chmod(0o644)
            half_done.replace(path)
        finally:
            half_done.unlink(missing_ok=True)
    except OSError as error:
        raise ReportNotWritten(
            f"cannot write {path}: {error.strerror}",
            hint="Free some space, or set another folder in BATUTA_HOME.",
        ) from error
