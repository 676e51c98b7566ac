"""The Bayesian engine: design and priors → a PyMC model → draws → the common result.

The only folder that imports PyMC or nutpie; nothing imports it until a posterior is asked for.
"""
