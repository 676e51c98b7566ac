# %% [markdown]
# # Radon: a mixed model beside a Bayesian hierarchical model
#
# Radon was measured in 919 houses of 85 counties in Minnesota. `log_radon` is the logarithm of the activity
# + 0.1, `floor` is 0 for a measurement in the basement and 1 for one on the first floor, `log_uranium` is
# the logarithm of the county's uranium in the soil. Counties have from 1 to 116 houses, so that some are
# known well and many hardly.

# %%
import os
import textwrap
import warnings

import pandas as pd

import bimixed as bm

DRAWS = {"draws": 250, "tune": 250} if os.environ.get("BIMIXED_FAST") else {}  # few draws for a quick run

radon = bm.load_dataset("radon")
radon["x_mean"] = radon.groupby("county")["floor"].transform("mean")
radon.describe().round(3)

# %% [markdown]
# ## A model that can't be estimated
#
# The document behind this page first fits `floor` and a *fixed* factor `county`, with a random intercept of
# county as well. Fixed effects of county explain all that its random effects could: the likelihood is the
# same for every variance of county. bimixed gives what is determined, and says what isn't.

# %%
both = bm.ModelSpec("log_radon ~ floor + county + (1 | county)", radon)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", bm.IdentificationWarning)  # its text is printed below
    unidentified = both.fit()
print(textwrap.fill(unidentified.diagnostics.messages[0], 100))

# %% [markdown]
# statsmodels printed "Group Var 0.528" here, with no standard error. That is its starting value of 1 times
# the residual variance: where the optimiser began and stopped. The other figures agree.

# %%
fixef = unidentified.fixef
figures = pd.DataFrame(
    [
        ("REML log-likelihood", "-994.6192", unidentified.loglik),
        ("residual variance", "0.5279", unidentified.sigma**2),
        ("floor", "-0.689", fixef.loc["floor", "estimate"]),
        ("floor, standard error", "0.071", fixef.loc["floor", "std_error"]),
        ("county[T.ANOKA]", "0.043", fixef.loc["county[T.ANOKA]", "estimate"]),
        ("Intercept", "0.887", fixef.loc["Intercept", "estimate"]),
        ("variance of county", "0.528", unidentified.varcorr["variance"].iloc[0]),
        ("mean squared error", "0.47846", (unidentified.resid**2).mean()),
    ],
    columns=["figure", "published", "bimixed"],
).set_index("figure")
figures

# %% [markdown]
# ## The same model by REML and by NUTS
#
# With county as a random effect only, and its uranium as a covariate, everything can be estimated. One
# specification is fitted twice.

# %%
spec = bm.ModelSpec("log_radon ~ floor + log_uranium + (1 + floor | county)", radon)
spec

# %%
reml = spec.fit("reml")
reml

# %% tags=["draws"]
nuts = spec.fit("nuts", random_seed=1, progress=False, **DRAWS)
nuts

# %% [markdown]
# `compare` lays them side by side. `diff/sd` is a difference in posterior standard deviations, `overlap`
# what sampling distribution and posterior have in common. Profile limits stand beside those of Wald and of
# the posterior: the sds' distributions are skewed, and the profile follows that.

# %% tags=["draws"]
comparison = bm.compare(reml, nuts, intervals=bm.profile(reml))
comparison

# %% [markdown]
# ## Shrinkage
#
# A county's own least-squares estimate is pulled towards the population's line, most where there are few
# houses. Both backends shrink alike.

# %% tags=["draws"]
ax = bm.plots.shrinkage(comparison, "county", "Intercept")

# %% tags=["draws"]
comparison.shrinkage["county"].groupby("coefficient").median(numeric_only=True).round(3)

# %% [markdown]
# ## The published Bayesian model
#
# The document's Stan program has a random intercept only, the county's mean of `floor` as a third
# covariate, and these priors: normal(0, 1) for all coefficients and for the mean of the counties,
# uniform(0, 100) for both sds. The same priors in bimixed:

# %%
published = bm.ModelSpec(
    "log_radon ~ log_uranium + floor + x_mean + (1 | county)",
    radon,
    priors={
        "fixef": bm.Prior("normal", mu=0, sigma=1),
        "sd": bm.Prior("uniform", lower=0, upper=100),
        "sigma": bm.Prior("uniform", lower=0, upper=100),
    },
)
published.priors

# %% tags=["draws"]
posterior = published.fit("nuts", random_seed=1, progress=False, **DRAWS)
posterior

# %% [markdown]
# The published posterior means come from 2,000 draws, and carry Monte Carlo error of some thousandths.
# REML, which has no priors, says nearly the same.

# %% tags=["draws"]
restricted = published.fit("reml")
stan = pd.Series({"log_uranium": "0.68677", "floor": "-0.68514", "x_mean": "0.38766"}, name="published")
figures_stan = pd.DataFrame(
    {
        "published": stan,
        "bimixed": posterior.fixef["estimate"][stan.index],
        "sd": posterior.fixef["std_error"][stan.index],
        "REML": restricted.fixef["estimate"][stan.index],
    }
)
figures_stan

# %% [markdown]
# ## Posterior summaries
#
# Draws are an ArviZ DataTree with named dimensions: `posterior.posterior["posterior"]["ranef_county"]` has
# those of each county's effect. Summaries are tables as for REML.

# %% tags=["draws"]
posterior.tidy(["fixed", "ran_pars"], conf_int=True).dropna(axis=1, how="all").round(3)

# %% [markdown]
# The sd between counties is small beside its uncertainty. Its density follows the curve of the profile
# rather than that of the Wald interval.

# %% tags=["draws"]
ax = bm.plots.density([restricted, posterior], "sd_county[Intercept]", profile=bm.profile(restricted))

# %% [markdown]
# Predictions for a house on the first floor, in a county with 116 houses and in one not seen before. The
# latter's interval counts the variance between counties.

# %% tags=["draws"]
house = radon.loc[radon["county"] == "ST LOUIS"].head(1).assign(floor=1)
new = pd.concat([house, house.assign(county="elsewhere")], ignore_index=True)
limits = {
    name: fit.predict(new, new_levels="sample", interval="prediction", random_seed=1)
    for name, fit in {"REML": restricted, "NUTS": posterior}.items()
}
pd.concat(limits).round(3)
