"""Python expressions in formulas: the names they use, and what they may not hold."""

import ast
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
from formulaic.transforms import TRANSFORMS
from formulaic.utils.layered_mapping import LayeredMapping
from formulaic.utils.stateful_transforms import stateful_eval

from bimixed.exceptions import FormulaError
from bimixed.formula.habits import remedy
from bimixed.formula.scanner import without_backticks


def refuse_exclusive_or(expression: str, place: str) -> None:
    """R's power is Python's exclusive or, which would silently give other numbers."""
    try:
        tree = ast.parse(without_backticks(expression), mode="eval")
    except SyntaxError:
        return  # formulaic will say so, with the place
    if any(isinstance(node, ast.BitXor) for node in ast.walk(tree)):
        raise FormulaError(
            f"'^' inside '{expression}' ({place}) is Python's exclusive or (1, 2, 3 become 3, 0, 1), not "
            f"a power. Write '**': '{expression.replace('^', '**')}'."
        )


def names_in_python(expression: str) -> list[str]:
    """Names of an expression that are not called, backticked ones without their backticks."""
    quoted: list[str] = []

    def stand_in(match: re.Match[str]) -> str:
        quoted.append(match.group(1))
        return f"quoted_{len(quoted) - 1}_name"

    tree = ast.parse(re.sub(r"`([^`]*)`", stand_in, expression), mode="eval")
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    functions = {id(call.func) for call in calls}
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in functions]
    for call in calls:  # Q("weird name"), patsy's quotation
        if isinstance(call.func, ast.Name) and call.func.id == "Q":
            names += [str(a.value) for a in call.args if isinstance(a, ast.Constant)]
    back = {f"quoted_{i}_name": name for i, name in enumerate(quoted)}
    return [back.get(name, name) for name in names]


def columns_of_atom(atom: str, columns: list[str]) -> list[str]:
    """Columns that a grouping column or expression needs; the atom itself where it is none."""
    if atom in columns:
        return [atom]
    try:
        names = names_in_python(atom)
    except SyntaxError:
        return [atom]
    return [name for name in names if name in columns] or names or [atom]


def evaluate_expression(
    expression: str, table: pd.DataFrame, context: Mapping[str, Any], state: dict[str, Any]
) -> Any:
    """One value per row from a Python expression in columns, such as a group's; ``C(x)`` is x."""
    refuse_exclusive_or(expression, "group")
    data = LayeredMapping(table, name="data")
    names = LayeredMapping(data, context, {**TRANSFORMS, "C": lambda values: values})
    try:
        return stateful_eval(expression, names, None, state, None)
    except Exception as error:
        raise FormulaError(
            f"The group '{expression}' can't be evaluated: {clean(error)}. {remedy(expression)}"
        ) from error


def clean(error: Exception) -> str:
    """Formulaic's message without colour codes and markers."""
    text = re.sub(r"\x1b\[[0-9;]*m|[⧛⧚]", "", str(error)).replace("\n\n", " In: ")
    return text.strip().removesuffix(".")
