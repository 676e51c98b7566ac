# Makes clubsandwich.json: cluster-robust tests of fixed effects by clubSandwich on data of this folder.
# Rscript clubsandwich.R (lme4, clubSandwich, jsonlite)
suppressMessages({library(lme4); library(clubSandwich); library(jsonlite)})
rat <- read.csv("data/rat_pup.csv"); rat$litter <- factor(rat$litter)
ort <- read.csv("data/Orthodont.csv")
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5))
models <- list(rat_pup = lmer(weight ~ sex * treatment + litsize + (1 | litter), rat, control = tight),
               Orthodont = lmer(distance ~ age * Sex + (age | Subject), ort, control = tight))
out <- lapply(models, function(m) {
  t <- coef_test(m, vcov = "CR2")
  list(SE = t$SE, df = t$df_Satt, p = t$p_Satt,
       CR0 = sqrt(diag(vcovCR(m, type = "CR0"))), CR1 = sqrt(diag(vcovCR(m, type = "CR1"))),
       CR1S = sqrt(diag(vcovCR(m, type = "CR1S"))))
})
write_json(lapply(out, function(x) lapply(x, as.numeric)), "clubsandwich.json", digits = 12, pretty = TRUE)
