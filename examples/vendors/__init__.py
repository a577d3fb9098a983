"""Local servers that speak the vendors' protocols, faults included, for tests and for trying a connector by hand."""
