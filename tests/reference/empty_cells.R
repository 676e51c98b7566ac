# Makes empty_cells.json: tests of type 3 where combinations of factors have no rows, by lmerTest.
# Rscript empty_cells.R (lmerTest, pbkrtest, jsonlite)
suppressMessages({library(lmerTest); library(jsonlite)})
rat <- read.csv("data/rat_pup.csv"); rat$litter <- factor(rat$litter); rat$size <- ifelse(rat$litsize > 13, "large", "small")
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5))
models <- list(
  list("!(sex == 'Male' & treatment == 'High')", "weight ~ sex * treatment + (1 | litter)"),
  list("!(sex == 'Male' & treatment == 'High')", "weight ~ sex * treatment + litsize + (1 | litter)"),
  list("!(sex == 'Male' & treatment == 'Low')", "weight ~ sex * treatment * litsize + (1 | litter)"),
  list("!(sex == 'Male' & treatment == 'High' & size == 'large')", "weight ~ sex * treatment * size + (1 | litter)"))
out <- list()
for (m in models) for (ddf in c("Satterthwaite", "Kenward-Roger")) {
  d <- subset(rat, eval(parse(text = m[[1]])))
  fit <- suppressMessages(lmer(as.formula(m[[2]]), d, control = tight))
  t <- suppressMessages(anova(fit, type = "3", ddf = ddf))
  out[[length(out) + 1]] <- list(rows = m[[1]], formula = m[[2]], ddf = tolower(ddf), n = nrow(d),
    term = rownames(t), num_df = t$NumDF, den_df = t$DenDF, F = t[["F value"]], p = t[["Pr(>F)"]])
}
write_json(list(R = R.version.string, lmerTest = as.character(packageVersion("lmerTest")), tests = out),
           "empty_cells.json", digits = 12, auto_unbox = TRUE, pretty = TRUE)
