"""statsmodels' way to say a mixed model: groups, re_formula, vc_formula → a :class:`Formula`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bimixed.exceptions import FormulaError
from bimixed.formula.groups import format_group
from bimixed.formula.parser import parse_formula
from bimixed.formula.scanner import top_level
from bimixed.formula.terms import Formula, RandomTerm


def groups_formula(
    formula: str, name: str, re_formula: str | None, vc_formula: Mapping[str, str] | None
) -> Formula:
    """The formula with its random terms; ``name`` is the column of the groups.

    Raises
    ------
    FormulaError
        Naming the argument.
    """
    parsed = parse_formula(formula)
    if parsed.random:
        raise FormulaError.at(
            parsed.text,
            parsed.random[0].position,
            "from_groups takes random effects from groups, re_formula and vc_formula; write a formula with "
            "bars as ModelSpec(formula, data), or take the bar out.",
            len(parsed.random[0].source),
        )
    vc_formula = _components(vc_formula)
    random: list[RandomTerm] = []
    if re_formula is None and not vc_formula:
        re_formula = "1"
    if re_formula is not None and not (vc_formula and str(re_formula).strip(" ~") in ("0", "-1")):
        lhs = _one_sided(re_formula, "re_formula")
        source = f"({lhs} | {format_group((name,))})"
        random.append(RandomTerm(lhs, (name,), True, source, len(formula)))
    for component, text in vc_formula.items():
        lhs = _one_sided(text, f"vc_formula[{component!r}]")
        source = f"component({component}: {lhs} | {format_group((name,))})"
        random.append(RandomTerm(lhs, (name,), False, source, len(formula), component=component))
    text = " + ".join([formula.strip(), *(term.source for term in random)])
    return replace(parsed, text=text, random=tuple(random))


def _components(vc_formula: Any) -> dict[str, str]:
    if vc_formula is None:
        return {}
    if not isinstance(vc_formula, Mapping):
        raise FormulaError(
            f"vc_formula is a {type(vc_formula).__name__}; give a dict of name and formula, "
            "{'classroom': '0 + C(classroom)'}."
        )
    return {str(name): text for name, text in vc_formula.items()}


def _one_sided(text: Any, place: str) -> str:
    if not isinstance(text, str) or not text.strip():
        given = repr(text) if text is None or isinstance(text, str) else f"a {type(text).__name__}"
        raise FormulaError(f"{place} is {given}; give a formula such as '1 + x' or '0 + C(classroom)'.")
    bar = next((i for i, char in top_level(text) if char == "|"), None)
    if bar is not None:
        raise FormulaError.at(
            text, bar, f"{place} has columns only, without a bar: groups= says what they vary between."
        )
    stripped = text.strip().removeprefix("~").strip()
    probe = parse_formula(f"y ~ {stripped}")  # stray tildes get the parser's message
    if probe.random or probe.offsets:
        raise FormulaError(f"{place} is '{text}'; it has columns only, without bars and offsets: '1 + x'.")
    return probe.fixed
