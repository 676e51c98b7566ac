"""Tests, intervals and diagnostics of results: what takes more than the arrays that a result holds."""
