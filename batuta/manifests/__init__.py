"""Manifests: the YAML a company writes, checked with positions and compiled to a graph description."""
