// SPDX-License-Identifier: Apache-2.0
// Distribution functions, tails first. Every `Sf` is computed as a tail, never as 1 - cdf, so it
// keeps its relative accuracy down to 1e-300; the `Log` forms go on from there.
// The only place that includes Boost.Math. Pure functions, safe from any thread.
#pragma once

#include <cstdint>

namespace fulcrum::stats {

// Standard normal.
double NormalPdf(double x);
double NormalCdf(double x);
double NormalSf(double x);
double LogNormalSf(double x);     // natural logarithm of P(Z > x), finite for every finite x
double NormalQuantile(double p);  // REQUIRES 0 < p < 1
double NormalUpperQuantile(double tail);  // z with P(Z > z) = tail; exact for tiny tails
double TwoSidedNormalP(double z);         // P(|Z| > |z|)
double LogTwoSidedNormalP(double z);
// z with P(|Z| > z) = alpha: 1.959963984540054 at 0.05.
double CriticalZ(double alpha);

// Student t with `df` > 0 degrees of freedom; df may be infinite (then normal) or fractional.
double TCdf(double t, double df);
double TSf(double t, double df);
double TPdf(double t, double df);
double TQuantile(double p, double df);
double TUpperQuantile(double tail, double df);
double TwoSidedTP(double t, double df);
double LogTwoSidedTP(double t, double df);
double CriticalT(double alpha, double df);
double NoncentralTCdf(double t, double df, double delta);
double NoncentralTSf(double t, double df, double delta);

// Chi-square with df > 0.
double ChiSquareSf(double x, double df);
double LogChiSquareSf(double x, double df);
double ChiSquareQuantile(double p, double df);

// F with df1, df2 > 0 (df2 may be infinite).
double FSf(double f, double df1, double df2);

// Beta(a, b) on [0, 1]; a, b > 0.
double BetaPdf(double x, double a, double b);
double BetaCdf(double x, double a, double b);
double BetaSf(double x, double a, double b);
double BetaQuantile(double p, double a, double b);
double LogBeta(double a, double b);

// Gamma and binomial.
double LogGamma(double x);
double GammaPdf(double x, double shape, double rate);
double RegularisedGammaP(double a, double x);
double RegularisedGammaQ(double a, double x);
double GammaQuantile(double p, double shape, double rate);
double BinomialPmf(double k, double n, double p);
double BinomialCdf(double k, double n, double p);  // P(X <= k)
double BinomialSf(double k, double n, double p);   // P(X > k)

}  // namespace fulcrum::stats
