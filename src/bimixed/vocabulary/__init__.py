"""Arguments and names of other packages, answered with the line that says the same here."""

from bimixed.vocabulary.advice import refuse_unknown
from bimixed.vocabulary.asking import refuse_foreign_compare, refuse_foreign_means, refuse_foreign_predict
from bimixed.vocabulary.fitting import refuse_foreign_fit, refuse_foreign_refit
from bimixed.vocabulary.functions import means_of_formula, module_hint, plot_hint
from bimixed.vocabulary.methods import explains_arguments, explains_methods
from bimixed.vocabulary.names import RESULT_NAMES, Hinting, result_hint, spec_hint
from bimixed.vocabulary.specifying import (
    refuse_foreign_arrays,
    refuse_foreign_specification,
    refuse_incomplete_simulation,
    refuse_missing_groups,
)
from bimixed.vocabulary.values import letters, spelled

__all__ = [
    "RESULT_NAMES",
    "Hinting",
    "explains_arguments",
    "explains_methods",
    "letters",
    "means_of_formula",
    "module_hint",
    "plot_hint",
    "refuse_foreign_arrays",
    "refuse_foreign_compare",
    "refuse_foreign_fit",
    "refuse_foreign_means",
    "refuse_foreign_predict",
    "refuse_foreign_refit",
    "refuse_foreign_specification",
    "refuse_incomplete_simulation",
    "refuse_missing_groups",
    "refuse_unknown",
    "result_hint",
    "spec_hint",
    "spelled",
]
