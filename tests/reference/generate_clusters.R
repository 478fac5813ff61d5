# SPDX-License-Identifier: Apache-2.0
# Cluster-robust errors: clubSandwich's CR0, CR1S and CR2 with Satterthwaite degrees of freedom.
needed <- c("clubSandwich", "jsonlite")
for (p in needed) if (!requireNamespace(p, quietly = TRUE)) {
  message("skipped: the R package ", p, " is not installed")
  quit(status = 77)
}
suppressMessages(library(clubSandwich))

# A generator of its own, so that the data do not hang on R's: MINSTD (Park and Miller 1988).
state <- 1
uniform <- function(n) vapply(seq_len(n), function(i) {
  state <<- (16807 * state) %% 2147483647
  state / 2147483647
}, 0)

# Cluster sizes between 1 and `most`, cluster effects, a treatment effect and a unit covariate.
world <- function(seed, clusters, most, effect) {
  state <<- seed
  size <- 1 + floor(uniform(clusters) * most)
  treated <- as.integer(seq_len(clusters) %% 2 == 0)
  g <- rep(seq_len(clusters), size)
  x <- round(uniform(length(g)) * 4, 3)
  level <- round(uniform(clusters) * 3, 3)
  y <- round(level[g] + effect * treated[g] + 0.7 * x + 4 * uniform(length(g)), 3)
  data.frame(g = g, t = treated[g], x = x, y = y)
}

errors <- function(fit, cluster) {
  out <- list(coefficient = unname(coef(fit)))
  for (type in c("CR0", "CR1S", "CR2")) {
    v <- vcovCR(fit, cluster = cluster, type = type)
    out[[paste0("se_", tolower(sub("S", "", type)))]] <- unname(sqrt(diag(v)))
  }
  test <- coef_test(fit, vcov = vcovCR(fit, cluster = cluster, type = "CR2"),
                    test = "Satterthwaite")
  df <- if ("df_Satt" %in% names(test)) test$df_Satt else test$df
  out$df <- df
  out
}

sums <- function(d, t) {
  rows <- d[d$t == t, ]
  list(size = as.numeric(tapply(rows$y, rows$g, length)),
       sum = as.numeric(tapply(rows$y, rows$g, sum)))
}

cases <- list()
add <- function(id, method, inputs, expected) {
  cases[[length(cases) + 1]] <<- list(
    id = id, method = method, inputs = inputs, expected = expected,
    tolerance = list(rel = 1e-8, abs = 1e-12), source = "clubSandwich vcovCR, coef_test")
}
for (setting in list(c(7, 24, 9, 0.8), c(11, 8, 30, 0), c(13, 40, 1, 0.5), c(17, 12, 60, -1))) {
  d <- world(setting[1], setting[2], setting[3], setting[4])
  name <- paste0(setting[2], " clusters up to ", setting[3] + (setting[3] == 1), " units")
  plain <- lm(y ~ t, data = d)
  e <- errors(plain, d$g)
  add(paste0("difference, ", name), "cluster_difference",
      list(treatment = sums(d, 1), control = sums(d, 0), alpha = 0.05),
      list(diff = e$coefficient[2], se = e$se_cr2[2], df = e$df[2],
           p = 2 * pt(-abs(e$coefficient[2] / e$se_cr2[2]), e$df[2]),
           ci_lo = e$coefficient[2] - qt(0.975, e$df[2]) * e$se_cr2[2],
           ci_hi = e$coefficient[2] + qt(0.975, e$df[2]) * e$se_cr2[2]))
  add(paste0("plain regression, ", name), "cluster_robust_regression",
      list(y = d$y, x = d$t, cluster = d$g), e)
  covariate <- lm(y ~ t + x, data = d)
  add(paste0("covariate, ", name), "cluster_robust_regression",
      list(y = d$y, x = unname(as.matrix(d[, c("t", "x")])), cluster = d$g),
      errors(covariate, d$g))
}
# Equal cluster sizes: the Gram form is exactly CR2.
state <- 99
d <- data.frame(g = rep(1:18, each = 5), t = rep(rep(0:1, 9), each = 5))
d$y <- round(2 + 0.3 * d$t + rep(uniform(18), each = 5) + uniform(90), 3)
e <- errors(lm(y ~ t, data = d), d$g)
rows <- function(t) {
  s <- sums(d, t)
  unname(cbind(s$sum, s$size))
}
add("equal sizes from Grams", "cluster_difference_gram",
    list(treatment = list(rows = rows(1)), control = list(rows = rows(0)), alpha = 0.05),
    list(diff = e$coefficient[2], se = e$se_cr2[2], df = e$df[2]))

cat(jsonlite::toJSON(list(
  generator = "generate_clusters.R",
  versions = list(R = as.character(getRversion()),
                  clubSandwich = as.character(packageVersion("clubSandwich"))),
  cases = cases), auto_unbox = TRUE, digits = NA, na = "null"))
