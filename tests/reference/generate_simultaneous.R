# SPDX-License-Identifier: Apache-2.0
# Simultaneous critical values: mvtnorm's multivariate normal (Miwa, Hayter and Kuriki).
needed <- c("mvtnorm", "jsonlite")
for (p in needed) if (!requireNamespace(p, quietly = TRUE)) {
  message("skipped: the R package ", p, " is not installed")
  quit(status = 77)
}
suppressMessages(library(mvtnorm))
# Miwa's algorithm is deterministic, so equal runs give equal figures.
inside <- function(c, correlation) {
  k <- nrow(correlation)
  as.numeric(pmvnorm(rep(-c, k), rep(c, k), corr = correlation, algorithm = Miwa(steps = 128)))
}
critical <- function(correlation, alpha) {
  uniroot(function(c) inside(c, correlation) - (1 - alpha), c(1, 5), tol = 1e-9)$root
}
cases <- list()
add <- function(id, method, inputs, expected, abs) {
  cases[[length(cases) + 1]] <<- list(id = id, method = method, inputs = inputs,
    expected = expected, tolerance = list(rel = 0, abs = abs), source = "mvtnorm pmvnorm, Miwa")
}
equal <- function(k, rho) matrix(rho, k, k) + diag(1 - rho, k)
chain <- function(k, rho) rho^abs(outer(1:k, 1:k, "-"))
for (case in list(list("two, 0.3", equal(2, 0.3), 0.05), list("four, 0.5", equal(4, 0.5), 0.05),
                  list("four, a chain of 0.8", chain(4, 0.8), 0.01),
                  list("three, signs differ", matrix(c(1, -.6, .2, -.6, 1, -.3, .2, -.3, 1), 3),
                       0.1))) {
  add(paste("correlation of", case[[1]]), "simultaneous_critical_value",
      list(correlation = case[[2]], alpha = case[[3]]),
      list(critical_value = critical(case[[2]], case[[3]])), 3e-3)
}
# Three metrics of two arms: the same through means and covariances.
s <- matrix(c(4, 1.2, -.5, 1.2, 2, .3, -.5, .3, 1), 3)
nt <- 400; nc <- 500
d <- c(0.3, 0.05, -0.2)
v <- s / nt + 1.1 * s / nc
correlation <- cov2cor(v)
c05 <- critical(correlation, 0.05)
z <- d / sqrt(diag(v))
adjusted <- sapply(abs(z), function(x) 1 - inside(x, correlation))
add("three metrics", "joint_effects",
    list(treatment = list(n = nt, mean = c(1, 1, 1) + d, cov = s),
         control = list(n = nc, mean = c(1, 1, 1), cov = 1.1 * s), alpha = 0.05),
    list(diff = d, critical_value = c05, p_adjusted = adjusted,
         ci = unname(cbind(d - c05 * sqrt(diag(v)), d + c05 * sqrt(diag(v))))), 1e-3)
cat(jsonlite::toJSON(list(
  generator = "generate_simultaneous.R",
  versions = list(R = as.character(getRversion()),
                  mvtnorm = as.character(packageVersion("mvtnorm"))),
  cases = cases), auto_unbox = TRUE, digits = NA, na = "null"))
