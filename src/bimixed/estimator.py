"""A mixed model as a scikit-learn estimator; the only module that imports scikit-learn."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.exceptions import DataError, UnavailableError
from bimixed.priors import Prior
from bimixed.results import MixedModelResult
from bimixed.spec import ModelSpec
from bimixed.vocabulary import explains_arguments

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils import check_array, check_X_y
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise UnavailableError(
        "MixedRegressor needs scikit-learn 1.6 or later: python -m pip install 'scikit-learn>=1.6'. Without "
        "it, spec.fit() and fit.predict(new_data, new_levels='population') do the same."
    ) from error

Column = str | int
Groups = Column | Sequence[Column] | Callable[[Any], Any] | None
_DRAWS = ("nuts", "importance")


class MixedRegressor(RegressorMixin, BaseEstimator):
    """A linear mixed model with scikit-learn's ``fit`` and ``predict``.

    Predictions use the effects of groups that the fit has seen, and the population's for new ones, so that
    cross-validation over groups (``GroupKFold``) tests what the model says about new groups, and over rows
    what it says about known ones.

    Parameters
    ----------
    groups : column, list of columns, callable or None
        Names of columns of a DataFrame, or positions, that hold the groups; each has random effects of its
        own (several are crossed). The other columns are the predictors. A callable gets X and returns a
        label for each row; all columns are predictors then. None: no groups, which is ordinary least
        squares, for comparison.
    slopes : sequence of columns
        Predictors whose coefficient varies between the levels of the first group, correlated with its
        intercept.
    formula : str, optional
        In place of both, for X with column names: the right side, ``"floor + (1 + floor | county)"``, with or
        without a ``~`` before it.
    fit_intercept : bool
    method : {"reml", "ml", "nuts", "importance"}
        As in :meth:`ModelSpec.fit`.
    priors : dict of Prior, optional
    fit_options : dict, optional
        Further arguments of :meth:`ModelSpec.fit`, such as ``{"draws": 500}``.
    random_state : int, optional
        Seed of draws.

    Attributes
    ----------
    result_ : MixedModelResult
        The fit, with everything that it knows (None for least squares).
    coef_ : (n coefficients,) array
        Fixed effects without the intercept; predictors that others determine have 0.
    coef_names_ : (n coefficients,) array of str
    intercept_ : float
    n_features_in_ : int
    feature_names_in_ : array of str
        Where X has column names.

    Notes
    -----
    ``sample_weight`` are precision weights, Var(e_i) = sigma²/w_i: a row of weight 2 is a more precise row,
    not two rows, which would tell about the group twice. Rows of weight 0 are left out.

    Examples
    --------
    >>> import bimixed as bm
    >>> from sklearn.model_selection import GroupKFold, cross_val_score
    >>> data = bm.load_dataset("sleepstudy")
    >>> X, y = data[["Days", "Subject"]], data["Reaction"]
    >>> model = bm.MixedRegressor(groups="Subject", slopes=["Days"])
    >>> model.fit(X, y).coef_.round(3)
    array([10.467])
    >>> new_people = cross_val_score(model, X, y, groups=data["Subject"], cv=GroupKFold(6))
    >>> bool(model.score(X, y) > new_people.mean())
    True
    """

    result_: MixedModelResult | None

    @partial(explains_arguments, name="MixedRegressor")
    def __init__(
        self,
        groups: Groups = None,
        *,
        slopes: Sequence[Column] = (),
        formula: str | None = None,
        fit_intercept: bool = True,
        method: str = "reml",
        priors: Mapping[str, Prior] | None = None,
        fit_options: Mapping[str, Any] | None = None,
        random_state: int | None = None,
    ):
        self.groups = groups
        self.slopes = slopes
        self.formula = formula
        self.fit_intercept = fit_intercept
        self.method = method
        self.priors = priors
        self.fit_options = fit_options
        self.random_state = random_state

    @partial(explains_arguments, name="MixedRegressor.fit")
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : DataFrame or (n, columns) array
            Groups included. Predictors are numbers, except with a formula.
        y : (n,) array
        sample_weight : (n,) array, optional
            Precision weights.

        Raises
        ------
        BimixedError
            Where the model can't be identified from these rows, for columns that aren't there, and for
            missing values: impute them in a pipeline, or drop these rows.
        ValueError
            Of scikit-learn, for arrays that are no data.
        """
        if y is None:
            raise ValueError("MixedRegressor requires y to be passed, but the target y is None.")
        X = _as_table(X, self)
        validate_data(self, X, y, skip_check_array=True)
        table, y = self._training_table(X, y)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, table, dtype=np.float64, ensure_non_negative=True)
            table, y, weights = table[weights > 0], y[weights > 0], weights[weights > 0]
        if self.formula is None and self.groups is None:
            return self._least_squares(table, y, weights)
        name = _free_name("y", table.columns)
        spec = ModelSpec(
            f"`{name}` ~ {self._right_side(table) if self.formula is None else _one_sided(self.formula)}",
            table.assign(**{name: y}),
            priors=self.priors,
            weights=weights,
            na_action="raise",
            context={},
        )
        options = dict(self.fit_options or {})
        if self.method in _DRAWS:
            options = {"random_seed": self.random_state, "progress": False, **options}
        self.result_ = result = spec.fit(self.method, **options)  # type: ignore[arg-type]
        found = result.fixef["estimate"].fillna(0.0)
        self.intercept_ = float(found.get("Intercept", 0.0))
        slopes = found.drop("Intercept", errors="ignore")
        self.coef_, self.coef_names_ = slopes.to_numpy(), slopes.index.to_numpy(dtype=str)
        return self

    def predict(self, X: Any) -> Array:
        """Expected responses, (n,): with the effects of known groups, the population's for new ones."""
        check_is_fitted(self, "coef_")
        X = _as_table(X, self)
        validate_data(self, X, reset=False, skip_check_array=True)
        table = self._table(X)
        if self.result_ is None:
            return np.asarray(table.to_numpy() @ self.coef_ + self.intercept_)
        return self.result_.predict(table, new_levels="population")["estimate"].to_numpy()

    def _training_table(self, X: Any, y: Any) -> tuple[pd.DataFrame, Array]:
        """Predictors and groups as columns, and the response, checked as scikit-learn does."""
        table = self._table(X, least=2)
        _, y = check_X_y(np.zeros((len(table), 1)), y, y_numeric=True, estimator=self)
        return table, np.asarray(y, dtype=np.float64)

    def _table(self, X: Any, least: int = 1) -> pd.DataFrame:
        """Predictors and groups as columns."""
        named = getattr(self, "feature_names_in_", None)
        if self.formula is not None:
            if self.groups is not None or len(self.slopes):
                raise DataError("formula stands for groups= and slopes= too; give it alone.")
            if not self.fit_intercept:
                raise DataError(
                    "A formula says itself whether there is an intercept: write '0 + x + (1 | g)'."
                )
            if named is None:
                raise DataError("formula= needs X with column names; give a DataFrame.")
            return pd.DataFrame(X)
        if callable(self.groups) or self.groups is None:
            _refuse_text(X, self._names())
            features = check_array(X, dtype=np.float64, ensure_min_samples=least, estimator=self)
            table = pd.DataFrame(features, columns=self._names())
            if self.groups is not None:
                table = table.assign(**{_free_name("group", table.columns): np.asarray(self.groups(X))})
            return table
        places = self._places(self._group_columns(), "groups")
        return _split(X, places, self._names(), least, self)

    def _group_columns(self) -> list[Column]:
        if self.groups is None or callable(self.groups):
            return []
        if isinstance(self.groups, str) or not isinstance(self.groups, Sequence | np.ndarray):
            return [self.groups]
        return list(self.groups)

    def _names(self) -> list[str]:
        """Names that a formula can have, for all columns of X."""
        given = getattr(self, "feature_names_in_", None)
        names = [f"x{j}" for j in range(self.n_features_in_)] if given is None else [str(n) for n in given]
        odd = [j for j, name in enumerate(names) if name == "Intercept" or set(name) & set("`'\"\\\n")]
        for j in odd:
            names[j] = _free_name(f"x{j}", names)
        return names

    def _places(self, columns: Sequence[Column], role: str) -> list[int]:
        """Positions of columns given by name or position."""
        given = getattr(self, "feature_names_in_", None)
        names = [] if given is None else list(given)
        places: list[int] = []
        if isinstance(columns, str) or not isinstance(columns, Sequence | np.ndarray):
            raise DataError(f"{role} is {columns!r}; give a list of columns, names or positions.")
        for column in columns:
            if isinstance(column, str):
                if column not in names:
                    known = ", ".join(map(repr, names)) or "no names; give positions"
                    raise DataError(f"{role} names {column!r}, which is no column of X; X has {known}.")
                places.append(names.index(column))
            elif not isinstance(column, int | np.integer):
                raise DataError(f"{role} has {column!r}, which is neither a name nor a position.")
            elif -self.n_features_in_ <= column < self.n_features_in_:
                places.append(int(column) % self.n_features_in_)
            else:
                raise DataError(f"{role} has column {column}, but X has {self.n_features_in_} columns.")
        return places

    def _right_side(self, table: pd.DataFrame) -> str:
        names = self._names()
        if callable(self.groups):
            keys, taken = [table.columns[-1]], []
        else:
            taken = self._places(self._group_columns(), "groups")
            keys = [names[j] for j in taken]
        fixed = [f"`{name}`" for j, name in enumerate(names) if j not in taken]
        varying = self._places(self.slopes, "slopes")
        if set(varying) & set(taken):
            raise DataError("slopes names a column of groups; slopes are predictors that vary within groups.")
        slopes = [names[j] for j in varying]
        first = "".join(f" + `{name}`" for name in slopes)
        terms = [f"(1{first if i == 0 else ''} | `{key}`)" for i, key in enumerate(keys)]
        return " + ".join([str(int(self.fit_intercept)), *fixed, *terms])

    def _least_squares(self, table: pd.DataFrame, y: Array, weights: Array | None) -> Self:
        if len(self.slopes):
            raise DataError("slopes= vary between groups; give groups= too.")
        features = table.to_numpy()
        root = np.ones(len(y)) if weights is None else np.sqrt(weights)
        share = root**2 / np.sum(root**2)
        centre = share @ features if self.fit_intercept else np.zeros(features.shape[1])
        middle = share @ y if self.fit_intercept else 0.0
        self.coef_ = np.linalg.lstsq(root[:, None] * (features - centre), root * (y - middle), rcond=None)[0]
        self.intercept_ = float(middle - centre @ self.coef_)
        self.coef_names_, self.result_ = np.asarray(self._names(), dtype=str), None
        return self


def _as_table(X: Any, owner: Any) -> Any:
    """Tables of polars and pyarrow as those of pandas; X of one dimension is scikit-learn's error."""
    if hasattr(X, "to_pandas"):
        return X.to_pandas()
    if len(getattr(X, "shape", (0, 0))) == 1:
        check_array(X, dtype=None, estimator=owner)
    return X


def _split(X: Any, places: Sequence[int], names: Sequence[str], least: int, owner: Any) -> pd.DataFrame:
    """Labels as they are and the other columns as numbers."""
    labels = {names[j]: X.iloc[:, j].array if hasattr(X, "iloc") else np.asarray(X)[:, j] for j in places}
    others = [j for j in range(len(names)) if j not in places]
    rest = X.iloc[:, others] if hasattr(X, "iloc") else np.asarray(X)[:, others]
    _refuse_text(rest, [names[j] for j in others])
    features = check_array(
        rest, dtype=np.float64, ensure_min_samples=least, ensure_min_features=0, estimator=owner
    )
    table = pd.DataFrame(features, columns=[names[j] for j in others])
    missing = [name for name, values in labels.items() if pd.isna(values).any()]
    if missing:
        raise DataError(f"The groups {missing[0]!r} have missing labels; fill or drop these rows.")
    return table.assign(**labels)[list(names)]


def _refuse_text(rest: Any, names: Sequence[str]) -> None:
    """Predictors are numbers; say which one isn't.

    Raises
    ------
    DataError
    """
    if not hasattr(rest, "iloc"):
        return
    for j, name in enumerate(names):
        try:
            np.asarray(rest.iloc[:, j], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{name!r} can't be read as numbers ({error}); predictors are numbers. Write formula=, as in "
                f"formula='{name} + (1 | g)', which makes factors of text and categories."
            ) from error


def _one_sided(formula: str) -> str:
    """The right side, with or without a tilde before it.

    Raises
    ------
    DataError
        For a formula with a response.
    """
    left, tilde, right = formula.partition("~")
    if tilde and left.strip():
        raise DataError(
            f"formula is {formula!r}; give the right side only, {right.strip()!r}: the response is the y of "
            "fit(X, y)."
        )
    return right if tilde else formula


def _free_name(name: str, taken: Any) -> str:
    while name in taken:
        name += "_"
    return name
