"""Covariates of random slopes that are too far from 0 for the prior of correlations."""

from bimixed.design import Design

FAR = 8.0
"""Means of a random slope's covariate beyond this many of its sds call for centring."""


def uncentred_slopes(design: Design) -> list[str]:
    """Random slopes whose covariate is so far from 0 that the LKJ prior decides about them.

    Intercept and slope then have a correlation near ±1 by construction, where the prior on the
    coefficients as named has next to no mass.
    """
    messages = []
    for factor in design.factors:
        correlated = {k for pair in factor.template.correlated_pairs() for k in pair}
        if "Intercept" not in [factor.names[k] for k in correlated]:
            continue
        mean, sd = factor.mean_and_sd
        for k in sorted(correlated):
            if sd[k] > 0 and abs(mean[k]) > FAR * sd[k]:
                name = factor.names[k]
                messages.append(
                    f"The covariate of the random slope {name!r} by {factor.key} is far from 0 (mean "
                    f"{mean[k]:.4g}, sd {sd[k]:.3g}), so that intercepts and slopes are correlated by "
                    f"construction and the prior on their correlation distorts the posterior. Centre "
                    f"it: I({name} - {mean[k]:.4g}) in the fixed part and in the bar."
                )
    return messages
