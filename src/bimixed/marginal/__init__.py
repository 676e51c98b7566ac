"""Posteriors of the variance parameters alone: fixed and random effects integrated out. No PyMC."""
