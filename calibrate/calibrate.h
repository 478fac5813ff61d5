// SPDX-License-Identifier: Apache-2.0
//
// Start here: the statistics put to the test. Calibrate() draws many small experiments from shops
// whose true effects are known, hands each to the methods the report uses (mostly through
// report::Analyze itself), counts how often they are right, and holds every count against what the
// method claims by exact binomial bounds.
//
//   calibrate::Options options;
//   absl::StatusOr<calibrate::Table> table = calibrate::Calibrate(options);
//   std::cout << calibrate::ToText(*table);
//   return table->Within() ? 0 : 1;
//
// Deterministic: equal options give equal tables on any number of threads, because replication r of
// a study draws from a generator seeded by (seed, study, r) and only integers are added up.
// Thread-safety: free functions; Calibrate() owns the threads it starts.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace fulcrum::calibrate {

// What a method promises about the rate of an event.
enum class Claim {
  kExactly,  // Two-sided: a rate too low is a miss too (an interval that is needlessly wide).
  kAtMost,   // One-sided by nature: a union bound, a discrete test, an always-valid sequence.
  kAtLeast,
};

// Within: the 99.9% Clopper-Pearson bounds of the rate hold the claimed one (kAtMost and kAtLeast:
// the one-sided 99.9% bound does not pass it). kBeyond: a row that shows a method outside its
// conditions, on purpose; it is shown and never fails a run.
enum class Verdict { kWithin, kOutside, kBeyond };

struct Row {
  std::string key;    // "aa_ratio.delta": the study, then the row.
  std::string group;  // Heading: "False positives".
  std::string what;   // One line for people.
  Claim claim = Claim::kExactly;
  double expected = 0;  // The claimed rate.
  int64_t hits = 0;
  int64_t trials = 0;  // At most the replications; fewer where the event needs a condition.
  double lo = 0;       // Clopper-Pearson bounds of the rate, both sides or one, see Verdict.
  double hi = 1;
  Verdict verdict = Verdict::kWithin;
  bool planted = false;

  double Rate() const {
    return trials > 0 ? static_cast<double>(hits) / static_cast<double>(trials) : 0;
  }
};

struct Table {
  uint64_t seed = 0;
  int64_t replications = 0;
  std::vector<Row> rows;  // In the order of the studies.

  bool Within() const;  // No row is kOutside.
};

// Errors put in on purpose, to see them caught.
enum class Plant {
  kNone,
  kRawVarianceRatio,  // Ratio metrics with the variance of independent events.
  kPeeking,           // Every look judged by the fixed-horizon test.
};

inline constexpr int64_t kDefaultReplications = 10'000;
inline constexpr uint64_t kDefaultSeed = 20260302;

struct Options {
  int64_t replications = kDefaultReplications;
  uint64_t seed = kDefaultSeed;
  int threads = 0;                // 0: as many as the machine has.
  std::vector<std::string> only;  // Studies ("aa") or rows ("aa_ratio.delta"); empty: all.
  Plant plant = Plant::kNone;
  std::function<void(double)> progress;  // Called with the share done, from one thread at a time.
};

// InvalidArgument for replications < 1, threads < 0, or a name in `only` that is none (it names the
// nearest that is).
absl::StatusOr<Table> Calibrate(const Options& options);

// Every row without running it: hits and trials are 0.
std::vector<Row> ListRows();

// Judges hits out of trials; fills lo, hi and verdict.
void Judge(Row* row);

// --- The table on paper (table.cc) ---------------------------------------------------------------

std::string ToText(const Table& table);
std::string ToMarkdown(const Table& table);
std::string ToJson(const Table& table);

}  // namespace fulcrum::calibrate
