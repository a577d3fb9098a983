"""Landing files: what `batuta ingest` and the demo share, without any printing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, cast

from batuta.errors import BatutaError, UsageError
from batuta.landing.capture import BadLine, CaptureForm, read_captures
from batuta.landing.land import Landing
from batuta.landing.model import Delivery, LandingCounts, Parse, Parsed, Rejected, Way
from batuta.manifests.bundle import bundle_path, read_bundle
from batuta.manifests.graph import CompiledProduct
from batuta.manifests.models import ConnectorBinding
from batuta.secrets import SecretMissing, find_secrets
from batuta.settings import Settings
from batuta.warehouse.connection import Connection
from batuta.warehouse.database import ensure_database, quiet
from sensors.connectors import connector as connector_named
from sensors.connectors import files as own_files
from sensors.connectors import is_sent_to
from sensors.connectors.protocol import Unsigned, Unverified
from sensors.connectors.pulling import FORM, Account, MessageFiles, StateFiles
from sensors.pull.accounts import read_settings

STDIN = "-"
# Lines of CloudEvents carry no signature: whoever may write to the database vouches for the file.
UNSIGNED_FILES = frozenset({"events"})
# Deliveries are longer than the usual buffer; lines that span buffers are slow to read.
READ_BYTES = 262_144
CAPTURE_SUFFIXES = frozenset({".jsonl", ".ndjson"})

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be landed, and on whose word."""

    connector: str
    product: str
    account: str | None = None
    trusted: bool = False
    way: Way = "file"


@dataclass(slots=True)
class Ingested:
    """What came of it; `bad_lines` says `file:line: what is wrong`."""

    counts: LandingCounts = field(default_factory=LandingCounts)
    bad_lines: list[str] = field(default_factory=list)


def ingest_files(
    settings: Settings,
    landing: Landing,
    conn: Connection,
    paths: Sequence[str],
    source: Source,
    *,
    advance: Advance | None = None,
) -> Ingested:
    """Land files of captured deliveries, one after the other, in constant memory.

    Args:
        settings: Where secrets and the applied manifests are.
        landing: The landing path.
        conn: An idle connection that acts as writer.
        paths: Files, or `-` for standard input.
        source: The connector and product they belong to.
        advance: Called with the bytes read since the last call.

    Raises:
        UsageError: a path is not there.
        BatutaError: no secret to verify with; the database did not take a chunk.
    """
    product = _product(settings, source)
    own = own_files(source.connector)
    result = Ingested()
    for path in paths:
        _check_readable(path, folders=own is not None)
    for path in paths:
        if own is not None and not _is_captures(path):
            own_account = account_of(product, source)
            _ingest_own(own, path, own_account, settings, landing, conn, source, result)
        else:
            parse, form = parse_for(settings, source), _form(settings, product.name, source)
            with _opened(path) as file:
                deliveries = _deliveries(file, path, form, result, advance)
                result.counts += landing.land(conn, deliveries, parse, way=source.way)
    return result


def account_of(product: CompiledProduct, source: Source) -> Account:
    """The account that files belong to, with the settings of its binding, without its credentials.

    Where no manifest binds it, its settings are the form's defaults, and required ones are not there.

    Raises:
        UsageError: no such connector, or the product has several accounts and none is named.
        BatutaError: the settings do not fit.
    """
    speaker = connector_named(source.connector)
    bindings = _bindings(product, source)
    if len(bindings) > 1:
        names = ", ".join(binding.account or "(without a name)" for _, binding in bindings)
        message = f"product {product.name} has several accounts of {source.connector}: {names}"
        raise UsageError(message, hint="Name one with --account.")
    if not bindings:
        defaults = speaker.SETTINGS.model_construct()
        return Account(product.name, source.connector, source.account, defaults, {})
    index, binding = bindings[0]
    settings = read_settings(speaker, binding, f"Product {product.name}: spec.connectors[{index}]")
    return Account(product.name, source.connector, binding.account, settings, {})


def _ingest_own(
    own: ModuleType,
    path: str,
    account: Account,
    settings: Settings,
    landing: Landing,
    conn: Connection,
    source: Source,
    result: Ingested,
) -> None:
    """Land files in a form of the connector's own: messages, or states that are read by a poll."""
    parse = connector_named(source.connector).parse
    if hasattr(own, "read"):
        files, now = cast("MessageFiles", own), datetime.now(UTC)
        messages = (
            files.read_stream(sys.stdin.buffer, account, now)
            if path == STDIN
            else files.read(Path(path), account, now)
        )
        deliveries = _readable(messages, path, result)
        result.counts += landing.land(conn, deliveries, parse, way=source.way)
        return
    if path == STDIN:
        raise UsageError(
            f"{account.connector} reads captured deliveries from standard input, and this is none",
            hint="Name the folder or file.",
        )
    from sensors.pull.means import Means
    from sensors.pull.run import poll_files

    polled_account, calls = cast("StateFiles", own).as_poll(Path(path), account)
    url = ensure_database(settings, quiet)
    with closing(Means.open(settings, url, application="batuta ingest", landing=landing)) as means:
        polled = poll_files(polled_account, calls, means)
    if polled.busy:
        raise BatutaError("the account is being polled now", hint="Let it finish, then try again.")
    result.counts += polled.counts


def _is_captures(path: str) -> bool:
    """Whether these are captured deliveries rather than files of the connector's own."""
    if path == STDIN:
        file = sys.stdin.buffer
        # Neither a mail nor an mbox begins with a brace.
        return not isinstance(file, BufferedReader) or file.peek(1)[:1] in (b"{", b"")
    return Path(path).suffix.lower() in CAPTURE_SUFFIXES


def _form(settings: Settings, product: str, source: Source) -> CaptureForm:
    return CaptureForm(
        product,
        source.connector,
        source.account,
        events=source.connector in UNSIGNED_FILES,
        trusted=source.trusted,
        max_body_bytes=settings.max_body_bytes,
    )


def parse_for(settings: Settings, source: Source) -> Parse:
    """The connector's parse, behind its signature check unless the source is trusted or needs none.

    Raises:
        UsageError: no such connector.
        BatutaError: the product, its connector or its secrets are not there.
    """
    speaker = connector_named(source.connector)
    if source.trusted or source.connector in UNSIGNED_FILES:
        return speaker.parse
    secrets, unsigned = _secrets(settings, source)

    def verified(delivery: Delivery) -> Parsed:
        if FORM in delivery.headers:
            raise Rejected(
                "signature", f"{FORM} is a header of what BATUTA fetched itself; no vendor sends or signs it"
            )
        try:
            speaker.verify(delivery, secrets)
        except Unsigned as error:
            if not unsigned:
                raise Rejected("signature", error.message) from None
        except Unverified as error:
            raise Rejected("signature", error.message) from None
        return speaker.parse(delivery)

    return verified


def _product(settings: Settings, source: Source) -> CompiledProduct:
    """The product in force: what lands under a misspelt name would stay there."""
    products = read_bundle(bundle_path(settings.home)).products
    for product in products:
        if product.name == source.product:
            return product
    known = ", ".join(product.name for product in products) or "none"
    raise BatutaError(
        f"no product {source.product} is applied; there are: {known}",
        hint="Correct the name, or add the product with `batuta apply PATH`.",
    )


def _secrets(settings: Settings, source: Source) -> tuple[tuple[bytes, ...], bool]:
    """The secrets that may have signed, and whether unsigned deliveries are let in."""
    own = "Pass --trusted for files of your own, which skips the signature."
    product = _product(settings, source)
    bindings = _bindings(product, source)
    if not bindings:
        raise BatutaError(
            f"product {source.product} has no connector {source.connector}"
            + (f" for {source.account}" if source.account else ""),
            hint=f"Add it under spec.connectors and apply. {own}",
        )
    secrets: list[bytes] = []
    missing: list[SecretMissing] = []
    for index, binding in bindings:
        where = f"Product {source.product}: spec.connectors[{index}].secretRefs"
        found = find_secrets(binding.secret_refs, settings, where=where)
        secrets += found.values
        missing += found.missing
    allowed = any(binding.allow_unsigned for _, binding in bindings)
    unsigned = allowed and settings.environment == "development"
    if secrets or unsigned:
        return tuple(secrets), unsigned
    if missing:
        raise BatutaError(missing[0].message, hint=f"{missing[0].hint} {own}")
    speaker = connector_named(source.connector)
    if not any(is_sent_to(binding, speaker) for _, binding in bindings):
        raise BatutaError(
            f"{source.connector} is fetched and sends nothing that is signed, so nothing can be verified",
            hint=own,
        )
    raise BatutaError(
        f"product {source.product} has no secret for {source.connector}, so nothing can be verified",
        hint=f"Name one under spec.connectors[].secretRefs and apply. {own}",
    )


def _bindings(product: CompiledProduct, source: Source) -> list[tuple[int, ConnectorBinding]]:
    """The bindings that a source may belong to, with their places."""
    speaker = connector_named(source.connector)
    return [
        (index, binding)
        for index, binding in enumerate(product.connectors)
        if binding.type == source.connector
        and (
            source.account is None
            or binding.account is None
            or speaker.same_account(binding.account, source.account)
        )
    ]


def _readable(messages: Iterator[Delivery | BadLine], path: str, result: Ingested) -> Iterator[Delivery]:
    for item in messages:
        if isinstance(item, BadLine):
            where = f"{path}:{item.number}" if item.number else path
            result.bad_lines.append(f"{where}: {item.message}")
        else:
            yield item


def _deliveries(
    file: BinaryIO, path: str, form: CaptureForm, result: Ingested, advance: Advance | None
) -> Iterator[Delivery]:
    for size, item in read_captures(file, form, datetime.now(UTC)):
        if advance is not None:
            advance(size)
        if isinstance(item, BadLine):
            result.bad_lines.append(f"{path}:{item.number}: {item.message}")
        else:
            yield item


def _check_readable(path: str, *, folders: bool) -> None:
    if path == STDIN:
        return
    if not Path(path).exists():
        raise UsageError(f"{path} is not there")
    if not Path(path).is_file() and not (folders and Path(path).is_dir()):
        raise UsageError(f"{path} is no file", hint="Name files of JSON lines, or - for standard input.")


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == STDIN:
        yield sys.stdin.buffer
        return
    try:
        with Path(path).open("rb", buffering=READ_BYTES) as file:
            yield file
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
