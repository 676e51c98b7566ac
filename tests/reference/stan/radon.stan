// log_radon ~ floor + log_uranium + (1 + floor | county)
data {
  int<lower=1> n;
  int<lower=1> levels;
  int<lower=1, upper=levels> level[n];
  vector[n] floor_;
  vector[n] log_uranium;
  vector[n] log_radon;
}
parameters {
  vector[3] beta;                  // intercept, floor, log_uranium
  vector<lower=0>[2] sd_u;         // intercept, floor
  cholesky_factor_corr[2] L;
  matrix[2, levels] z;
  real<lower=0> sigma;
}
transformed parameters {
  matrix[levels, 2] u = (diag_pre_multiply(sd_u, L) * z)';
  real corr = L[2, 1];
}
model {
  beta[1] ~ normal(1.5, 0.1);
  beta[2] ~ normal(-0.5, 0.2);
  beta[3] ~ normal(1, 0.3);
  sd_u[1] ~ student_t(3, 0, 0.1);  // truncated at 0: half-Student t
  sd_u[2] ~ normal(0, 0.2);        // half-normal
  L ~ lkj_corr_cholesky(2);
  to_vector(z) ~ std_normal();
  sigma ~ gamma(50, 100);          // shape, rate
  log_radon ~ normal(beta[1] + u[level, 1] + (beta[2] + u[level, 2]) .* floor_ + beta[3] * log_uranium,
                     sigma);
}
