// Reaction ~ Days + (Days | Subject)
data {
  int<lower=1> n;
  int<lower=1> levels;
  int<lower=1, upper=levels> level[n];
  vector[n] Days;
  vector[n] Reaction;
}
parameters {
  vector[2] beta;                  // intercept, Days
  vector<lower=0>[2] sd_u;         // intercept, Days
  cholesky_factor_corr[2] L;
  matrix[2, levels] z;
  real<lower=0> sigma;
}
transformed parameters {
  matrix[levels, 2] u = (diag_pre_multiply(sd_u, L) * z)';
  real corr = L[2, 1];
}
model {
  beta[1] ~ normal(260, 10);
  beta[2] ~ normal(8, 2);
  sd_u[1] ~ student_t(4, 0, 15);   // truncated at 0: half-Student t
  sd_u[2] ~ exponential(0.25);     // rate
  L ~ lkj_corr_cholesky(3);
  to_vector(z) ~ std_normal();
  sigma ~ normal(0, 10);           // truncated at 0: half-normal
  Reaction ~ normal(beta[1] + u[level, 1] + (beta[2] + u[level, 2]) .* Days, sigma);
}
