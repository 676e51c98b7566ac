"""Compiled loops for a marginal posterior whose evaluation takes microseconds."""
