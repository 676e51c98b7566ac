"""The directive ``members``: some members of a class, a table of them and then their docstrings.

``.. members:: bimixed.MixedModelResult estimates`` takes the names of that group below. The group
``others`` holds what no group names, so that nothing public is missing from the reference.
"""

import inspect
from importlib import import_module

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

RESULT = {
    "fitted": "formula nobs ngroups",
    "estimates": "fixef vcov coef varcorr variance_table random_cov random_corr sigma theta ranef ranef_sd "
    "ranef_table ranef_cov combine rank_levels fitted resid summary",
    "tests": "coef_table conf_int anova test coef_table_robust vcov_robust loglik df_model aic bic caic "
    "conditional_aic loo to_marginaleffects",
    "prediction": "predict predict_draws simulate posterior_predictive marginal_cov",
    "diagnostics": "explain_singular all_optimizers influence leverage residuals_scaled icc r2 refit "
    "refit_many",
    "files": "save tidy glance augment to_markdown to_latex to_html",
}
SPEC = {
    "making": "from_groups from_arrays update",
    "reading": "describe equation formula fixed random priors given_priors noticed data_column",
    "using": "fit to_pymc sample_prior simulate",
}
GROUPS = {"bimixed.MixedModelResult": RESULT, "bimixed.ModelSpec": SPEC}
INTERNAL = {"likelihood", "refitter", "left_out", "posterior", "recipe", "design", "with_design"}
"""Fields that the class docstring tells of, or that are there for other modules."""

CALLED = {f"bimixed.{name}" for name in ("ModelSpec", "Prior", "MixedRegressor")}


def resolve(path: str) -> type:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def names_of(path: str, group: str) -> list[str]:
    """The members of a group that the class has, in the group's order."""
    cls = resolve(path)
    public = [name for name in dir(cls) if not name.startswith("_") and name not in INTERNAL]
    groups = GROUPS.get(path, {})
    if group == "others":
        named = {name for text in groups.values() for name in text.split()}
        return [name for name in public if name not in named]
    return [name for name in groups[group].split() if name in public]


def kind_of(cls: type, name: str) -> str:
    found = inspect.getattr_static(cls, name)
    if isinstance(found, classmethod | staticmethod) or inspect.isfunction(found):
        return "automethod"
    return "autoproperty" if isinstance(found, property) else "autoattribute"


class Members(SphinxDirective):
    required_arguments = 2
    has_content = False

    def run(self) -> list[nodes.Node]:
        path, group = self.arguments
        names = names_of(path, group)
        if not names:
            return []
        cls = resolve(path)
        lines = [".. autosummary::", "   :nosignatures:", ""]
        lines += [f"   ~{path}.{name}" for name in names] + [""]
        for name in names:
            lines += [f".. {kind_of(cls, name)}:: {path}.{name}", ""]
        node = nodes.container()
        self.state.nested_parse(StringList(lines, source=f"{path} {group}"), self.content_offset, node)
        return node.children


def signature(app: Sphinx, what: str, name: str, *rest: object) -> tuple[str, None] | None:
    """No arguments of classes that users get from functions and never call."""
    return ("", None) if what == "class" and name not in CALLED else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("members", Members)
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
