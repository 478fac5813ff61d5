// SPDX-License-Identifier: Apache-2.0
//
// The simulator's own reading of the metrics, slow and obvious, straight from the definitions and
// from one unit's records. It shares no code with store/ or report/, so that agreement means
// something.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/definition.h"
#include "sim/record.h"
#include "sim/world.h"

namespace fulcrum::sim {

// How the units' values of a column become one number of an arm.
enum class Summary : uint8_t {
  kMean,           // Their mean.
  kRatio,          // Their sum over the sum of the next column (kDenominator).
  kDenominator,    // Not a figure of its own.
  kUnitQuantile,   // A quantile of them.
  kEventQuantile,  // A quantile of single events' values.
};

struct OutcomeColumn {
  const experiments::MetricDefinition* metric = nullptr;
  std::string stage;  // Funnels: one column per stage; "" otherwise.
  int stage_index = -1;
  Summary summary = Summary::kMean;
  int64_t maturity_ms = 0;  // Units counted once as_of - clock is at least this.
};

// One unit's part of a life. Records are events in order of ts_ms, without copies.
struct UnitHistory {
  int64_t clock_ms = 0;
  int64_t as_of_ms = 0;
  const Record* enrolment = nullptr;  // The first exposure: attributes stand as there.
  const Profile* profile = nullptr;
  std::vector<const Record*> seen;        // Received by the as-of.
  std::vector<const Record*> everything;  // Whatever happened, later too.
};

// Thread-safe after construction. `world` must outlive it.
class Outcomes {
 public:
  // Columns of every metric the experiment names. Metrics on data columns, of calendar days, and
  // experiments that enrol by an event have no columns: their truth is not defined here.
  Outcomes(const World& world, const experiments::ExperimentDefinition& experiment);

  const std::vector<OutcomeColumn>& columns() const { return columns_; }

  // Every summary but kEventQuantile: the unit's value, before a cap by quantile.
  double Value(const OutcomeColumn& column, const UnitHistory& unit) const;
  // kEventQuantile: appends the values of the unit's events.
  void AppendValues(const OutcomeColumn& column, const UnitHistory& unit,
                    std::vector<double>* values) const;

 private:
  void AddMetric(const std::string& key);
  double Sum(const std::vector<experiments::Term>& terms, const experiments::Window& window,
             const UnitHistory& unit) const;
  bool ReachedStage(const OutcomeColumn& column, const UnitHistory& unit) const;
  double TimeTo(const experiments::MetricDefinition& metric, const UnitHistory& unit) const;
  bool IsNamed(const Record& record, const std::string& event) const;
  bool IsStage(const Record& record, const std::string& key) const;
  bool Matches(const Record& record, const experiments::Term& term) const;

  const World& world_;
  std::vector<OutcomeColumn> columns_;
};

// Linear interpolation of order statistics (type 7 of Hyndman and Fan 1996). REQUIRES values.
double Quantile(std::vector<double> values, double q);

}  // namespace fulcrum::sim
