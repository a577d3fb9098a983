"""Holds the relations that dbt builds to their data contracts, and keeps what was found. No Dagster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

import psycopg

from batuta.quality.breaks import record, withdraw
from batuta.quality.check import Outcome, check, reading
from batuta.quality.contract import DataContract
from batuta.warehouse.connection import Connect
from batuta_assets.dbt_manifest import DbtManifest
from batuta_assets.quality.touched import Counted, contract_tables

Sources: TypeAlias = Mapping[str, frozenset[tuple[str, ...]] | None]
"""By contract, the source assets its relation is made of; None where nobody knows, so that it concerns all."""


def platform_contracts(contracts: Iterable[DataContract], manifest: DbtManifest) -> list[DataContract]:
    """The contracts of relations about the platform itself: refreshed apart, and no gate of any product's."""
    relations = _platform_relations(manifest)
    return [contract for contract in contracts if contract.relation in relations]


def product_contracts(contracts: Iterable[DataContract], manifest: DbtManifest) -> list[DataContract]:
    """All the others: what a refresh of the marts is held to."""
    relations = _platform_relations(manifest)
    return [contract for contract in contracts if contract.relation not in relations]


def _platform_relations(manifest: DbtManifest) -> set[str]:
    return {model.relation for model in manifest.models.values() if model.about_platform}


def contract_sources(contracts: Iterable[DataContract], manifest: DbtManifest) -> Sources:
    """The sources below each contract; none for the platform's own, None for what is made of no source at all."""
    known = {
        model.relation: frozenset() if model.about_platform else manifest.source_keys[unique_id] or None
        for unique_id, model in manifest.models.items()
    }
    return {c.name: known.get(c.relation) for c in contracts}


def hold(
    connect: Connect,
    contracts: Sequence[DataContract],
    *,
    batch: int,
    now: datetime,
    run_id: str,
    manifest: DbtManifest,
    in_force: Sequence[DataContract] | None = None,
) -> list[Outcome]:
    """Hold relations to their contracts and keep what was found; contracts not in force any more are forgotten.

    Counted are the products whose data were written since the contract was last counted; of the others, what was found
    then stands.

    Args:
        connect: Opens connections: data are read as reader, what was found is written as writer.
        contracts: Those to check.
        batch: The last batch the relations take in.
        now: When they are checked.
        run_id: The run that checks.
        manifest: What each is made of; kept for those who ask which pipelines a break concerns.
        in_force: All there are; None leaves the others as they are.
    """
    sources = contract_sources(contracts, manifest)
    with connect("reader") as conn, reading(conn):
        counted = Counted(conn, contract_tables(contracts, manifest), manifest.digest, now)
        outcomes = [_again(conn, contract, counted) for contract in contracts]
    with connect("writer") as conn, conn.transaction():
        for outcome in outcomes:
            known = sources.get(outcome.contract.name)
            record(
                *(conn, outcome),
                batch=batch,
                now=now,
                run_id=run_id,
                sources=None if known is None else sorted("/".join(key) for key in known),
                models=manifest.digest,
                seen_before=counted.seen_before,
            )
        if in_force is not None:
            withdraw(conn, [contract.name for contract in in_force], now)
    return outcomes


def _again(conn: psycopg.Connection[Any], contract: DataContract, counted: Counted) -> Outcome:
    """Check a contract for the products that have to be counted again."""
    found = check(conn, contract, counted.again(contract))
    if found.counted is None or found.problem is not None:
        return found
    stand = {name: rows for name, rows in counted.rows(contract).items() if name not in found.counted}
    return replace(found, rows=stand | dict(found.rows))
