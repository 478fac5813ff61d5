// SPDX-License-Identifier: Apache-2.0
// Inference that stays valid however often one looks: mixture tests, asymptotic confidence
// sequences, anytime-valid regression, and exact sequences for bounded data.
//
// Every tuning constant (tau, rho, g, t_opt) must be fixed before looking: chosen afterwards, the
// error guarantee is gone. Use matured units only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "stats/types.h"

namespace fulcrum::stats {

// Mixture sequential probability ratio test of effect 0 with a N(0, tau2) mixture (Robbins 1970;
// Johari, Koomen, Pekelis and Walsh 2022). `variance` is that of the estimate now.
struct MsprtResult {
  double log_lambda = 0;
  double p = 1;       // min(1, 1 / lambda) at this look; take the running minimum over looks
  Interval interval;  // always-valid 1 - alpha
};
MsprtResult MixtureSprt(double estimate, double variance, double tau2, double alpha);

// Accumulates looks: the p-value may only fall, the interval only shrink (intersection).
class RunningMsprt {
 public:
  RunningMsprt(double tau2, double alpha) : tau2_(tau2), alpha_(alpha) {}
  void Look(double estimate, double variance);
  double p() const { return p_; }
  Interval interval() const { return interval_; }  // empty (lo > hi) if looks contradict

 private:
  double tau2_;
  double alpha_;
  double p_ = 1;
  Interval interval_;
};

// Asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024): the half
// width for a standard error `se` after n units is multiplier * se, with
// multiplier = sqrt(n) sqrt(2 (n rho^2 + 1) / (n rho)^2 log(sqrt(n rho^2 + 1) / alpha)).
double AsympCsMultiplier(double n, double rho, double alpha);
// The same for a one-sided bound: log(1 + sqrt(n rho^2 + 1) / (2 alpha)).
double AsympCsMultiplierOneSided(double n, double rho, double alpha);
// rho that is tightest (approximately) at n_opt: sqrt((-2 log a + log(-2 log a + 1)) / n_opt).
double AsympCsRho(double n_opt, double alpha);
// The exact optimum, (-W_{-1}(-a^2 / e) - 1) / n_opt, as rho^2.
double AsympCsRho2Exact(double n_opt, double alpha);
// Always-valid p of an estimate: the level at which the sequence just excludes 0, at most 1.
double AsympCsP(double z, double n, double rho);
// Margin by the law of the iterated logarithm, unit variance: 1.7 sqrt((log log 2t + 0.72
// log(10.4/a))/t).
double LilMargin(double t, double alpha);

// Anytime-valid t statistic of a regression coefficient (Lindon, Ham, Tingley and Bojinov 2022).
double AnytimeLogE(double t, double n, double coefficients, double g);
// |t| needed at level alpha; infinite where no t is enough yet.
double AnytimeTRadius(double n, double coefficients, double g, double alpha);
// g with the smallest radius at n.
double AnytimeOptimalG(double n, double coefficients, double alpha);

// Uniform boundaries of Howard, Ramdas, McAuliffe and Sekhon (2021): log of the mixture
// supermartingale at sum s and intrinsic time v, and the s at which it reaches log(1 / alpha).
double NormalMixtureRho(double v_opt, double alpha_opt);  // two-sided
double OneSidedMixtureRho(double v_opt, double alpha_opt);
double LogTwoSidedNormalMixture(double s, double v, double rho);
double TwoSidedNormalMixtureBound(double v, double alpha, double rho);
double LogOneSidedNormalMixture(double s, double v, double rho);
double OneSidedNormalMixtureBound(double v, double alpha, double rho);
double LogGammaPoissonMixture(double s, double v, double rho, double c);
double GammaPoissonMixtureBound(double v, double alpha, double rho, double c);
double LogGammaExponentialMixture(double s, double v, double rho, double c);
double GammaExponentialMixtureBound(double v, double alpha, double rho, double c);
// Beta-binomial mixture for increments in [-g, h].
double LogBetaBinomialMixture(double s, double v, double rho, double g, double h, bool one_sided);
double BetaBinomialMixtureBound(double v, double alpha, double rho, double g, double h,
                                bool one_sided);

// Exact confidence sequence of a Bernoulli rate after n trials, tightest near t_opt.
Interval BernoulliSequence(double successes, double n, double t_opt, double alpha,
                           double alpha_opt);

// Confidence sequence of the q-quantile of one arm (Howard and Ramdas 2022, beta-binomial mixture),
// tightest near t_opt values: the values whose share at or below them is not excluded. An end is
// infinite where even the extreme value is not excluded. `sorted` ascending, in the outcome's unit.
Interval QuantileSequence(std::span<const double> sorted, double q, double t_opt, double alpha);

// Always-valid p that two arms have the same quantile (Howard and Ramdas 2022). Raw values.
double AnytimeQuantileP(std::span<const double> a, std::span<const double> b, double q,
                        double t_opt, double alpha_opt);

}  // namespace fulcrum::stats
