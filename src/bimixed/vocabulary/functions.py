"""Functions of other packages, looked for in bimixed, in bimixed.plots or in a call of emmeans."""

import re
from collections.abc import Mapping

from bimixed.vocabulary.names import result_hint

_CASES = "write bm.emmeans(fit, 'f') for averages, or fit.predict(new_data, interval='confidence')"
_MODULE: Mapping[str, str] = {
    **dict.fromkeys(("lmer", "fit", "lme"), "write ModelSpec('y ~ x + (1 | g)', data).fit()"),
    **dict.fromkeys(
        ("glmer", "nlmer", "brm", "stan_glmer", "Family"),
        "responses are Gaussian here; for others use lme4, brms or bambi",
    ),
    "mixedlm": "write ModelSpec.from_groups('y ~ x', data, groups='g').fit()",
    "MixedLM": "write ModelSpec.from_arrays(endog, exog, groups).fit()",
    "Model": "write ModelSpec('y ~ x + (1 | g)', data).fit('nuts')",
    "Formula": "write ModelSpec('y ~ x + (1 | g)', data); print(spec) shows how it was read",
    "from_formula": "write ModelSpec.from_groups('y ~ x', data, groups='g')",
    "load_data": "write bm.load_dataset('sleepstudy')",
    "simulate": "write spec.simulate(fit.fixef, fit.random_cov, fit.sigma, n=1000, random_seed=1)",
    "bootMer": "write bm.bootstrap(fit, n=1000, random_seed=1)",
    "refitML": "write fit.spec.fit('ml')",
    "allFit": "write fit.all_optimizers()",
    **dict.fromkeys(("exactRLRT", "exactLRT"), "write bm.rlrt(fit, 'group[coefficient]')"),
    **dict.fromkeys(("stepwise", "buildmer", "stepcAIC"), "write bm.step(fit)"),
    **dict.fromkeys(
        ("PBmodcomp", "pbmodcomp", "KRmodcomp"),
        "write fit.test('x = 0', ddf='kenward-roger'), bm.lrtest(small, large), or bm.rlrt(fit, term)",
    ),
    "summary_col": "write bm.table(one, other, names=['one', 'other'])",
    "anova": "write bm.lrtest(small, large), or fit.anova() for the terms of one fit",
    "contest": "write fit.test('x = 0, z = 1')",
    "rePCA": "write fit.explain_singular()",
    **dict.fromkeys(("lsmeans", "ls_means"), "write bm.emmeans(fit, 'f')"),
    "joint_tests": "write fit.anova()",
    "emmip": "write bm.plots.means(bm.emmeans(fit, 'a', by='b'))",
    "lmList": "write bm.pooling(spec), which has each group's own least squares beside the model's",
    "check_model": "write bm.plots.residuals(fit), or fit.to_html(path) for a page",
    "interpret": f"{_CASES}; bm.emtrends for slopes",
    **dict.fromkeys(("predictions", "plot_predictions"), _CASES),
    **dict.fromkeys(
        ("comparisons", "plot_comparisons"), "write bm.emmeans(fit, 'f').contrasts('trt.vs.ctrl')"
    ),
    **dict.fromkeys(("slopes", "plot_slopes"), "write bm.emtrends(fit, 'f', var='x')"),
    "loo": "write fit.loo(), and arviz.compare({'a': one.loo(), 'b': other.loo()})",
}
_PLOTS: Mapping[str, str] = {
    **dict.fromkeys(
        ("qqmath", "qqnorm", "qq"), "write bm.plots.residuals(fit), with normal scores of effects"
    ),
    **dict.fromkeys(("dotplot", "ranef"), "write bm.plots.caterpillar(fit)"),
    **dict.fromkeys(("trace", "plot_trace"), "write arviz.plot_trace_dist(fit.posterior)"),
    **dict.fromkeys(("posterior", "plot_posterior"), "write bm.plots.density(fit)"),
    **dict.fromkeys(("ppc", "plot_ppc"), "write bm.plots.posterior_predictive(fit)"),
    **dict.fromkeys(("priors", "plot_priors"), "write bm.plots.prior(spec)"),
    **dict.fromkeys(("emmeans", "predictions"), "write bm.plots.means(bm.emmeans(fit, 'a', by='b'))"),
}


def module_hint(name: str, result: type) -> str:
    """What to write for a name that bimixed doesn't have; "" where nothing is known.

    Parameters
    ----------
    name : str
    result : type
        The class of results, whose members are asked of a fit.
    """
    if name in _MODULE:
        return _MODULE[name]
    if not name.startswith("_") and hasattr(result, name):
        return f"write fit.{name}{'()' if callable(getattr(result, name)) else ''}"
    return result_hint(name)


def plot_hint(name: str) -> str:
    """The same for bimixed.plots."""
    return _PLOTS.get(name, "")


def means_of_formula(text: str) -> str:
    """emmeans' '~ a * b | c' as a call; "" for what is no formula.

    Examples
    --------
    >>> means_of_formula("pairwise ~ treatment | sex")
    "emmeans(fit, 'treatment', by='sex').contrasts('pairwise')"
    >>> means_of_formula("~ a * b")
    "emmeans(fit, ['a', 'b'])"
    """
    if "~" not in text and "|" not in text:
        return ""
    method, _, right = text.rpartition("~")
    sides = [re.findall(r"[\w.]+", side) for side in right.split("|")]
    shown = [repr(names[0]) if len(names) == 1 else repr(names) for names in sides]
    by = f", by={shown[1]}" if len(sides) > 1 else ""
    contrasts = f".contrasts({method.strip()!r})" if method.strip() else ""
    return f"emmeans(fit, {shown[0]}{by}){contrasts}"
