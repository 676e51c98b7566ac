# Makes emmeans.json: contrasts, slopes and cells without rows by emmeans on data of this folder.
# Rscript emmeans.R (lme4, pbkrtest, emmeans, mvtnorm, jsonlite)
suppressMessages({library(lme4); library(emmeans); library(jsonlite)})
emm_options(lmer.df = "kenward-roger")
set.seed(1)
rat <- read.csv("data/rat_pup.csv"); rat$litter <- factor(rat$litter)
ort <- read.csv("data/Orthodont.csv")
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5))
main <- lmer(weight ~ sex + treatment + litsize + (1 | litter), rat, control = tight)
inter <- lmer(weight ~ sex * treatment + litsize + (1 | litter), rat, control = tight)
slope <- lmer(distance ~ age * Sex + (age | Subject), ort, control = tight)
curve <- lmer(distance ~ poly(age, 2) * Sex + (1 | Subject), ort, control = tight)
gap <- subset(rat, !(sex == "Male" & treatment == "High"))
holes <- suppressMessages(lmer(weight ~ sex * treatment + (1 | litter), gap, control = tight))
table <- function(x) { d <- as.data.frame(x); d[] <- lapply(d, function(v) if (is.factor(v)) as.character(v) else v); d }
con <- function(model, spec, method, adjust) table(summary(contrast(emmeans(model, spec), method, adjust = adjust), infer = TRUE))
out <- list(
  dunnett = con(main, ~ treatment, "trt.vs.ctrl", "mvt"),
  mvt = con(main, ~ treatment, "pairwise", "mvt"),
  holm = con(inter, ~ treatment, "pairwise", "holm"),
  bonferroni = con(inter, ~ treatment, "revpairwise", "bonferroni"),
  sidak = con(inter, ~ treatment, "consec", "sidak"),
  eff = con(inter, ~ treatment, "eff", "none"),
  by = con(inter, ~ treatment | sex, "pairwise", "tukey"),
  both = con(inter, ~ sex * treatment, "pairwise", "tukey"),
  at = table(emmeans(slope, ~ Sex * age, at = list(age = c(8, 14)))),
  trend = table(emtrends(slope, ~ Sex, var = "age")),
  trend_pairs = table(summary(pairs(emtrends(slope, ~ Sex, var = "age")), infer = TRUE)),
  trend_curve = table(emtrends(curve, ~ Sex, var = "age", at = list(age = 12))),
  poly = con(inter, ~ treatment, "poly", "none"),
  interaction = table(summary(contrast(emmeans(inter, ~ sex * treatment), interaction = "pairwise"), infer = TRUE)),
  interaction_consec = table(summary(contrast(emmeans(inter, ~ sex * treatment), interaction = "consec"), infer = TRUE)),
  holes = table(emmeans(holes, ~ sex * treatment)))
write_json(out, "emmeans.json", digits = 12, na = "null", pretty = TRUE)
