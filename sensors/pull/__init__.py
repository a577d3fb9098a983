"""Polling, backfilling and auditing what connectors fetch, without Dagster: a page is one transaction."""
