# %% [markdown]
# # Coming from lme4, statsmodels or bambi
#
# One script in each package's own words, and here. The other packages' numbers come from runs of lme4
# 1.1-31 with lmerTest 3.1-3, statsmodels 0.15.0 and bambi 0.21.0 on the same data: reaction times (ms) of
# 18 subjects over ten days.

# %%
import pandas as pd

import bimixed as bm

sleep = bm.load_dataset("sleepstudy")
sleep.head(3)

# %% [markdown]
# ## 1. From lme4
#
# ```r
# library(lmerTest)
# fit <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy)
# summary(fit)
# VarCorr(fit)
# ranef(fit); coef(fit)
# confint(fit, method = "profile")
# anova(lmer(Reaction ~ 1 + (Days | Subject), sleepstudy), fit)
# predict(fit, data.frame(Days = c(0, 9), Subject = c("308", "999")), allow.new.levels = TRUE)
# ```

# %%
fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", sleep).fit()
fit

# %%
fit.varcorr.round(4)

# %%
pd.concat({"ranef": fit.ranef["Subject"], "coef": fit.coef("Subject")}, axis=1).head(2).round(4)

# %% [markdown]
# `confint(fit, method = "profile")` refits by ML for fixed effects *and* sds. `bm.profile` of a REML fit
# keeps REML's criterion for sds and correlations; profile an ML fit for lme4's limits.

# %%
limits = bm.profile(bm.ModelSpec("Reaction ~ Days + (Days | Subject)", sleep).fit("ml")).conf_int()
limits.round(3)

# %% [markdown]
# Fits whose fixed parts differ are compared by ML, as lme4's `anova` does after refitting.

# %%
small = bm.ModelSpec("Reaction ~ 1 + (Days | Subject)", sleep).fit()
test = bm.lrtest(small, fit)
test

# %%
new = pd.DataFrame({"Days": [0, 9], "Subject": [308, 999]})
predicted = fit.predict(new, new_levels="population")
predicted.round(4)

# %%
table = fit.coef_table()
figures_lme4 = pd.DataFrame(
    [
        ("REML criterion", "1743.6", -2 * fit.loglik),
        ("log-likelihood", "-871.8141", fit.loglik),
        ("sd of intercepts", "24.741", fit.varcorr["sd"].iloc[0]),
        ("sd of slopes", "5.922", fit.varcorr["sd"].iloc[1]),
        ("correlation", "0.066", fit.random_corr["Subject"].iloc[0, 1]),
        ("residual sd", "25.592", fit.sigma),
        ("Intercept", "251.405", table.loc["Intercept", "estimate"]),
        ("Days", "10.467", table.loc["Days", "estimate"]),
        ("Days, standard error", "1.546", table.loc["Days", "std_error"]),
        ("Days, df", "17.000", table.loc["Days", "df"]),
        ("Days, t", "6.771", table.loc["Days", "statistic"]),
        ("χ² of Days by ML", "23.537", test.table["chisq"].iloc[-1]),
        ("slope of subject 308", "19.666262", fit.coef("Subject").loc[308, "Days"]),
        ("profile, sd of intercepts, lower", "14.3814732", limits.loc["sd_Subject[Intercept]", "lower"]),
        ("profile, sd of intercepts, upper", "37.7159917", limits.loc["sd_Subject[Intercept]", "upper"]),
        ("prediction, subject 308, day 0", "253.6637", predicted["estimate"].iloc[0]),
        ("prediction, new subject, day 9", "345.6107", predicted["estimate"].iloc[1]),
    ],
    columns=["figure", "lme4", "bimixed"],
).set_index("figure")
figures_lme4

# %% [markdown]
# | lme4 and its friends | bimixed |
# |---|---|
# | `lmer(f, d)`, `lmer(f, d, REML = FALSE)` | `bm.ModelSpec(f, d).fit()`, `.fit("ml")` |
# | `fixef`, `vcov`, `VarCorr` | `fit.fixef`, `fit.vcov`, `fit.varcorr` |
# | `ranef`, `coef`, `sigma` | `fit.ranef`, `fit.coef(group)`, `fit.sigma` |
# | `summary(fit)$coefficients`, `anova(fit)` of lmerTest | `fit.coef_table()`, `fit.anova()` |
# | `anova(small, large)` | `bm.lrtest(small, large)` |
# | `drop1`, `ranova`, `step` | `bm.drop1`, `bm.ranova`, `bm.step` |
# | `confint(fit)`, `bootMer` | `bm.profile(fit).conf_int()`, `bm.bootstrap(fit)` |
# | `isSingular(fit)` | `fit.diagnostics.singular`, `fit.explain_singular()` |
# | `emmeans(fit, "f")`, `emtrends` | `bm.emmeans(fit, "f")`, `bm.emtrends` |
# | `(f \|\| g)` with a factor `f`: correlated | uncorrelated; write `(f \| g)` for lme4's model |
#
# ## 2. From statsmodels
#
# ```python
# import statsmodels.formula.api as smf
# fit = smf.mixedlm("Reaction ~ Days", sleep, groups="Subject", re_formula="~Days").fit()
# fit.summary(); fit.llf; fit.cov_re; fit.scale
# fit.random_effects[308]
# fit.predict(sleep.head(2))          # without random effects
# ```

# %%
fit = bm.ModelSpec.from_groups("Reaction ~ Days", sleep, groups="Subject", re_formula="~Days").fit()
fit.random_cov["Subject"].round(4)

# %%
first = sleep.head(2)
predictions = {"none": fit.predict(first, random="none"), "all": fit.predict(first)}
pd.concat(predictions, axis=1).round(3)

# %%
cov, effects = fit.random_cov["Subject"], fit.ranef["Subject"].loc[308]
figures_statsmodels = pd.DataFrame(
    [
        ("llf", "-871.8141", fit.loglik),
        ("Intercept", "251.405", fit.fixef.loc["Intercept", "estimate"]),
        ("Days", "10.467", fit.fixef.loc["Days", "estimate"]),
        ("Intercept, standard error", "6.825", fit.fixef.loc["Intercept", "std_error"]),
        ("Days, standard error", "1.546", fit.fixef.loc["Days", "std_error"]),
        ("Subject Var", "612.096", cov.iloc[0, 0]),
        ("Subject x Days Cov", "9.605", cov.iloc[0, 1]),
        ("Days Var", "35.072", cov.iloc[1, 1]),
        ("scale", "654.9405", fit.sigma**2),
        ("random effect of 308, intercept", "2.25858", effects["Intercept"]),
        ("random effect of 308, Days", "9.19897", effects["Days"]),
        ("predict, day 0", "251.405105", fit.predict(sleep.head(1), random="none")["estimate"].iloc[0]),
    ],
    columns=["figure", "statsmodels", "bimixed"],
).set_index("figure")
figures_statsmodels

# %% [markdown]
# Three differences to know. `predict` includes the random effects unless `random="none"` is given. Tests
# have degrees of freedom (Satterthwaite's), where statsmodels takes the normal distribution. Standard
# errors of variances are on the variances' own scale, `fit.variance_table()`; statsmodels' 11.881 is of the
# ratio to the residual variance, times the residual sd.
#
# | statsmodels | bimixed |
# |---|---|
# | `mixedlm(f, d, groups=, re_formula=, vc_formula=)` | `bm.ModelSpec.from_groups`, the same arguments |
# | `MixedLM(endog, exog, groups, exog_re, exog_vc=)` | `bm.ModelSpec.from_arrays(...)`, the same arguments |
# | `.fit(reml=False)` | `.fit("ml")` |
# | `llf`, `cov_re`, `vcomp`, `scale` | `loglik`, `random_cov`, `varcorr`, `sigma**2` |
# | `fe_params`, `bse_fe`, `cov_params()` | `fixef["estimate"]`, `fixef["std_error"]`, `vcov` |
# | `random_effects`, `random_effects_cov` | `ranef`, `ranef_sd` |
# | `summary()` | `print(fit)` |
#
# ## 3. From bambi
#
# ```python
# import arviz as az
# import bambi as bmb
# model = bmb.Model("Reaction ~ Days + (Days | Subject)", sleep)
# idata = model.fit(draws=2000, random_seed=1)
# az.summary(idata, var_names=["Intercept", "Days", "1|Subject_sigma", "Days|Subject_sigma", "sigma"])
# ```
#
# bambi's `(Days | Subject)` has no correlation: that is `(Days || Subject)` here. The priors below are
# those that bambi printed. bambi's is on the intercept at the mean of `Days`, which with an sd of 261 makes
# no difference that can be seen.

# %%
spec = bm.ModelSpec(
    "Reaction ~ Days + (Days || Subject)",
    sleep,
    priors={
        "Intercept": bm.Prior("normal", mu=298.5079, sigma=261.0092),
        "Days": bm.Prior("normal", mu=0, sigma=48.8915),
        "sd_Subject[Intercept]": bm.Prior("half_normal", sigma=261.0092),
        "sd_Subject[Days]": bm.Prior("half_normal", sigma=48.8915),
        "sigma": bm.Prior("half_student_t", nu=4, sigma=56.1721),
    },
)
spec

# %% [markdown]
# `method="nuts"` samples as bambi does; `"importance"` draws from the same posterior independently, in a
# second or two for a model of this size.

# %% tags=["draws"]
posterior = spec.fit("importance", draws=8000, random_seed=1)
posterior

# %% tags=["draws"]
summary = posterior.tidy(["fixed", "ran_pars"])[["estimate", "std_error"]].to_numpy()
figures_bambi = pd.DataFrame(
    {
        "bambi": ["251.2", "10.46", "27.2", "6.48", "25.82"],
        "bimixed": summary[:, 0],
        "sd, bambi": ["7.5", "1.76", "6.6", "1.45", "1.54"],
        "sd, bimixed": summary[:, 1],
    },
    index=pd.Index(["Intercept", "Days", "sd of intercepts", "sd of slopes", "sigma"], name="figure"),
)
figures_bambi

# %% [markdown]
# | bambi | bimixed |
# |---|---|
# | `bmb.Model(f, d, priors={...})` | `bm.ModelSpec(f, d, priors={...})`; `spec.priors` prints all of them |
# | `bmb.Prior("HalfNormal", sigma=2)` | `bm.Prior("half_normal", sigma=2)` |
# | `model.fit(draws, tune, chains, random_seed)` | `spec.fit("nuts", draws=, tune=, chains=, random_seed=)` |
# | `idata.posterior["1\|Subject"]` | `fit.posterior["posterior"]["ranef_Subject"]` |
# | `1\|Subject_sigma` | `sd_Subject`, by coefficient |
# | `model.predict(idata, data=new)` | `fit.predict(new, interval="prediction")`, `fit.predict_draws(new)` |
# | `model.prior_predictive()` | `spec.sample_prior()` |
# | `(x \| g)`, uncorrelated | `(x \|\| g)`; `(x \| g)` has a correlation with an LKJ prior |
# | families other than normal | not yet; bambi has them |
