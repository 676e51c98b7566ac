# Makes step.json: random effects left out one by one, and backward elimination, by lmerTest.
# Rscript step.R (lmerTest, jsonlite)
suppressMessages({library(lmerTest); library(jsonlite)})
rat <- read.csv("data/rat_pup.csv"); rat$litter <- factor(rat$litter)
ort <- read.csv("data/Orthodont.csv")
cb <- read.csv("data/cbpp.csv"); cb$period <- factor(cb$period); cb$herd <- factor(cb$herd)
slp <- read.csv("data/sleepstudy.csv"); slp$odd <- ifelse(slp$Days %% 2 == 1, "yes", "no")
rad <- read.csv("data/radon.csv")
data <- list(rat_pup = rat, Orthodont = ort, cbpp = cb, sleepstudy = slp, radon = rad)
models <- list(
  list("rat_pup", "weight ~ sex * treatment * litsize + (1 + sex | litter)"),
  list("Orthodont", "distance ~ age * Sex + (age | Subject)"),
  list("cbpp", "incidence ~ period * size + (1 | herd)"),
  list("sleepstudy", "Reaction ~ Days * odd + (0 + odd | Subject)"),
  list("sleepstudy", "Reaction ~ Days + odd + (Days | Subject) + (1 | odd:Subject)"),
  list("radon", "log_radon ~ floor * log_uranium + (1 + floor | county)"))
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5), calc.derivs = FALSE)
out <- list()
for (m in models) {
  fit <- suppressMessages(lmer(as.formula(m[[2]]), data[[m[[1]]]], control = tight))
  r <- suppressMessages(suppressWarnings(ranova(fit)))
  s <- suppressMessages(suppressWarnings(step(fit)))
  f <- attr(s, "model")
  out[[length(out) + 1]] <- list(data = m[[1]], formula = m[[2]],
    ranova = list(term = rownames(r), loglik = r$logLik, LRT = r$LRT, df = r$Df),
    random = list(term = rownames(s$random), eliminated = s$random$Eliminated, LRT = s$random$LRT, df = s$random$Df),
    fixed = list(term = rownames(s$fixed), eliminated = s$fixed$Eliminated, num_df = s$fixed$NumDF,
                 den_df = s$fixed$DenDF, F = s$fixed[["F value"]], p = s$fixed[["Pr(>F)"]]),
    model = paste(deparse(formula(f), width.cutoff = 500), collapse = ""))
}
write_json(list(R = R.version.string, lmerTest = as.character(packageVersion("lmerTest")), models = out),
           "step.json", digits = 12, auto_unbox = TRUE, pretty = TRUE)
