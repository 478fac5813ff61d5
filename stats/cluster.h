// SPDX-License-Identifier: Apache-2.0
// Units that were assigned together: clusters (households, stores) and switchback blocks.
//
// The randomised thing is the cluster, so the cluster is the row: one row holds the sum of the
// outcome over the cluster's units and their number (or, for a ratio metric, the two sums).
// Errors are bias-reduced linearisation, CR2 (Bell and McCaffrey 2002), with Satterthwaite degrees
// of freedom under a working model of independent units (Pustejovsky and Tipton 2018), which is
// what clubSandwich and estimatr print. Clusters must be independent of each other; a switchback
// block must be long enough that what one block does has worn off in the next.
//
// Below 20 clusters in a comparison even CR2 leans on the normal shape of cluster sums: use
// stats/randomisation.h, which needs only that the assignment was random.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "stats/gram.h"
#include "stats/lift.h"
#include "stats/types.h"

namespace fulcrum::stats {

// Clusters in both arms together below which randomisation inference is the answer to report.
inline constexpr std::size_t kFewClusters = 20;

// One cluster or block. `size` is the number of units (or the denominator's sum), >= 0; `sum` the
// sum of the outcome over those units (or the numerator's sum), in the outcome's unit.
struct ClusterRow {
  double size = 0;
  double sum = 0;
};

// Difference of unit-weighted means, sum(sum) / sum(size) in the treated clusters less the same in
// the control clusters: the coefficient of least squares of the units on the arm.
struct ClusterResult {
  std::size_t clusters_treatment = 0;  // with size > 0
  std::size_t clusters_control = 0;
  double mean_treatment = 0;
  double mean_control = 0;
  double diff = 0;
  double var_treatment = 0;  // CR2 variance of the arm's mean
  double var_control = 0;
  double se = 0;
  double df = 0;  // Satterthwaite, far below clusters - 2 where sizes differ much
  double t = 0;
  double p = 1;
  Interval interval;
  LiftResult lift;            // delta, log and Fieller, with the same degrees of freedom
  bool few_clusters = false;  // fewer than kFewClusters: report randomisation inference
  // kTooFewUnits: fewer than 2 clusters in an arm. kInvalidInput: a negative size.
  // kNoVariance: every cluster has its arm's mean.
  Reason reason = Reason::kNone;
};
ClusterResult ClusterDifference(std::span<const ClusterRow> treatment,
                                std::span<const ClusterRow> control, double alpha);

// The same from one Gram per arm whose rows are clusters. A Gram does not keep each cluster's
// leverage h = size / sum(size), so it enters by its mean, 1 / clusters: exactly CR2 where clusters
// are of one size, and within about h of it otherwise. The degrees of freedom are first order in h
// too: an arm counts clusters / (1 + cv^2) - 1, cv being the coefficient of variation of sizes
// (Carter, Schnepel and Steigerwald 2017 call the first term the effective number of clusters).
// Use the rows above wherever they are kept.
ClusterResult ClusterDifference(const Gram& treatment, const Gram& control, std::size_t sum,
                                std::size_t size, double alpha);

// Least squares of raw units with cluster-robust errors; any design. Columns that those before
// them determine are dropped (coefficient and errors 0).
struct ClusteredRegression {
  std::vector<double> coefficient;
  std::vector<double> se_cr0;  // Liang and Zeger (1986), no correction
  std::vector<double> se_cr1;  // times G / (G - 1) (N - 1) / (N - rank), Stata's
  std::vector<double> se_cr2;
  std::vector<double> df;  // Satterthwaite, of the CR2 error
  std::size_t rank = 0;
  std::size_t clusters = 0;
  Reason reason = Reason::kNone;  // kTooFewUnits: no degree of freedom, or a single cluster
};
// `design` holds rows of `columns` values; cluster[i] is any whole number naming unit i's cluster.
// REQUIRES design.size() == y.size() * columns and cluster.size() == y.size().
ClusteredRegression ClusteredLeastSquares(std::span<const double> y, std::span<const double> design,
                                          std::size_t columns,
                                          std::span<const std::size_t> cluster);

}  // namespace fulcrum::stats
