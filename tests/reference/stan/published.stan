// log_radon ~ log_uranium + floor + x_mean + (1 | county), x_mean the mean of floor in the county
data {
  int<lower=1> n;
  int<lower=1> levels;
  int<lower=1, upper=levels> level[n];
  vector[n] log_uranium;
  vector[n] floor_;
  vector[n] x_mean;
  vector[n] log_radon;
}
parameters {
  real mu_a;
  vector[3] b;                     // log_uranium, floor, x_mean
  vector[levels] z;
  real<lower=0, upper=100> sigma_a;
  real<lower=0, upper=100> sigma_y;
}
transformed parameters {
  vector[levels] u = sigma_a * z;
}
model {
  mu_a ~ normal(0, 1);
  b ~ normal(0, 1);
  z ~ std_normal();                // a = mu_a + u ~ normal(mu_a, sigma_a)
  log_radon ~ normal(mu_a + u[level] + b[1] * log_uranium + b[2] * floor_ + b[3] * x_mean, sigma_y);
}
