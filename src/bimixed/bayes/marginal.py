"""NUTS on the variance parameters alone, β and b being drawn exactly afterwards.

The density goes to nutpie as it is: the address of a compiled C function, or a Python function where matrices
are so large that LAPACK does the work. PyMC and PyTensor aren't asked.
"""

from typing import Any

import numpy as np

from bimixed.bayes.complete import FEWEST, complete_draws, too_few
from bimixed.covariance import Array
from bimixed.marginal.compiled import CompiledPosterior
from bimixed.marginal.ready import ReadyPosterior
from bimixed.results.posterior import draws_tree
from bimixed.results.uncertainty import Draws

TARGET_ACCEPT = 0.9
"""Default: coordinates are few and round, but for narrow places where correlated sds pass through 0."""
KEPT_STATISTICS = ("diverging", "energy", "n_steps", "step_size", "mean_tree_accept", "depth")


def sample_marginal(
    ready: ReadyPosterior,
    *,
    draws: int,
    tune: int,
    chains: int,
    random_seed: int,
    target_accept: float | None,
    cores: int | None,
    progress: bool,
) -> tuple[Any, Draws]:
    """Draw from the posterior.

    The same seed gives the same draws whatever ``cores`` is. Interrupting returns the draws so far.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior``, with the variables of the hierarchical model, and ``sample_stats``.
    Draws
        The same as arrays.
    """
    import nutpie

    sampler_seed, effects_seed = np.random.SeedSequence(random_seed).generate_state(2)
    model = _python_model(ready) if ready.compiled is None else _compiled_model(ready.compiled)
    tree = nutpie.sample(
        model,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        seed=int(sampler_seed),
        save_warmup=False,
        progress_bar=progress,
        target_accept=TARGET_ACCEPT if target_accept is None else target_accept,
    )
    tree = complete_draws(tree, "w")
    w = np.asarray(tree["posterior"]["w"], dtype=np.float64)
    n_chains, _, m = w.shape
    # draw by draw through all chains, so that an interrupt leaves whole draws
    Z = ready.coordinates(w.transpose(1, 0, 2).reshape(-1, m))
    drawn = ready.draws(Z, np.random.default_rng(effects_seed), cores, progress, n_chains)
    whole = len(drawn.sigma) // n_chains
    if whole < FEWEST:
        raise too_few()
    by_chain = np.arange(whole * n_chains).reshape(whole, n_chains).T.ravel()
    kept = drawn.at(by_chain)
    out = draws_tree(ready.design, kept, n_chains)
    statistics = tree["sample_stats"].to_dataset()
    wanted = [name for name in KEPT_STATISTICS if name in statistics.data_vars]
    out["sample_stats"] = statistics[wanted].isel(draw=slice(0, whole))
    return out, kept


class NoDensityError(ValueError):
    """There is no density here; nutpie counts it as a divergence and goes on."""

    is_recoverable = True


def _compiled_model(compiled: CompiledPosterior) -> Any:
    """nutpie's model of a density that is a C function already."""
    from nutpie.compile_pymc import CompiledPyMCModel

    from bimixed.marginal.kernels.entry import expand

    m = compiled.size
    return CompiledPyMCModel(
        dims={},
        reparameterized_names=None,
        compiled_logp_func=compiled.entry,
        compiled_expand_func=expand,
        initial_point_func=_starts(m),
        shared_data={},
        shared_var_keys={},
        user_data=compiled.buffer,
        n_expanded=m,
        shape_info=(["w"], [slice(0, m)], [(m,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=m,
        _shapes={"w": (m,)},
        _coords={},
    )


def _python_model(ready: ReadyPosterior) -> Any:
    from nutpie.compiled_pyfunc import from_pyfunc

    m = ready.size

    def make_logp() -> Any:
        def logp(w: Array) -> tuple[float, Array]:
            value, slope = ready(w)
            if not np.isfinite(value):
                raise NoDensityError
            return value, slope

        return logp

    def make_expand(seed1: int, seed2: int, chain: int) -> Any:
        return lambda w: {"w": w}

    return from_pyfunc(
        m,
        make_logp,
        make_expand,
        [np.dtype(np.float64)],
        [(m,)],
        ["w"],
        make_initial_point_fn=_starts(m),
    )


def _starts(m: int) -> Any:
    """Starts of chains: standard normal numbers, as the posterior nearly is."""

    def start(seed: int) -> Array:
        return np.random.default_rng(seed).standard_normal(m)

    return start
