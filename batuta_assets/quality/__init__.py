"""Data contracts in the asset graph: quick rules in every refresh, suites and anomalies in a job of their own."""
