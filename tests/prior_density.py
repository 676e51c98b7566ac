"""Log-densities of priors by SciPy."""

import numpy as np
import scipy.stats as st


def density(prior, value):
    p = prior.parameters
    match prior.family:
        case "normal":
            return st.norm.logpdf(value, p["mu"], p["sigma"])
        case "student_t":
            return st.t.logpdf(value, p["nu"], p["mu"], p["sigma"])
        case "half_normal":
            return st.halfnorm.logpdf(value, 0, p["sigma"])
        case "half_student_t":
            return np.log(2) + st.t.logpdf(value, p["nu"], 0, p["sigma"])
        case "exponential":
            return st.expon.logpdf(value, 0, 1 / p["rate"])
        case "gamma":
            return st.gamma.logpdf(value, p["alpha"], scale=1 / p["beta"])
        case "uniform":
            return st.uniform.logpdf(value, p["lower"], p["upper"] - p["lower"])
        case "flat":
            return 0.0
    raise AssertionError(prior)
