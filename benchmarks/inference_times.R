# Times of lme4 and pbkrtest for inference_times.py, as JSON on standard output. Data: a folder with CSV files.
suppressMessages({library(lme4); library(jsonlite)})
data <- commandArgs(TRUE)[1]
best <- function(f, n) { t <- Inf; for (i in seq_len(n)) t <- min(t, system.time(f())[["elapsed"]]); t }
sleep <- read.csv(file.path(data, "sleepstudy.csv")); sleep$Subject <- factor(sleep$Subject)
radon <- read.csv(file.path(data, "radon.csv"))
quiet <- function(e) suppressMessages(suppressWarnings(e))
out <- list(R = R.version.string, lme4 = as.character(packageVersion("lme4")))
ml <- lmer(Reaction ~ Days + (Days | Subject), sleep, REML = FALSE)
out$profile <- best(function() quiet(profile(ml)), 3)
house <- quiet(lmer(log_radon ~ floor + log_uranium + (1 + floor | county), radon))
out$bootstrap_200 <- best(function() quiet(bootMer(house, function(m) c(fixef(m), as.data.frame(VarCorr(m))$sdcor), nsim = 200, seed = 1)), 1)
if (requireNamespace("pbkrtest", quietly = TRUE)) {
  reml <- lmer(Reaction ~ Days + (Days | Subject), sleep)
  out$kenward_roger <- best(function() quiet(pbkrtest::vcovAdj(reml)), 3)
}
cat(toJSON(out, auto_unbox = TRUE, digits = 8))
