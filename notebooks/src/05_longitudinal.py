# %% [markdown]
# # Longitudinal data: growth with random slopes
#
# Repeated measurements of the same units: each has a level and a rate of change of its own. The data are
# distances in the jaw (mm) of 27 children at 8, 10, 12 and 14 years.

# %%
import os

import numpy as np
import pandas as pd

import bimixed as bm

SIMULATIONS = 100 if os.environ.get("BIMIXED_FAST") else 2000  # few for a quick run

growth = bm.load_dataset("orthodont")
wide = growth.pivot(index=["Subject", "Sex"], columns="age", values="distance").reset_index()
wide.head(3)

# %% [markdown]
# ## From wide to long
#
# Models take data in long format, one row per measurement. `melt` turns a wide table into a long one.

# %%
long = wide.melt(id_vars=["Subject", "Sex"], var_name="age", value_name="distance")
long = long.astype({"age": float}).sort_values(["Subject", "age"], ignore_index=True)
long.head(4)

# %% [markdown]
# ## Random intercepts and slopes of age
#
# Age is centred at 11 years, so that intercepts are distances in the middle of the study.

# %%
long["years"] = long["age"] - 11
spec = bm.ModelSpec("distance ~ years * Sex + (years | Subject)", long)
fit = spec.fit()
fit

# %%
axes = bm.plots.panels(fit, "Subject", x="years")

# %% [markdown]
# Does the rate differ between girls and boys? A test with few children needs degrees of freedom.

# %%
bm.emtrends(fit, "Sex", var="years").contrasts()

# %% [markdown]
# Are random slopes needed? Their variance lies at the boundary under the hypothesis, which the usual χ²
# ignores; `rlrt` simulates the distribution, and leaves out the slopes with their covariance.

# %% tags=["draws"]
bm.rlrt(fit, "Subject[years]", n_sim=SIMULATIONS, random_seed=1, progress=False)

# %% [markdown]
# ## Marginal mean and covariance
#
# Averaged over children, the mean is Xβ, and Var[Y | X] = Z Σ Z' + σ² I. Of the four measurements of the
# first child:

# %%
child = long.index[long["Subject"] == long["Subject"].iloc[0]]
covariance = fit.marginal_cov(child)
covariance.round(3)

# %%
sigma_u = fit.random_cov["Subject"].to_numpy()
Z = np.column_stack([np.ones(4), long.loc[child, "years"]])
by_hand = Z @ sigma_u @ Z.T + fit.sigma**2 * np.eye(4)
bool(np.abs(by_hand - covariance).to_numpy().max() < 1e-10)

# %% [markdown]
# A random slope makes the variance a parabola of age, and correlations that fall with the distance in time.

# %%
sds = np.sqrt(np.diag(covariance))
ages = pd.Index(long.loc[child, "age"], name="age")
correlation = pd.DataFrame((covariance / np.outer(sds, sds)).to_numpy(), index=ages, columns=ages)
correlation.round(3)

# %%
marginal = fit.predict(long.loc[child], random="none", interval="confidence")
own = fit.predict(long.loc[child], interval="confidence")
pd.concat({"marginal mean": marginal, "this child": own}, axis=1).round(2)

# %% [markdown]
# ## Predicted random effects and their uncertainty
#
# BLUPs, and the sds of the effects about them.

# %%
pd.concat({"effect": fit.ranef["Subject"], "sd": fit.ranef_sd["Subject"]}, axis=1).head(4).round(3)

# %%
ax = bm.plots.caterpillar(fit, "Subject", "years")

# %% [markdown]
# ## Diagnostics
#
# Residuals against fitted values, normal scores of residuals and of random effects, and residuals by child.
# Some children spread much more than others, and three residuals lie far out.

# %%
axes = bm.plots.residuals(fit)

# %%
standardised = fit.resid / fit.sigma
standardised.groupby(long["Subject"]).std().sort_values(ascending=False).head(4).round(2)

# %% [markdown]
# ## A second example, and its posterior
#
# Reaction times of 18 subjects over ten days with little sleep. The marginal standard deviation nearly
# doubles from day 0 to day 9, in both backends. Posterior means of variances lie above REML's estimates, as
# they are skewed.

# %%
sleep = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
reml = sleep.fit()
reml.marginal_cov([0, 9]).round(0)

# %% tags=["draws"]
draws = sleep.fit("importance", random_seed=1)
draws.marginal_cov([0, 9]).round(0)

# %% tags=["draws"]
ax = bm.plots.shrinkage_2d([reml, draws], "Subject", ["Intercept", "Days"])

# %% [markdown]
# ## Other structures
#
# | structure | formula |
# |---|---|
# | neighbourhood in city in state | `y ~ x + (1 \| state/city/neighbourhood)` |
# | sender × receiver | `y ~ x + (1 \| sender) + (1 \| receiver)` |
# | growth of pupils in schools | `y ~ age + (age \| school/pupil)` |
# | pupils who change school | `y ~ age + (age \| pupil) + (1 \| school)` |
