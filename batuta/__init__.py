"""The ground of BATUTA: events, contracts, policy, landing, manifests, warehouse, settings.

Nothing in this package imports Dagster or a web framework.
"""
