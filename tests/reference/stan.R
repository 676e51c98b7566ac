# Posteriors by Stan for tests/bayes/test_against_stan.py: moments and quantiles with their Monte Carlo errors.
#
# Run in this folder with rstan, posterior and jsonlite (Debian: r-cran-rstan, r-cran-posterior,
# r-cran-jsonlite and a C++ compiler): Rscript stan.R > stan.json
# Models and priors stand in stan/*.stan; 4 chains of 10,000 draws after 2,000 of warm-up each.

suppressPackageStartupMessages(library(rstan))
options(mc.cores = 2)
if (!nzchar(system.file("include", package = "BH"))) {
  rstan_options(boost_lib = "/usr/include")  # Debian's BH points to the system's Boost
}

SEED <- 20
DRAWS <- 10000
WARMUP <- 2000
NAMES <- c(mean = "mean", sd = "sd", q05 = "0.05", q50 = "0.5", q95 = "0.95")

grouped <- function(group, ...) {
  # Stan's data: rows, levels in the order of their labels, columns.
  f <- factor(group, levels = sort(unique(group), method = "radix"))
  list(n = length(f), levels = nlevels(f), level = as.integer(f), labels = levels(f), ...)
}

radon <- read.csv("data/radon.csv")
sleepstudy <- read.csv("data/sleepstudy.csv", colClasses = c(Subject = "character"))
models <- list(
  radon = list(
    data = with(radon, grouped(county, floor_ = floor, log_uranium = log_uranium, log_radon = log_radon)),
    names = c("beta[1]" = "Intercept", "beta[2]" = "floor", "beta[3]" = "log_uranium",
              "sd_u[1]" = "sd_county[Intercept]", "sd_u[2]" = "sd_county[floor]",
              "corr" = "corr_county[Intercept, floor]", "sigma" = "sigma"),
    coefficients = c("Intercept", "floor"), shown = c("AITKIN", "LAC QUI PARLE", "ST LOUIS")
  ),
  sleepstudy = list(
    data = with(sleepstudy, grouped(Subject, Days = Days, Reaction = Reaction)),
    names = c("beta[1]" = "Intercept", "beta[2]" = "Days",
              "sd_u[1]" = "sd_Subject[Intercept]", "sd_u[2]" = "sd_Subject[Days]",
              "corr" = "corr_Subject[Intercept, Days]", "sigma" = "sigma"),
    coefficients = c("Intercept", "Days"), shown = c("308", "335", "370")
  ),
  published = list(
    data = with(radon, grouped(county, log_uranium = log_uranium, floor_ = floor,
                               x_mean = ave(floor, county), log_radon = log_radon)),
    names = c("mu_a" = "Intercept", "b[1]" = "log_uranium", "b[2]" = "floor", "b[3]" = "x_mean",
              "sigma_a" = "sd_county[Intercept]", "sigma_y" = "sigma"),
    coefficients = "Intercept", shown = c("AITKIN", "LAC QUI PARLE", "ST LOUIS")
  )
)

renamed <- function(model) {
  # Stan's names of what is kept -> ours; the random effects of a few levels by level and coefficient.
  at <- match(model$shown, model$data$labels)
  wide <- length(model$coefficients) > 1
  for (k in seq_along(model$coefficients)) for (i in seq_along(at)) {
    from <- if (wide) sprintf("u[%d,%d]", at[i], k) else sprintf("u[%d]", at[i])
    model$names[from] <- sprintf("ranef[%s, %s]", model$shown[i], model$coefficients[k])
  }
  model$names
}

described <- function(draws) {
  # draws: iterations x chains
  c(mean = mean(draws), sd = sd(draws), setNames(quantile(draws, c(0.05, 0.5, 0.95)), c("q05", "q50", "q95")),
    mcse_mean = posterior::mcse_mean(draws), mcse_sd = posterior::mcse_sd(draws),
    setNames(posterior::mcse_quantile(draws, c(0.05, 0.5, 0.95)), c("mcse_q05", "mcse_q50", "mcse_q95")))
}

sampled <- function(name) {
  model <- models[[name]]
  data <- model$data[setdiff(names(model$data), "labels")]
  fit <- stan(sprintf("stan/%s.stan", name), data = data, chains = 4, iter = DRAWS + WARMUP, warmup = WARMUP,
              seed = SEED, control = list(adapt_delta = 0.95), refresh = 0)
  kept <- as.array(fit)
  scalars <- apply(kept, 3, function(x) c(rhat = posterior::rhat(x), ess = posterior::ess_bulk(x)))
  names <- renamed(model)
  parameters <- lapply(names(names), function(from) as.list(described(kept[, , from])))
  list(
    rhat_max = max(scalars["rhat", ], na.rm = TRUE), ess_bulk_min = min(scalars["ess", ], na.rm = TRUE),
    divergences = get_num_divergent(fit), parameters = setNames(parameters, unname(names))
  )
}

versions <- list(
  R = as.character(getRversion()), rstan = as.character(packageVersion("rstan")), stan = stan_version(),
  posterior = as.character(packageVersion("posterior"))
)
posteriors <- lapply(setNames(names(models), names(models)), sampled)
setting <- list(chains = 4, warmup = WARMUP, draws = DRAWS, seed = SEED)
cat(jsonlite::toJSON(list(versions = versions, setting = setting, models = posteriors),
                     auto_unbox = TRUE, digits = I(7), pretty = 1), sep = "\n")
