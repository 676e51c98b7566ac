"""A specification as an equation in LaTeX."""

from bimixed.design import Design, RandomFactor

WRITTEN_OUT = 20
"""Up to this many fixed effects are written one by one."""
MATRIX = 3
"""Up to this many coefficients a covariance matrix is written out."""


def equation(design: Design) -> str:
    r"""The model as a LaTeX ``aligned`` environment: linear predictor, random effects, residuals.

    Standard deviations σ and correlations ρ have their group as subscript.
    """
    left = f"{_text(design.formula.response)}_i"
    terms = _fixed(design)
    if design.has_offset:
        terms.append("o_i")
    symbols = _symbols(design)
    for factor in design.factors:
        terms += _random(factor, symbols[factor.key])
    lines = [rf"{left} &= {' + '.join([*terms, r'\varepsilon_i'])}"]
    lines += [_distribution(factor, symbols[factor.key]) for factor in design.factors]
    variance = r"\sigma^2" if not design.has_weights else r"\sigma^2 / w_i"
    lines.append(rf"\varepsilon_i &\sim \mathcal{{N}}(0,\, {variance}), \quad i = 1, \dots, {design.n}")
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _text(name: str) -> str:
    """A name set upright, its special characters escaped."""
    for char in "\\{}_^#&%$~":
        escaped = {"\\": r"\backslash ", "^": r"\hat{}", "~": r"\sim{}"}.get(char, f"\\{char}")
        name = name.replace(char, escaped) if char != "\\" else name.replace("\\", "/")
    return rf"\mathrm{{{name.replace(' ', r'\ ')}}}"


def _fixed(design: Design) -> list[str]:
    names = [design.names[j] for j in design.kept]
    if len(names) > WRITTEN_OUT:
        return [r"\mathbf{x}_i^\top \boldsymbol{\beta}"]
    terms, number = [], 0 if "Intercept" in names else 1
    for name in names:
        terms.append(rf"\beta_{{{number}}}" + ("" if name == "Intercept" else rf"\,{_text(name)}_i"))
        number += 1
    return terms


def _symbols(design: Design) -> dict[str, str]:
    """A letter for the effects of each factor."""
    letters = ["u", "v", "a", "b", "c", "d", "g", "h"]
    return {
        f.key: letters[i] if i < len(letters) else rf"u^{{({i + 1})}}" for i, f in enumerate(design.factors)
    }


def _random(factor: RandomFactor, symbol: str) -> list[str]:
    if factor.is_mixed:
        return [rf"\sum_{{j}} z^{{{_text(factor.key)}}}_{{ij}}\, {symbol}_j"]
    terms = []
    for k, name in enumerate(factor.names):
        place = rf"{{{_text(factor.key)}[i]}}"
        effect = rf"{symbol}_{place}" if factor.n_coefficients == 1 else rf"{symbol}_{{{k},\,{place}}}"
        is_one = name == "Intercept"
        terms.append(effect if is_one else rf"{effect}\,{_text(name)}_i")
    return terms


def _distribution(factor: RandomFactor, symbol: str) -> str:
    place = _text(factor.key)
    levels = rf"\quad j = 1, \dots, {factor.n_levels}"
    if factor.n_coefficients == 1:
        return rf"{symbol}_j &\sim \mathcal{{N}}(0,\, \sigma_{{{place}}}^2), {levels}"
    if factor.n_coefficients > MATRIX:
        normal = rf"\mathcal{{N}}(\mathbf{{0}},\, \boldsymbol{{\Sigma}}_{{{place}}})"
        return rf"\mathbf{{{symbol}}}_j &\sim {normal}, {levels}"
    pairs = factor.template.correlated_pairs()
    rows = []
    for i in range(factor.n_coefficients):
        rows.append(" & ".join(_entry(i, j, place, pairs) for j in range(factor.n_coefficients)))
    matrix = r"\begin{pmatrix} " + r" \\ ".join(rows) + r" \end{pmatrix}"
    effects = r" \\ ".join(rf"{symbol}_{{{k},\,j}}" for k in range(factor.n_coefficients))
    vector = rf"\begin{{pmatrix}} {effects} \end{{pmatrix}}"
    return rf"{vector} &\sim \mathcal{{N}}\left(\mathbf{{0}},\, {matrix}\right), {levels}"


def _entry(i: int, j: int, place: str, pairs: list[tuple[int, int]]) -> str:
    if i == j:
        return rf"\sigma_{{{place},{i}}}^2"
    low, high = min(i, j), max(i, j)
    if (low, high) not in pairs:
        return "0"
    return rf"\rho_{{{place},{low}{high}}} \sigma_{{{place},{low}}} \sigma_{{{place},{high}}}"
