# Time lme4 on one workload; prints lines of JSON like run_one.py.
#
#     Rscript run_one.R TABLE.csv FORMULA TEXT_COLUMNS REPEATS PATIENCE
#
# TEXT_COLUMNS are the columns of labels, with commas between; lmer makes factors of them inside the timed call.

suppressMessages(loaded <- requireNamespace("lme4", quietly = TRUE))
if (!loaded) {
  cat('{"missing": "lme4"}\n')
  quit()
}
suppressMessages(loading <- system.time(library(lme4))[["elapsed"]])

memory <- function(field) {
  status <- "/proc/self/status"
  if (!file.exists(status)) return(sum(gc()[, 6]))
  line <- grep(field, readLines(status), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}
forget_peak <- function() {
  gc(reset = TRUE)
  if (file.exists("/proc/self/clear_refs")) writeLines("5", "/proc/self/clear_refs")
}
now <- function() as.numeric(Sys.time())
say <- function(...) {
  cat(sprintf(...), "\n", sep = "")
  flush(stdout())
}

asked <- commandArgs(trailingOnly = TRUE)
text <- strsplit(asked[3], ",")[[1]]
data <- read.csv(asked[1], colClasses = setNames(rep("character", length(text)), text))
formula <- as.formula(asked[2])
times <- as.integer(asked[4])
patience <- as.numeric(asked[5])
say('{"version": "%s", "r": "%s", "blas": "%s", "loading": %.6f}', packageVersion("lme4"),
    getRversion(), basename(La_library()), loading)

forget_peak()
held <- memory("VmRSS")
say('{"rows": %d}', nrow(data))
began <- now()
fit <- lmer(formula, data, REML = TRUE)
first <- now() - began
say('{"first": %.6f, "mib": %.3f, "loglik": %.9f}', first, memory("VmHWM") - held, as.numeric(logLik(fit)))

seconds <- numeric(0)
while (length(seconds) < times && first + sum(seconds) + max(seconds, first * !length(seconds)) <= patience) {
  began <- now()
  fit <- lmer(formula, data, REML = TRUE)
  seconds <- c(seconds, now() - began)
}
say('{"seconds": [%s]}', paste(sprintf("%.6f", seconds), collapse = ", "))
