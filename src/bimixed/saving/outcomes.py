"""What a fit found ↔ a record: θ at the optimum, or the draws."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.exceptions import IdentificationWarning
from bimixed.likelihood.restore import Optimum, at_optimum
from bimixed.marginal.left_out import LeftOut
from bimixed.results import Diagnostics, MixedModelResult
from bimixed.results.posterior import flatten, posterior_estimates
from bimixed.results.uncertainty import Draws
from bimixed.saving.archive import Reader, Writer
from bimixed.saving.columns import Record, pack_index, unpack_index
from bimixed.spec import ModelSpec


def pack_outcome(writer: Writer, fit: MixedModelResult) -> Record:
    """The record of a result without its specification."""
    own = {f.name: getattr(fit.diagnostics, f.name) for f in fields(Diagnostics)}
    record: Record = {"method": fit.method, "diagnostics": _plain(own), "fitted": writer.put(fitted_of(fit))}
    record["arguments"] = _plain(fit.arguments)
    if isinstance(fit.uncertainty, Draws):
        cov = {key: writer.put(values) for key, values in fit.uncertainty.random_cov.items()}
        return record | {"posterior": _pack_tree(writer, fit.posterior), "random_cov": cov}
    found = Optimum.of(fit)
    optimum = {
        "theta": writer.put(found.theta),
        "interior": writer.put(found.interior),
        "confounded": [[place, list(map(int, own))] for place, own in found.confounded.items()],
        "optimizer": found.optimizer,
    }
    return record | {"optimum": optimum, "loglik": fit.loglik}


def fitted_of(fit: MixedModelResult) -> Array:
    """Fitted values; of a model of sums those of the rows that it was outlined with."""
    if fit.design.has_rows:
        return fit.fitted.to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IdentificationWarning)  # rows made up may be of cells without rows
        predicted = fit.predict(fit.design.frame.table, new_levels="population")
    return predicted["estimate"].to_numpy()


def _plain(value: Any) -> Any:
    """Numbers, text and containers of them as JSON has them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(own) for own in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _pack_tree(writer: Writer, tree: Any) -> Record:
    """Every group of a DataTree; variables of objects, which only samplers' messages are, are left out."""
    groups = {}
    for node in tree.subtree:
        data = node.to_dataset(inherit=False)
        kept = [name for name in data.data_vars if data[name].dtype != object]
        groups[node.path] = {
            "variables": {
                name: {"dims": list(data[name].dims), "values": writer.put(data[name].to_numpy())}
                for name in kept
            },
            "coords": {
                str(name): pack_index(writer, pd.Index(coord.to_numpy()), f"the coordinate {name!r}")
                for name, coord in data.coords.items()
            },
            "attrs": _plain(data.attrs),
        }
    return groups


def _unpack_tree(reader: Reader, record: Record) -> Any:
    import xarray

    groups = {}
    for path, own in record.items():
        variables = {
            name: (tuple(v["dims"]), reader.get(v["values"])) for name, v in own["variables"].items()
        }
        coords = {name: unpack_index(reader, index).to_numpy() for name, index in own["coords"].items()}
        groups[path] = xarray.Dataset(variables, coords, own["attrs"])
    return xarray.DataTree.from_dict(groups)


@dataclass(frozen=True)
class Outcome:
    """What a file says about a fit, before there is a specification.

    Attributes
    ----------
    method : str
    diagnostics : Diagnostics
    fitted : (n,) array
        To see whether the specification is the same one.
    loglik : float or None
    optimum : Optimum or None
        Of likelihood fits.
    posterior : xarray.DataTree or None
    random_cov : mapping, group → (draws, K, K) array
    arguments : mapping
        Of the fit, other than defaults.
    """

    method: str
    diagnostics: Diagnostics
    fitted: Array
    loglik: float | None
    optimum: Optimum | None
    posterior: Any
    random_cov: Mapping[str, Array]
    arguments: Mapping[str, Any]

    def of(self, spec: ModelSpec) -> MixedModelResult:
        """The result of this specification."""
        if self.optimum is not None:
            found = at_optimum(spec.design, self.method == "reml", self.optimum, self.diagnostics)
            return replace(found, spec=spec, arguments=self.arguments)
        kept = replace(flatten(spec.design, self.posterior), random_cov=dict(self.random_cov))
        return MixedModelResult(
            method=self.method,
            spec=spec,
            design=spec.design,
            estimates=posterior_estimates(spec.design, kept),
            diagnostics=self.diagnostics,
            uncertainty=kept,
            posterior=self.posterior,
            left_out=LeftOut(spec.design, spec.priors),
            arguments=self.arguments,
        )


def unpack_outcome(reader: Reader, record: Record) -> Outcome:
    """What the record says."""
    own = record["diagnostics"]
    diagnostics = Diagnostics(**{**own, "messages": tuple(own["messages"])})
    optimum = None
    if "optimum" in record:
        found = record["optimum"]
        confounded = {int(place): list(own) for place, own in found["confounded"]}
        theta, interior = reader.get(found["theta"]), reader.get(found["interior"])
        optimum = Optimum(theta, interior, confounded, found["optimizer"])
    return Outcome(
        method=record["method"],
        diagnostics=diagnostics,
        fitted=reader.get(record["fitted"]),
        loglik=record.get("loglik"),
        optimum=optimum,
        posterior=None if optimum is not None else _unpack_tree(reader, record["posterior"]),
        random_cov={key: reader.get(values) for key, values in record.get("random_cov", {}).items()},
        arguments=record.get("arguments", {}),
    )
