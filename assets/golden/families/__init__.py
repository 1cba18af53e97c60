"""One file per family of operations, as in src/check/cases."""
