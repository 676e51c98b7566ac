"""Posteriors that are drawn in a second."""

import bimixed as bm


def dyestuff(priors=None, **changes):
    """Six batches of five; ``changes`` replace columns."""
    data = bm.load_dataset("dyestuff").assign(**changes)
    return bm.ModelSpec("Yield ~ 1 + (1 | Batch)", data, priors=priors)


def importance_fit(spec, draws, seed=1):
    """Independent draws."""
    return spec.fit("importance", draws=draws, random_seed=seed, progress=False)
