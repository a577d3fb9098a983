"""The ears: connectors (pure protocol code), and what makes Dagster sensors of them.

Importing this package imports no Dagster.
"""
