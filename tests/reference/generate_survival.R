# SPDX-License-Identifier: Apache-2.0
# Survival, many-to-one and pooled effects at other inputs: survival, multcomp and metafor.
needed <- c("survival", "multcomp", "metafor", "jsonlite")
for (p in needed) if (!requireNamespace(p, quietly = TRUE)) {
  message("skipped: the R package ", p, " is not installed")
  quit(status = 77)
}
suppressMessages({library(survival); library(multcomp); library(metafor)})
state <- 77
uniform <- function(n) vapply(seq_len(n), function(i) {
  state <<- (16807 * state) %% 2147483647
  state / 2147483647
}, 0)
cases <- list()
add <- function(id, method, inputs, expected, rel = 1e-7, abs = 1e-10) {
  cases[[length(cases) + 1]] <<- list(id = id, method = method, inputs = inputs,
    expected = expected, tolerance = list(rel = rel, abs = abs),
    source = "R packages survival, multcomp, metafor")
}
for (n in c(15, 40)) {  # small whole times: many ties
  t1 <- ceiling(-10 * log(uniform(n))); e1 <- as.numeric(uniform(n) < 0.7)
  t2 <- ceiling(-7 * log(uniform(n + 3))); e2 <- as.numeric(uniform(n + 3) < 0.7)
  d <- data.frame(t = c(t1, t2), e = c(e1, e2), g = rep(1:2, c(n, n + 3)))
  groups <- list(group1 = list(time = t1, event = e1), group2 = list(time = t2, event = e2))
  s <- survfit(Surv(t1, e1) ~ 1, conf.type = "log-log"); k <- s$n.event > 0
  add(paste("Kaplan-Meier of", n), "kaplan_meier", list(time = t1, event = e1),
      list(time = s$time[k], surv = s$surv[k], n_risk = s$n.risk[k], n_event = s$n.event[k]))
  for (rho in c(0, 0.5, 1)) {
    l <- survdiff(Surv(t, e) ~ g, d, rho = rho)
    add(paste("weights", rho, "of", n), "fleming_harrington_rho1", c(groups, rho = rho),
        list(chi2 = l$chisq))
  }
  l <- survdiff(Surv(t, e) ~ g, d)
  add(paste("log-rank of", n), "log_rank", groups,
      list(chi2 = l$chisq, observed_1 = l$obs[[1]], expected_1 = l$exp[[1]]))
  b <- coxph(Surv(t, e) ~ I(g == 1), d, ties = "breslow")
  f <- coxph(Surv(t, e) ~ I(g == 1), d, ties = "efron")
  add(paste("Cox of", n), "cox_ph_binary", list(treatment = groups[[1]], control = groups[[2]]),
      list(breslow_log_hr = unname(coef(b)), breslow_se = sqrt(b$var[1, 1]),
           efron_log_hr = unname(coef(f)), efron_se = sqrt(f$var[1, 1])), rel = 1e-5)
}
for (arms in c(1, 3, 8)) {  # unbalanced
  n <- 4 + floor(9 * uniform(arms + 1))
  y <- lapply(n, function(m) round(uniform(m) * 4, 3))
  g <- factor(rep(0:arms, n))
  fit <- summary(glht(aov(unlist(y) ~ g), linfct = mcp(g = "Dunnett")))
  inputs <- list(control = y[[1]], alpha = 0.05)
  for (j in seq_len(arms)) inputs[[LETTERS[j]]] <- y[[j + 1]]
  add(paste("Dunnett,", arms, "arms"), "dunnett_two_sided", inputs,
      list(t = I(as.numeric(fit$test$tstat)), df = fit$df,
           diff = I(as.numeric(fit$test$coefficients))))
}
y <- round(uniform(6) - 0.3, 3); v <- round(0.01 + 0.1 * uniform(6), 4)
dl <- rma(y, v, method = "DL"); reml <- rma(y, v, method = "REML"); fe <- rma(y, v, method = "FE")
add("six studies", "cochran_q_dl_reml", list(y = y, v = v),
    list(Q = dl$QE, p_Q = dl$QEp, tau2_DL = dl$tau2, random = as.numeric(dl$beta),
         random_se = dl$se, fixed = as.numeric(fe$beta), fixed_se = fe$se), rel = 1e-7)
add("six studies, likelihood", "cochran_q_dl_reml", list(y = y, v = v),
    list(tau2_REML = reml$tau2, random_REML = as.numeric(reml$beta), random_REML_se = reml$se),
    rel = 1e-3, abs = 1e-5)
cat(jsonlite::toJSON(list(
  generator = "generate_survival.R",
  versions = list(R = as.character(getRversion()),
                  survival = as.character(packageVersion("survival")),
                  multcomp = as.character(packageVersion("multcomp")),
                  metafor = as.character(packageVersion("metafor"))),
  cases = cases), auto_unbox = TRUE, digits = NA, na = "null"))
