"""How a design is eliminated, in words and numbers for its diagnostics."""

from collections.abc import Mapping

import numpy as np

from bimixed.crossproducts import CrossProducts
from bimixed.design import Design
from bimixed.likelihood.one_factor import has_one_factor
from bimixed.likelihood.small import is_large


def describe_elimination(design: Design, cp: CrossProducts) -> Mapping[str, object]:
    """What is eliminated how.

    Returns
    -------
    dict
        ``by_level``: groups eliminated level by level, in order, each with its number of levels, and
        "(fixed effects)" where fixed effects of a factor with very many levels are among them;
        ``trailing``: "none", "dense" or "sparse"; where there is one, ``trailing_columns``,
        ``couplings`` (pairs of a level and a trailing column), ``factor_entries`` (of the trailing
        part's Cholesky factor) and ``core_columns`` (of them dense); ``compiled``: whether compiled
        loops are used.
    """
    keys = [*(factor.key for factor in design.factors), "(fixed effects)"]
    route: dict[str, object] = {
        "by_level": {keys[f.place]: f.n_levels for f in cp.chain},
        "trailing": "none",
    }
    if has_one_factor(cp):
        return route | {"compiled": is_large(cp.chain[0].ZR.size)}
    compiled = any(f.pairs.is_large for f in cp.chain if cp.trailing)
    if cp.trailing:
        q = cp.width
        route |= {
            "trailing": "dense" if cp.analysis is None else "sparse",
            "trailing_columns": q,
            "couplings": int(np.sum([len(f.pairs) for f in cp.chain])),
            "factor_entries": q * (q + 1) // 2 if cp.analysis is None else cp.analysis.nnz,
            "core_columns": q if cp.analysis is None else cp.analysis.n_core,
        }
    return route | {"compiled": compiled or cp.analysis is not None}
