"""Simulation-based calibration of the posteriors: ``make calibration``.

models      small designs, every prior a number
quantities  parameters, random effects and the log-likelihood as scalars
runs        a replication: parameters and responses from the prior, a posterior, ranks
bands       exact simultaneous bands of rank histograms and their ECDF
study       all replications on many workers, kept as they come
page        docs/calibration.md, picture its image
"""
