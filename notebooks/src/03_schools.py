# %% [markdown]
# # Schools, classrooms and prior test scores
#
# A simulation of 100 schools (`groups`) with 4 classrooms of 4 pupils each. Three covariates have the
# coefficients 0, 1 and -2. Each school has two random slopes with variances 1, of `z1` and `z2`. Each
# classroom has an intercept (variance 2) and a slope of the prior test score (variance 5). The residual
# variance is 1. The original had no seed; here it is 4.

# %%
import numpy as np
import pandas as pd

import bimixed as bm

rng = np.random.default_rng(4)
school, classroom = np.repeat(np.arange(100), 16), np.tile(np.repeat(np.arange(4), 4), 100)
X, Z, prior_test = rng.normal(size=(1600, 3)), rng.normal(size=(1600, 2)), rng.normal(size=1600)
y = X @ [0.0, 1.0, -2.0] + (rng.normal(size=(100, 2))[school] * Z).sum(axis=1)
y += np.sqrt(2) * rng.normal(size=(100, 4))[school, classroom]
y += np.sqrt(5) * rng.normal(size=(100, 4))[school, classroom] * prior_test
y += rng.normal(size=1600)
data = pd.DataFrame({"y": y, "x1": X[:, 0], "x2": X[:, 1], "x3": X[:, 2], "z1": Z[:, 0], "z2": Z[:, 1]})
data = data.assign(prior_test=prior_test, groups=school, classroom=classroom)
data.head(3).round(3)

# %% [markdown]
# ## By groups and components
#
# statsmodels' vocabulary: `re_formula` has the correlated coefficients of each school; each entry of
# `vc_formula` has independent effects with one variance. Classrooms are numbered 0 to 3 in every school,
# and are different ones.

# %%
spec = bm.ModelSpec.from_groups(
    "y ~ x1 + x2 + x3",
    data,
    groups="groups",
    re_formula="0 + z1 + z2",
    vc_formula={"classroom": "0 + C(classroom)", "prior_test": "0 + C(classroom):prior_test"},
)
spec

# %%
by_groups = spec.fit()
by_groups

# %% [markdown]
# ## By lme4's notation

# %%
by_bars = bm.ModelSpec(
    "y ~ x1 + x2 + x3 + (0 + z1 + z2 | groups)"
    " + (1 | groups:classroom) + (0 + prior_test | groups:classroom)",
    data,
).fit()
by_bars.varcorr.round(4)

# %% [markdown]
# ## By arrays
#
# A dictionary of one design matrix per school for each component. Columns may differ in number from school
# to school.

# %%
rooms = {g: pd.get_dummies(part["classroom"]).to_numpy(float) for g, part in data.groupby("groups")}
scores = {g: rooms[g] * part[["prior_test"]].to_numpy() for g, part in data.groupby("groups")}
by_arrays = bm.ModelSpec.from_arrays(
    data["y"],
    np.column_stack([np.ones(len(data)), data[["x1", "x2", "x3"]]]),
    data["groups"],
    exog_re=data[["z1", "z2"]],
    exog_vc={"classroom": rooms, "prior_test": scores},
    fixef_names=["Intercept", "x1", "x2", "x3"],
).fit()
by_arrays.varcorr.round(4)

# %% [markdown]
# The three are one model: the same design, the same maximum.

# %%
fits = {"groups": by_groups, "bars": by_bars, "arrays": by_arrays}
routes = pd.Series({name: f.loglik for name, f in fits.items()}, name="log-likelihood")
routes.to_frame().assign(difference=routes - routes["bars"]).round({"difference": 6})

# %% [markdown]
# ## Beside the truth
#
# 95 % limits of coefficients, sds and the correlation, and the values that were simulated.

# %%
truth = pd.Series(
    {
        "x1": 0.0,
        "x2": 1.0,
        "x3": -2.0,
        "sd_groups[z1]": 1.0,
        "sd_groups[z2]": 1.0,
        "corr_groups[z1,z2]": 0.0,
        "sd_classroom[Intercept]": 2**0.5,
        "sd_prior_test[prior_test]": 5**0.5,
        "sigma": 1.0,
    },
    name="truth",
)
against_truth = by_groups.conf_int().loc[truth.index].assign(truth=truth)
against_truth["within"] = truth.between(against_truth["lower"], against_truth["upper"])
against_truth.round(3)

# %% [markdown]
# ## Effects of one classroom
#
# Predicted effects with their conditional sds. School 0's first classroom has 4 pupils, and its slope is
# known to about a third of the sd between classrooms.

# %%
ranef, sd = by_bars.ranef["groups:classroom"], by_bars.ranef_sd["groups:classroom"]
pd.concat({"effect": ranef, "sd": sd}, axis=1).head(4).round(3)
