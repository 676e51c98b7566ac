"""The density of models of one factor as a C function, and their draws."""

import numba
import numpy as np

from bimixed.covariance import Array
from bimixed.marginal.kernels.density import FAILED, at_coordinates, at_whitened, whitened_slope
from bimixed.marginal.kernels.entry import LOGP, fixed_and_parameters, four, status, two
from bimixed.marginal.kernels.given import Fixed, draw_gamma, given_variances
from bimixed.marginal.kernels.one_factor import OneFactor, add_scores, draw, eliminate
from bimixed.marginal.kernels.parameters import Parameters


@numba.cfunc(LOGP, cache=True)
def logp(dim, at, slope, value, buffer):  # type: ignore[no-untyped-def]
    """Log-density and slope in w; 0 where both are finite."""
    length = numba.carray(buffer, (1,), np.int64)[0]
    x, n = numba.carray(buffer, (length,), np.float64), numba.carray(buffer, (length,), np.int64)
    s = OneFactor(four(x, n, 0), four(x, n, 1), two(x, n, 2))
    f, p = fixed_and_parameters(x, n, 3)
    w, out, result = numba.carray(at, (dim,)), numba.carray(slope, (dim,)), numba.carray(value, (1,))
    here = at_whitened(p, w)
    work, RVR, log_det = eliminate(s, here.T)
    given = given_variances(f, RVR, here.unit**2)
    result[0] = here.log_prior - 0.5 * (f.numbers[1] + log_det + given.twice)
    add_scores(s, work, given, here.unit, here.scores)
    whitened_slope(p, f, here, given, out)
    return status(result[0], out, FAILED)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def draw_effects(
    s: OneFactor, f: Fixed, p: Parameters, Z: Array, normal: Array, gamma: Array, b: Array
) -> None:
    """γ and b of each row of Z, coordinates z, from standard normal numbers (draws, p + effects)."""
    for i in range(len(Z)):
        here = at_coordinates(p, Z[i])
        work, RVR, _ = eliminate(s, here.T)
        draw_gamma(given_variances(f, RVR, here.unit**2), here.unit, normal[i], gamma[i])
        draw(here.T, work, gamma[i], here.unit, normal[i, len(f.away) :], b[i])
