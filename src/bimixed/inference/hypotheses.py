"""Linear hypotheses about fixed effects: text → rows of Lβ = values, and their test."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.exceptions import DataError, FormulaError
from bimixed.results.fixef_tests import DDF, NAMES, independent_rows, named_after
from bimixed.results.student import f_tail
from bimixed.results.summary import Summary, format_table
from bimixed.results.tables import check_level, combination_table
from bimixed.results.uncertainty import Draws, equal_tails
from bimixed.vocabulary import Hinting, spelled
from bimixed.vocabulary.values import DDF as SPELLINGS

if TYPE_CHECKING:
    from bimixed.results.inferring import Inferring

MOST_PARTS = 4
"""Of an interaction that is found in any order of them."""
NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
WORD = re.compile(r"[^\s+\-*/()=,]+")


@dataclass(frozen=True)
class HypothesisTest(Hinting):
    """A test of linear hypotheses about the fixed effects.

    Attributes
    ----------
    hypotheses : tuple of str
    num_df, den_df, F, p_value : float
        Of all of them together; NaN for draws.
    ddf : str
        The approximation of the degrees of freedom; "posterior" for draws.
    table : pandas.DataFrame
        Each left side by itself: ``estimate``, ``value`` (its right side), ``std_error``, ``df``,
        ``statistic`` and ``p_value`` against that value, ``lower``, ``upper``; for draws posterior means,
        sds, equal tails, and ``prob_positive``, the probability that it is above the value.
    """

    hypotheses: tuple[str, ...]
    num_df: float
    den_df: float
    F: float
    p_value: float
    ddf: str
    table: pd.DataFrame

    def __str__(self) -> str:
        title, joint = self._told()
        return "\n".join([title, *joint, "", format_table(self.table)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        title, joint = self._told()
        table = self.table.rename_axis(columns=None)
        whole = (".table",)
        facts = tuple(("All together", line) for line in joint)
        return Summary(title, facts, (("Each by itself", table),), (), whole)._repr_html_()

    def _told(self) -> tuple[str, list[str]]:
        """Title, and the joint test where there is one."""
        if self.ddf == "posterior":
            return "Posterior of linear combinations", []
        joint = f"F({self.num_df:.0f}, {self.den_df:.2f}) = {self.F:.4f}, p = {self.p_value:.4g}"
        return f"Linear hypotheses, by {NAMES[self.ddf]}", [joint]


def linear_test(fit: "Inferring", given: Any, ddf: str | None, level: float) -> HypothesisTest:
    """Test hypotheses given as text or as rows L of Lβ = 0."""
    check_level(level)
    L, values, labels = rows_of(fit.design.names, given)
    index = pd.Index(labels, name="hypothesis")
    if isinstance(fit.uncertainty, Draws):
        if ddf is not None and spelled(ddf, DDF, SPELLINGS) not in DDF:
            raise DataError(f"ddf is {ddf!r}; draws need none, so leave it out.")
        independent_rows(L, values, fit.design.column_sizes)
        table = _posterior(fit.uncertainty, L, values, level, index)
        nan = np.nan
        return HypothesisTest(tuple(labels), nan, nan, nan, nan, "posterior", table)
    tests = fit._fixef_tests(ddf)
    assert tests is not None
    joint, found = tests.joint(L, values), tests.rows(L)
    table = combination_table(found, level, index)
    against = combination_table(replace(found, estimate=found.estimate - values), level, index)
    table[["statistic", "p_value"]] = against[["statistic", "p_value"]]
    table.insert(1, "value", values)
    p_value = f_tail(joint.statistic, joint.num_df, joint.den_df)
    return HypothesisTest(
        tuple(labels),
        float(joint.num_df),
        joint.den_df,
        joint.statistic,
        p_value,
        tests.ddf,
        named_after(tests.ddf, table),
    )


def _posterior(draws: Draws, L: Array, values: Array, level: float, index: pd.Index) -> pd.DataFrame:
    """Each combination by itself; NaN where a column without an estimate is in it."""
    without = np.isnan(draws.beta).any(axis=0)
    known = ~(np.abs(L[:, without]) > 0.0).any(axis=1)
    drawn = np.nan_to_num(draws.beta) @ L.T
    limits = equal_tails(drawn, level)
    nothing = dict.fromkeys(("df", "statistic", "p_value"), np.nan)
    table = pd.DataFrame({"estimate": drawn.mean(axis=0), "value": values}, index)
    table = table.assign(
        std_error=drawn.std(axis=0, ddof=1), **nothing, lower=limits.lower, upper=limits.upper
    )
    table["prob_positive"] = (drawn > values).mean(axis=0)
    table.loc[~known, table.columns != "value"] = np.nan
    return named_after("posterior", table)


def rows_of(names: Sequence[str], given: Any) -> tuple[Array, Array, list[str]]:
    """L (k, coefficients), right sides (k,), and how each row is called.

    Raises
    ------
    FormulaError
        Where text can't be read or names no coefficient.
    DataError
        If a matrix has another number of columns or isn't finite.
    """
    if isinstance(given, str):
        given = [given]
    if isinstance(given, Sequence) and given and all(isinstance(part, str) for part in given):
        rows = [row for text in given for row in _Reader(text, names).hypotheses()]
        L = np.array([row for row, _, _ in rows])
        return L, np.array([value for _, value, _ in rows]), [label for _, _, label in rows]
    labels = None
    if isinstance(given, pd.DataFrame):
        patterns = {name: _pattern(name) for name in names}
        given = given.rename(
            columns=lambda c: next((n for n, own in patterns.items() if own.fullmatch(str(c))), c)
        )
        unknown = [name for name in given.columns if name not in names]
        if unknown:
            raise DataError(
                f"The hypothesis has columns that are no coefficients: {', '.join(map(repr, unknown))}; "
                f"there are {', '.join(names)}."
            )
        if given.columns.has_duplicates:
            raise DataError("The hypothesis has a column twice; give each coefficient one column.")
        plain = isinstance(given.index, pd.RangeIndex)
        labels = None if plain else [str(label) for label in given.index]
        given = given.reindex(columns=list(names), fill_value=0.0)
    try:
        L = np.atleast_2d(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise DataError(
            "A hypothesis is text such as 'x = 0, z = 1', a matrix with a column for each coefficient, or a "
            f"DataFrame with some of them; given: {type(given).__name__}."
        ) from error
    if L.ndim != 2 or L.shape[1] != len(names) or not len(L) or not np.isfinite(L).all():
        raise DataError(
            f"The hypothesis has shape {L.shape}; give rows of {len(names)} finite numbers, one for each of "
            f"{', '.join(names)}."
        )
    return L, np.zeros(len(L)), labels or [_equation(names, row) for row in L]


def _equation(names: Sequence[str], row: Array) -> str:
    """Row of a matrix as text: 'c - 2*x = 0'.

    Examples
    --------
    >>> _equation(["Intercept", "x", "c"], np.array([0.0, -2.0, 1.0]))
    '-2*x + c = 0'
    """
    text = ""
    for name, weight in zip(names, row, strict=True):
        if weight == 0.0:
            continue
        sign = ("-" if weight < 0.0 else "") if not text else (" - " if weight < 0.0 else " + ")
        text += sign + (name if abs(weight) == 1.0 else f"{abs(weight):g}*{name}")
    return f"{text or '0'} = 0"


class _Reader:
    """Reads 'a = 0, b - 2*c = 1'. A value is its coefficients and a constant, (p + 1,)."""

    def __init__(self, text: str, names: Sequence[str]):
        self.text, self.names, self.at = text, names, 0
        self.patterns = [_pattern(name) for name in names]
        self.longest_first = sorted(range(len(names)), key=lambda j: -len(names[j]))

    def hypotheses(self) -> list[tuple[Array, float, str]]:
        found = []
        while True:
            found += self._bracketed() if self._brackets_equation() else self._chain()
            self._space()
            if self.at == len(self.text):
                return found
            if not self._take(","):
                raise self._error("Expected ',' or the end of the hypothesis", self.at)
            self._space()
            if self.at == len(self.text):
                return found

    def _chain(self) -> list[tuple[Array, float, str]]:
        """'a = b = 0' says a = b and b = 0."""
        self._space()
        start = self.at
        sides = [self._side()]
        while self._take("==") or self._take("="):
            sides.append(self._side())
        self._refuse_inequality(sides[0][1])
        whole = self.text[start : self.at].strip()
        if len(sides) == 1:
            (value, _), label = sides[0], whole
            return [self._row(value, label, start)]
        return [
            self._row(left - right, whole if len(sides) == 2 else f"{one} = {other}", start)
            for (left, one), (right, other) in pairwise(sides)
        ]

    def _refuse_inequality(self, left: str) -> None:
        self._space()
        if not self.text.startswith(("<", ">"), self.at):
            return
        right = self.text[self.at :].split(",")[0].strip(" <>=")
        if right.count(")") > right.count("("):
            right = right.removesuffix(")").rstrip()
        raise self._error(
            f"A hypothesis is an equation: write '{left} = {right}'. Of draws prob_positive is then the "
            f"probability of {left} > {right}; of likelihood fits half the p-value is that of one side",
            self.at,
        )

    def _side(self) -> tuple[Array, str]:
        self._space()
        start = self.at
        value = self._sum()
        return value, self.text[start : self.at].strip()

    def _row(self, value: Array, label: str, start: int) -> tuple[Array, float, str]:
        if not value[:-1].any():
            raise self._error(f"{label!r} has no coefficient in it", start, len(label))
        return value[:-1], float(0.0 - value[-1]), label

    def _brackets_equation(self) -> bool:
        """Whether a bracket opens here around a whole hypothesis, as in '(a = 0), (b = 1)'."""
        start = self.at
        inside = self._take("(") and (self._brackets_equation() or self._sum_before_equals())
        self.at = start
        return inside

    def _sum_before_equals(self) -> bool:
        self._sum()
        return self._take("=") or self._take("<") or self._take(">")

    def _bracketed(self) -> list[tuple[Array, float, str]]:
        self._take("(")
        found = self._bracketed() if self._brackets_equation() else self._chain()
        if not self._take(")"):
            raise self._error("A bracket isn't closed", self.at)
        return found

    def _sum(self) -> Array:
        value = self._product()
        while True:
            if self._take("+"):
                value = value + self._product()
            elif self._take("-"):
                value = value - self._product()
            else:
                return value

    def _product(self) -> Array:
        value = self._single()
        while True:
            self._space()
            at = self.at
            if self._take("*"):
                other = self._single()
                if value[:-1].any() and other[:-1].any():
                    raise self._error("A product of coefficients isn't linear", at)
                value = value * other[-1] if value[:-1].any() else other * value[-1]
            elif self._take("/"):
                other = self._single()
                if other[:-1].any() or other[-1] == 0.0:
                    raise self._error("Division is by numbers other than 0 only", at)
                value = value / other[-1]
            else:
                return value

    def _single(self) -> Array:
        if self._take("-"):
            return -self._single()
        if self._take("+"):
            return self._single()
        if self._take("("):
            value = self._sum()
            if not self._take(")"):
                raise self._error("A bracket isn't closed", self.at)
            return value
        return self._name_or_number()

    def _name_or_number(self) -> Array:
        self._space()
        value = np.zeros(len(self.names) + 1)
        quoted = self.text.startswith("`", self.at)
        begin = self.at + quoted
        for j in self.longest_first:
            found = self.patterns[j].match(self.text, begin)
            if found and self._ends(found.end(), quoted):
                self.at = found.end() + quoted
                value[j] = 1.0
                return value
        number = NUMBER.match(self.text, self.at)
        if number:
            value[-1] = float(number.group())
            if not np.isfinite(value[-1]):
                raise self._error("This number is too large", self.at, number.end() - self.at)
            self.at = number.end()
            return value
        word = WORD.match(self.text, self.at)
        if word is None:
            raise self._error("A coefficient or a number is missing", self.at)
        raise self._error(
            f"{word.group()!r} is no coefficient; {self._meant(word.group())}", self.at, len(word.group())
        )

    def _meant(self, word: str) -> str:
        known = f"there are {', '.join(self.names)}."
        own = [name for name in self.names if name.startswith(f"{word}[")]
        if own:
            return (
                f"it is a term, with the coefficients {', '.join(own)}. fit.anova() tests terms as a whole "
                f"(here {' = '.join(own)} = 0 says the same of these coefficients)."
            )
        if word.startswith(("sd_", "var_", "corr_")):
            return f"{known} A variance is tested by bm.rlrt(fit, 'group[coefficient]')."
        close = difflib.get_close_matches(word, self.names, n=1)
        return f"did you mean {close[0]!r}?" if close else known

    def _ends(self, end: int, quoted: bool) -> bool:
        """Whether a name ends there: not in the middle of a longer word."""
        if quoted:
            return self.text.startswith("`", end)
        after = self.text[end : end + 1]
        return not (after.isalnum() or (after and after in "_[:.("))

    def _take(self, symbol: str) -> bool:
        self._space()
        if self.text.startswith(symbol, self.at):
            self.at += len(symbol)
            return True
        return False

    def _space(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _error(self, message: str, at: int, length: int = 1) -> FormulaError:
        return FormulaError.at(self.text, at, message, length)


def _pattern(name: str) -> re.Pattern[str]:
    """A name with or without spaces around its symbols: formulaic writes I(x ** 2) for I(x**2).

    An interaction's parts may stand in any order.
    """
    if 1 < name.count(":") + 1 <= MOST_PARTS:
        orders = permutations(name.split(":"))
        return re.compile("|".join(_pattern_of(":".join(order)) for order in orders))
    return re.compile(_pattern_of(name))


def _pattern_of(name: str) -> str:
    tokens = re.findall(r"\w+|[^\w\s]", name)
    text = "".join(
        (r"\s+" if before[-1:].isalnum() and token[0].isalnum() else r"\s*") + re.escape(token)
        for before, token in zip(["", *tokens], tokens, strict=False)
    )
    return text.removeprefix(r"\s*")
