"""Sigma keeps the numbers: money that agrees, KPIs that are watched."""
