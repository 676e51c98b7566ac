"""Text of a formula → frozen terms. Nothing in this folder ever sees data."""

from bimixed.formula.grouped import groups_formula
from bimixed.formula.parser import parse_formula
from bimixed.formula.terms import Formula, RandomTerm

__all__ = ["Formula", "RandomTerm", "groups_formula", "parse_formula"]
