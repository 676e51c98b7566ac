"""Text of a formula → frozen terms. Nothing in this folder ever sees data."""

from bimixed.formula.grouped import groups_formula
from bimixed.formula.parser import parse_formula
from bimixed.formula.terms import Formula, RandomTerm
from bimixed.formula.update import update_formula

__all__ = ["Formula", "RandomTerm", "groups_formula", "parse_formula", "update_formula"]
