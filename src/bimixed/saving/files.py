"""Saving and loading whole results."""

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from bimixed._version import __version__
from bimixed.exceptions import BimixedError, DataError, UnavailableError
from bimixed.results import MixedModelResult
from bimixed.saving.archive import DAMAGES, Reader, Writer, damaged
from bimixed.saving.models import make_spec, pack_spec, unpack_spec
from bimixed.saving.outcomes import Outcome, fitted_of, pack_outcome, unpack_outcome
from bimixed.vocabulary import explains_arguments

SAME = 1e-6
"""Largest difference of fitted values, in residual sds, that another processor's arithmetic explains."""


def save(fit: MixedModelResult, path: str | PathLike[str], columns: Iterable[str] = ()) -> None:
    """See :meth:`MixedModelResult.save`."""
    if fit.spec is None:
        raise UnavailableError(
            "A refit has no specification to save; save the fit of one: spec.update(data=...).fit()."
        )
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"is in the folder {path.parent}, which isn't there"
        raise DataError(f"{path} {what}; give a file's name, such as 'fit.bimixed'.")
    writer = Writer()
    more = list(columns) if isinstance(columns, Iterable) and not isinstance(columns, str) else [columns]
    document = {
        "written_by": __version__,
        "spec": pack_spec(writer, fit.spec, more),
        "outcome": pack_outcome(writer, fit),
    }
    writer.write(path, document)


@explains_arguments
def load(
    path: str | PathLike[str], *, context: Mapping[str, Any] | None = None, trust: bool = False
) -> MixedModelResult:
    """A result that ``fit.save(path)`` wrote.

    The design is made again from the columns in the file and compared with the fitted values in it, so
    that predictions, tables, profiles, refits and ``spec.update`` are those of the result saved.

    Parameters
    ----------
    path : str or path
    context : mapping, optional
        Functions and other objects that the formula uses and a file can't hold, the same as in the fit.
        Numbers, text, lists of them and arrays are in the file.
    trust : bool
        Formulas are Python. Those of columns, formulaic's functions and numpy's elementary ones are
        evaluated without being asked; anything else only if the file is trusted.

    Returns
    -------
    MixedModelResult

    Raises
    ------
    DataError
        If the file is damaged, none of ours or of a later version; where the formula needs a name of
        ``context``, or trust; where it gives other fitted values than it did.
    FileNotFoundError
        Where there is no such file.

    Examples
    --------
    >>> import bimixed as bm, pathlib, tempfile
    >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "sleep.bimixed"
    >>> fit.save(path)
    >>> bm.load(path).loglik == fit.loglik
    True
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder; give the file that fit.save wrote.")
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    reader = Reader.open(path)
    try:
        recipe, priors = unpack_spec(reader, reader.document["spec"])
        outcome = unpack_outcome(reader, reader.document["outcome"])
        spec = make_spec(recipe, priors, context or {}, trust)
        rows = spec.design.n if spec.design.has_rows else len(spec.design.frame.table)
        if rows != len(outcome.fitted):
            raise DataError(_other(path, f"{rows} rows in place of {len(outcome.fitted)}"))
        fit = outcome.of(spec)
    except BimixedError:
        raise
    except DAMAGES as error:
        raise damaged(path, error) from error
    _check_same(path, fit, outcome)
    return fit


def _check_same(path: Path, fit: MixedModelResult, outcome: Outcome) -> None:
    """Refuse a result that says something else than the one saved."""
    fitted = fitted_of(fit)
    known = ~np.isnan(outcome.fitted)
    away = float(np.abs(fitted[known] - outcome.fitted[known]).max(initial=0.0)) / fit.sigma
    if not (away <= SAME and np.array_equal(known, ~np.isnan(fitted))):
        raise DataError(_other(path, f"fitted values that are up to {away:.2g} residual sds away"))
    if outcome.loglik is not None and not abs(fit.loglik - outcome.loglik) <= SAME * max(1.0, fit.nobs):
        raise DataError(_other(path, f"the log-likelihood {fit.loglik:.6f}, not {outcome.loglik:.6f}"))


def _other(path: Path, what: str) -> str:
    return (
        f"The model of {path} gives {what}. Functions given as context= must be those of the fit; without "
        "any, the file was changed, or the versions of formulaic and pandas see other columns in the formula."
    )
