"""Functions of a result, a method each: tests, intervals, diagnostics."""
