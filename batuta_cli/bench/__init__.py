"""Benchmarks with their peers, each measured in one run."""
