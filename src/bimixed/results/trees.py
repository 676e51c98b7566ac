"""Arrays of draws as xarray's labelled ones, with the hierarchical model's names and dimensions.

xarray alone: ArviZ reads its trees as they are, and takes ten times as long to load.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.priors import safe_name


def parameter_dataset(design: Design, values: Mapping[str, Array]) -> Any:
    """Variables ``fixef``, ``sd_<group>``, ``corr_<group>``, ``ranef_<group>``, ``sigma``.

    Parameters
    ----------
    design : Design
    values : mapping, name → (chain, draw, …) array
        Without an entry for what the model doesn't have.
    """
    dims: dict[str, tuple[str, ...]] = {"fixef": ("coefficient",), "sigma": ()}
    coords: dict[str, Any] = {"coefficient": [design.names[j] for j in design.kept]}
    for factor in design.factors:
        key = safe_name(factor.key)
        within = f"{key}_coefficient"
        dims[f"sd_{key}"] = (within,)
        dims[f"corr_{key}"] = (within, f"{within}_2")
        dims[f"ranef_{key}"] = (key, within)
        names = list(factor.names)
        coords |= {key: factor.levels.to_numpy(), within: names, f"{within}_2": names}
    return _labelled({name: values[name] for name in in_order(values)}, dims, coords)


def in_order(names: Iterable[str]) -> list[str]:
    """Variables of more dimensions first: tables of ArviZ 1.3 mix up the rows of those that come later."""
    kinds = ("ranef_", "corr_", "fixef", "sd_", "sigma")
    return sorted(names, key=lambda name: (next(i for i, k in enumerate(kinds) if name.startswith(k)), name))


def response_dataset(design: Design, **values: Array) -> Any:
    """Variables of rows, (chain, draw, n) or (n,) each."""
    return _labelled(values, dict.fromkeys(values, ("row",)), {"row": np.arange(design.n)})


def _labelled(values: Mapping[str, Array], dims: Mapping[str, tuple[str, ...]], coords: Any) -> Any:
    import xarray

    data = {}
    for name, value in values.items():
        sample = ("chain", "draw")[: value.ndim - len(dims[name])]
        data[name] = ((*sample, *dims[name]), value)
        coords = {**coords, **{dim: np.arange(value.shape[i]) for i, dim in enumerate(sample)}}
    used = {dim for own, _ in data.values() for dim in own}
    return xarray.Dataset(data, {dim: value for dim, value in coords.items() if dim in used})
