"""Data contracts: what marts and exports promise, read from Open Data Contract Standard documents and held to."""
