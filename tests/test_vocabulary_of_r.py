"""What users of lme4, emmeans and bambi write, and what they get."""

import re

import numpy as np
import pytest

import bimixed as bm


@pytest.fixture(scope="module")
def fit():
    return bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()


@pytest.fixture(scope="module")
def trial():
    return bm.ModelSpec("weight ~ treatment * sex + (1 | litter)", bm.load_dataset("rat_pup")).fit()


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ("Kenward-Roger", "kenward-roger"),
        ("KR", "kenward-roger"),
        ("kenward.roger", "kenward-roger"),
        ("Satterthwaite", "satterthwaite"),
        ("asymptotic", "normal"),
        ("residual", "residual"),
    ],
)
def test_degrees_of_freedom_in_other_spellings(fit, given, ours):
    assert fit.coef_table(given).equals(fit.coef_table(ours))
    assert fit.anova(given).attrs["ddf"] == ours
    assert fit.test("Days = 0", given).ddf == ours


@pytest.mark.filterwarnings("ignore:3 replicates have no quantiles")
def test_limits_and_types_in_other_spellings(trial, fit):
    assert fit.conf_int(method="Wald").equals(fit.conf_int())
    assert fit.conf_int(method="boot", n=3, random_seed=1).equals(
        fit.conf_int(method="bootstrap", n=3, random_seed=1)
    )
    for given, ours in (("I", 1), ("2", 2), ("III", 3)):
        assert trial.anova(type=given).equals(trial.anova(type=ours))
        assert trial.anova(type=given).attrs["type"] == ours
    with pytest.raises(bm.DataError, match="type is 'IV'"):
        trial.anova(type="IV")
    with pytest.raises(bm.DataError, match="method is 'basic'"):
        fit.conf_int(method="basic")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Days > 8", "write 'Days = 8'. Of draws prob_positive is then the probability of Days > 8"),
        ("Days >= 8, Intercept = 0", "write 'Days = 8'."),
        ("2 * Days < Intercept", "write '2 * Days = Intercept'"),
    ],
)
def test_inequalities_are_answered(fit, text, said):
    with pytest.raises(bm.FormulaError, match=re.escape(said)):
        fit.test(text)


ANSWERED = ("emmeans", "ls_means", "weights", "vif", "waic", "to_dataframe", "plot_trace", "plot_predictions")
ANSWERED += ("model", "rhat", "ess", "hdi", "psense")

# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("getME", "fit.theta"),
        ("REMLcrit", "-2 * fit.loglik"),
        ("ngrps", "fit.ngroups"),
        ("update", "fit.spec.update('. ~ . + I(Days**2)').fit()"),
        ("contest", "fit.test('Days = 0')"),
        ("hypothesis", "fit.test('Days = 0')"),
        ("rstudent", "fit.residuals_scaled()"),
        ("df_residual", "fit.glance()['df_residual']"),
        ("ranova", "bm.ranova(fit)"),
        ("drop1", "bm.drop1(fit)"),
        ("step", "bm.step(fit)"),
        ("is_singular", "fit.diagnostics.singular"),
    ],
)
def test_names_of_results(fit, name, code):
    typed = code.replace("Days = 0", "x = 0, z = 1").replace("I(Days**2)", "x")
    with pytest.raises(AttributeError, match=re.escape(typed)):
        getattr(fit, name)
    assert eval(code, {"fit": fit, "bm": bm}) is not None


@pytest.mark.parametrize("name", ANSWERED)
def test_names_of_results_are_answered(fit, name):
    with pytest.raises(AttributeError, match=f"A result has no '{name}'; "):
        getattr(fit, name)


def test_variance_inflation_as_the_hint_says():
    """1/(1 − R²) of each column on the others, as of least squares: no group matters."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=60)
    data = {"x": x, "z": x + rng.normal(size=60), "y": rng.normal(size=60), "g": np.arange(60) % 6}
    data["y"] -= np.bincount(data["g"], data["y"])[data["g"]] / 10
    fit = bm.ModelSpec("y ~ x + z + (1 | g)", data).fit()
    assert fit.diagnostics.singular
    cov = fit.vcov.loc[["x", "z"], ["x", "z"]].to_numpy()
    sd = np.sqrt(np.diag(cov))
    share = np.corrcoef(data["x"], data["z"])[0, 1] ** 2
    np.testing.assert_allclose(np.diag(np.linalg.inv(cov / np.outer(sd, sd))), 1 / (1 - share), rtol=1e-8)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("glmer", "responses are Gaussian here"),
        ("fixef", "write fit.fixef"),
        ("ranef", "write fit.ranef"),
        ("icc", "write fit.icc()"),
        ("r2", "write fit.r2()"),
        ("tidy", "write fit.tidy()"),
        ("influence", "write fit.influence()"),
        ("confint", "write fit.conf_int()"),
        ("isSingular", "write fit.diagnostics.singular"),
        ("AIC", "write fit.aic"),
        ("contest", "write fit.test("),
        ("rePCA", "write fit.explain_singular()"),
        ("lsmeans", "write bm.emmeans(fit, 'f')"),
        ("joint_tests", "write fit.anova()"),
        ("emmip", "write bm.plots.means("),
        ("lmList", "write bm.pooling(spec)"),
        ("refitML", "write fit.spec.fit('ml')"),
        ("check_model", "write bm.plots.residuals(fit)"),
        ("interpret", "bm.emtrends"),
        ("comparisons", ".contrasts('trt.vs.ctrl')"),
        ("predictions", "fit.predict(new_data"),
        ("slopes", "bm.emtrends("),
        ("Formula", "ModelSpec("),
        ("load_data", "bm.load_dataset("),
        ("Model", "ModelSpec("),
        ("lmer", "ModelSpec("),
    ],
)
def test_functions_of_other_packages(name, said):
    with pytest.raises(AttributeError, match=re.escape(said)):
        getattr(bm, name)


@pytest.mark.parametrize("name", ["_repr_html_", "__wrapped__", "nothing"])
def test_other_names_have_no_hint(fit, name):
    for owner in (bm, bm.plots):
        with pytest.raises(AttributeError, match=f"{name}'$"):
            getattr(owner, name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("qqmath", "bm.plots.residuals(fit)"),
        ("dotplot", "bm.plots.caterpillar(fit)"),
        ("ranef", "bm.plots.caterpillar(fit)"),
        ("trace", "arviz.plot_trace_dist(fit.posterior)"),
    ],
)
def test_plots_of_other_packages(name, said):
    with pytest.raises(AttributeError, match=re.escape(said)):
        getattr(bm.plots, name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("build", "print(spec)"),
        ("set_priors", "spec.update(priors="),
        ("graph", "pymc.model_to_graphviz(spec.to_pymc())"),
        ("data", "spec.recipe['data']"),
    ],
)
def test_names_of_models(fit, name, said):
    with pytest.raises(AttributeError, match=re.escape(said)):
        getattr(fit.spec, name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pairs", "means.contrasts()"),
        ("contrast", "means.contrasts()"),
        ("test", "means.contrasts()"),
        ("confint", "means.table"),
        ("plot", "bm.plots.means(means)"),
    ],
)
def test_names_of_means(trial, name, said):
    with pytest.raises(AttributeError, match=re.escape(said)):
        getattr(bm.emmeans(trial, "treatment"), name)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ({"noncentered": False}, "'centered' for False (given: False)"),
        ({"family": "t"}, "spec.to_pymc(likelihood=False) takes a pm.StudentT of your own"),
    ],
)
def test_arguments_of_bambi(argument, said):
    with pytest.raises(bm.ArgumentError, match=re.escape(said)):
        bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy"), **argument)
