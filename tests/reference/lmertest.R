# Makes lmertest.json: F tests of all three types by lmerTest on data of this folder.
# Rscript lmertest.R (lmerTest, pbkrtest, jsonlite)
suppressMessages({library(lmerTest); library(jsonlite)})
rat <- read.csv("data/rat_pup.csv"); rat$litter <- factor(rat$litter)
ort <- read.csv("data/Orthodont.csv")
cb <- read.csv("data/cbpp.csv"); cb$period <- factor(cb$period); cb$herd <- factor(cb$herd)
cb$half <- factor(ifelse(as.integer(cb$herd) %% 3 == 0, "c", ifelse(cb$size > 14, "a", "b")))
data <- list(rat_pup = rat, Orthodont = ort, cbpp = cb)
models <- list(
  list("rat_pup", "weight ~ sex * treatment + litsize + (1 | litter)"),
  list("rat_pup", "weight ~ sex * treatment * litsize + (1 | litter)"),
  list("Orthodont", "distance ~ age * Sex + (age | Subject)"),
  list("Orthodont", "distance ~ 0 + Sex + age:Sex + (1 | Subject)"),
  list("cbpp", "incidence ~ period * half + size + (1 | herd)"),
  list("cbpp", "incidence ~ half + half:period + size:half + (1 | herd)"))
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5))
out <- list()
for (m in models) for (type in c("1", "2", "3")) for (ddf in c("Satterthwaite", "Kenward-Roger")) {
  fit <- suppressMessages(lmer(as.formula(m[[2]]), data[[m[[1]]]], control = tight))
  t <- suppressMessages(anova(fit, type = type, ddf = ddf))
  out[[length(out) + 1]] <- list(data = m[[1]], formula = m[[2]], type = as.integer(type), ddf = tolower(ddf),
    term = rownames(t), num_df = t$NumDF, den_df = t$DenDF, F = t[["F value"]], p = t[["Pr(>F)"]])
}
write_json(list(R = R.version.string, lmerTest = as.character(packageVersion("lmerTest")), tests = out),
           "lmertest.json", digits = 12, auto_unbox = TRUE, pretty = TRUE)
