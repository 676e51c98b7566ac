# Log-likelihoods of lme4 with its defaults, one on each line: Rscript optima.R FOLDER, with models.csv in it.

suppressMessages(library(lme4))
models <- read.csv(file.path(commandArgs(trailingOnly = TRUE)[1], "models.csv"))
for (i in seq_len(nrow(models))) {
  text <- strsplit(models$text[i], ",")[[1]]
  data <- read.csv(models$path[i], colClasses = setNames(rep("character", length(text)), text))
  found <- tryCatch(
    suppressWarnings(suppressMessages(
      as.numeric(logLik(lmer(as.formula(models$formula[i]), data, REML = models$reml[i] == "True")))
    )),
    error = function(e) NA
  )
  cat(if (is.na(found)) "NA" else sprintf("%.12f", found), "\n", sep = "")
}
