"""One file a family of operations, as in src/check/cases."""
