"""Events: the strict CloudEvents 1.0 form everything is brought into, and the table of all types."""
