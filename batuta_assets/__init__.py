"""The score: the Dagster code location, made from the compiled graph and the dbt manifest."""
