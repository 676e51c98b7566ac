# %% [markdown]
# # When REML and Bayes differ
#
# With much data and weak priors REML and the posterior agree. This page has three cases where they don't,
# and what `bm.compare` says of each: a variance estimated as 0, few groups, and a prior that the data
# contradict. Limits by profile and bootstrap stand beside those of the posterior. Posteriors are drawn by
# `"importance"`, which for models of few variances gives independent draws of what `"nuts"` samples.

# %%
import os

import bimixed as bm

BOOTSTRAPS = 50 if os.environ.get("BIMIXED_FAST") else 1000  # few for a quick run


def both_ways(spec):
    """REML, posterior, a profile and a bootstrap, side by side."""
    reml, posterior = spec.fit("reml"), spec.fit("importance", random_seed=1)
    profile = bm.profile(reml)
    bootstrap = bm.bootstrap(reml, BOOTSTRAPS, random_seed=1, progress=False)
    return bm.compare(reml, posterior, intervals=[profile, bootstrap]), profile, bootstrap


# %% [markdown]
# ## 1. A variance estimated as 0
#
# Dyestuff2: yields of 5 samples from each of 6 batches, simulated so that batches differ less than chance
# alone would make them. REML's estimate of the sd between batches is exactly 0. That is a valid estimate,
# and no evidence that batches are alike: the profile's limits reach from 0 to 2.5.

# %%
dyestuff = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2"))
reml_dyestuff = dyestuff.fit()
print(reml_dyestuff)

# %%
bm.profile(reml_dyestuff).conf_int().round(3)

# %% tags=["draws"]
comparison, profile, bootstrap = both_ways(dyestuff)
comparison

# %% [markdown]
# A posterior mean of an sd can't be 0. The difference is *expected*: much of the posterior lies near 0,
# where the likelihood peaks, and the upper limits of profile and posterior are alike. Report the limit, not
# the estimate.

# %% tags=["draws"]
axes = bm.plots.density(comparison, ["sd_Batch[Intercept]", "sigma"], profile=profile)

# %% [markdown]
# ## 2. Few groups
#
# Three classrooms. The sd between them has 2 degrees of freedom, so that its upper limit is several times
# the estimate, and here the kinds of limits differ: the profile's 12.9, the posterior's 8.3 (its prior
# bounds it) and the bootstrap's 5.8 (which takes the estimate for the truth).

# %%
classrooms = bm.ModelSpec("score ~ edu + (1 | classroom)", bm.load_dataset("score_parentedu"))
reml_classrooms = classrooms.fit()
bm.profile(reml_classrooms).conf_int().round(3)

# %% tags=["draws"]
comparison, profile, bootstrap = both_ways(classrooms)
comparison

# %% tags=["draws"]
comparison.intervals.loc[["Intercept", "sd_classroom[Intercept]"]].T.round(2)

# %% tags=["draws"]
axes = bm.plots.density(
    comparison, ["Intercept", "sd_classroom[Intercept]"], profile=profile, bootstrap=bootstrap
)

# %% [markdown]
# The mean of all classrooms, which is the Intercept at `edu` = 0, has a Wald interval with Satterthwaite's
# 2.06 degrees of freedom, from 2.4 to 17.4. The posterior's is shorter, since the prior of the sd makes
# very large ones unlikely. The slope of `edu`, which is estimated within classrooms, is the same in all.
#
# ## 3. A prior against the data
#
# Reaction times of 18 subjects again. REML's sd of the slopes is 5.9 ms per day. Someone takes it for
# granted that it is about 1, a half-normal prior with scale 1.

# %%
strong = bm.ModelSpec(
    "Reaction ~ Days + (Days | Subject)",
    bm.load_dataset("sleepstudy"),
    priors={"sd_Subject[Days]": bm.Prior("half_normal", sigma=1)},
)
reml_strong = strong.fit()
reml_strong.varcorr.round(3)

# %% tags=["draws"]
comparison, profile, bootstrap = both_ways(strong)
comparison

# %% [markdown]
# This difference is *suspicious*: too large to be explained by skewness. `prior_check` names the reason.

# %% tags=["draws"]
bm.prior_check(comparison.results[1])

# %% [markdown]
# With the default prior, which has the scale of the data, REML and posterior agree. Three results side by
# side, where differences are in posterior sds of the last:

# %% tags=["draws"]
weak = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
three = bm.compare(
    reml_strong,
    comparison.results[1],
    weak.fit("importance", random_seed=1),
    names=["REML", "strong", "default"],
)
three

# %% tags=["draws"]
ax = bm.plots.forest(three, "variance")
