"""Spellings of R and of other packages that would be read as something else, or as nothing."""

import re

from bimixed.exceptions import FormulaError
from bimixed.formula import scanner

_HABITS: tuple[tuple[str, str], ...] = (
    (r"<-", "A formula has '~' between response and predictors: 'y ~ x + (1 | g)'."),
    (r"\$", "Columns are named without their table: 'y', not 'd$y'."),
    (
        r"\bREML\s*=",
        "REML is no part of a formula: ModelSpec('y ~ x + (1 | g)', data).fit('reml'), or .fit('ml') for "
        "REML=FALSE.",
    ),
    (r"\b(TRUE|FALSE)\b", "Python writes True and False."),
    (r"%in%", "'%in%' is not read as in R; write 'a:b' for the interaction, or 'a / b' for a + a:b."),
    (
        r"(?<![\w.])(diag|us|ar1|cs|toep|gr|mm)\s*\((?=[^()]*\|)",
        "Structured covariances don't exist here: '(x | g)' has all correlations, '(x || g)' none.",
    ),
    (
        r"(?<![\w.])mm\s*\(",
        "A multiple membership is a matrix: ModelSpec.from_arrays(..., exog_vc={'m': Z}).",
    ),
    (r"[\w)\]`]\s+\((?=[^()]*\|)", "A '+' is missing before the random-effects term."),
    (r"`[01]`", "A column called 0 or 1 would be read as an intercept; rename it."),
)

FUNCTIONS = {
    "factor": "In place of factor(x) write C(x).",
    "as.factor": "In place of as.factor(x) write C(x).",
    "ordered": "In place of ordered(x) write C(x, contr.poly) for polynomial contrasts.",
    "relevel": "For another reference level write C(x, contr.treatment('level')).",
    "s": "For a smooth of x write cr(x, df=5) (natural cubic spline) or bs(x, df=5).",
    "te": "Tensor products of smooths don't exist here; write bs(x, df=4):bs(z, df=4).",
    "ns": "ns(x, df=4) of R is cr(x, df=4, constraints='center').",
    "cbind": "A response is one column; bring measurements in several columns into long format: "
    "data.melt(id_vars=[...], var_name='time', value_name='y').",
    "mvbind": "A response is one column; bring measurements in several columns into long format: "
    "data.melt(id_vars=[...], var_name='time', value_name='y').",
    "ifelse": "In place of ifelse(test, a, b) write np.where(test, a, b).",
    "as.numeric": "In place of as.numeric(x) write x.astype(float).",
    "interaction": "In place of interaction(a, b) write a:b.",
    "cut": "In place of cut(x, breaks) write pd.cut(x, breaks), or make the classes a column.",
    "mean": "To centre a column write center(x).",
    "sd": "To standardise a column write scale(x).",
    "sqrt": "In place of sqrt(x) write np.sqrt(x), or x**0.5 inside I().",
    "log1p": "In place of log1p(x) write np.log1p(x).",
    "abs": "In place of abs(x) write np.abs(x).",
}
"""Functions of R, and what to write."""
_CALL = r"(?<![\w.]){}\("


def refuse_habits(text: str) -> None:
    """Point at a spelling that means something elsewhere.

    Raises
    ------
    FormulaError
    """
    quoted = scanner.quoted(text)
    for pattern, advice in _HABITS:
        for match in re.finditer(pattern, text):
            inside = any(a < match.start() < b - 1 for a, b in quoted)
            if not inside:
                start = match.start() + len(match.group(0)) - len(match.group(0).lstrip())
                raise FormulaError.at(text, start, advice, max(len(match.group(0).strip()), 1))
    if "~" not in text and re.search(r"(?<![=<>!])=(?!=)", re.sub(r"\([^()]*\)", "", text)):
        place = text.index("=")
        raise FormulaError.at(text, place, "A formula has '~' between response and predictors, not '='.")


def remedy(text: str) -> str:
    """What to write in place of a function of R that a text has, else a general advice."""
    spline = re.search(rf"{_CALL.format('ns')}([^,()]+),\s*(?:df\s*=\s*)?(\d+)\s*\)", text)
    if spline:
        x, df = spline.groups()
        return f"The same natural cubic splines are cr({x.strip()}, df={df}, constraints='center')."
    coded = re.search(rf"{_CALL.format('C')}([^,()]+),\s*(?:ref|base|reference)\s*=\s*([^,()]+)\)", text)
    if coded:
        f, level = (part.strip() for part in coded.groups())
        return f"For another reference level write C({f}, contr.treatment({level}))."
    for name, advice in FUNCTIONS.items():
        if re.search(_CALL.format(re.escape(name)), text):
            return advice
    if re.search(r"==", text):
        return "Put a comparison into I(): I(f == 'a')."
    if re.search(r"(?<![\w.])\d+(\.\d+)?\s*[*/]|[*/]\s*\d", text):
        return "Arithmetic goes into I(): I(2 * x), I(x / 2)."
    return "Check the spelling and the types of the columns it names."
