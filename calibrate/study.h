// SPDX-License-Identifier: Apache-2.0
//
// A study: one kind of simulated experiment and the rows it fills. Private to calibrate/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "calibrate/calibrate.h"
#include "calibrate/random.h"

namespace fulcrum::calibrate {

// Counts of one study; merged by addition.
class Tally {
 public:
  explicit Tally(size_t rows) : hits_(rows, 0), trials_(rows, 0) {}

  void Add(size_t row, bool hit) {
    ++trials_[row];
    hits_[row] += hit ? 1 : 0;
  }
  void Merge(const Tally& other) {
    for (size_t i = 0; i < hits_.size(); ++i) {
      hits_[i] += other.hits_[i];
      trials_[i] += other.trials_[i];
    }
  }
  int64_t hits(size_t row) const { return hits_[row]; }
  int64_t trials(size_t row) const { return trials_[row]; }

 private:
  std::vector<int64_t> hits_;
  std::vector<int64_t> trials_;
};

// Runs one replication: draws from `random`, adds at most once to each row. Called from many
// threads on one object, so what it captures is immutable.
using Replicate = std::function<void(Random& random, Tally& tally)>;

struct StudyRow {
  std::string key;  // Without the study: "ratio".
  std::string what;
  double expected = 0.05;
  Claim claim = Claim::kExactly;
  bool beyond = false;  // Shown, not judged; see Verdict::kBeyond.
};

struct Study {
  std::string key;
  std::string group;
  std::vector<StudyRow> rows;
  // Builds the world once, only when the study runs.
  std::function<Replicate(Plant plant)> prepare;
  Plant plant = Plant::kNone;  // The planted error that this study can carry …
  std::string planted_row;     // … and the row that shows it.
};

// In the order of the table; each file of studies gives its own.
std::vector<Study> AllStudies();
void AddErrorStudies(std::vector<Study>* out);
void AddCoverageStudies(std::vector<Study>* out);
void AddFamilyStudies(std::vector<Study>* out);
void AddPowerStudies(std::vector<Study>* out);
void AddSequentialStudies(std::vector<Study>* out);
void AddHealthStudies(std::vector<Study>* out);
void AddDecisionStudies(std::vector<Study>* out);
void AddEstimateStudies(std::vector<Study>* out);
void AddDesignStudies(std::vector<Study>* out);

}  // namespace fulcrum::calibrate
