// SPDX-License-Identifier: Apache-2.0
// Slices of one experiment without fishing: test that effects differ at all, then shrink, correct
// for how many there are, make them add up to the whole, and say so when they contradict it.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "stats/heterogeneity.h"
#include "stats/moments.h"
#include "stats/types.h"

namespace fulcrum::stats {

// One slice: the outcome's moments in both arms. Slices are disjoint and defined before exposure
// (a slice by what happened after it compares different people).
struct Slice {
  Moments treatment;
  Moments control;
};

struct SliceEffect {
  double diff = 0;  // treatment - control inside the slice
  double se = 0;
  double p = 1;           // its own, uncorrected
  double p_adjusted = 1;  // over the slices (Holm 1979)
  Interval interval;      // covers all slices together (Sidak 1967: slices are independent)
  double shrunk = 0;      // towards the common effect, by the between-slice variance
  double shrunk_sd = 0;   // counts that the common effect is estimated too
  Interval shrunk_interval;
  double versus_rest = 0;  // this slice's effect less the average of the others'
  double versus_rest_p_adjusted = 1;
  double share = 0;         // weight in the whole: mean of its shares of the two arms
  double contribution = 0;  // share * diff; contributions and `mix` add up to `total`
  // kTooFewUnits: fewer than 2 units in an arm; kNoVariance: nothing varies in it.
  Reason reason = Reason::kNone;
};

enum class SimpsonFlag {
  kNone,
  kMixChangesSign,  // the pooled difference and the slices' own average point opposite ways
  kReversal,        // every slice points the other way than the pooled difference
};

// The whole as the sum of its slices, exactly (Kitagawa 1955):
//   mean_T - mean_C = sum_k share_k diff_k + sum_k (share_Tk - share_Ck) (mean_Tk + mean_Ck) / 2.
// The first sum is the slices' effects; the second (`mix`) is who came, near 0 when assignment is
// independent of the slice, and a data-quality question when it is not.
struct SliceAnalysis {
  std::vector<SliceEffect> slices;  // as given
  double total = 0;                 // mean_T - mean_C over all slices together
  double mix = 0;
  double stratified = 0;  // sum of contributions
  double stratified_se = 0;
  // Heterogeneity (Cochran 1954) over the slices that can be tested.
  double q = 0;
  double df = 0;
  double p_heterogeneity = 1;
  double i2 = 0;
  double tau2 = 0;        // DerSimonian and Laird (1986)
  double common = 0;      // mean effect the slices are shrunk to
  bool may_name = false;  // p_heterogeneity <= alpha: only then may a slice be singled out
  SimpsonFlag simpson = SimpsonFlag::kNone;
  Reason reason = Reason::kNone;  // kTooFewUnits: no slice can be tested
};
SliceAnalysis AnalyseSlices(std::span<const Slice> slices, double alpha);

}  // namespace fulcrum::stats
