# %% [markdown]
# # Nested and crossed variance components
#
# Two simulations of 40,000 rows with sds of 2 and 3 between groups and 4 within, drawn one after the other
# from NumPy's legacy generator with the seed 3123. First, 200 groups with 20 subgroups of 10 rows each;
# then 100 × 100 crossed levels. The recipe is in the docstring's source of `bm.load_dataset`.

# %%
import numpy as np
import pandas as pd

import bimixed as bm

nested, crossed = bm.load_dataset("nested"), bm.load_dataset("crossed")
nested.groupby(["group1", "group2"]).size().unstack().shape

# %% [markdown]
# ## Nested, by formula
#
# Labels of `group2` start anew in every `group1`: subgroup 1 of two groups are different subgroups. A
# component of `vc_formula` is drawn anew in every group, as in statsmodels.

# %%
spec = bm.ModelSpec.from_groups(
    "y ~ 1", nested, groups="group1", re_formula="1", vc_formula={"group2": "0 + C(group2)"}
)
fit = spec.fit()
fit

# %% [markdown]
# statsmodels' variances are where its optimiser stopped; the column `converged` has lme4's with tight
# tolerances.

# %%
variances = fit.varcorr.set_index("group")["variance"]
figures_nested = pd.DataFrame(
    [
        ("REML log-likelihood", "-116022.3805", "", fit.loglik),
        ("residual variance", "15.8825", "15.88256", variances["Residual"]),
        ("variance of group1", "3.917", "3.91814", variances["group1"]),
        ("variance of group2", "8.742", "8.74218", variances["group2"]),
        ("Intercept", "-0.035", "", fit.fixef.loc["Intercept", "estimate"]),
        ("Intercept, standard error", "0.149", "", fit.fixef.loc["Intercept", "std_error"]),
    ],
    columns=["figure", "published", "converged", "bimixed"],
).set_index("figure")
figures_nested

# %% [markdown]
# ### Standard errors of variances
#
# bimixed gives the standard error of each variance on the variance's own scale.

# %%
fit.variance_table()

# %% [markdown]
# statsmodels prints 0.112 and 0.063 instead. These are standard errors of the ratios variance / residual
# variance, multiplied by the residual *sd*. The design is balanced, so that both kinds follow from three
# independent mean squares.

# %%
n1, n2, n3 = 200, 20, 10
v1, v2, s = variances
mean_squares = np.array([s + n3 * v2 + n2 * n3 * v1, s + n3 * v2, s])
variance_of_mean_squares = 2 * mean_squares**2 / [n1 - 1, n1 * (n2 - 1), n1 * n2 * (n3 - 1)]
of_variances = np.array([[1, -1, 0], [0, n2, -n2]]) / (n2 * n3)  # derivatives by the mean squares
of_ratios = of_variances / s
of_ratios[:, 2] -= np.array([v1, v2]) / s**2
own = np.sqrt(of_variances**2 @ variance_of_mean_squares)
ratio = np.sqrt(of_ratios**2 @ variance_of_mean_squares)
given = fit.variance_table()["std_error"].iloc[:2]
figures_errors = pd.DataFrame(
    [
        ("group1", "0.112", ratio[0] * s**0.5, own[0], given.iloc[0]),
        ("group2", "0.063", ratio[1] * s**0.5, own[1], given.iloc[1]),
    ],
    columns=["figure", "published", "sd × se of ratio", "by mean squares", "bimixed"],
).set_index("figure")
figures_errors

# %% [markdown]
# ## Nested, by other routes
#
# lme4's notation says the same, and so do arrays: one matrix of indicators for every group, whose numbers
# of columns may differ.


# %%
def indicators(groups, labels):
    """For each group, a column for each of its labels."""
    labels = pd.Series(labels)
    return {
        g: pd.get_dummies(labels[rows]).to_numpy(float) for g, rows in labels.groupby(groups).groups.items()
    }


ones = np.ones(len(nested))
matrices = indicators(nested["group1"], nested["group2"])
by_bars = bm.ModelSpec("y ~ 1 + (1 | group1 / group2)", nested).fit()
by_arrays = bm.ModelSpec.from_arrays(
    nested["y"], ones, nested["group1"], exog_re=ones, exog_vc={"group2": matrices}
).fit()
routes_nested = pd.DataFrame(
    {
        name: [f.loglik, *f.varcorr["variance"]]
        for name, f in {"components": fit, "bars": by_bars, "arrays": by_arrays}.items()
    },
    index=["log-likelihood", "group1", "group2", "residual"],
)
routes_nested

# %% [markdown]
# ## Crossed
#
# One constant group for all rows makes components crossed. With bars they are two terms.

# %%
components = {"g1": "0 + C(group1)", "g2": "0 + C(group2)"}
ones = np.ones(len(crossed))
fit = bm.ModelSpec.from_groups("y ~ 1", crossed, groups=ones, vc_formula=components).fit()
fit

# %%
variances = fit.varcorr.set_index("group")["variance"]
figures_crossed = pd.DataFrame(
    [
        ("REML log-likelihood", "-112684.9688", "", fit.loglik),
        ("residual variance", "15.9824", "15.98237", variances["Residual"]),
        ("variance of g1", "4.282", "4.27581", variances["g1"]),
        ("variance of g2", "8.150", "8.16194", variances["g2"]),
        ("Intercept", "-0.251", "", fit.fixef.loc["Intercept", "estimate"]),
        ("Intercept, standard error", "0.353", "", fit.fixef.loc["Intercept", "std_error"]),
    ],
    columns=["figure", "published", "converged", "bimixed"],
).set_index("figure")
figures_crossed

# %% [markdown]
# In the crossed design statsmodels stopped further from the maximum: 4.282 and 8.150 against 4.27581 and
# 8.16194. The log-likelihood is so flat there that it agrees to 0.001. By arrays and by bars:

# %%
matrices = {name: indicators(ones, crossed[column]) for name, column in [("g1", "group1"), ("g2", "group2")]}
by_arrays = bm.ModelSpec.from_arrays(crossed["y"], ones, ones, exog_vc=matrices).fit()
by_bars = bm.ModelSpec("y ~ 1 + (1 | group1) + (1 | group2)", crossed).fit()
routes_crossed = pd.DataFrame(
    {
        name: [f.loglik, *f.varcorr["variance"]]
        for name, f in {"components": fit, "bars": by_bars, "arrays": by_arrays}.items()
    },
    index=["log-likelihood", "group1", "group2", "residual"],
)
routes_crossed

# %% [markdown]
# ## Is the truth within the limits?
#
# The sds that were simulated are 2, 3 and 4. Ten thousand combinations, but only 100 levels on each side:
# the sds between levels are known to about 7 %.

# %%
fit.conf_int().assign(truth=[0, 2, 3, 4]).round(3)

# %%
ax = bm.plots.caterpillar(fit, "g1")
