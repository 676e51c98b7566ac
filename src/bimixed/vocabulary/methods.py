"""Arguments of other packages given to any public function or method: one decorator answers them all."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps

from bimixed.exceptions import ArgumentError
from bimixed.vocabulary.advice import advice

KINDS = inspect.Parameter


def explains_arguments[**P, R](function: Callable[P, R], name: str | None = None) -> Callable[P, R]:
    """The function, with :class:`ArgumentError` in place of Python's TypeError for what it doesn't take.

    Parameters
    ----------
    function : callable
        Returned as it is if it takes any keyword. Its signature, as ``help`` shows it, stays.
    name : str, optional
        In messages; default the function's.
    """
    parameters = inspect.signature(function).parameters
    kinds = [parameter.kind for parameter in parameters.values()]
    if KINDS.VAR_KEYWORD in kinds:
        return function
    where = name or function.__name__
    known = tuple(
        key for key, own in parameters.items() if key != "self" and own.kind is not KINDS.VAR_POSITIONAL
    )
    in_order = [key for key, own in parameters.items() if own.kind is KINDS.POSITIONAL_OR_KEYWORD]
    most = None if KINDS.VAR_POSITIONAL in kinds else len(in_order)
    others = {theirs: told for theirs, (ours, told) in _OTHERS.items() if ours in known}
    translations = {**others, **_BY_FUNCTION.get(where, {})}

    @wraps(function)
    def explained(*given: P.args, **named: P.kwargs) -> R:
        for key, value in named.items():
            if key not in known:
                raise ArgumentError(advice(key, value, translations, known, where))
        if most is not None and len(given) > most:
            raise ArgumentError(_too_many(where, [key for key in in_order if key != "self"], known))
        return function(*given, **named)

    return explained


def explains_methods[T](cls: type[T]) -> type[T]:
    """The same for the public methods that a class defines."""
    for name, value in list(vars(cls).items()):
        if inspect.isfunction(value) and not name.startswith("_"):
            setattr(cls, name, explains_arguments(value))
    return cls


def _too_many(where: str, in_order: list[str], known: tuple[str, ...]) -> str:
    if not known:
        return f"{where} takes no arguments."
    taken = f"{', '.join(in_order)} in this order" if in_order else "nothing without a name"
    others = [key for key in known if key not in in_order]
    rest = f", and by name {', '.join(f'{key}=' for key in others)}" if others else ""
    return f"{where} was given too many arguments: it takes {taken}{rest}."


_OTHERS: Mapping[str, tuple[str, str]] = {
    "alpha": ("level", "Write level=0.95 for alpha=0.05."),
    "seed": ("random_seed", "Write random_seed=."),
    **dict.fromkeys(
        ("nsim", "n_sim", "B", "R", "n_boot", "reps"), ("n", "Write n=, the number of replicates.")
    ),
    "typ": ("type", "Write type=1, 2 or 3."),
    **dict.fromkeys(
        ("use_f", "use_t"),
        (
            "ddf",
            "Write ddf='normal' for normal theory (F times num_df is its χ²), or leave it out for t and F.",
        ),
    ),
}
"""Argument of others → ours, told where a function has that one, and the sentence."""
_SUMMARY = "Write fit.coef_table('normal', level=0.9) for this table by itself; the summary has no choices."
_BY_FUNCTION: Mapping[str, Mapping[str, str]] = {
    "summary": {
        **dict.fromkeys(("alpha", "ddf", "level"), _SUMMARY),
        **dict.fromkeys(
            ("yname", "xname", "xname_fe", "xname_re", "title"),
            "Rename the columns of the data, or the rows of fit.coef_table().rename({{'x': 'name'}}).",
        ),
    },
    "test": {
        "value": "Write right sides as text, fit.test('x = 1, z = 2'); matrices are tested against 0.",
        "r_matrix": "It comes first and without a name: fit.test(matrix).",
        "scalar": "Leave it out: fit.test(...).F and .p_value are numbers.",
        "cov_p": "Tests are by the model's covariance; for cluster-robust ones see fit.coef_table_robust().",
    },
    "anova": {
        "test": "Leave it out for F tests; F times num_df of fit.anova('normal') is the χ² of Wald tests.",
        "skip_single": "Leave it out, or take rows of the table: fit.anova().query('num_df > 1').",
    },
    "coef_table": {"cov_type": "For cluster-robust standard errors write fit.coef_table_robust()."},
    "profile": {
        **dict.fromkeys(("vtype", "re_ix"), "Name the parameter: bm.profile(fit, 'sd_g[Intercept]')."),
        **dict.fromkeys(
            ("num_low", "num_high", "dist_low", "dist_high"),
            "Leave it out: a profile goes as far as limits of 99 % need.",
        ),
    },
    "table": {
        **dict.fromkeys(
            ("stars", "signif"),
            "Stars aren't made; uncertainty='interval' shows limits in place of standard errors.",
        ),
        **dict.fromkeys(("model_names", "labels"), "Write names=['first', 'second']."),
        "float_format": "Write digits=3, significant digits of standard errors.",
        "info_dict": "Leave it out: rows, levels, log-likelihood, AIC and BIC are below the estimates.",
    },
    "MixedRegressor": {
        "reml": "Write MixedRegressor(..., method='reml') for reml=True, method='ml' for reml=False.",
        "re_formula": "Write slopes=['x'], or formula='x + (x | g)'.",
        "vc_formula": "Write formula='x + (1 | a) + (1 | b)'.",
        **dict.fromkeys(
            ("optimizer", "draws", "tune", "chains"), "Write fit_options={{'{name}': ...}}, arguments of fit."
        ),
        **dict.fromkeys(("random_seed", "seed"), "Write random_state=, as scikit-learn does."),
    },
    "MixedRegressor.fit": {
        **dict.fromkeys(
            ("groups", "group", "clusters"),
            "Groups are a column of X: MixedRegressor(groups='g').fit(X, y) with 'g' in X.",
        )
    },
}
